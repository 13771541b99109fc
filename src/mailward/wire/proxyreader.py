"""Reads the PROXY header by which a proxy says whose connection it is.

Versions 1 and 2 of haproxy's proxy-protocol.txt, strictly: what two programs could read in two
ways is no header. What stands behind it is left alone: TLS or the protocol begins there.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from mailward.wire.proxyline import (
    CLIENT_SSL,
    KEYWORD,
    SIGNATURE,
    SUBTYPE_SSL_CIPHER,
    SUBTYPE_SSL_VERSION,
    TCP_OVER_IPV4,
    TCP_OVER_IPV6,
    TYPE_SSL,
    VERSION_2_PROXY,
    TlsFacts,
)

MAX_LINE_OCTETS = 107  # section 2.1, CRLF included
MAX_HEADER_OCTETS = 4_096  # ours: the addresses take 52, what else proxies send a few hundred

_VERSION_2_LOCAL = 0x20
_PREFIX_OCTETS = 16  # of version 2: the signature, version and command, family, length
_NO_ADDRESS_OCTETS = {
    **dict.fromkeys((0x00, 0x01, 0x02), 0),  # AF_UNSPEC
    **dict.fromkeys((0x31, 0x32), 216),  # AF_UNIX: whoever comes from a socket file has no address
}
_IPV4_OCTETS, _IPV6_OCTETS = 4, 16
_TYPE_CRC32C = 0x03
_CHECKSUM_OCTETS = 4
_TLV_HEAD_OCTETS = 3
_SSL_HEAD_OCTETS = 5
_MAX_PORT = 65_535
_WORD = re.compile(rb"[\x21-\x7e]{0,64}\Z")

Endpoint = tuple[IPv4Address | IPv6Address, int]


@dataclass(frozen=True, slots=True)
class Proxied:
    """The connection is *source*'s, who came to *destination*, over *tls* if there is any."""

    source: Endpoint
    destination: Endpoint
    tls: TlsFacts | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """The connection is nobody's but the proxy's: it looks whether somebody is here."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What came is no header. *why* holds none of its octets."""

    why: str


HeaderRead = Proxied | Checked | Unreadable


class _HeaderError(Exception):
    """The header is wrong; the message says what about it."""


class HeaderReader:
    """Reads one header, however it is cut. *result* is ``None`` until it is whole, or wrong."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.result: HeaderRead | None = None

    @property
    def has_begun(self) -> bool:
        return bool(self._held)

    def receive(self, octets: bytes) -> int:
        """Take in what has come, and return how many of *octets* are the header's."""
        taken = 0
        while self.result is None and taken < len(octets):
            is_line = (self._held or octets)[:1] == KEYWORD[:1]
            room = self._line_room(octets, taken) if is_line else self._missing()
            piece = octets[taken : taken + room]
            self._held += piece
            taken += len(piece)
            try:
                self.result = self._read_line() if is_line else self._read_binary()
            except _HeaderError as error:
                self.result = Unreadable(str(error))
        return taken

    def _line_room(self, octets: bytes, taken: int) -> int:
        end = octets.find(b"\n", taken) + 1 or len(octets)
        return min(end - taken, MAX_LINE_OCTETS - len(self._held))

    def _missing(self) -> int:
        """How many octets the binary header lacks, as far as its length is known."""
        return (self._size if len(self._held) >= _PREFIX_OCTETS else _PREFIX_OCTETS) - len(
            self._held
        )

    @property
    def _size(self) -> int:
        return _PREFIX_OCTETS + int.from_bytes(self._held[14:_PREFIX_OCTETS], "big")

    def _read_line(self) -> HeaderRead | None:
        line = bytes(self._held)
        if not KEYWORD.startswith(line[: len(KEYWORD)]):
            raise _HeaderError("it does not begin as a PROXY header does")
        if line.endswith(b"\n"):
            return _line_meaning(line)
        if len(line) == MAX_LINE_OCTETS:
            raise _HeaderError(f"its line is longer than {MAX_LINE_OCTETS} octets")
        return None

    def _read_binary(self) -> HeaderRead | None:
        held = bytes(self._held)
        if not SIGNATURE.startswith(held[: len(SIGNATURE)]):
            raise _HeaderError("it does not begin as a PROXY header does")
        if len(held) < _PREFIX_OCTETS:
            return None
        if held[12] not in (_VERSION_2_LOCAL, VERSION_2_PROXY):
            raise _HeaderError("its version or its command is unknown")
        if self._size > MAX_HEADER_OCTETS:
            raise _HeaderError(f"it is longer than {MAX_HEADER_OCTETS} octets")
        return _binary_meaning(held) if len(held) == self._size else None


# -- version 1 -------------------------------------------------------------------------------------


def _line_meaning(line: bytes) -> Proxied | Checked:
    if not line.endswith(b"\r\n") or line.count(b"\r") != 1:
        raise _HeaderError("its line does not end with CRLF")
    try:
        words = line[:-2].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise _HeaderError("its line is not ASCII") from None
    family: type[IPv4Address | IPv6Address]
    match words[1:]:
        case ["UNKNOWN", *_]:
            return Checked()  # section 2.1: what follows is to be ignored
        case ["TCP4", source, destination, from_port, to_port]:
            family = IPv4Address
        case ["TCP6", source, destination, from_port, to_port]:
            family = IPv6Address
        case _:
            raise _HeaderError("its line has not the words it should have")
    return Proxied(
        (_address(source, family), _port(from_port)),
        (_address(destination, family), _port(to_port)),
    )


def _address(text: str, family: type[IPv4Address | IPv6Address]) -> IPv4Address | IPv6Address:
    try:
        if "%" not in text:  # a zone means nothing on another machine
            return family(text)
    except AddressValueError:
        pass
    raise _HeaderError("it has an address that is none of its family")


def _port(text: str) -> int:
    # One spelling only: another reader may take 0143 for an octal number.
    if not text.isdigit() or str(int(text[:6])) != text or int(text) > _MAX_PORT:
        raise _HeaderError("it has a port that is none")
    return int(text)


# -- version 2 -------------------------------------------------------------------------------------


def _binary_meaning(header: bytes) -> Proxied | Checked:
    if header[12] == _VERSION_2_LOCAL:
        return Checked()  # section 2.2: what follows is to be ignored
    family = header[13]
    if family == TCP_OVER_IPV4:
        return _proxied(header, IPv4Address, _IPV4_OCTETS)
    if family == TCP_OVER_IPV6:
        return _proxied(header, IPv6Address, _IPV6_OCTETS)
    if family not in _NO_ADDRESS_OCTETS:
        raise _HeaderError("its address family or its transport is none for this door")
    _read_extensions(header, _PREFIX_OCTETS + _NO_ADDRESS_OCTETS[family])
    return Checked()


def _proxied(header: bytes, make: type[IPv4Address | IPv6Address], octets: int) -> Proxied:
    """An address has so many *octets*; two of them and two ports stand behind the prefix."""
    middle = _PREFIX_OCTETS + octets
    ports = middle + octets
    tls = _read_extensions(header, ports + 4)
    from_port, to_port = struct.unpack("!HH", header[ports : ports + 4])
    return Proxied(
        (make(header[_PREFIX_OCTETS:middle]), from_port), (make(header[middle:ports]), to_port), tls
    )


def _read_extensions(header: bytes, start: int) -> TlsFacts | None:
    """Walk the TLVs from *start* on: the checksum must be right, if there is one."""
    if len(header) < start:
        raise _HeaderError("its length does not cover its addresses")
    tls = None
    checksums = 0
    for kind, at, value in _tlvs(header, start):
        if kind == _TYPE_CRC32C:
            checksums += 1
            if checksums > 1 or len(value) != _CHECKSUM_OCTETS:
                raise _HeaderError("its checksum is malformed")
            # Section 2.2.3: the sum is over the whole header, with zeros in its own place.
            summed = header[:at] + bytes(_CHECKSUM_OCTETS) + header[at + _CHECKSUM_OCTETS :]
            if crc32c(summed) != int.from_bytes(value, "big"):
                raise _HeaderError("its checksum is wrong")
        elif kind == TYPE_SSL:
            tls = _read_ssl(value)
    return tls


def _tlvs(octets: bytes, at: int) -> Iterator[tuple[int, int, bytes]]:
    """Type, place and value of each TLV from *at* to the end."""
    while at < len(octets):
        if at + _TLV_HEAD_OCTETS > len(octets):
            raise _HeaderError("it ends inside an extension")
        kind, size = struct.unpack_from("!BH", octets, at)
        at += _TLV_HEAD_OCTETS
        if at + size > len(octets):
            raise _HeaderError("it ends inside an extension")
        yield kind, at, octets[at : at + size]
        at += size


def _read_ssl(value: bytes) -> TlsFacts | None:
    """PP2_TYPE_SSL, section 2.2.6; ``None`` says that the client speaks without TLS."""
    if len(value) < _SSL_HEAD_OCTETS:
        raise _HeaderError("what it says of TLS is malformed")
    words = {
        kind: _word(word)
        for kind, _, word in _tlvs(value, _SSL_HEAD_OCTETS)
        if kind in (SUBTYPE_SSL_VERSION, SUBTYPE_SSL_CIPHER)
    }
    if not value[0] & CLIENT_SSL:
        return None
    return TlsFacts(words.get(SUBTYPE_SSL_VERSION, ""), words.get(SUBTYPE_SSL_CIPHER, ""))


def _word(octets: bytes) -> str:
    if not _WORD.match(octets):
        raise _HeaderError("what it says of TLS is malformed")
    return octets.decode("ascii")


# -- the checksum ----------------------------------------------------------------------------------


def _crc32c_of(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (0x82F6_3B78 if octet & 1 else 0)
    return octet


_CRC32C = tuple(map(_crc32c_of, range(256)))


def crc32c(octets: bytes) -> int:
    """The checksum of RFC 9260 appendix A (Castagnoli's polynomial).

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFF_FFFF
    for octet in octets:
        crc = crc >> 8 ^ _CRC32C[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFF_FFFF
