"""The words of one IMAP command, read in their order (RFC 9051 section 9).

A command is cut into lines and literals before (:mod:`mailward_mailbox.imap.commands`). Each method
of :class:`ImapWords` reads one word and raises :class:`BadCommandError` where the next word is not
of its kind; the session answers that with BAD. No octet is looked at more than a few times::

    words.space()
    numbers = words.sequence_set()
    words.space()
    items = words.items(lambda: read_item(words))   # "(" item SP item ... ")"
    words.end()

A reader that calls itself, as that of SEARCH keys does, does so inside ``with words.nested():``,
and calls ``words.count()`` for each key: both have caps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TypeVar

from mailward_mailbox.imap.flags import RECENT, SYSTEM_FLAGS, flag_from_wire
from mailward_mailbox.imap.sequences import LARGEST, SequenceSet, parse_sequence_set
from mailward_mailbox.imap.utf7 import from_utf7

MAX_DEPTH = 24
"""Of lists in lists and keys in keys."""
MAX_ITEMS = 1_000
"""Of keys, items and list members in one command."""
LARGEST_64 = (1 << 63) - 1

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_LIST_MAILBOX = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_QUOTED = re.compile(rb'"((?:[^"\\\x00]++|\\["\\])*+)"')
_ESCAPED = re.compile(rb'\\(["\\])')
_LITERAL = re.compile(rb"(~?)\{[0-9]+\+?\}\Z")
_NUMBER = re.compile(rb"[0-9]{1,19}(?![0-9])")
_SEQUENCE_SET = re.compile(rb"[0-9:*,]+|\$")
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_DATE = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\Z")
_DATE_TIME = re.compile(
    rb"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2})"
    rb" ([+-])([0-9]{2})([0-9]{2})\Z"
)
_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov")
_MONTH = {name: number for number, name in enumerate((*_MONTHS, b"dec"), 1)}

_T = TypeVar("_T")


class BadCommandError(Exception):
    """A command breaks the grammar or a cap; the message is for the client, in fixed words."""


class ImapWords:
    """Reads the words of a command: *lines* without their CRLF, *literals* between them.

    >>> words = ImapWords([b'"a b" (x) 1:*'])
    >>> words.astring(), words.space(), words.flag_list(), words.space()
    (b'a b', None, frozenset({'x'}), None)
    >>> words.sequence_set().within(9), words.end()
    ([(1, 9)], None)
    """

    def __init__(
        self, lines: Sequence[bytes], literals: Sequence[bytes] = (), start: int = 0
    ) -> None:
        self._lines = lines
        self._literals = literals
        self._line = 0
        self._at = start
        self._depth = 0
        self._count = 0

    # -- between words -------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to read."""
        return self._line == len(self._lines) - 1 and self._at == len(self._lines[-1])

    def starts(self, octets: bytes) -> bool:
        """Whether the next octets are these; nothing is read."""
        return self._lines[self._line].startswith(octets, self._at)

    def skip(self, octets: bytes) -> bool:
        """Read these octets if they are the next ones; whether they were."""
        found = self.starts(octets)
        self._at += len(octets) * found
        return found

    def expect(self, octets: bytes) -> None:
        if not self.skip(octets):
            raise BadCommandError("An argument is missing" if self.is_over else "Invalid argument")

    def space(self) -> None:
        self.expect(b" ")

    def end(self) -> None:
        if not self.is_over:
            raise BadCommandError("Too many arguments")

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Read what *pattern* matches here, inside a line; ``None``: nothing, and none is read."""
        found = pattern.match(self._lines[self._line], self._at)
        if found is not None:
            self._at = found.end()
        return found

    # -- what is counted -----------------------------------------------------------------------

    def count(self) -> None:
        """Count one key, item or member of this command."""
        self._count += 1
        if self._count > MAX_ITEMS:
            raise BadCommandError("Too many arguments")

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Read something inside of something, to a depth of MAX_DEPTH."""
        if self._depth >= MAX_DEPTH:
            raise BadCommandError("Arguments are nested too deep")
        self._depth += 1
        yield
        self._depth -= 1

    def items(self, read: Callable[[], _T], *, may_be_empty: bool = False) -> list[_T]:
        """A parenthesised list whose members *read* reads."""
        found: list[_T] = []
        self.expect(b"(")
        with self.nested():
            if may_be_empty and self.skip(b")"):
                return found
            while True:
                self.count()
                found.append(read())
                if self.skip(b")"):
                    return found
                self.space()

    # -- words ---------------------------------------------------------------------------------

    def atom(self) -> bytes:
        return self._word(_ATOM)

    def keyword(self) -> bytes:
        """An atom in upper case."""
        return self._word(_ATOM).upper()

    def astring(self) -> bytes:
        """An atom (which may hold ``]``), a quoted string or a literal."""
        return self.string() if self._is_string() else self._word(_ASTRING)

    def string(self) -> bytes:
        """A quoted string or a literal; without NUL."""
        if self.starts(b'"'):
            return self.quoted()
        octets, is_binary = self._literal()
        if is_binary or b"\0" in octets:
            raise BadCommandError("A string holds no NUL")
        return octets

    def nstring(self) -> bytes | None:
        """A string, or NIL."""
        if self._is_string():
            return self.string()
        if self.keyword() != b"NIL":
            raise BadCommandError("Invalid argument")
        return None

    def quoted(self) -> bytes:
        found = self.match(_QUOTED)
        if found is None:
            raise BadCommandError("Invalid quoted string")
        return _ESCAPED.sub(rb"\1", found[1])

    def message(self) -> tuple[bytes, bool]:
        """A literal of any octets, and whether it is a literal8 (``~{n}``, RFC 9051)."""
        return self._literal()

    def number(self) -> int:
        """32 bits."""
        return self._number(LARGEST)

    def number64(self) -> int:
        """63 bits."""
        return self._number(LARGEST_64)

    def sequence_set(self) -> SequenceSet:
        found = parse_sequence_set(self._word(_SEQUENCE_SET))
        if found is None:
            raise BadCommandError("Invalid message set")
        return found

    def date(self) -> date:
        """A date of SEARCH, quoted or not."""
        text = self.quoted() if self.starts(b'"') else self.atom()
        found = _DATE.match(text)
        if found is None:
            raise BadCommandError("Invalid date")
        return _date(found).date()

    def date_time(self) -> datetime:
        """A date and time with its zone, quoted, as APPEND has it."""
        found = _DATE_TIME.match(self.quoted())
        if found is None:
            raise BadCommandError("Invalid date-time")
        hour, minute, second, zone_hour, zone_minute = (int(found[n]) for n in (4, 5, 6, 8, 9))
        zone = timedelta(hours=zone_hour, minutes=zone_minute)
        try:
            return _date(found).replace(
                hour=hour,
                minute=minute,
                second=min(second, 59),  # a leap second
                tzinfo=timezone(-zone if found[7] == b"-" else zone),
            )
        except ValueError:
            raise BadCommandError("Invalid date-time") from None

    def flag(self) -> str:
        r"""One flag; a system flag in the case of the standard, ``\Recent`` too."""
        flag = flag_from_wire(self._word(_FLAG))
        if flag.startswith("\\") and flag not in SYSTEM_FLAGS and flag != RECENT:
            raise BadCommandError("Unknown system flag")
        return flag

    def flag_list(self) -> frozenset[str]:
        r"""Flags in parentheses, perhaps none; without ``\Recent``, which no client sets."""
        return _distinct(self.items(self.flag, may_be_empty=True))

    def flags(self) -> frozenset[str]:
        """Flags to the end of the command, in parentheses or not."""
        if self.starts(b"("):
            return self.flag_list()
        flags = [self.flag()]
        while self.skip(b" "):
            self.count()
            flags.append(self.flag())
        return _distinct(flags)

    def mailbox(self, *, is_utf8: bool) -> str:
        """A mailbox name: in UTF-8, or in modified UTF-7 unless the session *is_utf8*."""
        return mailbox_name(self.astring(), is_utf8=is_utf8)

    def list_mailbox(self, *, is_utf8: bool) -> str:
        """A mailbox name or pattern, as LIST has it."""
        octets = self.string() if self._is_string() else self._word(_LIST_MAILBOX)
        return mailbox_name(octets, is_utf8=is_utf8)

    # -- inside --------------------------------------------------------------------------------

    def _word(self, pattern: re.Pattern[bytes]) -> bytes:
        found = self.match(pattern)
        if found is None:
            raise BadCommandError("An argument is missing" if self.is_over else "Invalid argument")
        return found[0]

    def _is_string(self) -> bool:
        return self.starts(b'"') or self.starts(b"{") or self.starts(b"~{")

    def _number(self, largest: int) -> int:
        number = int(self._word(_NUMBER))
        if number > largest:
            raise BadCommandError("A number is too large")
        return number

    def _literal(self) -> tuple[bytes, bool]:
        found = self.match(_LITERAL)
        if found is None or self._line >= len(self._literals):
            raise BadCommandError("Invalid argument")
        octets = self._literals[self._line]
        self._line += 1
        self._at = 0
        return octets, bool(found[1])


def _distinct(flags: Iterable[str]) -> frozenset[str]:
    """Each keyword in one spelling; no ``\\Recent``."""
    return frozenset({flag.lower(): flag for flag in flags if flag != RECENT}.values())


def mailbox_name(octets: bytes, *, is_utf8: bool) -> str:
    """The name that *octets* write.

    Raises:
        BadCommandError: they are not UTF-8.
    """
    if not is_utf8 and octets.isascii():
        return from_utf7(octets)
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise BadCommandError("A mailbox name is not valid UTF-8") from None


def _date(found: re.Match[bytes]) -> datetime:
    try:
        return datetime(int(found[3]), _MONTH[found[2].lower()], int(found[1]), tzinfo=UTC)
    except (KeyError, ValueError):
        raise BadCommandError("Invalid date") from None
