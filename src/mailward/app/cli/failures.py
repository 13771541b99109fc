"""How a command fails: what is said, and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h


class Complaint(NamedTuple):
    """One of several things the daemon has against a request; *place* is where in a list."""

    message: str
    place: int | None


class FailedError(Exception):
    """The command cannot do what it should; the message says why and what to do.

    *lines* tell more, one thing each.
    """

    def __init__(self, message: str, lines: Sequence[str] = (), status: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.lines = tuple(lines)
        self.status = status


class UnreachableError(FailedError):
    """The daemon is not there, or not able to answer: it may be later."""


class RefusedError(FailedError):
    """The daemon refused. *is_wrong*: what was asked can never be right, whatever the state is."""

    def __init__(self, message: str, complaints: Sequence[Complaint], *, is_wrong: bool) -> None:
        status = EXIT_USAGE if is_wrong and not complaints else EXIT_FAILED
        super().__init__(message, [complaint.message for complaint in complaints], status)
        self.complaints = tuple(complaints)
        self.is_wrong = is_wrong
