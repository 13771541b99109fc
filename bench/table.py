"""``python -m bench.table FOLDER``: one table of all that was measured in one run.

A goal that was missed and a row that could not be measured say so; neither is a failure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.harness.figures import Line, Met, from_json, unmeasured

ROWS = {
    "rows.drop": ("1", "drop connections of a banned address"),
    "rows.check": ("2", "the check at accept"),
    "rows.settle": ("3", "settle failures"),
    "rows.ban": ("4", "from the Nth failure to the ban in force"),
    "rows.memory": ("5", "memory of tracked subjects and of bans"),
    "rows.restart": ("6", "restart until the first connection is judged"),
    "rows.login": ("7", "a login over TLS"),
    "rows.pump": ("8", "bytes after login"),
    "rows.idle": ("9", "idle sessions"),
    "rows.jmap": ("10", "JMAP requests"),
    "rows.commands": ("11", "commands"),
    "rows.lines": ("12", "short lines after login"),
    "rows.passwords": ("13", "owners' logins while 200 networks guess"),
    "rows.waits": ("14", "waits beside a hostile session"),
    "floods": ("floods", "good users in floods"),
    "lists": ("lists", "a million bans"),
}
"""Every script that belongs in the table, with its row and what that is about."""

_HEAD = ("row", "work", "ours", "peer", "ratio", "goal", "met")


def lines_table(lines: Iterable[Line]) -> str:
    """*lines* as text."""
    rows: list[Sequence[str]] = [_HEAD]
    notes = []
    for line in lines:
        rows.append(cells(line))
        if line.note:
            notes.append(f"  {line.row} {line.work}: {line.note}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*text, *(["", "Notes", *notes] if notes else [])])


def read_results(folder: Path) -> list[Line]:
    """The lines of every script of :data:`ROWS`; one that left nothing has a line that says so."""
    return [line for script in ROWS for line in lines_of(folder, script)]


def lines_of(folder: Path, script: str) -> list[Line]:
    """The lines of *script*, at least one."""
    row, about = ROWS[script]
    try:
        kept = json.loads((folder / f"{script}.json").read_text())
        found = [from_json(line) for line in kept["lines"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [unmeasured(row, about, f"no figures: {error}")]
    return found or [unmeasured(row, about, "it gave no figures")]


def number(figure: float) -> str:
    """Three digits that count, or all before the point.

    >>> number(0.01234), number(12.34), number(1234567.0)
    ('0.0123', '12.3', '1,234,567')
    """
    if abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.3g}"


def cells(line: Line) -> Sequence[str]:
    """*line* as the table has it, in the order of its head."""
    ours, theirs, ratio = line.our_median, line.their_median, line.ratio
    if not line.is_measured:
        met = Met.NOT_MEASURED.value
    elif line.goals:
        met = ", ".join(line.met(goal).value for goal in line.goals)
    else:
        met = Met.NO_GOAL.value
    return (
        line.row,
        line.work,
        "-" if ours is None else f"{number(ours)} {line.unit}",
        line.peer if theirs is None else f"{line.peer} {number(theirs)}",
        "" if ratio is None else f"{ratio:.2f}",
        ", ".join(map(str, line.goals)),
        met,
    )


def main() -> int:
    print(lines_table(read_results(Path(sys.argv[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
