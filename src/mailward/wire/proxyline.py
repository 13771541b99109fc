"""The PROXY header, by which a backend learns whose connection it serves.

Versions 1 and 2 of haproxy's proxy-protocol.txt, the sender's side; for the other one see
:mod:`mailward.wire.proxyreader`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

KEYWORD = b"PROXY "
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
VERSION_2_PROXY = 0x21
TCP_OVER_IPV4 = 0x11
TCP_OVER_IPV6 = 0x21
TYPE_SSL = 0x20
SUBTYPE_SSL_VERSION = 0x21
SUBTYPE_SSL_CIPHER = 0x23
CLIENT_SSL = 0x01
_NOT_VERIFIED = 1  # zero would say that the client showed a certificate


class Opening:
    """The first octets of a stream, to know a header by where none is expected."""

    def __init__(self) -> None:
        self._octets = b""

    def add(self, data: bytes) -> None:
        if len(self._octets) < len(KEYWORD):
            self._octets = (self._octets + data)[: len(KEYWORD)]

    @property
    def is_line(self) -> bool:
        """Whether version 1 begins so."""
        return self._octets == KEYWORD

    @property
    def is_binary(self) -> bool:
        """Whether version 2 begins so: with blank lines and a NUL, which nobody else does."""
        return len(self._octets) > 4 and SIGNATURE.startswith(self._octets)  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What one is told of the client's TLS: ``TLSv1.3`` and the cipher's name, where known."""

    version: str
    cipher: str


def proxy_v1_header(
    source: tuple[IPv4Address | IPv6Address, int],
    destination: tuple[IPv4Address | IPv6Address, int],
) -> bytes:
    """The one line of section 2.1. It has no word for TLS.

    There is no form for two families: where they differ both are told as IPv6.

    >>> home = IPv4Address("192.0.2.1")
    >>> proxy_v1_header((home, 50000), (home, 143))
    b'PROXY TCP4 192.0.2.1 192.0.2.1 50000 143\\r\\n'
    """
    (from_address, from_port), (to_address, to_port) = source, destination
    if isinstance(from_address, IPv4Address) and isinstance(to_address, IPv4Address):
        family, addresses = "TCP4", f"{from_address} {to_address}"
    else:
        mapped = [IPv6Address(_as_ipv6(address)) for address in (from_address, to_address)]
        family, addresses = "TCP6", f"{mapped[0]} {mapped[1]}"
    return f"PROXY {family} {addresses} {from_port} {to_port}\r\n".encode("ascii")


def proxy_v2_header(
    source: tuple[IPv4Address | IPv6Address, int],
    destination: tuple[IPv4Address | IPv6Address, int],
    tls: TlsFacts | None,
) -> bytes:
    """The header for a TCP connection of *source*; it goes before the first byte.

    There is no form for two families: where they differ both are told as IPv6.

    >>> home = IPv4Address("192.0.2.1")
    >>> proxy_v2_header((home, 50000), (home, 143), None)[12:].hex(" ", 4)
    '2111000c c0000201 c0000201 c350008f'
    """
    (from_address, from_port), (to_address, to_port) = source, destination
    if isinstance(from_address, IPv4Address) and isinstance(to_address, IPv4Address):
        family, packed = TCP_OVER_IPV4, from_address.packed + to_address.packed
    else:
        family, packed = TCP_OVER_IPV6, _as_ipv6(from_address) + _as_ipv6(to_address)
    body = packed + struct.pack("!HH", from_port, to_port) + (_ssl(tls) if tls else b"")
    return SIGNATURE + struct.pack("!BBH", VERSION_2_PROXY, family, len(body)) + body


def _as_ipv6(address: IPv4Address | IPv6Address) -> bytes:
    if isinstance(address, IPv6Address):
        return address.packed
    return b"\x00" * 10 + b"\xff\xff" + address.packed  # RFC 4291 section 2.5.5.2


def _ssl(tls: TlsFacts) -> bytes:
    """PP2_TYPE_SSL, section 2.2.6."""
    return _tlv(
        TYPE_SSL,
        struct.pack("!BI", CLIENT_SSL, _NOT_VERIFIED)
        + (_tlv(SUBTYPE_SSL_VERSION, tls.version.encode("ascii")) if tls.version else b"")
        + (_tlv(SUBTYPE_SSL_CIPHER, tls.cipher.encode("ascii")) if tls.cipher else b""),
    )


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value
