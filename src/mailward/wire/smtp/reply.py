"""Replies of SMTP (RFC 5321 section 4.2), the names and keywords of EHLO, and xtext."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

MAX_NAME_OCTETS = 255  # RFC 5321 section 4.5.3.1.2

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\r\n]*))?\Z")
_NO_XCHAR = re.compile(rb"[^\x21-\x2a\x2c-\x3c\x3e-\x7e]")
_XTEXT = re.compile(rb"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})+\Z")
_XTEXT_HEX = re.compile(rb"\+([0-9A-F]{2})")
_NAME = re.compile(rb"[\x21-\x7e]{1,%d}\Z" % MAX_NAME_OCTETS)


@dataclass(frozen=True, slots=True)
class ReplyLine:
    """*code* stands in every line of a reply; *is_last* ends it."""

    code: int
    is_last: bool
    text: bytes


def reply_line(line: bytes) -> ReplyLine | None:
    """Read *line* (without its CRLF); ``None`` where it is no reply.

    >>> reply_line(b"250-PIPELINING")
    ReplyLine(code=250, is_last=False, text=b'PIPELINING')
    """
    found = _LINE.match(line)
    if found is None:
        return None
    return ReplyLine(int(found[1]), found[2] != b"-", found[3] or b"")


def closing_reply(hostname: bytes, code: bytes, words: bytes) -> bytes:
    """The last words of a server: they may come at any time (RFC 5321 section 3.8).

    >>> closing_reply(b"mx.example", b"4.3.2", b"Stopping")
    b'421 4.3.2 mx.example Stopping\\r\\n'
    """
    return b"421 %b %b %b\r\n" % (code, hostname, words)


def keyword(text: bytes) -> bytes:
    """The keyword of one line of an EHLO reply; servers of old write ``AUTH=`` besides.

    >>> keyword(b"auth=LOGIN PLAIN")
    b'AUTH'
    """
    return text.replace(b"=", b" ").split(b" ", 1)[0].upper()


def is_name(octets: bytes) -> bool:
    """Whether *octets* may stand behind EHLO: printable, one word, within the cap."""
    return _NAME.match(octets) is not None


def address_literal(address: IPv4Address | IPv6Address) -> bytes:
    """How *address* stands behind EHLO (RFC 5321 section 4.1.3).

    >>> address_literal(IPv4Address("192.0.2.9")), address_literal(IPv6Address("2001:db8::9"))
    (b'[192.0.2.9]', b'[IPv6:2001:db8::9]')
    """
    kind = "IPv6:" if isinstance(address, IPv6Address) else ""
    return f"[{kind}{address}]".encode("ascii")


def greeting_name(said: bytes, literal: bytes) -> bytes:
    """What a backend is greeted with for a client that *said* this behind EHLO.

    Names with blanks or 8 bits are common and harmless, but no name to every server: *literal*,
    the client's address literal, stands for them. Nothing stays nothing.

    >>> greeting_name(b"c.example", b"[192.0.2.9]"), greeting_name(b"my phone", b"[192.0.2.9]")
    (b'c.example', b'[192.0.2.9]')
    """
    name = said.strip(b" \t\r")
    return name if is_name(name) or not name else literal


def greeting(verb: bytes, said: bytes, literal: bytes) -> bytes:
    """The command that greets a backend; a bare one, which it refuses, is passed on bare."""
    name = greeting_name(said, literal)
    return verb + (b" " + name if name else b"") + b"\r\n"


def xtext(octets: bytes) -> bytes:
    """*octets* as one word that can stand behind a ``=`` (RFC 3461 section 4).

    >>> xtext(b"a=b c")
    b'a+3Db+20c'
    """
    return _NO_XCHAR.sub(lambda found: b"+%02X" % found[0][0], octets)


def from_xtext(octets: bytes) -> bytes | None:
    """The inverse of :func:`xtext`; ``None`` where *octets* are none.

    >>> from_xtext(b"a+3Db+20c"), from_xtext(b"a+3")
    (b'a=b c', None)
    """
    if not _XTEXT.match(octets):
        return None
    return _XTEXT_HEX.sub(lambda found: bytes([int(found[1], 16)]), octets)
