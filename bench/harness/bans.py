"""Bans and failures by the million, put into a store as the daemon itself would have put them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import chain, islice
from pathlib import Path

from mailward.app.clock import SteadyClock
from mailward.rules.addresses import Prefixes
from mailward.rules.model import (
    Ban,
    Failure,
    Instant,
    Network,
    Reason,
    Subject,
    SubjectKind,
)
from mailward.stores.port import BanPut, Change, FailureAdded
from mailward.stores.sqlite import SqliteStore

BANNED = ("127.1.0.1", "127.1.0.2")
"""Addresses that a flood can come from; :func:`put_bans` bans them first."""

_PREFIXES = Prefixes()
_BITE = 20_000
_V4_LENGTHS = (16, 18, 20, 21, 22, 23, 24, 28)
_V6_LENGTHS = (32, 40, 48, 56)
_FIRST_V4 = int(IPv4Address("11.0.0.0"))
_FIRST_V6 = int(IPv6Address("2001:db8::"))
_V6_SHIFT = 64


def addresses(count: int) -> Iterator[IPv4Address | IPv6Address]:
    """*count* addresses that are counted apart, every second one IPv6."""
    for number in range(count):
        if number % 2:
            yield IPv6Address(_FIRST_V6 + (number << _V6_SHIFT))
        else:
            # 7 has no common divisor with the size of the space: neighbours are rare.
            yield IPv4Address(_FIRST_V4 + number * 7)


def address_bans(count: int, since: Instant) -> Iterator[Ban]:
    """*count* bans as wrong passwords bring them; the first are on :data:`BANNED`."""
    banned = chain(map(IPv4Address, BANNED), addresses(count))
    for address in islice(banned, count):
        yield Ban(
            _PREFIXES.subject(address),
            Reason.AUTHENTICATION,
            since,
            failures=100,
            services=("imap",),
            counterparts=("info", "sales"),
        )


def networks(count: int) -> Iterator[Network]:
    """*count* networks of eight lengths of IPv4 and four of IPv6, in turn."""
    for number in range(count):
        lengths = _V6_LENGTHS if number % 2 else _V4_LENGTHS
        turn, which = divmod(number // 2, len(lengths))
        bits = lengths[which]
        if number % 2:
            start = int(IPv6Address("2a00::")) + (turn << (128 - bits))
            yield IPv6Network((start, bits))
        else:
            half = 1 << (bits - 1)  # the upper half: none of the addresses above
            yield IPv4Network(((half + turn * 7 % half) << (32 - bits), bits))


def put_bans(database: Path, count: int) -> None:
    """Make a store with *count* bans."""
    since = SteadyClock()()
    asyncio.run(_put(database, (BanPut(ban) for ban in address_bans(count, since))))


def put_failures(database: Path, count: int) -> None:
    """Make a store with *count* subjects, half addresses and half logins, one failure each."""
    asyncio.run(_put(database, _failures(count, SteadyClock()())))


def _failures(count: int, at: Instant) -> Iterator[Change]:
    for number, address in enumerate(addresses((count + 1) // 2)):
        login = f"user{number}@example.org"
        yield FailureAdded(_PREFIXES.subject(address), Failure(at, "imap", login))
        if 2 * number + 1 < count:
            subject = Subject(SubjectKind.LOGIN, login)
            yield FailureAdded(subject, Failure(at, "imap", str(address)))


async def _put(database: Path, changes: Iterable[Change]) -> None:
    store = SqliteStore(database)
    await store.load()
    left = iter(changes)
    while bite := tuple(islice(left, _BITE)):
        await store.commit(bite, durable=False)
    await store.close()
