"""The commands about bans: ``bans``, ``ban``, ``lift`` and ``why``."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping

from mailward.app.cli.client import Json, below, find_daemon
from mailward.app.cli.failures import EXIT_FAILED
from mailward.app.cli.listfiles import Named, list_line
from mailward.app.cli.lists import BANS, MANY, ask_for_all, named
from mailward.app.cli.output import (
    counted,
    moment,
    print_json,
    print_lines,
    print_warning,
    quoted,
    shown,
    table,
)
from mailward.app.cli.story import story

_BAN_HEAD = ("SUBJECT", "REASON", "SINCE", "UNTIL", "FAILURES", "SERVICES", "NOTE")
_BAN_ELASTIC = (6, 5)
_KINDS: Mapping[str, Callable[[int], str]] = {
    "address": lambda n: "1 address or network" if n == 1 else f"{n} addresses or networks",
    "login": lambda n: counted(n, "login"),
    "operator": lambda n: counted(n, "operator"),
}
_MAX_PAGE = 10_000  # the daemon gives no more at once


def bans(options: argparse.Namespace) -> int:
    query = {"address": options.address, "login": options.login, "reason": options.reason}
    found, total = _found(options, query)
    if options.json:
        print_json(found)
    elif options.format == "list":
        print_lines(list_line(ban) for ban in found if not ban["observed"])
    elif not found:
        print("There are no bans." if not any(query.values()) else "There are no such bans.")
    else:
        print_lines(table(_BAN_HEAD, [_ban_cells(ban) for ban in found], _BAN_ELASTIC))
        shown_of = f"the first {len(found)} of " if total > len(found) else ""
        print(f"\n{shown_of}{counted(total, 'ban')}; times are UTC")
    return 0


def _found(options: argparse.Namespace, query: Mapping[str, str | None]) -> tuple[list[Json], int]:
    """The bans that are asked for, and how many there are."""
    daemon = find_daemon(options)
    if options.limit is None:
        bans = daemon.get("/api/bans", query)["bans"]
        return (_sorted(bans, options.sort) if options.sort else bans), len(bans)
    found: list[Json] = []
    after = None
    while True:
        left = min(options.limit - len(found), _MAX_PAGE)
        paging = {"limit": str(left), "sort": options.sort, "after": after}
        page = daemon.get("/api/bans", {**query, **paging})
        found += page["bans"]
        after = page["next"]
        if after is None or len(found) >= options.limit:
            return found, page["total"]


def _sorted(bans: list[Json], order: str) -> list[Json]:
    """The same order as the daemon's."""
    bans = sorted(bans, key=lambda ban: f"{ban['kind']}:{ban['name']}")
    if order == "since":
        bans.sort(key=lambda ban: str(ban["since"]), reverse=True)
    elif order == "until":
        bans.sort(key=lambda ban: (ban["until"] is None, ban["until"] or ""))
    elif order == "failures":
        bans.sort(key=lambda ban: -int(ban["failures"]))
    return bans


def _ban_cells(ban: Json) -> tuple[str, ...]:
    return (
        quoted(ban["subject"]),
        "only observed" if ban["observed"] else ban["reason"],
        moment(ban["since"])[:16],
        "until lifted" if ban["until"] is None else moment(ban["until"])[:16],
        str(ban["failures"]),
        " ".join(ban["services"]),
        ban["note"],
    )


def ban(options: argparse.Namespace) -> int:
    subjects = named(options)
    brief = _is_brief(options, subjects)
    wish = {
        "for": options.period,
        "note": options.note,
        "yes": options.yes,
        "close": options.close,
        "brief": brief,
    }
    given = {name: value for name, value in wish.items() if value is not None}
    answers = ask_for_all(options, BANS, subjects, given)
    _print_answers(options, answers, "bans")
    if brief:
        print(f"{_all_of(answers)} banned.")
        unseen = sum(answer["unseen"] for answer in answers)
        if unseen:
            print(f"No attempt is on record for {counted(unseen, 'login')} of them.")
    ended = sum(answer["ended"] for answer in answers)
    if ended and not options.json:
        print(f"{counted(ended, 'ban')} had ended already: nothing was changed for them.")
    closed = sum(answer["closed"] for answer in answers)
    if (closed or options.close) and not options.json:
        print(f"{counted(closed, 'session')} {'is' if closed == 1 else 'are'} closed.")
    return 0


def lift(options: argparse.Namespace) -> int:
    if options.all:
        if options.subjects or options.file or options.inside:
            options.wrong("--all goes without subjects, and without --inside")
        reason = options.reason or "authentication"
        answer = find_daemon(options).delete("/api/bans", {"reason": reason})
        if options.json:
            print_json(answer)
        else:
            print(answer["message"])
        return 0
    if options.reason:
        options.wrong("--reason goes with --all")
    subjects = named(options)
    brief = _is_brief(options, subjects)
    wish = {"brief": brief, "inside": options.inside}
    answers = ask_for_all(options, "/api/lifts", subjects, wish)
    _print_answers(options, answers, "lifted")
    if brief:
        print(f"{_all_of(answers)} lifted, but for what is said above.")
    still = any(one["still"] is not None for answer in answers for one in answer["lifted"])
    return EXIT_FAILED if still else 0


def why(options: argparse.Namespace) -> int:
    if not options.subject:
        options.wrong("the subject is empty; name an address, a network or a login")
    answer = find_daemon(options).get(below("/api/why", options.subject))
    if options.json:
        print_json(answer)
    else:
        print_lines(story(answer))
    return 0


def _is_brief(options: argparse.Namespace, subjects: list[Named]) -> bool:
    return len(subjects) > MANY and not options.json


def _all_of(answers: list[Json]) -> str:
    """How many of each kind there were.

    >>> _all_of([{"kinds": {"address": 2, "login": 1, "operator": 0}}])
    '2 addresses or networks and 1 login are'
    """
    kinds = Counter[str]()
    for answer in answers:
        kinds.update(answer["kinds"])
    told = [_KINDS[kind](count) for kind, count in kinds.items() if count]
    return f"{' and '.join(told) or 'no subjects'} {'is' if kinds.total() == 1 else 'are'}"


def _print_answers(options: argparse.Namespace, answers: list[Json], field: str) -> None:
    if options.json:
        print_json([one for answer in answers for one in answer[field]])
        return
    for answer in answers:
        for one in answer[field]:
            print(shown(one["message"]))
    if answers:
        print_warning(answers[-1])
