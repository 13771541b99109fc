"""What is meant, said the slowest and plainest way: whole microseconds, bit strings, lists.

It shares no code with the rules, so that both are wrong together only by one misunderstanding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SECOND = 1_000_000
SECONDS_PER_UNIT = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60, "w": 7 * 24 * 60 * 60}


def inside(failures: Iterable[int], period: int, now: int) -> list[int]:
    """The failures younger than *period* at *now*: one that is exactly as old is out."""
    return sorted(at for at in failures if now - at < period)


def inside_seconds(failures: Iterable[float], period: float, now: float) -> list[float]:
    """The same in seconds, for instants whose differences are exact."""
    return sorted(at for at in failures if now - at < period)


def falls_at(failures: Sequence[int], count: int, period: int) -> int | None:
    """The place in a sequence of failures where the ban falls: t1..tN with tN - t1 < period."""
    for last in range(count - 1, len(failures)):
        if failures[last] - failures[last - count + 1] < period:
            return last
    return None


class Report(NamedTuple):
    """A failure of the instant *at* that is told at *now*, perhaps late."""

    at: int
    now: int


def falls_at_report(reports: Sequence[Report], count: int, period: int) -> int | None:
    """The same where failures may be told late: what is inside the window when it is told."""
    for last, report in enumerate(reports):
        told = [earlier.at for earlier in reports[: last + 1]]
        if len(inside(told, period, report.now)) >= count:
            return last
    return None


def rate(text: str) -> tuple[int, int] | None:
    """The failures and seconds that a rate means, or ``None`` where it is none."""
    parts = [part.strip(" \t") for part in text.lower().split("/")]
    if len(parts) != 2 or not parts[1]:
        return None
    count, digits, unit = parts[0], parts[1][:-1].rstrip(" \t"), parts[1][-1]
    if unit not in SECONDS_PER_UNIT or not are_digits(count) or not are_digits(digits):
        return None
    seconds = int(digits) * SECONDS_PER_UNIT[unit]
    if 1 <= int(count) <= 10_000 and 1 <= seconds <= 366 * SECONDS_PER_UNIT["d"]:
        return int(count), seconds
    return None


def are_digits(text: str) -> bool:
    return text != "" and all(char in "0123456789" for char in text)


def bits(address: Address) -> str:
    return format(int(address), f"0{address.max_prefixlen}b")


def prefix(network: Network) -> str:
    return bits(network.network_address)[: network.prefixlen]


def holds(network: Network, address: Address) -> bool:
    return network.version == address.version and bits(address).startswith(prefix(network))


def encloses(outer: Network, inner: Network) -> bool:
    return outer.version == inner.version and prefix(inner).startswith(prefix(outer))


def meant(address: Address, nat64: Sequence[IPv6Network]) -> Address:
    """An IPv6 address that only carries an IPv4 address is that one."""
    if isinstance(address, IPv4Address):
        return address
    carriers = [IPv6Network("::ffff:0:0/96"), *nat64]
    if any(holds(carrier, address) for carrier in carriers):
        return IPv4Address(address.packed[-4:])
    return address


def counted(address: Address, v4_bits: int, v6_bits: int) -> Network:
    if isinstance(address, IPv4Address):
        host = 32 - v4_bits
        return IPv4Network((int(address) >> host << host, v4_bits))
    host = 128 - v6_bits
    return IPv6Network((int(address) >> host << host, v6_bits))


class Tracked:
    """Every subject with all its failures, in bounded memory, without any index."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.failures: dict[str, list[float]] = {}  # the longest idle first
        self.succeeded: set[str] = set()

    def add(self, name: str, period: float, at: float, now: float) -> None:
        known = [other for other in self.failures.pop(name, []) if now - other < period]
        self.failures[name] = sorted([*known, at])

    def newest(self) -> list[str]:
        """The tenth that must not go."""
        return list(self.failures)[-max(1, self.room // 10) :]

    def is_over_full(self) -> bool:
        kept = sum(len(failures) for failures in self.failures.values())
        return len(self.failures) > self.room or kept > 10 * self.room

    def next_to_go(self) -> str | None:
        """Who succeeded once goes last; then who has the fewest; then who is the longest idle."""
        newest = self.newest()
        others = [name for name in self.failures if name not in newest]
        if not others:
            return None
        return min(others, key=lambda name: (name in self.succeeded, len(self.failures[name])))
