"""Addresses and networks: read strictly, folded to one spelling, looked up by prefix length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Generic, TypeVar

from mailward.rules.model import Address, Network, Subject, SubjectKind
from mailward.rules.numbers import (
    IPV4_BITS,
    IPV4_MARK,
    IPV6_BITS,
    IPV6_MARK,
    NetworkNumber,
    ipv4_name,
    name_from_number,
    number_of,
    place_of,
)

NAT64_WELL_KNOWN = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1
NAT64_PREFIX_BITS = 96
_MAPPED_BITS = 96  # ::ffff:0:0/96
_LOW_32_BITS = 0xFFFF_FFFF


class AddressError(ValueError):
    """A text that is no address or network; the message quotes it and says what is wrong."""


def parse_address(text: str) -> Address:
    """Read one address; an IPv4-mapped one is IPv4 (RFC 4291 section 2.5.5.2).

    >>> parse_address("::ffff:192.0.2.1")
    IPv4Address('192.0.2.1')

    Raises:
        AddressError: it is none, or carries a zone id.
    """
    if "%" in text:
        raise AddressError(f'"{text}" has a zone id; write the address without it')
    try:
        return unmap(ip_address(text))
    except ValueError:
        raise AddressError(f'"{text}" is no IP address') from None


def parse_network(text: str) -> Network:
    """Read an address or a network of any prefix length; host bits are cleared.

    >>> parse_network("10.1.2.3/8"), parse_network("2001:db8::1")
    (IPv4Network('10.0.0.0/8'), IPv6Network('2001:db8::1/128'))
    >>> parse_network("::ffff:192.0.2.0/120")
    IPv4Network('192.0.2.0/24')

    Raises:
        AddressError: it is none, or carries a zone id or a prefix length out of range.
    """
    bare, slash, prefix = text.partition("/")
    if "%" in bare:
        raise AddressError(f'"{text}" has a zone id; write the address without it')
    try:
        # To ask ip_address and ip_network which of both it is would take three times as long.
        address: Address = IPv6Address(bare) if ":" in bare else IPv4Address(bare)
    except ValueError:
        raise AddressError(
            f'"{text}" is no IP address or network like 192.0.2.1, 192.0.2.0/24 or 2001:db8::/64'
        ) from None
    bits: int = address.max_prefixlen
    if slash:
        if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3 and int(prefix) <= bits):  # noqa: PLR2004 -- digits of 128
            raise AddressError(f'"{text}": the prefix length must be from 0 to {bits}')
        bits = int(prefix)
    if isinstance(address, IPv4Address):
        return IPv4Network((int(address), bits), strict=False)
    return unmap_network(IPv6Network((int(address), bits), strict=False))


def unmap_network(network: Network) -> Network:
    """The IPv4 network inside an IPv4-mapped one, or the network itself."""
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def unmap(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one, or the address itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def address_name(address: Address) -> str:
    """The one spelling of an address, in half the time of its ``str``: each failure has one."""
    return ipv4_name(int(address)) if isinstance(address, IPv4Address) else str(address)


def network_name(network: Network) -> str:
    """The one spelling of a network: a single address goes without its prefix length.

    >>> network_name(IPv4Network("192.0.2.1/32")), network_name(IPv6Network("2001:db8::/64"))
    ('192.0.2.1', '2001:db8::/64')
    """
    return name_from_number(number_of(network))


def network_subject(network: Network) -> Subject:
    return Subject(SubjectKind.ADDRESS, network_name(network))


def subject_network(subject: Subject) -> Network:
    """The network that an address subject names.

    Raises:
        ValueError: it is no address subject, or was not made by :func:`network_subject`.
    """
    if subject.kind is not SubjectKind.ADDRESS:
        raise ValueError(f"{subject.key} is no address")
    return ip_network(subject.name)


@dataclass(frozen=True, slots=True)
class Prefixes:
    """How the address of a client becomes the subject that is counted.

    Whoever attacks over IPv6 has at least a whole /64 (RFC 4291 section 2.5.1), so single IPv6
    addresses are not worth counting. Addresses that a NAT64 made (RFC 6052) are the IPv4 address
    they carry, or one attacker would ban everybody behind the translator.
    """

    ipv4_bits: int = 32
    ipv6_bits: int = 64
    nat64: tuple[IPv6Network, ...] = (NAT64_WELL_KNOWN,)

    def fold(self, address: Address) -> Address:
        """The address that is meant: IPv4 where an IPv6 address only carries one."""
        address = unmap(address)
        if isinstance(address, IPv6Address) and any(address in prefix for prefix in self.nat64):
            return IPv4Address(int(address) & _LOW_32_BITS)
        return address

    def fold_network(self, network: Network) -> Network:
        """The network that is meant: the IPv4 network that a translator's only carries.

        >>> Prefixes().fold_network(IPv6Network("64:ff9b::c000:200/120"))
        IPv4Network('192.0.2.0/24')
        """
        address = self.fold(network.network_address)
        if address.version == network.version or network.prefixlen < NAT64_PREFIX_BITS:
            return network
        return IPv4Network((address, network.prefixlen - NAT64_PREFIX_BITS), strict=False)

    def network(self, address: Address) -> Network:
        """The network that is counted and banned for a folded address."""
        if isinstance(address, IPv4Address):
            return IPv4Network((address, self.ipv4_bits), strict=False)
        return IPv6Network((address, self.ipv6_bits), strict=False)

    def subject(self, address: Address) -> Subject:
        """The subject that is counted for a folded address.

        >>> Prefixes().subject(IPv6Address("2001:db8::1")).name
        '2001:db8::/64'
        """
        if isinstance(address, IPv6Address):
            number = (IPV6_MARK | int(address)) >> IPV6_BITS - self.ipv6_bits
        elif self.ipv4_bits == IPV4_BITS:
            return Subject(SubjectKind.ADDRESS, address_name(address))
        else:
            number = (IPV4_MARK | int(address)) >> IPV4_BITS - self.ipv4_bits
        return Subject(SubjectKind.ADDRESS, name_from_number(NetworkNumber(number)))


V = TypeVar("V")


class NetworkTable(Generic[V]):
    """Networks of every length with a value each.

    A look-up costs one dictionary access per prefix length in use, however many networks there
    are; adding and removing one costs the same as in any dictionary.
    """

    __slots__ = ("_lengths", "_values")

    def __init__(self) -> None:
        # By their NetworkNumbers: to call that in each look-up would take as long as looking up.
        self._values: dict[int, V] = {}
        # How many there are by what their prefixes leave to hosts: for IPv4, for IPv6.
        self._lengths: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def __len__(self) -> int:
        return len(self._values)

    def put(self, network: Network, value: V) -> None:
        self.put_at(number_of(network), value)

    def put_at(self, number: NetworkNumber, value: V) -> V | None:
        """:meth:`put` by the network's number; return what was there."""
        known = self._values.get(number)
        if known is None:
            is_ipv6, host_bits = place_of(number)
            lengths = self._lengths[is_ipv6]
            lengths[host_bits] = lengths.get(host_bits, 0) + 1
        self._values[number] = value
        return known

    def get(self, network: Network) -> V | None:
        return self._values.get(number_of(network))

    def at(self, number: NetworkNumber) -> V | None:
        """:meth:`get` by the network's number."""
        return self._values.get(number)

    def remove(self, network: Network) -> V | None:
        return self.remove_at(number_of(network))

    def remove_at(self, number: NetworkNumber) -> V | None:
        """:meth:`remove` by the network's number."""
        value = self._values.pop(number, None)
        if value is not None:
            is_ipv6, host_bits = place_of(number)
            lengths = self._lengths[is_ipv6]
            lengths[host_bits] -= 1
            if not lengths[host_bits]:
                del lengths[host_bits]
        return value

    def covering(self, address: Address) -> Sequence[V]:
        """The values of all networks that hold *address*."""
        is_ipv6 = address.version == 6  # noqa: PLR2004 -- IPv6
        lengths = self._lengths[is_ipv6]
        if not lengths:
            return ()
        number = int(address) | (IPV6_MARK if is_ipv6 else IPV4_MARK)
        found = []
        for host_bits in lengths:
            value = self._values.get(number >> host_bits)
            if value is not None:
                found.append(value)
        return found

    def enclosing(self, network: Network) -> Sequence[V]:
        """The values of all networks that hold the whole of *network*, itself included."""
        return self.enclosing_number(number_of(network))

    def enclosing_number(self, number: NetworkNumber) -> Sequence[V]:
        """:meth:`enclosing` by the network's number."""
        is_ipv6, smallest = place_of(number)
        found = []
        for host_bits in self._lengths[is_ipv6]:
            if host_bits >= smallest:
                value = self._values.get(number >> host_bits - smallest)
                if value is not None:
                    found.append(value)
        return found

    def values(self) -> Iterator[V]:
        return iter(self._values.values())
