"""What asking the guard and a backend can come to, whatever the protocol; each says how it ends."""

from __future__ import annotations

from dataclasses import dataclass

from mailward.guard.reservations import Refused
from mailward.rules.judge import Banish, Tolerate, Verdict
from mailward.rules.model import Reason, SubjectKind
from mailward.wire.door import Obstacle


@dataclass(frozen=True, slots=True)
class Wrong:
    """The credentials are wrong. *is_last*: that was the guess that banned."""

    is_last: bool


@dataclass(frozen=True, slots=True)
class Later:
    """The login is not possible now, for the reason *why*.

    Where a protocol tells an outage of the backend apart, that is a finding of its own there.
    """

    why: Obstacle


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
    """What the ban on an address, or on a login, means for the client."""
    if refused.ban.kind is SubjectKind.ADDRESS:
        return ShutOut()
    match refused.ban.reason:
        case Reason.AUTHENTICATION:
            return Later(Obstacle.TOO_MANY_FAILURES)
        case Reason.MANUAL:
            return Later(Obstacle.LOCKED)
