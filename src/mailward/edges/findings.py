"""What asking the guard and a backend can come to, whatever the protocol; each says how it ends."""

from __future__ import annotations

from dataclasses import dataclass

from mailward.guard.reservations import Refused
from mailward.rules.judge import Banish, Tolerate, Verdict
from mailward.rules.model import SubjectKind


@dataclass(frozen=True, slots=True)
class Wrong:
    """The credentials are wrong. *is_last*: that was the guess that banned."""

    is_last: bool


@dataclass(frozen=True, slots=True)
class Later:
    """Nobody can say now: a banned login, too many guesses for it, a backend that does not judge.

    Where a protocol tells that last one apart it has a finding of its own.
    """


@dataclass(frozen=True, slots=True)
class ShutOut:
    """The address is banned."""


def wrong(verdict: Verdict) -> Wrong:
    """A guess that was wrong, and *verdict* what followed."""
    match verdict:
        case Banish():
            return Wrong(is_last=True)
        case Tolerate():
            return Wrong(is_last=False)


def refusal(refused: Refused) -> ShutOut | Later:
    """What the ban on an address, or on a login, means for whoever asks."""
    return ShutOut() if refused.ban.subject.kind is SubjectKind.ADDRESS else Later()
