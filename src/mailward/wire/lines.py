"""Cuts a stream into lines and literals, capped, before anybody parses.

Only CRLF ends a line: where two programs disagree about line ends, one of them can be told
things the other never saw. A bare CR or LF is an error, not a line end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CRLF = b"\r\n"
MAX_SKIPPED_OCTETS = 262_144  # of what is too long, so that its refusal is read

_LITERAL = re.compile(rb"\{([0-9]+)(\+?)\}\Z")
_MAX_DIGITS = 10  # 4 GB: what is longer is beyond every cap, do not even make the integer
_BEYOND_EVERY_CAP = 10**_MAX_DIGITS


_REMEDY = (
    "lines must end in CRLF, not in {} alone: set CRLF in the client"
    " (openssl s_client -crlf, nc -C)"
)


class LineError(Exception):
    """The peer broke the rules of lines; the message is for the log and holds none of its bytes.

    *remedy* is what a client is told instead, where it can do something about it.
    """

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self._told = remedy or why

    @property
    def told(self) -> str:
        """The sentence for the client."""
        return self._told[:1].upper() + self._told[1:]


class TooLongError(LineError):
    """A line or literal is larger than what is asked for; its rest can be skipped."""


class Lines:
    """Bytes in, lines and literals out.

    *max_held* bounds what is held while nobody reads. A caller that reads until there is nothing
    left to read never holds more than the largest line or literal it asks for.
    """

    __slots__ = ("_held", "_max_held", "_overflowed", "_shut")

    def __init__(self, max_held: int) -> None:
        self._held = bytearray()
        self._max_held = max_held
        self._overflowed = False
        self._shut = False

    def __len__(self) -> int:
        return len(self._held)

    def add(self, data: bytes) -> None:
        if self._shut:
            return
        if len(self._held) > self._max_held:
            self._overflowed = True
        else:
            self._held += data

    def trim(self) -> None:
        """Keep no more than the cap: nothing is going to be read for now."""
        if len(self._held) > self._max_held:
            del self._held[self._max_held :]
            self._overflowed = True

    def check(self) -> None:
        """Find out whether something had to be dropped.

        Raises:
            LineError: it had; what follows in the stream would make no sense.
        """
        if self._overflowed:
            raise LineError("too much sent ahead")

    def line(self, max_octets: int) -> bytes | None:
        """The next line without its CRLF, or ``None`` when more bytes are needed.

        Raises:
            LineError: it is longer than *max_octets*, holds a bare CR or LF, or was cut by the cap.
        """
        self.check()
        end = self._held.find(b"\n", 0, max_octets + len(CRLF))
        if end < 0:
            if len(self._held) >= max_octets + len(CRLF):
                raise TooLongError("line too long")
            return None
        line = bytes(self._held[: end + 1])
        if not line.endswith(CRLF):
            raise LineError("bare line feed", _REMEDY.format("LF"))
        if line.find(b"\r") != end - 1:
            raise LineError("bare carriage return", _REMEDY.format("CR"))
        del self._held[: end + 1]
        return line[: -len(CRLF)]

    def start(self, max_octets: int) -> bytes:
        """The first octets of what is held; they stay."""
        return bytes(self._held[:max_octets])

    def skip(self) -> tuple[int, bool]:
        """Forget what is here of a line: how much it was, and whether its end was among it."""
        end = self._held.find(b"\n") + 1
        skipped = end or len(self._held)
        del self._held[:skipped]
        return skipped, bool(end)

    def octets(self, count: int) -> bytes | None:
        """The next *count* octets, or ``None`` when more bytes are needed.

        Raises:
            LineError: the stream was cut by the cap.
        """
        self.check()
        if len(self._held) < count:
            return None
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        taken = bytes(self._held)
        self._held.clear()
        return taken

    def shut(self) -> None:
        """Forget everything and take nothing in any more."""
        self._held.clear()
        self._overflowed = False
        self._shut = True


@dataclass(frozen=True, slots=True)
class Literal:
    """What a line announces at its end: *size* octets follow, at once or after a go-ahead."""

    size: int
    waits: bool


def literal_at_end(line: bytes) -> Literal | None:
    """The literal that *line* announces (RFC 9051 section 4.3; ``{n+}``: RFC 7888).

    >>> literal_at_end(b"a LOGIN {3}"), literal_at_end(b"a LOGIN {3+}")
    (Literal(size=3, waits=True), Literal(size=3, waits=False))
    """
    found = _LITERAL.search(line)
    if found is None:
        return None
    digits = found[1].lstrip(b"0") or b"0"
    size = int(digits) if len(digits) <= _MAX_DIGITS else _BEYOND_EVERY_CAP
    return Literal(size, waits=not found[2])
