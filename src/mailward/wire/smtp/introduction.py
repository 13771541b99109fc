"""XCLIENT, by which a webmail says who its client is (Postfix's XCLIENT_README)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from mailward.wire.smtp.reply import from_xtext

KEYWORD = b"XCLIENT ADDR PORT PROTO HELO"
"""What EHLO shows of it."""

# What is not shown is passed over, LOGIN first of all: nobody is logged in by somebody's word.
_KNOWN = frozenset(b"ADDR PORT PROTO HELO NAME LOGIN DESTADDR DESTPORT REVERSE_NAME".split())
_UNTOLD = (b"[UNAVAILABLE]", b"[TEMPUNAVAIL]")
_ADDRESS = re.compile(rb"(?:IPV6:)?([0-9A-Fa-f:.]{2,45})\Z", re.IGNORECASE)
_PORT = re.compile(rb"[0-9]{1,5}\Z")
_MAX_PORT = 65_535


class IntroductionError(Exception):
    """An XCLIENT that cannot be read."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What an XCLIENT says. *names_address*: it has something to say of the address at all."""

    address: IPv4Address | IPv6Address | None
    port: int | None
    names_address: bool


def read_introduction(argument: bytes) -> Introduction:
    """Read the attributes behind XCLIENT.

    >>> read_introduction(b"ADDR=192.0.2.9 PORT=50000 LOGIN=joe")
    Introduction(address=IPv4Address('192.0.2.9'), port=50000, names_address=True)

    Raises:
        IntroductionError: one is unknown, stands there twice, or has a value that it cannot have.
    """
    told: dict[bytes, bytes] = {}
    for attribute in argument.split():
        name, equals, value = attribute.partition(b"=")
        name = name.upper()
        decoded = from_xtext(value)
        if not equals or name not in _KNOWN or name in told or decoded is None:
            raise IntroductionError
        told[name] = decoded
    if not told:
        raise IntroductionError
    return Introduction(
        _address(told.get(b"ADDR", _UNTOLD[0])),
        _port(told.get(b"PORT", _UNTOLD[0])),
        b"ADDR" in told,
    )


def _address(value: bytes) -> IPv4Address | IPv6Address | None:
    if value.upper() in _UNTOLD:
        return None
    found = _ADDRESS.match(value)
    try:
        if found is not None:
            return ip_address(found[1].decode("ascii"))
    except ValueError:
        pass
    raise IntroductionError


def _port(value: bytes) -> int | None:
    if value.upper() in _UNTOLD:
        return None
    if not _PORT.match(value) or int(value) > _MAX_PORT:
        raise IntroductionError
    return int(value)
