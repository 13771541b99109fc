"""Lists of subjects, of any length: sent in parts, told as one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from mailward.app.cli.client import Daemon, Json, find_daemon
from mailward.app.cli.failures import EXIT_FAILED, EXIT_USAGE, FailedError, RefusedError
from mailward.app.cli.listfiles import Named, named_in_file
from mailward.app.cli.output import counted

BANS = "/api/bans"
MANY = 100
"""Of so many subjects not each is told that it went as it was wished."""
_MAX_SUBJECTS_HERE = 200_000  # in one request over the socket: some seconds
_MAX_SUBJECTS_FAR = 10_000
_MAX_OCTETS_HERE = 15_000_000  # so that a request stays below what the daemon takes
_MAX_OCTETS_FAR = 900_000
_TERMS_OCTETS = 20  # what stands around them in the request
_EXIT_INTERRUPTED = 130
_MARKS = 20


def named(options: argparse.Namespace) -> list[Named]:
    """The subjects of the command line and of its file.

    Raises:
        FailedError: the file cannot be read, or holds what is no subject.
    """
    found = [Named(text) for text in options.subjects]
    if options.file is not None:
        found += named_in_file(options.file)
    if not found and options.file is None:
        options.wrong("a subject is missing")
    if not all(one.text for one in found):
        options.wrong("a subject is empty; name an address, a network or a login")
    return found


def ask_for_all(
    options: argparse.Namespace, path: str, subjects: list[Named], wish: Mapping[str, Any]
) -> list[Json]:
    """The answers to the parts of *subjects*; before the first is changed all are checked.

    Raises:
        FailedError: something is refused, and nothing was changed; or the rest could not be done:
            then it says how many were.
    """
    daemon = find_daemon(options)
    asking = _Asking(daemon, path, wish, _Progress(len(subjects)))
    parts = list(_parts(subjects, is_here=daemon.is_here))
    try:
        if len(parts) > 1:
            asking.check(parts)
        return asking.change(parts, len(subjects))
    finally:
        asking.progress.end()


def _parts(subjects: Iterable[Named], *, is_here: bool) -> Iterator[list[Named]]:
    most = _MAX_SUBJECTS_HERE if is_here else _MAX_SUBJECTS_FAR
    most_octets = _MAX_OCTETS_HERE if is_here else _MAX_OCTETS_FAR
    part: list[Named] = []
    octets = 0
    for subject in subjects:
        size = len(json.dumps([subject.text, *subject.terms.items()])) + _TERMS_OCTETS
        if part and (len(part) >= most or octets + size > most_octets):
            yield part
            part, octets = [], 0
        part.append(subject)
        octets += size
    if part:
        yield part


class _Progress:
    """How far it is, for somebody who looks on: on a terminal, and nowhere else."""

    def __init__(self, all_: int) -> None:
        self._all = all_
        self._is_seen = sys.stderr.isatty() and all_ > MANY
        self._width = 0

    def show(self, doing: str, done: int) -> None:
        if self._is_seen:
            marks = "#" * (_MARKS * done // self._all)
            line = f"{doing} [{marks:<{_MARKS}}] {done} of {self._all}"
            self._write(line.ljust(self._width))
            self._width = len(line)

    def end(self) -> None:
        """Leave nothing of it on the screen."""
        if self._width:
            self._write(" " * self._width)
            self._write("")

    def _write(self, line: str) -> None:
        print(f"\r{line}", end="", file=sys.stderr, flush=True)


class _Asking(NamedTuple):
    daemon: Daemon
    path: str
    wish: Mapping[str, Any]
    progress: _Progress

    def check(self, parts: list[list[Named]]) -> None:
        faults: list[str] = []
        done = 0
        for part in parts:
            try:
                self._ask(part, check=True)
            except RefusedError as error:
                faults += _placed(error, part)
            done += len(part)
            self.progress.show("checking", done)
        if faults:
            raise FailedError("some subjects are refused; nothing was changed", faults)

    def change(self, parts: list[list[Named]], all_: int) -> list[Json]:
        answers: list[Json] = []
        done = 0
        self.progress.show("changing", done)
        for part in parts:
            try:
                answers.append(self._ask(part, check=False))
            except RefusedError as error:
                is_typed = error.is_wrong and not any(one.place for one in part)
                status = EXIT_USAGE if is_typed else EXIT_FAILED
                why = str(error) + _so_far(done, all_)
                raise FailedError(why, _placed(error, part), status) from None
            except FailedError as error:
                raise FailedError(str(error) + _so_far(done, all_)) from None
            except KeyboardInterrupt:
                why = f"interrupted{_so_far(done, all_, len(part))}"
                raise FailedError(why, status=_EXIT_INTERRUPTED) from None
            done += len(part)
            self.progress.show("changing", done)
        return answers

    def _ask(self, part: list[Named], *, check: bool) -> Json:
        wish = {**self.wish, "check": check}
        if self.path == BANS and any(one.terms for one in part):
            bans = [{"subject": one.text, **one.terms} for one in part]
            return self.daemon.post(self.path, {**wish, "bans": bans})
        return self.daemon.post(self.path, {**wish, "subjects": [one.text for one in part]})


def _so_far(done: int, all_: int, maybe: int = 0) -> str:
    """What is done already, where not all of it can be."""
    if not done and not maybe:
        return ""
    more = f", and perhaps the next {maybe}" if maybe else ""
    return f"; {done} of {counted(all_, 'subject')}{more} are done: run it again for all of them"


def _placed(error: RefusedError, part: list[Named]) -> list[str]:
    """The complaints, each with the place of the subject it is about."""
    if not error.complaints and len(part) == 1 and part[0].place:
        return [f"{part[0].place}: {error}"]
    lines = []
    for complaint in error.complaints:
        place = "" if complaint.place is None else part[complaint.place].place
        lines.append(f"{place}: {complaint.message}" if place else complaint.message)
    return lines
