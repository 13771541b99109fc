"""The commands about accounts: ``accounts add``, ``passwd``, ``list``, ``remove`` and more."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from mailward.app.cli.client import Daemon, Json, below, find_daemon
from mailward.app.cli.failures import FailedError, RefusedError
from mailward.app.cli.output import counted, print_json, print_lines, shown, table
from mailward.app.cli.password import typed_password

_PATH = "/api/accounts"
_HEAD = ("NAME", "MAY LOG IN", "PASSWORD", "SCRAM")
_LINES_AT_ONCE = 200
_MAX_LINE_CHARACTERS = 10_000


def add(options: argparse.Namespace) -> int:
    daemon = find_daemon(options)
    # Before a password is asked for, and hidden characters are typed in vain.
    if any(one["name"] == options.name for one in daemon.get(_PATH)["accounts"]):
        raise FailedError(f"there is an account {options.name} already; see accounts passwd")
    wish = {"name": options.name, "password": typed_password(from_pipe=options.password_stdin)}
    return _tell(options, daemon.post(_PATH, wish))


def passwd(options: argparse.Namespace) -> int:
    daemon = find_daemon(options)
    daemon.get(_one(options))  # it says so if there is none, before a password is asked for
    wish = {"password": typed_password(from_pipe=options.password_stdin)}
    return _tell(options, daemon.post(below(_PATH, options.name), wish))


def enable(options: argparse.Namespace) -> int:
    return _tell(options, find_daemon(options).post(_one(options), {"enabled": True}))


def disable(options: argparse.Namespace) -> int:
    return _tell(options, find_daemon(options).post(_one(options), {"enabled": False}))


def remove(options: argparse.Namespace) -> int:
    return _tell(options, find_daemon(options).delete(_one(options), {}))


def listed(options: argparse.Namespace) -> int:
    found = find_daemon(options).get(_PATH)["accounts"]
    if options.json:
        print_json(found)
    elif not found:
        print("There are no accounts. Add one with: mailward accounts add NAME")
    else:
        print_lines(table(_HEAD, [_cells(account) for account in found]))
        print(f"\n{counted(len(found), 'account')}")
    return 0


def take_in(options: argparse.Namespace) -> int:
    """Take in a passwd-file: all of it is checked before the first account is made."""
    lines = list(_lines(options.file))
    daemon = find_daemon(options)
    parts = [lines[at : at + _LINES_AT_ONCE] for at in range(0, len(lines), _LINES_AT_ONCE)]
    faults: list[str] = []
    for number, part in enumerate(parts):
        try:
            _send(daemon, part, check=True)
        except RefusedError as error:
            if not error.complaints:
                raise
            first = number * _LINES_AT_ONCE + 1
            faults += [
                f"{options.file}:{first + (complaint.place or 0)}: {complaint.message}"
                for complaint in error.complaints
            ]
    if faults:
        raise FailedError("some lines are refused; nothing was changed", faults)
    count = 0
    for part in parts:
        try:
            count += _send(daemon, part, check=False)
        except FailedError as error:
            raise FailedError(
                f"{error}; {counted(count, 'account')} came before and are there", error.lines
            ) from None
    if options.json:
        print_json({"count": count})
    else:
        print(f"{counted(count, 'account')} taken in.")
    return 0


def _send(daemon: Daemon, lines: list[str], *, check: bool) -> int:
    count: int = daemon.post("/api/account-lists", {"lines": lines, "check": check})["count"]
    return count


def _one(options: argparse.Namespace) -> str:
    return below(_PATH, options.name)


def _tell(options: argparse.Namespace, answer: Json) -> int:
    if options.json:
        print_json(answer)
    else:
        print(shown(answer["message"]))
    return 0


def _cells(account: Json) -> list[str]:
    return [
        account["name"],
        "yes" if account["enabled"] else "no",
        account["scheme"],
        "yes" if account["scram"] else "after the next login",
    ]


def _lines(file: str) -> Iterator[str]:
    try:
        octets = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise FailedError(f"{file} cannot be read: {error.strerror}") from None
    for number, line in enumerate(octets.splitlines(), start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise FailedError(f"{file}:{number}: this is no UTF-8 text") from None
        if len(text) > _MAX_LINE_CHARACTERS:
            raise FailedError(f"{file}:{number}: no line of a passwd-file is that long")
        yield text
