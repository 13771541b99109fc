"""``report``: what another program saw, from the command line or from a file of any length."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mailward.app.cli.client import Daemon, Json, find_daemon
from mailward.app.cli.failures import FailedError
from mailward.app.cli.output import counted, print_json, print_warning, shown

MAX_LINE_OCTETS = 2_000
_MAX_READ_OCTETS = 10_000_000
_BATCH = 1_000  # reports in one request: even of the longest lines they are below the daemon's 8 MB
_COLUMNS = ("address", "login", "service", "time", "id")


class _Line(NamedTuple):
    """A line of a file: what it reports, or what is wrong with it."""

    place: str
    report: Json
    wrong: str = ""


def report(options: argparse.Namespace) -> int:
    target = "/api/failures" if options.outcome == "failure" else "/api/successes"
    given = {name: getattr(options, name) for name in _COLUMNS}
    if options.file is not None:
        if any(value is not None for name, value in given.items() if name != "service"):
            options.wrong("--file goes without --address, --login, --time and --id")
        return _report_all(options, target)
    for name in ("address", "service"):
        if given[name] is None:
            options.wrong(f"--{name} is missing")
    body = {name: value for name, value in given.items() if value is not None}
    answer = find_daemon(options).post(target, body)
    if options.json:
        print_json(answer)
        return 0
    if answer["result"] == "repeated":
        print("It was reported before: nothing was counted.")
    elif options.outcome == "success":
        print("The success is noted.")
    else:
        print(f"Counted for {shown(', '.join(answer['counted'])) or 'nobody: it is allowed'}.")
    _print_bans(answer["bans"])
    print_warning(answer)
    return 0


def _report_all(options: argparse.Namespace, target: str) -> int:
    daemon = find_daemon(options)
    total: dict[str, Any] = {"accepted": 0, "repeated": 0, "refused": 0, "bans": [], "faults": []}
    lines = _lines(options.file, options.service)
    while batch := list(islice(lines, _BATCH)):
        answer = _send(daemon, target, batch)
        for name in ("accepted", "repeated", "refused", "bans", "faults"):
            total[name] += answer[name]
        total |= {name: answer[name] for name in ("stored", "warning") if name in answer}
    if options.json:
        print_json(total)
    else:
        told = (f"{total[name]} {name}" for name in ("accepted", "repeated", "refused"))
        print(f"{', '.join(told)}.")
        _print_bans(total["bans"])
        print_warning(total)
    if total["faults"]:
        raise FailedError(
            f"{counted(len(total['faults']), 'report')} refused; all others are taken",
            total["faults"],
        )
    return 0


def _send(daemon: Daemon, target: str, batch: list[_Line]) -> dict[str, Any]:
    """Send the lines that can be; those that cannot are refused like those that the daemon does."""
    right = [line for line in batch if not line.wrong]
    faults = [f"{line.place}: {line.wrong}" for line in batch if line.wrong]
    answer = dict(daemon.post(target, {"reports": [line.report for line in right]}))
    faults += [
        f"{line.place}: {row['why']}"
        for line, row in zip(right, answer["reports"], strict=True)
        if row["result"] == "refused"
    ]
    return {**answer, "refused": len(faults), "faults": faults}


def _print_bans(bans: Iterable[Json]) -> None:
    for fallen in bans:
        print(f"{shown(fallen['subject'])} is banned.")


def _lines(file: str, service: str | None) -> Iterator[_Line]:
    """Every line that reports something; *service* is that of those that name none."""
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as octets:
            number = 0
            while line := octets.readline(_MAX_READ_OCTETS):
                number += 1
                place = f"{file}:{number}"
                if len(line) == _MAX_READ_OCTETS:
                    # A device that never ends a line does not fill the memory.
                    yield _Line(place, {}, "this is no list of reports; it is read no further")
                    return
                try:
                    report = _read(line)
                except ValueError as error:
                    yield _Line(place, {}, str(error))
                    continue
                if report:
                    yield _Line(place, {"service": service, **report} if service else report)
    except OSError as error:
        raise FailedError(f"{file} cannot be read: {error.strerror}") from None


def _read(line: bytes) -> Json:
    """One line; an empty one, or a comment (``#``), is nothing.

    Raises:
        ValueError: it cannot be read.
    """
    if len(line) > MAX_LINE_OCTETS:
        raise ValueError("no report is that long")
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("this is no UTF-8 text") from None
    if not text.strip() or text.startswith("#"):
        return {}
    if text.lstrip().startswith("{"):
        return _from_json(text)
    cells = [cell.strip() for cell in text.split("\t")]
    if len(cells) > len(_COLUMNS):
        raise ValueError(f"there are more columns than {', '.join(_COLUMNS)}")
    report: dict[str, Any] = {
        name: cell for name, cell in zip(_COLUMNS, cells, strict=False) if cell
    }
    if report.get("time", "").replace(".", "", 1).isdecimal():
        report["time"] = float(report["time"])
    return report


def _from_json(text: str) -> Json:
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise ValueError("this is no JSON that can be read") from None
    return value if isinstance(value, dict) else {}


def _refuse(name: str) -> None:
    raise ValueError(name)
