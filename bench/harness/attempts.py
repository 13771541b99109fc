"""Failures in the order in which both sides get them: 100,000 addresses, 20,000 logins."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from socket import inet_ntoa

ADDRESSES = 100_000
LOGINS = 20_000
_FIRST = int(IPv4Address("11.0.0.0"))
_STEP = 7_919  # a prime: every address in turn, neighbours far apart


def attempts(count: int) -> Iterator[tuple[str, str]]:
    """*count* times an address and a login, as texts."""
    for number in range(count):
        # Our side makes them while its time is taken: they are to cost little.
        address = inet_ntoa((_FIRST + number * _STEP % ADDRESSES).to_bytes(4, "big"))
        yield address, f"user{number * 13 % LOGINS}@example.org"
