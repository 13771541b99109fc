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
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, time
from enum import Enum, unique
from itertools import chain
from typing import NoReturn

from mailward.settings.errors import Fault, SettingsError

MAX_DEPTH = 16  # parts of a key, tables within tables included; ours have five at most

Path = tuple[str, ...]
_Scalar = str | int | date | time  # a bool is an int, a datetime is a date, a float stays text
_Value = _Scalar | list[_Scalar] | dict[str, "_Value"]

_MAX_INTEGER = 2**63  # TOML 1.0, "Integer"
_BLANKS = re.compile(r"[ \t]*")
_GAP = re.compile(r"[ \t\n]*(?:#[^\n]*\n[ \t\n]*)*(?:#[^\n]*\Z)?")
_REST_OF_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BASIC = r'"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"'
_LITERAL = r"'[^'\n]*'"
_PART = rf"(?:[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL})"
_KEY_PART = re.compile(_PART)
_NEXT_PART = re.compile(r"[ \t]*\.[ \t]*")
_TABLE_AHEAD = re.compile(rf"{_GAP.pattern}{_PART}(?:[ \t]*\.[ \t]*{_PART})*[ \t]*=")
_STRING = re.compile(
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"{3,5}'
    r"|'''[^']*(?:'(?!'')[^']*)*'{3,5}"
    rf'|{_BASIC}(?!")|{_LITERAL}(?!\')',
    re.DOTALL,
)
_BARE = re.compile(r"[^,\[\]{}#\n]+")
_PLAIN = re.compile(r"true|false|0|[1-9][0-9]{0,17}")
_CONTROLS = r"\x00-\x08\x0a-\x1f\x7f"  # all but the tab; tomllib refuses them, in comments, too
_TEXT = rf"""(?:"([^"\\{_CONTROLS}]*)"|'([^'{_CONTROLS}]*)')"""
_COMMENT = rf"#[^{_CONTROLS}]*"
_PLAIN_PAIR = re.compile(
    rf"(?:([A-Za-z0-9_-]+)|{_TEXT})[ \t]*=[ \t]*{_TEXT}[ \t]*(?:{_COMMENT})?\n[ \t\n]*"
)
_PLAIN_MEMBER = re.compile(rf"{_TEXT}[ \t\n]*,[ \t\n]*(?:{_COMMENT}\n[ \t\n]*)*")
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
    scanner = _Scanner(text, file)
    scanner.scan()
    try:
        tree = tomllib.loads(scanner.plain_toml(), parse_float=str)
    except ValueError as error:
        raise SettingsError([_toml_fault(error, text, file)]) from None
    return _Flattening(scanner, file).keys(tree)


class _Scanner:
    """One walk over the text, without looking back."""

    def __init__(self, text: str, file: str | None) -> None:
        self._text = text
        self._file = file
        self._at = 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._edits: list[tuple[int, int, str]] = []  # from, to: what tomllib gets instead
        self._headers: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}
        self._settled: dict[Path, int] = {}  # keys with a value, which no later line may add to
        self._faults: list[Fault] = []
        self.lines: dict[Path, int] = {}
        self.pairs: dict[Path, dict[str, str]] = {}
        """What was read at once, by the table."""
        self.members: dict[Path, list[str]] = {}
        """The members at the beginning of a list that were read at once, by the list."""

    def plain_toml(self) -> str:
        """The text with every set written as an array, without what was read at once.

        All else stays in its line.
        """
        pieces = []
        done = 0
        for start, end, instead in self._edits:
            pieces += [self._text[done:start], instead]
            done = end
        return "".join([*pieces, self._text[done:]])

    def scan(self) -> None:
        """Note lines and sets.

        Raises:
            SettingsError: keys, brackets, strings or lines are not in order.
        """
        table: Path = ()
        while self._skip(_GAP) < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            elif self._plain_pairs(table):
                continue
            else:
                self._pair(table)
            if self._take(_REST_OF_LINE) is None:
                self._stop("only a comment may follow here; is a quote missing?")
        if self._faults:
            raise SettingsError(self._faults)

    def _header(self) -> Path:
        line = self._line()
        self._at += 1
        if self._text.startswith("[", self._at):
            self._stop("a table in double brackets is used nowhere; write [server.listener.imap]")
        path = self._key(())
        if not self._text.startswith("]", self._at):
            self._stop('a "]" is missing behind the name of the table')
        self._at += 1
        if path in self._headers:
            self._fault(
                line,
                path,
                f"this table stands in line {self._headers[path]} already;"
                " put all its keys under one header",
            )
        elif path in self._settled:
            self._fault(line, path, _not_a_table(path, self._settled[path]))
        self._headers[path] = line
        self._note(path, line)
        self._tables.setdefault(path, line)
        return path

    def _plain_pairs(self, table: Path) -> bool:
        """Read as many lines as there are that have nothing but text for one more key."""
        if self._faults or len(table) >= MAX_DEPTH:
            return False
        start, pairs = self._at, self.pairs.setdefault(table, {})
        while pair := _PLAIN_PAIR.match(self._text, self._at):
            bare, basic, literal, value, literal_value = pair.groups()
            name = next(part for part in (bare, basic, literal) if part is not None)
            path = (*table, name)
            if path in self._settled or path in self._tables:
                break
            self.lines[path] = self._settled[path] = self._line()
            pairs[name] = literal_value if value is None else value
            self._at = pair.end()
        return self._leave_out(start)

    def _leave_out(self, start: int) -> bool:
        """Keep all from *start* on, but its lines, from tomllib."""
        if self._at == start:
            return False
        self._edits.append((start, self._at, "\n" * self._text.count("\n", start, self._at)))
        return True

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = self._key(table)
        if not self._text.startswith("=", self._at):
            self._stop('a "=" is missing behind the key', path)
        self._at += 1
        if path in self._settled:
            self._fault(line, path, f"is set twice, first in line {self._settled[path]}")
        elif path in self._tables:
            self._fault(line, path, f"is a table already, from line {self._tables[path]} on")
        self._note(path, line)
        self._value(path)
        self._settled.setdefault(path, line)

    def _key(self, table: Path) -> Path:
        """Read a dotted key below *table*, and the blanks around it."""
        path = table
        while True:
            self._skip(_BLANKS)
            part = self._take(_KEY_PART)
            if part is None:
                self._stop(self._why_no_key(), table)
            path = (*path, _decoded(part))
            if len(path) > MAX_DEPTH:
                self._stop(f"a key has more than {MAX_DEPTH} parts")
            if self._take(_NEXT_PART) is None:
                self._skip(_BLANKS)
                return path

    def _why_no_key(self) -> str:
        match self._text[self._at : self._at + 1]:
            case '"' | "'":
                return "a quote is missing at the end of this key"
            case "\n":
                return "a key is missing; { key = value } must stand on one line"
            case "":
                return "a key is missing at the end of the file"
            case _:
                return "a key is missing; what is neither letter, digit, - nor _ needs quotes"

    def _value(self, path: Path) -> None:
        self._skip(_BLANKS)
        match self._text[self._at : self._at + 1]:
            case "[":
                self._members(path, "]")
            case "{" if _TABLE_AHEAD.match(self._text, self._at + 1):
                self._inline_table(path)
            case "{":
                self._edits.append((self._at, self._at + 1, "["))
                self._members(path, "}")
                self._edits.append((self._at - 1, self._at, "]"))
            case _:
                self._scalar(path)

    def _inline_table(self, path: Path) -> None:
        opened = self._line()
        self._at += 1
        while True:
            self._pair(path)
            self._skip(_BLANKS)
            match self._text[self._at : self._at + 1]:
                case "}":
                    self._at += 1
                    return
                case ",":
                    self._at += 1
                case "\n" | "":
                    self._stop('a "}" is missing at the end of this line', path, opened)
                case _:
                    self._stop('a quote, a "," or a "}" is missing', path)

    def _members(self, path: Path, end: str) -> None:
        opened = self._line()
        self._at += 1
        self._skip(_GAP)
        self._plain_members(path)
        while True:
            if self._skip(_GAP) == len(self._text):
                self._stop(f'the list that begins here has no "{end}"', path, opened)
            if self._text[self._at] == end:
                self._at += 1
                return
            if self._text[self._at] in "[{":
                self._stop("a list holds plain values only, no lists or tables", path)
            line = self._line()
            member = self._scalar(path)
            self.lines.setdefault((*path, member), line)
            if self._skip(_GAP) < len(self._text) and self._text[self._at] == ",":
                self._at += 1
            elif not self._text.startswith(end, self._at) and self._at < len(self._text):
                self._stop(f'a quote, a "," or a "{end}" is missing', path)

    def _plain_members(self, path: Path) -> None:
        """Read as many members as there are that are text and have a comma behind them."""
        start, members = self._at, self.members.setdefault(path, [])
        while text := _PLAIN_MEMBER.match(self._text, self._at):
            member = text[2] if text[1] is None else text[1]
            self.lines.setdefault((*path, member), self._line())
            members.append(member)
            self._at = text.end()
        self._leave_out(start)

    def _scalar(self, path: Path) -> str:
        string = self._take(_STRING)
        if string is not None:
            return _decoded(string)
        if self._text.startswith(('"', "'"), self._at):
            self._stop("a quote is missing: this text has no end", path)
        line = self._line()
        bare = (self._take(_BARE) or "").rstrip(" \t")
        if not bare:
            self._stop("a value is missing", path)
        if not _PLAIN.fullmatch(bare):
            self._check_bare(bare, path, line)
        return bare

    def _check_bare(self, bare: str, path: Path, line: int) -> None:
        try:
            tomllib.loads(f"value = {bare}")
        except ValueError:
            if '"' in bare or "'" in bare:
                self._stop("a quote is missing", path, line)
            if bare[0] in "\u201c\u201d\u201e\u2018\u2019\u00ab":
                self._stop("write straight quotes around text", path, line)
            self._stop("text needs quotes around it", path, line)

    def _note(self, path: Path, line: int) -> None:
        """Remember where *path* and the tables above it stand first; none of those is a value."""
        for length in range(1, len(path)):
            table = path[:length]
            if table in self._settled:
                self._fault(line, path, _not_a_table(table, self._settled[table]))
            self._tables.setdefault(table, line)
            self.lines.setdefault(table, line)
        self.lines.setdefault(path, line)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return self._at

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return match.group()

    def _line(self) -> int:
        return bisect_left(self._line_ends, self._at) + 1

    def _fault(self, line: int, path: Path, message: str) -> None:
        self._faults.append(Fault(self._file, line, ".".join(path) or None, message))

    def _stop(self, message: str, path: Path = (), line: int | None = None) -> NoReturn:
        self._fault(self._line() if line is None else line, path, message)
        raise SettingsError(self._faults)


class _Flattening:
    """From the tree that tomllib made, and what *scanner* read at once, to flat keys."""

    def __init__(self, scanner: _Scanner, file: str | None) -> None:
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


def _decoded(token: str) -> str:
    """The text of a bare key part or a string; one that tomllib will refuse stays as it is."""
    if token[0] not in "\"'":
        return token
    if "\\" not in token and token[:3] not in {'"""', "'''"}:
        return token[1:-1]
    try:
        return str(tomllib.loads(f"text = {token}")["text"])
    except ValueError:
        return token


def _not_a_table(table: Path, line: int) -> str:
    return f"{'.'.join(table)} has a value in line {line} and can't be a table too"


def _toml_fault(error: ValueError, text: str, file: str | None) -> Fault:
    message = str(error)
    place = _TOML_PLACE.search(message)
    if place is None:
        return Fault(file, None, None, "a value has too many digits")
    line = int(place[1]) if place[1] else text.count("\n") + 1
    return Fault(file, line, None, f"this is no TOML: {message[: place.start()]}")
