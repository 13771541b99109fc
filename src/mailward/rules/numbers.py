"""Networks as one number each: a million of them in a fifth of what their names take.

The number is a 1, then a bit that is set for IPv6, then the bits of the prefix. So no two networks
share one, and the network that is wider by some bits has the number shifted right by as many.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import NewType

NetworkNumber = NewType("NetworkNumber", int)

IPV4_BITS = 32
IPV6_BITS = 128
IPV4_MARK = 0b10 << IPV4_BITS
IPV6_MARK = 0b11 << IPV6_BITS

_GROUPS = 8  # RFC 4291 section 2.2
_GROUP_DIGITS = 4


def number_of(network: IPv4Network | IPv6Network) -> NetworkNumber:
    """The number of *network*.

    >>> bin(number_of(IPv4Network("128.0.0.0/1"))), bin(number_of(IPv6Network("8000::/1")))
    ('0b101', '0b111')
    """
    mark = IPV4_MARK if network.version == 4 else IPV6_MARK  # noqa: PLR2004 -- IPv4
    whole = mark | int(network.network_address)
    return NetworkNumber(whole >> network.max_prefixlen - network.prefixlen)


def place_of(number: NetworkNumber) -> tuple[bool, int]:
    """Whether the network is one of IPv6, and how many bits its prefix leaves to hosts."""
    length = number.bit_length() - 2
    is_ipv6 = bool(number >> length & 1)
    return is_ipv6, (IPV6_BITS if is_ipv6 else IPV4_BITS) - length


def _ipv4_octets(text: str) -> bytes:
    octets = bytes(map(int, text.split(".")))
    if len(octets) != 4:  # noqa: PLR2004 -- octets of IPv4
        raise ValueError(f'"{text}" is no address')
    return octets


def _ipv6_octets(text: str) -> bytes:
    # IPv6Address says the same in twice the time, and a failure waits for it.
    head, gap, tail = text.partition("::")
    first = head.split(":") if head else []
    last = tail.split(":") if tail else []
    left_out = _GROUPS - len(first) - len(last)
    if left_out < 0 or bool(left_out) != bool(gap):
        raise ValueError(f'"{text}" is no address')
    groups = [*first, *["0"] * left_out, *last]
    digits = "".join([group.zfill(_GROUP_DIGITS) for group in groups])
    if len(digits) != _GROUPS * _GROUP_DIGITS or "" in groups:
        raise ValueError(f'"{text}" is no address')
    return int(digits, 16).to_bytes(IPV6_BITS // 8, "big")


def _octets(address: str) -> bytes:
    return _ipv6_octets(address) if ":" in address else _ipv4_octets(address)


def number_from_name(name: str, octets_of: Callable[[str], bytes] = _octets) -> NetworkNumber:
    """The number of the network that is spelled *name*, as subjects are.

    *octets_of* reads its address, 4 or 16 octets; whoever has a quicker one gives that.

    Raises:
        ValueError: it is none. Who types one is answered by
            :func:`mailward.rules.addresses.parse_network`; this one forgives some spellings.
    """
    bare, slash, length = name.partition("/")
    octets = octets_of(bare)
    bits = len(octets) * 8
    whole = int.from_bytes(octets, "big") | (IPV4_MARK if bits == IPV4_BITS else IPV6_MARK)
    if slash and not 0 <= int(length) <= bits:
        raise ValueError(f'"{name}" has a prefix length that is out of range')
    host_bits = bits - int(length) if slash else 0
    return NetworkNumber(whole >> host_bits)


def name_from_number(number: NetworkNumber) -> str:
    """The one spelling of a network; a single address goes without its prefix length.

    >>> name_from_number(number_from_name("2001:db8::/64")), name_from_number(
    ...     number_from_name("192.0.2.1")
    ... )
    ('2001:db8::/64', '192.0.2.1')
    """
    is_ipv6, host_bits = place_of(number)
    whole = number << host_bits
    if is_ipv6:
        name = str(IPv6Address(whole ^ IPV6_MARK))
        return f"{name}/{IPV6_BITS - host_bits}" if host_bits else name
    name = ipv4_name(whole ^ IPV4_MARK)
    return f"{name}/{IPV4_BITS - host_bits}" if host_bits else name


def ipv4_name(address: int) -> str:
    """The spelling of an IPv4 address.

    >>> ipv4_name(0xC0000201)
    '192.0.2.1'
    """
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"
