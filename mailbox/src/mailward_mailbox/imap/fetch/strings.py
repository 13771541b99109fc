"""Strings, literals and dates as responses carry them (RFC 9051 sections 4.3 and 9)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MAX_QUOTED_OCTETS = 1_000
"""A longer string goes as a literal: clients read lines of limited length."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_QUOTABLE = re.compile(rb"[\x20-\x7e\t]*+\Z")
_QUOTABLE_UTF8 = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*+\Z")
_TO_ESCAPE = re.compile(rb'(["\\])')


def nstring(octets: bytes | None, *, is_utf8: bool = False) -> bytes:
    """NIL, a quoted string, or a literal; with *is_utf8* quoted strings may hold UTF-8.

    >>> nstring(None), nstring(b""), nstring(b'a "b"'), nstring(b"caf\\xe9")
    (b'NIL', b'""', b'"a \\\\"b\\\\""', b'{4}\\r\\ncaf\\xe9')
    """
    return b"NIL" if octets is None else string(octets, is_utf8=is_utf8)


def string(octets: bytes, *, is_utf8: bool = False) -> bytes:
    """A quoted string or a literal. NUL is left out: no string can hold it."""
    octets = octets.replace(b"\0", b"")
    if len(octets) <= MAX_QUOTED_OCTETS and (
        _QUOTABLE.match(octets) or (is_utf8 and _is_quotable_utf8(octets))
    ):
        if b'"' in octets or b"\\" in octets:
            octets = _TO_ESCAPE.sub(rb"\\\1", octets)
        return b'"%b"' % octets
    return literal_head(len(octets)) + octets


def literal_head(octets: int) -> bytes:
    """The beginning of a literal of so many *octets*."""
    return b"{%d}\r\n" % octets


def literal8_head(octets: int) -> bytes:
    """The beginning of a literal8, which may hold NUL (RFC 3516 section 4.4)."""
    return b"~{%d}\r\n" % octets


def internal_date(received: float) -> bytes:
    """INTERNALDATE in UTC, *received* in seconds since 1970.

    >>> internal_date(0)
    b'" 1-Jan-1970 00:00:00 +0000"'
    """
    at = datetime.fromtimestamp(int(received), UTC)
    return (
        f'"{at.day:2}-{MONTHS[at.month - 1]}-{at.year:04} '
        f'{at.hour:02}:{at.minute:02}:{at.second:02} +0000"'
    ).encode()


def _is_quotable_utf8(octets: bytes) -> bool:
    if not _QUOTABLE_UTF8.match(octets):
        return False
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True
