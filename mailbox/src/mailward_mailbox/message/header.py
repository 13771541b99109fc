"""The header of a message or a part: its fields as they stand (RFC 5322 section 2.2).

The header ends with the first empty line. Lines end with CRLF or LF. A line that is neither a field
nor the continuation of one belongs to no field and is passed over; in octets without an empty line
the body begins with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property

MAX_HEADER_OCTETS = 262_144
"""Of one header; fields behind them are not seen."""
MAX_MIME_FIELDS = 100
"""Fields of one part that describe its content; further ones are not seen."""

_EMPTY_LINES = (b"\n\n", b"\n\r\n")
_WINDOW_OCTETS = 1_048_576
"""Searched in one go: no other thread runs meanwhile."""
_LINES = rb"[^\n]*+(?:\n[ \t][^\n]*+)*+"
_FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:(%b)(?:\n|\Z)" % _LINES, re.MULTILINE)
_FIELDS = re.compile(rb"(?:[!-9;-~]++[ \t]*+:%b(?:\n|\Z))*+" % _LINES)
_VALUE = re.compile(_LINES)
_MIME = re.compile(
    rb"\ncontent-(type|transfer-encoding|id|description|disposition|language|location|md5)[ \t]*+:"
)
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class Field:
    """One field. Its octets stand from *start* to *end* in those of the message."""

    name: str
    """As it is written."""
    value: bytes
    """What follows the colon, folded as it is, without the last end of a line."""
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """The fields that stand in *octets* from *start* to *end*."""

    octets: bytes = field(repr=False)
    start: int
    end: int

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """All fields, in their order."""
        return tuple(self._read())

    def first(self, name: str) -> bytes | None:
        """The value of the first field of that *name* (in any case); ``None``: there is none."""
        found = self._places.get(name.lower())
        return None if found is None else self.fields[found[0]].value

    def last(self, name: str) -> bytes | None:
        """The value of the last field of that *name*; ``None``: there is none."""
        found = self._places.get(name.lower())
        return None if found is None else self.fields[found[-1]].value

    def all(self, name: str) -> list[bytes]:
        """The values of all fields of that *name*."""
        return [self.fields[place].value for place in self._places.get(name.lower(), ())]

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for place, one in enumerate(self.fields):
            places.setdefault(one.name.lower(), []).append(place)
        return places

    def _read(self) -> Iterator[Field]:
        limit = min(self.end, self.start + MAX_HEADER_OCTETS)
        for found in _FIELD.finditer(self.octets, self.start, limit):
            value = found[2].removesuffix(b"\r")
            yield Field(found[1].decode("ascii"), value, found.start(), found.end())


def header_bounds(octets: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the fields end, and where the body begins, which is behind the empty line."""
    for empty in (b"\r\n", b"\n"):
        if octets.startswith(empty, start, end):
            return start, start + len(empty)
    found = _empty_line(octets, start, end)
    if found is not None:
        return found
    at = start
    if octets.startswith(b"From ", at, end):  # as a mailbox in one file begins a message
        at = octets.find(b"\n", at, end) + 1 or end
    limit = min(end, start + MAX_HEADER_OCTETS)
    fields = _FIELDS.match(octets, at, limit)
    body = at if fields is None else fields.end()
    return (end, end) if body >= limit else (body, body)


def _empty_line(octets: bytes, start: int, end: int) -> tuple[int, int] | None:
    at = start
    while at < end:
        window = min(end, at + _WINDOW_OCTETS)
        found = [
            (place + 1, place + len(empty))
            for empty in _EMPTY_LINES
            if (place := octets.find(empty, at, window)) >= 0
        ]
        if found:
            return min(found)
        at = window if window == end else window - 2
    return None


def mime_fields(octets: bytes, start: int, end: int) -> dict[str, bytes]:
    """The fields of RFC 2045 and its kin without "content-", unfolded; the first of each name."""
    header = octets[start : min(end, start + MAX_HEADER_OCTETS)]
    lower = b"\n" + header.lower()
    found: dict[str, bytes] = {}
    at = -1
    for _ in range(MAX_MIME_FIELDS):
        at = lower.find(b"\ncontent-", at + 1)
        if at < 0:
            break
        one = _MIME.match(lower, at)
        value = None if one is None else _VALUE.match(header, one.end() - 1)
        if one is not None and value is not None:
            found.setdefault(one[1].decode("ascii"), unfolded(value[0]))
    return found


def unfolded(value: bytes) -> bytes:
    """The value of a field in one line, without blanks around it and without NUL.

    >>> unfolded(b" a\\r\\n b\\r\\n")
    b'a b'
    """
    return _FOLD.sub(b"", value).translate(None, b"\0\r\n").strip(b" \t")


def without_fields(octets: bytes, names: Collection[str]) -> bytes:
    """The message without the fields of those *names* (in lower case).

    >>> without_fields(b"To: a\\nBcc: b,\\n c\\n\\nBcc: stays", ["bcc"])
    b'To: a\\n\\nBcc: stays'
    """
    kept, at = [], 0
    for one in Header(octets, 0, header_bounds(octets, 0, len(octets))[0]).fields:
        if one.name.lower() in names:
            kept.append(octets[at : one.start])
            at = one.end
    return b"".join([*kept, octets[at:]])
