"""One IMAP command, lines and literals together, and the words in it (RFC 9051 section 9)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from mailward.wire.door import MAX_HELD_OCTETS
from mailward.wire.lines import literal_at_end

MAX_QUOTED_OCTETS = 256  # what is longer goes as a literal: no server's line cap is near then

_HEAD = re.compile(
    rb'([^\x00-\x20\x7f-\xff(){%*"\\+]{1,128}) ([^\x00-\x20\x7f-\xff(){%*"\\]{1,32})(?: |\Z)'
)
_QUOTED = re.compile(rb'"((?:[^"\\\x00]|\\["\\])*)"')
_ESCAPED = re.compile(rb'\\(["\\])')
# Wider than the grammar's atom by % * and \: imaplib sends names unquoted, and "victim*master" is
# a name. The words are encoded anew, so nobody can be made to read them in another way.
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){"]+')
_QUOTABLE = re.compile(rb"[\x20-\x7e]*\Z")
_TO_ESCAPE = re.compile(rb'(["\\])')


class WordError(Exception):
    """A command whose words break the grammar; the message is for the client, in fixed words."""


@dataclass(frozen=True, slots=True)
class Head:
    """How a command begins; its arguments stand at *end* and after."""

    tag: bytes
    name: bytes
    end: int


@dataclass(slots=True)
class Command:
    """Grows as lines and literals come in. *wants*: the octets of the literal announced last."""

    lines: list[bytes] = field(default_factory=list, repr=False)
    literals: list[bytes] = field(default_factory=list, repr=False)
    wants: int | None = None

    @property
    def room(self) -> int:
        """How many octets more this command may have."""
        return MAX_HELD_OCTETS - sum(map(len, self.lines)) - sum(map(len, self.literals))

    def add_literal(self, octets: bytes) -> None:
        self.literals.append(octets)
        self.wants = None

    def head(self) -> Head | None:
        """Tag and name (in upper case), or ``None`` where there are none."""
        found = _HEAD.match(self.lines[0])
        return None if found is None else Head(found[1], found[2].upper(), found.end())


class Words:
    """Reads the arguments of a command, one after the other.

    Every method raises WordError where the next word is none of its kind.
    """

    def __init__(self, lines: Sequence[bytes], literals: Sequence[bytes], start: int) -> None:
        self._lines = lines
        self._literals = literals
        self._line = 0
        self._at = start

    def space(self) -> None:
        if not self._skip(b" "):
            is_over = self._at == len(self._lines[self._line])
            raise WordError("An argument is missing" if is_over else "Malformed argument")

    def end(self, *, blank: bool = False) -> None:
        """The command ends here, or behind one *blank* where that is allowed."""
        if blank:
            self._skip(b" ")
        if self._line != len(self._lines) - 1 or self._at != len(self._lines[-1]):
            raise WordError("Too many arguments")

    def atom(self) -> bytes:
        found = _ATOM.match(self._lines[self._line], self._at)
        if found is None:
            raise WordError("Malformed argument")
        self._at = found.end()
        return found[0]

    def last_atom(self) -> bytes | None:
        """The last argument, or ``None`` at the end of the command."""
        if not self._skip(b" "):
            self.end()
            return None
        atom = self.atom()
        self.end()
        return atom

    def string(self) -> bytes:
        """An atom, a quoted string or a literal; all but NUL is allowed in the last two."""
        line = self._lines[self._line]
        if quoted := _QUOTED.match(line, self._at):
            self._at = quoted.end()
            return _ESCAPED.sub(rb"\1", quoted[1])
        if line.startswith(b"{", self._at):
            return self._literal(line)
        return self.atom()

    def id_parameters(self) -> list[bytes]:
        """NIL or a parenthesised list of strings (RFC 2971 section 3.3)."""
        strings: list[bytes] = []
        if not self._skip(b"("):
            if self.atom().upper() != b"NIL":
                raise WordError("Malformed argument")
            return strings
        while not self._skip(b")"):
            if strings:
                self.space()
            strings.append(self.string())
        return strings

    def _skip(self, octet: bytes) -> bool:
        found = self._lines[self._line].startswith(octet, self._at)
        self._at += found
        return found

    def _literal(self, line: bytes) -> bytes:
        if literal_at_end(line[self._at :]) is None or b"{" in line[self._at + 1 :]:
            raise WordError("Malformed argument")
        if self._line >= len(self._literals):
            raise WordError("The literal is too large")
        octets = self._literals[self._line]
        if b"\0" in octets:
            raise WordError("NUL is not allowed")
        self._line += 1
        self._at = 0
        return octets


def quoted(octets: bytes) -> bytes | None:
    """*octets* as a quoted string that no server can misread, or ``None``: send a literal then.

    >>> quoted(b'a"b'), quoted(b"caf\\xe9")
    (b'"a\\\\"b"', None)
    """
    if len(octets) > MAX_QUOTED_OCTETS or not _QUOTABLE.match(octets):
        return None
    return b'"' + _TO_ESCAPE.sub(rb"\\\1", octets) + b'"'
