"""What an operator may wish for, and what he is answered: that it is done, or why it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, unique

from mailward.rules.addresses import subject_network
from mailward.rules.limits import LimitError, parse_period
from mailward.rules.model import Instant, Network, Reason, Subject, SubjectKind

KEPT_IN_MEMORY = "The store is away: this is kept in memory until it is back."
MAX_NOTE_CHARACTERS = 500  # a note is a line in a table, not a document


@dataclass(frozen=True, slots=True)
class Done:
    """A change that is made. *stored* is ``False`` while the store has not got it."""

    message: str
    stored: bool


@unique
class Refusal(Enum):
    """Why nothing was done."""

    WRONG = "wrong"
    """What was asked makes no sense."""
    ABSENT = "absent"
    """It is about something that does not exist."""
    CONFLICT = "conflict"
    """Something else stands in the way, or has to be confirmed."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One of several things that are wrong; *index* is its place in a list that was sent."""

    message: str
    index: int | None = None


class RefusedError(Exception):
    """The operator's wish was not (wholly) met; the message says why and what to do."""

    def __init__(self, why: Refusal, message: str, complaints: Sequence[Complaint] = ()) -> None:
        super().__init__(message)
        self.why = why
        self.complaints = tuple(complaints)


def done(message: str, *, stored: bool) -> Done:
    """A change with what there is to say of the store."""
    return Done(message if stored else f"{message} {KEPT_IN_MEMORY}", stored)


@unique
class Unsaid(Enum):
    """Instead of a value: what the wish as a whole says holds."""

    UNSAID = "unsaid"


@dataclass(frozen=True, slots=True)
class Asked:
    """A subject to be banned, with what is said of it alone (*until* ``None``: until lifted)."""

    subject: str
    until: Instant | Unsaid | None = Unsaid.UNSAID
    reason: Reason = Reason.MANUAL
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A ban that is asked for: on each of *asked* for *period* (``None``: until lifted).

    *yes* confirms a ban on everybody; with *check* it is only asked what would be wrong. *close*
    ends the sessions of banned addresses, too; those of a login end in any case.
    """

    asked: Sequence[Asked]
    period: str | None = None
    note: str = ""
    yes: bool = False
    check: bool = False
    close: bool = False


def read_period(text: str) -> timedelta | None:
    """How long a ban is to last; ``never`` is until it is lifted.

    Raises:
        RefusedError: it is no period.
    """
    if text.strip().casefold() == "never":
        return None
    try:
        return parse_period(text)
    except LimitError as error:
        raise RefusedError(Refusal.WRONG, str(error)) from None


def check_note(note: str) -> None:
    """See that *note* is one line that can be shown.

    Raises:
        RefusedError: it is not.
    """
    if len(note) > MAX_NOTE_CHARACTERS or not note.isprintable():
        raise RefusedError(
            Refusal.WRONG,
            f"a note is one line of at most {MAX_NOTE_CHARACTERS} printable characters",
        )


def check_everybody(network: Network, *, yes: bool) -> None:
    """See that a network of everybody is meant.

    Raises:
        RefusedError: it was not confirmed.
    """
    if network.prefixlen == 0 and not yes:
        raise RefusedError(
            Refusal.CONFLICT, f"{network} is everybody; repeat it with --yes if that is meant"
        )


def check_subject(subject: Subject, *, yes: bool) -> None:
    """The same for a subject.

    Raises:
        RefusedError: it is everybody, and that was not confirmed.
    """
    if subject.kind is SubjectKind.ADDRESS:
        check_everybody(subject_network(subject), yes=yes)
