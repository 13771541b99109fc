"""What is printed: aligned, at most 100 columns wide, and harmless to the terminal.

Logins and notes were written by strangers: nothing of them reaches the terminal unescaped.
"""

from __future__ import annotations

import json
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mailward.rules.marks import with_few_marks

MAX_COLUMNS = 100
_GAP = "  "
_LEAST_CUT = 8  # columns; cut shorter, a text says nothing


def shown(text: str) -> str:
    """*text* with every character escaped that could move the cursor or hide something.

    >>> print(shown("a\\x1b[2Jb\\u202ec"))
    a\\x1b[2Jb\\u202ec
    """
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )
    return with_few_marks(text)


def quoted(subject: str) -> str:
    """*subject* as a shell reads it. The daemon spells every subject in printable characters.

    >>> print(quoted("ada"), quoted("it's"))
    ada 'it'"'"'s'
    """
    return shlex.quote(shown(subject))


def columns(text: str) -> int:
    """How many columns of a terminal *text* takes: Chinese and emoji two, accents none.

    >>> columns("ada"), columns("\u754c"), columns("e\u0301")
    (3, 2, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char)
        for char in text
    )


def moment(text: str | None) -> str:
    """A moment of the API (UTC), to the second.

    >>> moment("2026-01-31T12:00:00.250000Z"), moment(None)
    ('2026-01-31 12:00:00', 'never')
    """
    return "never" if text is None else text[:19].replace("T", " ")


def counted(count: int, noun: str) -> str:
    """
    >>> counted(1, "key"), counted(0, "key")
    ('1 key', '0 keys')
    """
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], elastic: Sequence[int] = ()
) -> Iterator[str]:
    """The lines of a table. Where it is too wide for a terminal the *elastic* columns are cut, in
    that order. Elsewhere nothing is: a program that reads it needs all of every cell.

    The first column is never cut: it is what the other commands are given.
    """
    cells = [head, *([shown(cell) for cell in row] for row in rows)]
    widths = [max(columns(row[column]) for row in cells) for column in range(len(head))]
    for column in elastic:
        surplus = _surplus(widths)
        if surplus > 0:
            least = max(len(head[column]), _LEAST_CUT)
            widths[column] = max(min(widths[column], least), widths[column] - surplus)
    surplus = _surplus(widths)
    widths[0] = max(len(head[0]), widths[0] - max(surplus, 0))
    for row in cells:
        yield from _lines(row, widths)


def _surplus(widths: Sequence[int]) -> int:
    """By how much a table of such columns is too wide."""
    all_ = sum(widths) + len(_GAP) * (len(widths) - 1)
    return all_ - MAX_COLUMNS if sys.stdout.isatty() else 0


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    first, *others = row
    if columns(first) > widths[0]:
        yield first
        first = ""
    cut = [_cut(cell, width) for cell, width in zip(others, widths[1:], strict=True)]
    padded = [
        cell + " " * (width - columns(cell))
        for cell, width in zip([first, *cut], widths, strict=True)
    ]
    yield _GAP.join(padded).rstrip()


def _cut(text: str, width: int) -> str:
    if columns(text) <= width:
        return text
    text = text[: width - 3]
    while columns(text) > width - 3:
        text = text[:-1]
    return f"{text}..."


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def print_warning(answer: Mapping[str, object]) -> None:
    """What the daemon has to say of its store, if anything."""
    if "warning" in answer:
        print(answer["warning"])
