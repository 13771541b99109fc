"""Addresses and networks: read strictly, folded to one spelling, looked up by prefix length."""

from __future__ import annotations

from collections.abc import Iterator
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

NAT64_WELL_KNOWN = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1
NAT64_PREFIX_BITS = 96
_LOW_32_BITS = 0xFFFF_FFFF

# A subject is looked up in several tables in a row: its name is read once.
_MAX_RECENT = 16_384
_RECENT: dict[str, Network] = {}


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
        raise AddressError(f'"{text}" is no IP address or network') from None
    bits: int = address.max_prefixlen
    if slash:
        if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3 and int(prefix) <= bits):  # noqa: PLR2004 -- digits of 128
            raise AddressError(f'"{text}": the prefix length must be from 0 to {bits}')
        bits = int(prefix)
    if isinstance(address, IPv4Address):
        return IPv4Network((int(address), bits), strict=False)
    network = IPv6Network((int(address), bits), strict=False)
    if bits >= 96:  # noqa: PLR2004 -- ::ffff:0:0/96
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, bits - 96))
    return network


def unmap(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one, or the address itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_name(network: Network) -> str:
    """The one spelling of a network: a single address goes without its prefix length.

    >>> network_name(IPv4Network("192.0.2.1/32")), network_name(IPv6Network("2001:db8::/64"))
    ('192.0.2.1', '2001:db8::/64')
    """
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)


def network_subject(network: Network) -> Subject:
    name = network_name(network)
    _remembered(name, network)
    return Subject(SubjectKind.ADDRESS, name)


def subject_network(subject: Subject) -> Network:
    """The network that an address subject names.

    Raises:
        ValueError: it is no address subject, or was not made by :func:`network_subject`.
    """
    if subject.kind is not SubjectKind.ADDRESS:
        raise ValueError(f"{subject.key} is no address")
    network = _RECENT.get(subject.name)
    return _remembered(subject.name, ip_network(subject.name)) if network is None else network


def _remembered(name: str, network: Network) -> Network:
    if len(_RECENT) >= _MAX_RECENT:
        _RECENT.clear()
    _RECENT[name] = network
    return network


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
        bits = self.ipv4_bits if isinstance(address, IPv4Address) else self.ipv6_bits
        if bits == address.max_prefixlen:  # the usual IPv4 case: no network object to make
            return Subject(SubjectKind.ADDRESS, str(address))
        return network_subject(self.network(address))


V = TypeVar("V")


class NetworkTable(Generic[V]):
    """Networks of every length with a value each.

    A look-up costs one dictionary access per prefix length in use, however many networks there
    are; adding and removing one costs the same as in any dictionary.
    """

    __slots__ = ("_v4", "_v6")

    def __init__(self) -> None:
        self._v4: dict[int, dict[int, V]] = {}
        self._v6: dict[int, dict[int, V]] = {}

    def __len__(self) -> int:
        return sum(len(table) for lengths in (self._v4, self._v6) for table in lengths.values())

    def put(self, network: Network, value: V) -> None:
        host_bits = network.max_prefixlen - network.prefixlen
        table = self._lengths(network).setdefault(host_bits, {})
        table[int(network.network_address) >> host_bits] = value

    def get(self, network: Network) -> V | None:
        host_bits = network.max_prefixlen - network.prefixlen
        table = self._lengths(network).get(host_bits)
        return None if table is None else table.get(int(network.network_address) >> host_bits)

    def remove(self, network: Network) -> V | None:
        lengths = self._lengths(network)
        host_bits = network.max_prefixlen - network.prefixlen
        table = lengths.get(host_bits)
        if table is None:
            return None
        value = table.pop(int(network.network_address) >> host_bits, None)
        if not table:
            del lengths[host_bits]
        return value

    def covering(self, address: Address) -> Iterator[V]:
        """The values of all networks that hold *address*."""
        number = int(address)
        for host_bits, table in (self._v4 if address.version == 4 else self._v6).items():  # noqa: PLR2004 -- IPv4
            value = table.get(number >> host_bits)
            if value is not None:
                yield value

    def enclosing(self, network: Network) -> Iterator[V]:
        """The values of all networks that hold the whole of *network*, itself included."""
        number = int(network.network_address)
        smallest = network.max_prefixlen - network.prefixlen
        for host_bits, table in self._lengths(network).items():
            if host_bits >= smallest:
                value = table.get(number >> host_bits)
                if value is not None:
                    yield value

    def values(self) -> Iterator[V]:
        for lengths in (self._v4, self._v6):
            for table in lengths.values():
                yield from table.values()

    def _lengths(self, network: Network) -> dict[int, dict[int, V]]:
        return self._v4 if isinstance(network, IPv4Network) else self._v6
