"""ManageSieve's commands and responses, and the words in them (RFC 5804 section 4).

A *text* is one command or response: its lines with the literals that stand in them, without the
last CRLF. Nobody waits for a go-ahead here: a literal's octets follow at once.
"""

from __future__ import annotations

import re

from mailward.wire.lines import (
    CRLF,
    MAX_SKIPPED_OCTETS,
    LineError,
    Lines,
    TooLongError,
    literal_at_end,
)

MAX_QUOTED_OCTETS = 1_024  # RFC 5804 section 4; what is longer is said as a literal
_BEGUN_OCTETS = 32  # the name of a command

_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9-]{0,31}(?=[ ]|\Z)")
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff"(){\\]+')
# Tokens longer than 1,024 octets come in quotes, too, and servers take them; the cap is the line's.
_QUOTED = re.compile(rb'"((?:[^"\\\x00\r\n]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{([0-9]{1,10})\+?\}\r\n")
_ANNOUNCED = re.compile(rb"\{(0|[1-9][0-9]{0,9})\+?\}\Z")
_NUMBER = re.compile(rb"[0-9]{1,10}")
_ESCAPED = re.compile(rb'\\(["\\])')
_TO_ESCAPE = re.compile(rb'(["\\])')
_QUOTABLE = re.compile(rb"[\x20-\x7e]*\Z")


class WordError(Exception):
    """A text whose words break the grammar; the message is for the client, in fixed words."""


class Texts:
    """Gathers the texts of a stream that *lines* cuts.

    *max_literal* bounds each literal, *max_octets* the whole of a text.
    """

    def __init__(self, lines: Lines, max_literal: int, max_octets: int) -> None:
        self._lines = lines
        self._max_literal = max_literal
        self._max_octets = max_octets
        self._text = bytearray()
        self._wants: int | None = None
        self.begun = b""
        """How the text began that was too long."""

    def next(self, max_line: int) -> bytes | None:
        """The next text, of lines up to *max_line*; ``None`` when more bytes are needed.

        Raises:
            LineError: it is too long, or what it announces would be.
        """
        while True:
            if self._wants is not None:
                octets = self._lines.octets(self._wants)
                if octets is None:
                    return None
                self._text += octets
                self._wants = None
            room = self._max_octets - len(self._text)
            line = self._lines.line(min(max_line, room))
            if line is None:
                return None
            self._text += line
            literal = literal_at_end(line)
            if literal is None:
                text, self._text = bytes(self._text), bytearray()
                return text
            self._text += CRLF
            if literal.size > min(self._max_literal, self._max_octets - len(self._text)):
                self.begun = bytes(self._text[:_BEGUN_OCTETS])
                self._text.clear()
                why = "literal too large"
                raise (TooLongError if literal.size <= MAX_SKIPPED_OCTETS else LineError)(why)
            self._wants = literal.size


class Words:
    """Reads the words of a *text*, one after the other.

    Every method raises WordError where the next word is none of its kind.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at == len(self._text)

    @property
    def is_string(self) -> bool:
        """Whether the next word is a string, or begins as one."""
        return self._text.startswith((b'"', b"{"), self._at)

    @property
    def is_quoted(self) -> bool:
        """Whether the next word is a string in quotes, or begins as one."""
        return self._text.startswith(b'"', self._at)

    def name(self) -> bytes:
        """The name of a command, in upper case."""
        found = _NAME.match(self._text)
        if found is None:
            raise WordError("Unknown command")
        self._at = found.end()
        return found[0].upper()

    def space(self) -> None:
        if not self.skip(b" "):
            raise WordError("An argument is missing" if self.is_over else "Malformed argument")

    def end(self) -> None:
        if not self.is_over:
            raise WordError("Too many arguments")

    def atom(self) -> bytes:
        return self._match(_ATOM)[0]

    def string(self) -> bytes:
        """A quoted string or a literal."""
        if not self._text.startswith(b"{", self._at):
            return _ESCAPED.sub(rb"\1", self._match(_QUOTED)[1])
        size = int(self._match(_LITERAL)[1])
        octets = self._text[self._at : self._at + size]
        self._at += len(octets)
        if b"\0" in octets:
            raise WordError("NUL is not allowed")
        return octets

    def number(self) -> bytes:
        return self._match(_NUMBER)[0]

    def announced(self) -> int | None:
        """The octets of the literal that the text announces at its end, if that is next."""
        found = _ANNOUNCED.match(self._text, self._at)
        return None if found is None else int(found[1])

    def skip(self, octets: bytes) -> bool:
        """Pass over *octets* if they are next; whether they were."""
        found = self._text.startswith(octets, self._at)
        self._at += len(octets) * found
        return found

    def _match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise WordError("An argument is missing" if self.is_over else "Malformed argument")
        self._at = found.end()
        return found


def is_quotable(octets: bytes) -> bool:
    """Whether every server reads *octets* in quotes as we do; some take no 8-bit ones."""
    return len(octets) <= MAX_QUOTED_OCTETS and _QUOTABLE.match(octets) is not None


def string_for_server(octets: bytes) -> bytes:
    """*octets* as a string that no server can misread.

    >>> string_for_server(b'a"b'), string_for_server(b"caf\\xe9")
    (b'"a\\\\"b"', b'{4+}\\r\\ncaf\\xe9')
    """
    return _quoted(octets) if is_quotable(octets) else b"{%d+}\r\n%b" % (len(octets), octets)


def string_for_client(octets: bytes) -> bytes:
    """The same for a client, whose literals have no plus.

    >>> string_for_client(b"caf\\xe9")
    b'{4}\\r\\ncaf\\xe9'
    """
    return _quoted(octets) if is_quotable(octets) else b"{%d}\r\n%b" % (len(octets), octets)


def _quoted(octets: bytes) -> bytes:
    return b'"' + _TO_ESCAPE.sub(rb"\\\1", octets) + b'"'
