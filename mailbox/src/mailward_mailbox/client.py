"""The client of one connection, and the network that it counts as."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from mailward.wire.proxyline import TlsFacts

Address = IPv4Address | IPv6Address

_IPV4_HOST_BITS = 8  # of a /24
_IPV6_HOST_BITS = 64  # of a /64


@dataclass(frozen=True, slots=True)
class Client:
    """Both ends of a client's connection, its TLS, and the name it gave itself (EHLO)."""

    source: tuple[Address, int]
    destination: tuple[Address, int]
    tls: TlsFacts | None = None
    name: bytes = b""


def client_prefix(address: Address) -> tuple[int, int]:
    """The /24 or /64 that *address* is counted with: its version, and the network as a number.

    An IPv4-mapped address (RFC 4291 section 2.5.5.2) is the IPv4 address.

    >>> client_prefix(IPv6Address("::ffff:192.0.2.7")) == client_prefix(IPv4Address("192.0.2.99"))
    True
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return 6, int(address) >> _IPV6_HOST_BITS
        address = address.ipv4_mapped
    return 4, int(address) >> _IPV4_HOST_BITS
