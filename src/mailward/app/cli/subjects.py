"""The commands about bans: ``bans``, ``ban``, ``lift``, ``why`` and ``report``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mailward.app.cli.client import Json, below, find_daemon
from mailward.app.cli.failures import EXIT_FAILED, FailedError, RefusedError
from mailward.app.cli.output import counted, moment, print_json, print_lines, shown, table
from mailward.app.cli.story import story

MAX_SUBJECT_CHARACTERS = 1_000
_BATCH = 500  # subjects in one request, so that it stays below the daemon's 1 MB

_BAN_HEAD = ("SUBJECT", "REASON", "SINCE", "UNTIL", "FAILURES", "SERVICES", "NOTE")
_BAN_ELASTIC = (6, 5)


class Named(NamedTuple):
    """A subject as it was given. *place* is where, in a file."""

    text: str
    place: str = ""


def bans(options: argparse.Namespace) -> int:
    query = {"address": options.address, "login": options.login, "reason": options.reason}
    found = find_daemon(options).get("/api/bans", query)["bans"]
    if options.json:
        print_json(found)
    elif not found:
        print("There are no bans." if not any(query.values()) else "There are no such bans.")
    else:
        print_lines(table(_BAN_HEAD, [_ban_cells(ban) for ban in found], _BAN_ELASTIC))
        print(f"\n{counted(len(found), 'ban')}; times are UTC")
    return 0


def _ban_cells(ban: Json) -> tuple[str, ...]:
    return (
        ban["subject"],
        "only observed" if ban["observed"] else ban["reason"],
        moment(ban["since"])[:16],
        moment(ban["until"])[:16],
        str(ban["failures"]),
        " ".join(ban["services"]),
        ban["note"],
    )


def ban(options: argparse.Namespace) -> int:
    named = _named(options)
    wish = {"for": options.period, "note": options.note, "yes": options.yes}
    answers = list(_for_each_batch(options, "/api/bans", named, wish))
    _print_answers(options, answers, "bans")
    return 0


def lift(options: argparse.Namespace) -> int:
    if options.all:
        if options.subjects or options.file:
            options.wrong("--all goes without subjects")
        reason = options.reason or "authentication"
        answer = find_daemon(options).delete("/api/bans", {"reason": reason})
        if options.json:
            print_json(answer)
        else:
            print(answer["message"])
        return 0
    if options.reason:
        options.wrong("--reason goes with --all")
    answers = list(_for_each_batch(options, "/api/lifts", _named(options), {}))
    _print_answers(options, answers, "lifted")
    still = any(one["still"] is not None for answer in answers for one in answer["lifted"])
    return EXIT_FAILED if still else 0


def why(options: argparse.Namespace) -> int:
    answer = find_daemon(options).get(below("/api/why", options.subject))
    if options.json:
        print_json(answer)
    else:
        print_lines(story(answer))
    return 0


def report(options: argparse.Namespace) -> int:
    given = {
        "address": options.address,
        "login": options.login,
        "service": options.service,
        "time": options.time,
    }
    path = "/api/failures" if options.outcome == "failure" else "/api/successes"
    body = {name: value for name, value in given.items() if value is not None}
    answer = find_daemon(options).post(path, body)
    if options.json:
        print_json(answer)
        return 0
    if options.outcome == "success":
        print("The success is noted.")
    else:
        print(f"Counted for {shown(', '.join(answer['counted'])) or 'nobody: it is allowed'}.")
    for fallen in answer["bans"]:
        print(f"{shown(fallen['subject'])} is banned.")
    _print_warning(answer)
    return 0


# -- subjects from the command line and from files -----------------------------------------------


def _named(options: argparse.Namespace) -> list[Named]:
    named = [Named(text) for text in options.subjects]
    if options.file is not None:
        named += _named_in_file(options.file)
    if not named and options.file is None:
        options.wrong("a subject is missing")
    return named


def _named_in_file(file: str) -> Iterator[Named]:
    """One subject a line; ``#`` at the start or behind a blank begins a comment."""
    for number, line in enumerate(_octets(file).splitlines(), start=1):
        place = f"{file}:{number}"
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise FailedError(f"{place}: this is no UTF-8 text; nothing was changed") from None
        words = text.split()
        comment = next((i for i, word in enumerate(words) if word.startswith("#")), len(words))
        text = " ".join(words[:comment])
        if len(text) > MAX_SUBJECT_CHARACTERS:
            raise FailedError(f"{place}: no subject is that long; nothing was changed")
        if text:
            yield Named(text, place)


def _octets(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise FailedError(f"{file} cannot be read: {error.strerror}") from None


def _for_each_batch(
    options: argparse.Namespace, path: str, named: list[Named], wish: Mapping[str, Any]
) -> Iterator[Json]:
    """Ask for all of *named* in requests of a bearable size; before the first all are checked."""
    daemon = find_daemon(options)
    batches = [named[start : start + _BATCH] for start in range(0, len(named), _BATCH)]
    given = {name: value for name, value in wish.items() if value is not None}

    def ask(batch: list[Named], *, check: bool) -> Json:
        subjects = [one.text for one in batch]
        return daemon.post(path, {**given, "subjects": subjects, "check": check})

    if len(batches) > 1:
        _check(batches, lambda batch: ask(batch, check=True))
    for batch in batches:
        try:
            yield ask(batch, check=False)
        except RefusedError as error:
            raise FailedError(str(error), _placed(error, batch)) from None


def _check(batches: Iterable[list[Named]], ask: Callable[[list[Named]], Json]) -> None:
    faults: list[str] = []
    for batch in batches:
        try:
            ask(batch)
        except RefusedError as error:
            faults += _placed(error, batch)
    if faults:
        raise FailedError("some subjects are refused; nothing was changed", faults)


def _placed(error: RefusedError, batch: list[Named]) -> list[str]:
    """The complaints, each with the place of the subject it is about."""
    if not error.complaints and len(batch) == 1 and batch[0].place:
        return [f"{batch[0].place}: {error}"]
    lines = []
    for complaint in error.complaints:
        place = "" if complaint.place is None else batch[complaint.place].place
        lines.append(f"{place}: {complaint.message}" if place else complaint.message)
    return lines


def _print_answers(options: argparse.Namespace, answers: list[Json], field: str) -> None:
    if options.json:
        print_json([one for answer in answers for one in answer[field]])
        return
    for answer in answers:
        for one in answer[field]:
            print(shown(one["message"]))
    if answers:
        _print_warning(answers[-1])


def _print_warning(answer: Json) -> None:
    if "warning" in answer:
        print(answer["warning"])
