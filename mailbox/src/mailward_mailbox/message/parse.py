"""The parts of a message and where they stand in it (RFC 2045, RFC 2046).

No octets are refused. The time grows with their length alone: each level of nesting looks at each
octet once, in C, and levels, parts and the octets looked at are capped. What is beyond a cap is a
leaf of the type application/octet-stream: the rest of a multipart with too many parts, a multipart
or a message that is nested too deep.

A multipart without a boundary, or without a line that is one, is text/plain (RFC 2045 section 5.2),
as is a part whose type cannot be read. A multipart that is cut off ends where the part around it
does. A message whose part is encoded, which RFC 2046 section 5.2.1 forbids, is read as it stands.
"""

from __future__ import annotations

import asyncio
import re

from mailward_mailbox.message.header import (
    MAX_HEADER_OCTETS,
    Header,
    header_bounds,
    mime_fields,
)
from mailward_mailbox.message.parameters import Parameters, joined, read_type
from mailward_mailbox.message.part import Part

__all__ = [
    "MAX_DEPTH",
    "MAX_HEADER_OCTETS",
    "MAX_PARTS",
    "parse",
    "parse_aside",
    "parse_header",
]

MAX_PARTS = 1_000
"""Of one message, itself and those of messages inside of it included."""
MAX_DEPTH = 32
MAX_SEARCHED_OCTETS = 268_435_456
"""By all multiparts of a message, each for its own boundary: 25 MB in ten levels."""
MAX_BOUNDARY_OCTETS = 200
"""RFC 2046 section 5.1.1 allows 70; longer ones are seen."""
INLINE_OCTETS = 65_536
"""A message that is not longer is parsed in less time than a thread takes to start."""

_MESSAGES = frozenset({"rfc822", "global"})
_TEXT = ("text", "plain")
_DIGESTED = ("message", "rfc822")
_OCTETS = ("application", "octet-stream")
_CR = 0x0D
_WINDOW_OCTETS = 2_097_152
"""Searched in one go: no other thread runs meanwhile."""
_OVERLAP_OCTETS = MAX_BOUNDARY_OCTETS + len(b"\n----")


def parse(octets: bytes) -> Part:
    """The whole tree of a message.

    >>> parse(b"Subject: x\\r\\n\\r\\nbody\\r\\n").type
    'text/plain'
    """
    return _Parser(octets).message(0, len(octets), "", 0)


async def parse_aside(octets: bytes) -> Part:
    """The same beside the event loop, where the message is long."""
    if len(octets) <= INLINE_OCTETS:
        return parse(octets)
    return await asyncio.to_thread(parse, octets)


def parse_header(octets: bytes) -> Header:
    """The header of a message; *octets* may end anywhere behind it."""
    return Header(octets, 0, header_bounds(octets, 0, len(octets))[0])


class _Parser:
    """Makes the tree. *left* parts may still be made, one of them kept for each open multipart."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._left = MAX_PARTS - 1
        self._searched = 0

    def message(self, start: int, end: int, above: str, depth: int) -> Part:
        """The message between *start* and *end*; *above* is the number of the part it is in."""
        return self._part(start, end, above, depth, _TEXT, is_message=True)

    def _part(
        self,
        start: int,
        end: int,
        path: str,
        depth: int,
        implied: tuple[str, str],
        *,
        is_message: bool = False,
    ) -> Part:
        header_end, body = header_bounds(self._octets, start, end)
        mime = mime_fields(self._octets, start, header_end)
        kind, subtype, params = read_type(mime.get("type", b"")) or (*implied, ())
        parts: tuple[Part, ...] = ()
        inner = None
        if kind == "multipart":
            found = self._parts(params, (body, end), path, depth, is_digest=subtype == "digest")
            if found:
                parts = found
            else:
                (kind, subtype), params = _OCTETS if found is None else _TEXT, ()
        if is_message and not parts:
            path = _below(path, 1)
        if kind == "message" and subtype in _MESSAGES:
            if depth < MAX_DEPTH and self._left:
                self._left -= 1
                inner = self.message(body, end, path, depth + 1)
            else:
                (kind, subtype), params = _OCTETS, ()
        return Part(
            *(self._octets, path, start, header_end, body, end),
            *(kind, subtype, params, mime, parts, inner),
        )

    def _parts(
        self, params: Parameters, body: tuple[int, int], path: str, depth: int, *, is_digest: bool
    ) -> tuple[Part, ...] | None:
        """The parts of a multipart; none where nothing parts it, ``None`` beyond a cap."""
        if depth >= MAX_DEPTH or not self._left or self._searched > MAX_SEARCHED_OCTETS:
            return None
        delimiter = _delimiter(params)
        if delimiter is None:
            return ()
        start, end = body
        # A boundary begins with the LF before it, the first one with that of the header.
        line = self._search(delimiter, max(start - 1, 0), end)
        parts: list[Part] = []
        self._left -= 1
        while line is not None and line[1] is None:
            begun, number = min(line.end() + 1, end), _below(path, len(parts) + 1)
            if not self._left:
                parts.append(self._rest(begun, end, number))
                return tuple(parts)
            self._left -= 1
            line = self._search(delimiter, line.end(), end)
            stop = end if line is None else self._before(line.start())
            implied = _DIGESTED if is_digest else _TEXT
            parts.append(self._part(begun, max(begun, stop), number, depth + 1, implied))
        self._left += 1
        return tuple(parts)

    def _search(self, delimiter: re.Pattern[bytes], at: int, end: int) -> re.Match[bytes] | None:
        """The next line that is a boundary."""
        size, begun = _WINDOW_OCTETS, at
        while True:
            window = min(end, at + size)
            found = delimiter.search(self._octets, at, window)
            if window == end or (found is not None and found.end() < window):
                self._searched += (end if found is None else found.end()) - begun
                return found
            if found is None:
                at, size = max(at, window - _OVERLAP_OCTETS), _WINDOW_OCTETS
            else:  # the line may go on behind the window
                at, size = found.start(), size * 2

    def _before(self, lf: int) -> int:
        """Where the line ends whose LF stands there."""
        return lf - 1 if lf and self._octets[lf - 1] == _CR else lf

    def _rest(self, start: int, end: int, path: str) -> Part:
        return Part(self._octets, path, start, start, start, end, *_OCTETS, (), {})


def _below(path: str, number: int) -> str:
    return f"{path}.{number}" if path else str(number)


def _delimiter(params: Parameters) -> re.Pattern[bytes] | None:
    """The pattern of its lines, with a group in the closing one; ``None``: it has no boundary.

    Its beginning is literal, so the search takes linear time in any octets.
    """
    boundary = next((value for name, value in params if name.lower() == "boundary"), b"")
    if not boundary and params:
        boundary = joined(params).get("boundary", "").encode("utf-8", "replace")
    if not 0 < len(boundary) <= MAX_BOUNDARY_OCTETS:
        return None
    return re.compile(rb"\n--%b(--)?+[ \t\r]*+(?=\n|\Z)" % re.escape(boundary))
