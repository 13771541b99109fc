"""Ranges of addresses: ``203.0.113.0-203.0.113.255`` is the networks that make it up."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from itertools import islice

from mailward.rules.addresses import AddressError, parse_address, parse_network, unmap_network
from mailward.rules.model import Address, Network

MAX_NETWORKS = 64
"""An IPv4 range is at most 62 networks, an IPv6 range of whole /64s seldom more than ten. Only an
IPv6 range with single addresses at its ends can be more: up to 254."""


class RangeError(AddressError):
    """Two addresses that make no range; the message says what to write instead."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read an address, a network or a range of addresses, as the fewest networks that are it.

    >>> parse_networks("192.0.2.0-192.0.2.2")
    (IPv4Network('192.0.2.0/31'), IPv4Network('192.0.2.2/32'))

    Raises:
        AddressError: it is none of them.
        RangeError: both ends are addresses, but of two families, or in the wrong order, or such
            that the range would be more than :data:`MAX_NETWORKS` networks.
    """
    first, dash, last = text.partition("-")
    if not dash:
        return (parse_network(text),)
    try:
        low, high = parse_address(first.strip()), parse_address(last.strip())
    except AddressError:
        raise AddressError(f'"{text}" is no IP address, network or range of addresses') from None
    if low.version != high.version:
        raise RangeError(f'"{text}" has an IPv4 and an IPv6 end; write one range for each family')
    if int(high) < int(low):
        raise RangeError(f'"{text}" runs backwards; write "{high}-{low}"')
    found = tuple(islice(_summary(low, high), MAX_NETWORKS + 1))
    if len(found) > MAX_NETWORKS:
        raise RangeError(
            f'"{text}" would be more than {MAX_NETWORKS} networks; '
            "begin and end it where a /64 does, or name the networks"
        )
    return tuple(map(unmap_network, found))


def range_name(text: str) -> str:
    """The one spelling of a range.

    >>> range_name("2001:DB8:: - 2001:db8:0:1::")
    '2001:db8::-2001:db8:0:1::'

    Raises:
        AddressError: its ends are no addresses.
    """
    first, _, last = text.partition("-")
    return f"{parse_address(first.strip())}-{parse_address(last.strip())}"


def _summary(low: Address, high: Address) -> Iterator[Network]:
    if isinstance(low, IPv4Address) and isinstance(high, IPv4Address):  # noqa: SIM114 -- types
        yield from summarize_address_range(low, high)
    elif isinstance(low, IPv6Address) and isinstance(high, IPv6Address):
        yield from summarize_address_range(low, high)
