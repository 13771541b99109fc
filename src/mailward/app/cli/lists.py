"""Lists of subjects, of any length: read from a file, sent in parts, told as one."""

from __future__ import annotations

import argparse
import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from mailward.app.cli.client import Daemon, Json, find_daemon
from mailward.app.cli.failures import FailedError, RefusedError
from mailward.app.cli.output import counted

MAX_SUBJECT_CHARACTERS = 1_000
MANY = 100
"""Of so many subjects not each is told that it went as it was wished."""
_MAX_SUBJECTS_HERE = 200_000  # in one request over the socket: some seconds
_MAX_SUBJECTS_FAR = 10_000
_MAX_OCTETS_HERE = 15_000_000  # so that a request stays below what the daemon takes
_MAX_OCTETS_FAR = 900_000
_MAX_LINE_OCTETS = 10_000_000  # for all of a list whose lines end in CR alone
_EXIT_INTERRUPTED = 130
_MARKS = 20


class Named(NamedTuple):
    """A subject as it was given. *place* is where, in a file."""

    text: str
    place: str = ""


def named(options: argparse.Namespace) -> list[Named]:
    """The subjects of the command line and of its file.

    Raises:
        FailedError: the file cannot be read, or holds what is no subject.
    """
    found = [Named(text) for text in options.subjects]
    if options.file is not None:
        found += _named_in_file(options.file)
    if not found and options.file is None:
        options.wrong("a subject is missing")
    return found


def _named_in_file(file: str) -> Iterator[Named]:
    """One subject a line; ``#`` at the start or behind a blank begins a comment."""
    for number, line in enumerate(_lines(file), start=1):
        place = f"{file}:{number}"
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise FailedError(f"{place}: this is no UTF-8 text; nothing was changed") from None
        words = text.split()
        comment = next((i for i, word in enumerate(words) if word.startswith("#")), len(words))
        text = " ".join(words[:comment])
        if any(unicodedata.category(char) == "Cc" for char in text):
            # Counted, such a name stands under a digest: nobody would see what he has banned.
            raise FailedError(f"{place}: this is no text; nothing was changed")
        if len(text) > MAX_SUBJECT_CHARACTERS:
            raise FailedError(f"{place}: no subject is that long; nothing was changed")
        if text:
            yield Named(text, place)


def _lines(file: str) -> Iterator[bytes]:
    """Every line, however it ends. A device that never ends one does not fill the memory."""
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as octets:
            while line := octets.readline(_MAX_LINE_OCTETS):
                if len(line) == _MAX_LINE_OCTETS:
                    raise FailedError(f"{file}: this is no list of subjects; nothing was changed")
                yield from line.splitlines()
    except OSError as error:
        raise FailedError(f"{file} cannot be read: {error.strerror}") from None


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
        size = len(json.dumps(subject.text)) + 2
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
                raise FailedError(str(error) + _so_far(done, all_), _placed(error, part)) from None
            except FailedError as error:
                raise FailedError(str(error) + _so_far(done, all_)) from None
            except KeyboardInterrupt:
                why = f"interrupted{_so_far(done, all_, len(part))}"
                raise FailedError(why, status=_EXIT_INTERRUPTED) from None
            done += len(part)
            self.progress.show("changing", done)
        return answers

    def _ask(self, part: list[Named], *, check: bool) -> Json:
        subjects = [one.text for one in part]
        return self.daemon.post(self.path, {**self.wish, "subjects": subjects, "check": check})


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
