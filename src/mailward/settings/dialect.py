"""Configuration text to flat keys: TOML 1.0 and one thing more, the set literal.

``{ "192.168.0.20", "10.0.0.0/8" }`` may stand where an array may, over several lines, with
comments and a trailing comma. A scanner that knows only keys, brackets, strings and comments
turns the braces of sets into brackets, in place, and notes the line of every key; what anything
means is left to :mod:`tomllib`. Only text in plain quotes, with nothing in it to be unfolded, is
read at once: long lists consist of it. Nothing here knows which keys exist.

Whatever the text is, it is read in linear time and nothing but :class:`SettingsError` is raised.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, time
from enum import Enum, unique
from itertools import chain

from mailward.settings.errors import Fault, SettingsError
from mailward.settings.scanner import Path, Scanner

_Scalar = str | int | date | time  # a bool is an int, a datetime is a date, a float stays text
_Value = _Scalar | list[_Scalar] | dict[str, "_Value"]

_MAX_INTEGER = 2**63  # TOML 1.0, "Integer"
_TOML_PLACE = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)\Z")


@unique
class Form(Enum):
    """How a key stands in the file."""

    VALUE = "value"
    MEMBER = "member"
    """It is a member of a list or set; its text is the last part of the key."""
    EMPTY = "empty"
    """It is a table, list or set with nothing in it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the file says of one flat key, as text, and in which line."""

    value: str = field(repr=False)  # it may be a secret
    line: int
    form: Form = Form.VALUE


def read_keys(text: str, file: str | None = None) -> dict[str, Entry]:
    """The flat keys of a configuration; *file* is its name, for faults.

    Members of a list, of a set and of a sub-table give the same keys; in a sub-table they can
    have a text of their own.

    >>> read_keys('[a]\\nnets = { "192.0.2.0/24" }')
    {'a.nets.192.0.2.0/24': Entry(line=2, form=<Form.MEMBER: 'member'>)}

    Raises:
        SettingsError: it cannot be read.
    """
    # A byte order mark is what some editors leave behind; tomllib would stumble over it.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    scanner = Scanner(text, file)
    scanner.scan()
    try:
        tree = tomllib.loads(scanner.plain_toml(), parse_float=str)
    except ValueError as error:
        raise SettingsError([_toml_fault(error, text, file)]) from None
    return _Flattening(scanner, file).keys(tree)


class _Flattening:
    """From the tree that tomllib made, and what *scanner* read at once, to flat keys."""

    def __init__(self, scanner: Scanner, file: str | None) -> None:
        self._lines = scanner.lines
        self._pairs = scanner.pairs
        self._members = scanner.members
        self._file = file
        self._entries: dict[str, Entry] = {}
        self._faults: list[Fault] = []

    def keys(self, tree: dict[str, _Value]) -> dict[str, Entry]:
        self._table((), tree, 1)
        if self._faults:
            raise SettingsError(self._faults)
        return self._entries

    def _add(self, path: Path, value: _Value, line: int) -> None:
        line = self._lines.get(path, line)
        match value:
            case dict():
                self._table(path, value, line)
            case list():
                at_once = self._members.get(path, [])
                if not value and not at_once:
                    self._put(path, Entry("", line, Form.EMPTY))
                for text in dict.fromkeys(chain(at_once, map(_text, value))):
                    place = (*path, text)
                    self._put(place, Entry("", self._lines.get(place, line), Form.MEMBER))
            case int() if not -_MAX_INTEGER <= value < _MAX_INTEGER:
                self._fault(line, path, "this number has more than 64 bits")
            case str() | int() | date() | time():
                self._put(path, Entry(_text(value), line))

    def _table(self, path: Path, table: dict[str, _Value], line: int) -> None:
        """Take what stands in a table, in the order of its lines."""
        pairs = self._pairs.get(path, {})
        names: Iterable[str] = pairs or table
        if pairs and table:
            names = sorted((*pairs, *table), key=lambda name: self._lines.get((*path, name), line))
        for name in names:
            place = (*path, name)
            if name in pairs:
                self._put(place, Entry(pairs[name], self._lines[place]))
            else:
                self._add(place, table[name], line)
        if path and not pairs and not table:
            self._put(path, Entry("", line, Form.EMPTY))

    def _put(self, path: Path, entry: Entry) -> None:
        # Quoted keys can hold dots, so two places in the tree can be one flat key.
        key = ".".join(path)
        if key in self._entries:
            before = self._entries[key].line
            self._fault(entry.line, path, f"is set twice, first in line {before}")
        self._entries.setdefault(key, entry)

    def _fault(self, line: int, path: Path, message: str) -> None:
        self._faults.append(Fault(self._file, line, ".".join(path), message))


def _text(value: _Scalar) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if abs(value) < _MAX_INTEGER else "a number of more than 64 bits"
        case str():
            return value
        case date() | time():
            return value.isoformat()


def _toml_fault(error: ValueError, text: str, file: str | None) -> Fault:
    message = str(error)
    place = _TOML_PLACE.search(message)
    if place is None:
        return Fault(file, None, None, "a value has too many digits")
    line = int(place[1]) if place[1] else text.count("\n") + 1
    return Fault(file, line, None, f"this is no TOML: {message[: place.start()]}")
