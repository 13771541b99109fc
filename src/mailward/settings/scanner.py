"""Finds the keys of a configuration in its text: where each stands, and long lists of plain text.

It knows only keys, brackets, strings and comments; what anything means is left to :mod:`tomllib`.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import NoReturn

from mailward.settings.errors import Fault, SettingsError

MAX_DEPTH = 16  # parts of a key, tables within tables included; ours have five at most

Path = tuple[str, ...]

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


class Scanner:
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
