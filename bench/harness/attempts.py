"""Failures in the order in which both sides get them: 100,000 addresses, 20,000 logins."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

ADDRESSES = 100_000
LOGINS = 20_000
_FIRST = int(IPv4Address("11.0.0.0"))
_STEP = 7_919  # a prime: every address in turn, neighbours far apart


def attempts(count: int) -> Iterator[tuple[str, str]]:
    """*count* times an address and a login, as texts."""
    for number in range(count):
        address = IPv4Address(_FIRST + number * _STEP % ADDRESSES)
        yield str(address), f"user{number * 13 % LOGINS}@example.org"
