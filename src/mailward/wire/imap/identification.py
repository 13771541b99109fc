"""Skims an ID command (RFC 2971): its fields are read one by one, and forgotten unless they matter.

RFC 2971 section 3.3 allows 30 fields of 30 octets with values of 1,024, which is more than a
connection may hold before a login.
"""

from __future__ import annotations

import re
from enum import Enum, auto, unique

from mailward.wire.imap.command import WordError
from mailward.wire.imap.introduction import ADDRESS_FIELDS
from mailward.wire.lines import CRLF, LineError, Lines, TooLongError

MAX_ID_OCTETS = 40_960  # 30 fields with their quotes and blanks, and room for escapes
MAX_FIELDS = 30  # RFC 2971 section 3.3
MAX_VALUE_OCTETS = 1_024  # RFC 2971 section 3.3
_WINDOW_OCTETS = 2 * MAX_VALUE_OCTETS + 128  # a value of which each octet is escaped
_KEPT_OCTETS = 64  # no address is longer
_MAX_ANNOUNCED = 16  # the octets that announce a literal

START = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]{1,128}) ID \(', re.IGNORECASE)
_QUOTED = re.compile(rb'"((?:[^"\\\x00\r\n]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{([0-9]{1,10})(\+?)\}\r\n")
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){"]+')
_ESCAPED = re.compile(rb'\\(["\\])')


@unique
class Step(Enum):
    """What follows from what is here of the command."""

    MORE = auto()
    GO_AHEAD = auto()
    """A literal waits for it."""
    DONE = auto()


class Identification:
    """One ID command, from behind its opening parenthesis on."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        """The fields that say who a client is, each with its value."""
        self._strings = 0
        self._name = b""
        self._octets = 0
        self._literal: int | None = None
        self._fault: WordError | None = None

    def read(self, lines: Lines) -> Step:
        """Read on.

        Raises:
            WordError: it breaks the grammar, and what is held begins there.
            LineError: it is too large.
        """
        if self._fault is not None:
            raise self._fault
        try:
            return self._go_on(lines)
        except WordError as error:
            self._fault = error
            raise

    def _go_on(self, lines: Lines) -> Step:
        while True:
            if self._literal is not None:
                octets = lines.octets(self._literal)
                if octets is None:
                    return Step.MORE
                self._literal = None
                self._take(octets)
            text = lines.start(_WINDOW_OCTETS)
            if text.startswith(b")"):
                if len(text) < len(b")" + CRLF):
                    return Step.MORE
                if not text.startswith(b")" + CRLF):
                    raise WordError("Malformed argument")
                lines.octets(len(b")" + CRLF))
                return Step.DONE
            step = self._string(lines, text, 1 if self._strings else 0)
            if step is not None:
                return step

    def _string(self, lines: Lines, text: bytes, at: int) -> Step | None:
        """Read the next string, behind *at* blanks."""
        if len(text) <= at:
            return Step.MORE
        if text.startswith(CRLF):
            raise WordError("An argument is missing")
        if text[:at].strip(b" "):
            raise WordError("Malformed argument")
        if quoted := _QUOTED.match(text, at):
            self._drop(lines, quoted.end())
            self._take(_ESCAPED.sub(rb"\1", quoted[1]))
        elif announced := _LITERAL.match(text, at):
            return self._announce(lines, announced)
        elif (atom := _ATOM.match(text, at)) and atom.end() < len(text):
            self._drop(lines, atom.end())
            self._take(atom[0])
        elif self._is_partial(text, at):
            return Step.MORE
        else:
            raise WordError("Malformed argument")
        return None

    def _announce(self, lines: Lines, announced: re.Match[bytes]) -> Step | None:
        size, waits = int(announced[1]), not announced[2]
        if size > MAX_VALUE_OCTETS:
            if waits:
                raise WordError("The literal is too large")
            raise LineError("literal too large")
        self._drop(lines, announced.end())
        self._octets += size
        self._literal = size
        return Step.GO_AHEAD if waits else None

    def _is_partial(self, text: bytes, at: int) -> bool:
        """Whether more octets could make a string of what is there."""
        if b"\n" in text or b"\0" in text or len(text) >= _WINDOW_OCTETS:
            return False
        return not text.startswith(b"{", at) or len(text) - at <= _MAX_ANNOUNCED

    def _drop(self, lines: Lines, octets: int) -> None:
        self._octets += octets
        if self._octets > MAX_ID_OCTETS:
            raise TooLongError("line too long")
        lines.octets(octets)

    def _take(self, string: bytes) -> None:
        if b"\0" in string:
            raise WordError("NUL is not allowed")
        self._strings += 1
        if self._strings > 2 * MAX_FIELDS:
            raise WordError("Too many arguments")
        if self._strings % 2:
            self._name = string[:_KEPT_OCTETS]
        elif self._name.lower() in ADDRESS_FIELDS:
            self.kept += [self._name, string[:_KEPT_OCTETS]]
