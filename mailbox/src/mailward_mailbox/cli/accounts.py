"""The commands about accounts: asked of the running server, or done on the files under its lock."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterator
from getpass import getpass
from pathlib import Path
from typing import Any

from mailward_mailbox.accounts.errors import AccountError
from mailward_mailbox.cli.failures import FailedError
from mailward_mailbox.serving.plan import CONTROL

_HEAD = ("NAME", "MAY LOG IN", "PASSWORD", "SCRAM")
_LINES_AT_ONCE = 200
_MAKES_FOLDER = {"accounts.add", "accounts.import"}
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 300.0
"""A list of plain passwords is hashed, some twentieth of a second for each."""

Json = dict[str, Any]


def add_accounts(commands: Any) -> None:
    """Add ``accounts`` and what is below it to the command line's grammar."""
    parent = commands.add_parser("accounts", help="look after the accounts")
    below = parent.add_subparsers(metavar="COMMAND", required=True)
    for name, run, help_text in (
        ("add", _add, "add an account"),
        ("passwd", _passwd, "give an account another password"),
        ("list", _list, "list the accounts"),
        ("remove", _remove, "remove an account; its mail is left where it is"),
        ("disable", _disable, "let no client log in to an account"),
        ("enable", _enable, "let its owner log in again"),
        ("import", _import, "take in a passwd-file of Dovecot"),
    ):
        command = below.add_parser(name, help=help_text)
        command.set_defaults(run=run)
        command.add_argument(
            "--data", type=Path, required=True, metavar="DIR", help="accounts and mail"
        )
        if name == "import":
            command.add_argument(
                "file", metavar="FILE", help="the passwd-file; - is standard input"
            )
        elif name != "list":
            command.add_argument("name", metavar="NAME")
        if name in {"add", "passwd"}:
            command.add_argument(
                "--password-stdin", action="store_true", help="read one line of standard input"
            )


def _add(options: argparse.Namespace) -> int:
    # Before a password is typed in vain.
    is_new = not options.data.exists()
    found = [] if is_new else _ask(options, {"do": "accounts.list"})["accounts"]
    if any(one["name"] == options.name for one in found):
        raise FailedError(f"there is an account {options.name} already; see accounts passwd")
    wish = {"do": "accounts.add", "name": options.name, "password": _typed_password(options)}
    return _tell(_ask(options, wish), "is added")


def _passwd(options: argparse.Namespace) -> int:
    _ask(options, {"do": "accounts.one", "name": options.name})
    wish = {"do": "accounts.set_password", "name": options.name}
    answer = _ask(options, wish | {"password": _typed_password(options)})
    return _tell(answer, "has another password")


def _list(options: argparse.Namespace) -> int:
    found = _ask(options, {"do": "accounts.list"})["accounts"]
    rows = [_HEAD, *[_cells(one) for one in found]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return os.EX_OK


def _remove(options: argparse.Namespace) -> int:
    answer = _ask(options, {"do": "accounts.remove", "name": options.name})
    return _tell(answer, "is removed; its mail is left where it is")


def _disable(options: argparse.Namespace) -> int:
    wish = {"do": "accounts.set_enabled", "name": options.name, "is_enabled": False}
    return _tell(_ask(options, wish), "may not log in any more")


def _enable(options: argparse.Namespace) -> int:
    wish = {"do": "accounts.set_enabled", "name": options.name, "is_enabled": True}
    return _tell(_ask(options, wish), "may log in")


def _import(options: argparse.Namespace) -> int:
    """Take in a passwd-file: all of it is checked before the first account is made."""
    lines = list(_lines(options.file))
    parts = [lines[at : at + _LINES_AT_ONCE] for at in range(0, len(lines), _LINES_AT_ONCE)]
    faults: list[str] = []
    for number, part in enumerate(parts):
        answer = _answer(options, {"do": "accounts.import", "lines": part, "check": True})
        faults += [
            f"{options.file}:{number * _LINES_AT_ONCE + one['line']}: {one['why']}"
            for one in answer.get("misread", ())
        ]
        if answer.get("error", "misread") != "misread":
            raise FailedError(answer["message"])
    if faults:
        raise FailedError("\n".join([*faults, "some lines are refused; nothing was changed"]))
    count = sum(
        _ask(options, {"do": "accounts.import", "lines": part, "check": False})["count"]
        for part in parts
    )
    print(f"{count} accounts taken in.")
    return os.EX_OK


def _ask(options: argparse.Namespace, request: Json) -> Json:
    """The answer to *request*.

    Raises:
        FailedError: it is an error.
    """
    answer = _answer(options, request)
    if "error" in answer:
        raise FailedError(answer["message"])
    return answer


def _answer(options: argparse.Namespace, request: Json) -> Json:
    """The answer of the running server; where none runs, of the files.

    Raises:
        FailedError: neither can be asked.
    """
    line = json.dumps(request).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_CONNECT_SECONDS)
            asking.connect(str(options.data / CONTROL))
            asking.settimeout(_ANSWER_SECONDS)
            asking.sendall(line)
            with asking.makefile("rb") as said:
                told = said.readline()
    except (FileNotFoundError, ConnectionRefusedError):
        return _answer_offline(options.data, request, line)
    except OSError as error:
        raise FailedError(f"{options.data / CONTROL}: {error.strerror or error}") from None
    if not told:
        raise FailedError("the server has ended before it has answered")
    answer: Json = json.loads(told)
    return answer


def _answer_offline(data: Path, request: Json, line: bytes) -> Json:
    if not data.exists() and request["do"] not in _MAKES_FOLDER:
        raise FailedError(f"there is no folder {data}")
    from mailward_mailbox.serving.offline import answer_offline  # noqa: PLC0415 -- see cli/main.py

    try:
        return asyncio.run(answer_offline(data, line))
    except AccountError as error:
        raise FailedError(str(error)) from None


def _typed_password(options: argparse.Namespace) -> str:
    """A new password: typed twice, unseen, or one line of standard input.

    Raises:
        FailedError: there is none, or the two differ.
    """
    if options.password_stdin:
        try:
            password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise FailedError("the password is no UTF-8 text; nothing was changed") from None
    elif not sys.stdin.isatty():
        raise FailedError(
            "there is no terminal to ask for a password; send one with --password-stdin"
        )
    else:
        password = getpass("Password: ")
        if getpass("Again: ") != password:
            raise FailedError("the two passwords differ; nothing was changed")
    if not password:
        raise FailedError("the password is empty; nothing was changed")
    return password


def _tell(answer: Json, what: str) -> int:
    print(f"The account {answer['account']['name']} {what}.")
    return os.EX_OK


def _cells(account: Json) -> tuple[str, str, str, str]:
    return (
        account["name"],
        "yes" if account["is_enabled"] else "no",
        account["scheme"],
        "yes" if account["has_scram"] else "after the next login",
    )


def _lines(file: str) -> Iterator[str]:
    try:
        octets = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise FailedError(f"{file} cannot be read: {error.strerror}") from None
    for number, line in enumerate(octets.splitlines(), start=1):
        try:
            yield line.decode()
        except UnicodeDecodeError:
            raise FailedError(f"{file}:{number}: this is no UTF-8 text") from None
