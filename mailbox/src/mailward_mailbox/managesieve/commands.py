"""Cuts what a client says into commands and their arguments (RFC 5804 section 4).

A script that is too long is read to its end all the same, and not kept: its sender hears why, and
the session goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mailward.wire.door import MAX_COMMAND_OCTETS
from mailward.wire.lines import CRLF, LineError, Lines, literal_at_end
from mailward.wire.managesieve.words import WordError, Words
from mailward_mailbox.sieve.parser import MAX_SCRIPT_OCTETS

MAX_AHEAD_OCTETS = 131_072
MAX_SKIPPED_OCTETS = 67_108_864
"""What is longer ends the session: nobody writes scripts like that."""

STRINGS = {
    b"CAPABILITY": (0, 0),
    b"CHECKSCRIPT": (1, 1),
    b"DELETESCRIPT": (1, 1),
    b"GETSCRIPT": (1, 1),
    b"HAVESPACE": (1, 1),
    b"LISTSCRIPTS": (0, 0),
    b"LOGOUT": (0, 0),
    b"NOOP": (0, 1),
    b"PUTSCRIPT": (2, 2),
    b"RENAMESCRIPT": (2, 2),
    b"SETACTIVE": (1, 1),
}
"""How many strings each command takes, at least and at most; HAVESPACE a number behind them."""
_BEFORE_LOGIN = {b"AUTHENTICATE", b"STARTTLS", b"UNAUTHENTICATE", b"XCLIENT"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command by the book. *is_too_long*: one of its strings was, and is empty here."""

    name: bytes
    strings: tuple[bytes, ...] = field(repr=False)
    number: int = 0
    is_too_long: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """No command; *why* in words for the client."""

    why: str


class Commands:
    """Bytes in, commands out."""

    def __init__(self) -> None:
        self._lines = Lines(MAX_AHEAD_OCTETS)
        self._text = bytearray()
        self._wanted = 0
        """So much of a literal is still to come."""
        self._is_skipping = False
        self._is_too_long = False

    def receive_data(self, data: bytes) -> None:
        self._lines.add(data)

    def next(self) -> Command | Malformed | None:
        """The next command, ``None`` when more bytes are needed.

        Raises:
            LineError: there is no telling where the next one begins.
        """
        while True:
            if self._wanted:
                octets = self._lines.octets(min(self._wanted, len(self._lines))) or b""
                self._wanted -= len(octets)
                if not self._is_skipping:
                    self._text += octets
                if self._wanted:
                    return None
            line = self._lines.line(MAX_COMMAND_OCTETS)
            if line is None:
                return None
            literal = literal_at_end(line)
            if literal is None:
                self._text += line
                return self._read()
            self._begin(line, literal.size)

    def _begin(self, line: bytes, size: int) -> None:
        """A literal follows the *line*."""
        if size > MAX_SKIPPED_OCTETS or len(self._text) > MAX_SCRIPT_OCTETS + MAX_COMMAND_OCTETS:
            raise LineError("literal too large")
        self._wanted = size
        self._is_skipping = size > MAX_SCRIPT_OCTETS
        if self._is_skipping:
            self._is_too_long = True
            self._text += line[: line.rindex(b"{")] + b'""'
        else:
            self._text += line + CRLF

    def _read(self) -> Command | Malformed:
        text, self._text = bytes(self._text), bytearray()
        is_too_long, self._is_too_long = self._is_too_long, False
        words = Words(text)
        try:
            name = words.name()
            if name in _BEFORE_LOGIN:
                return Malformed("That was before the login; begin a new connection")
            if name not in STRINGS:
                return Malformed("Unknown command")
            least, most = STRINGS[name]
            strings: list[bytes] = []
            while len(strings) < least or (len(strings) < most and not words.is_over):
                words.space()
                strings.append(words.string())
            number = 0
            if name == b"HAVESPACE":
                words.space()
                number = int(words.number())
            words.end()
        except WordError as error:
            return Malformed(str(error))
        return Command(name, tuple(strings), number, is_too_long)
