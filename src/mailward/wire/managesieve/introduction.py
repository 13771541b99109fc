"""XCLIENT, by which a webmail says who its client is: Dovecot's, with atoms as its words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from mailward.wire.managesieve.words import WordError, Words

_PAIR = re.compile(rb"([A-Za-z]{1,32})=([\x21-\x7e]*)\Z")
_ADDRESS = re.compile(rb"(?:IPV6:)?([0-9A-Fa-f:.]{2,45})\Z", re.IGNORECASE)  # the prefix is SMTP's
_PORT = re.compile(rb"[0-9]{1,5}\Z")
_MAX_PORT = 65_535


def read_introduction(words: Words) -> tuple[IPv4Address | IPv6Address, int | None]:
    """The address and the port in the arguments of XCLIENT; there has to be an address.

    What else is in them is passed over, as Dovecot does.

    Raises:
        WordError: they are malformed, or say one thing twice.
    """
    told: dict[bytes, bytes] = {}
    for name, value in _pairs(words):
        if name in told:
            raise WordError("An attribute is given twice")
        told[name] = value
    address, port = _ADDRESS.match(told.get(b"ADDR", b"")), told.get(b"PORT")
    if address is None:
        raise WordError("ADDR is an address")
    if port is not None and (not _PORT.match(port) or int(port) > _MAX_PORT):
        raise WordError("PORT is a number")
    try:
        return ip_address(address[1].decode("ascii")), None if port is None else int(port)
    except ValueError:
        raise WordError("ADDR is an address") from None


def _pairs(words: Words) -> Iterator[tuple[bytes, bytes]]:
    while not words.is_over:
        words.space()
        word = words.string() if words.is_string else words.atom()
        found = _PAIR.match(word)
        if found is None:
            raise WordError("Malformed argument")
        yield found[1].upper(), found[2]


def introduction(address: IPv4Address | IPv6Address, port: int) -> bytes:
    """The command for a backend.

    >>> introduction(IPv6Address("2001:db8::9"), 50000)
    b'XCLIENT ADDR=2001:db8::9 PORT=50000'
    """
    return f"XCLIENT ADDR={address} PORT={port}".encode("ascii")
