"""The command ``sessions``: who is logged in, and the end of that."""

from __future__ import annotations

import argparse
from typing import Any

from mailward.app.cli.client import Json, find_daemon
from mailward.app.cli.output import (
    counted,
    moment,
    print_json,
    print_lines,
    quoted,
    shown,
    table,
)

USUAL_LIMIT = 1_000
_CLOSE = "close"
_MAX_PAGE = 10_000  # the daemon gives no more at once
_HEAD = ("LOGIN", "ADDRESS", "DOOR", "SERVICE", "SINCE", "IN", "OUT", "MAILBOX")
_ELASTIC = (7, 2)


def sessions(options: argparse.Namespace) -> int:
    """List them, or with the word ``close`` in front of subjects end theirs."""
    if "" in options.words:
        options.wrong("a subject is empty; name an address, a network or a login")
    match options.words:
        case ["close"]:
            options.wrong(f"a subject is missing; a login of that name is login:{_CLOSE}")
        case ["close", *subjects]:
            return _close(options, subjects)
        case []:
            return _list(options, None)
        case [subject]:
            return _list(options, subject)
        case _:
            options.wrong("one subject at most can be listed")
    return 0  # not reached: wrong usage ends the program


def _list(options: argparse.Namespace, subject: str | None) -> int:
    found, total = _found(options, subject)
    if options.json:
        print_json(found)
    elif not found:
        print(
            "No session is open." if subject is None else f"No session of {shown(subject)} is open."
        )
    else:
        print_lines(table(_HEAD, [_cells(one) for one in found], _ELASTIC))
        first = f"the first {len(found)} of " if total > len(found) else ""
        print(f"\n{first}{counted(total, 'session')}; octets in and out; times are UTC")
    return 0


def _found(options: argparse.Namespace, subject: str | None) -> tuple[list[Json], int]:
    """The sessions that are asked for, and how many there are."""
    daemon = find_daemon(options)
    found: list[Json] = []
    after = None
    while True:
        left = min(options.limit - len(found), _MAX_PAGE)
        page = daemon.get("/api/sessions", {"subject": subject, "limit": str(left), "after": after})
        found += page["sessions"]
        if page["next"] is None or len(found) >= options.limit:
            return found, page["total"]
        after = str(page["next"])


def _cells(one: Json) -> tuple[str, ...]:
    is_other = one["mailbox"] not in {None, one["login"]}
    return (
        quoted(one["subject"]) if one["subject"] else "(token)",
        one["address"],
        one["listener"],
        one["service"],
        moment(one["since"])[:16],
        str(one["received"]),
        str(one["sent"]),
        one["mailbox"] if is_other else "",
    )


def _close(options: argparse.Namespace, subjects: list[str]) -> int:
    wish: dict[str, Any] = {"subjects": subjects, "yes": options.yes}
    answer = find_daemon(options).post("/api/sessions/close", wish)
    if options.json:
        print_json(answer)
    else:
        print(shown(answer["message"]))
    return 0
