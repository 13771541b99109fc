"""The decision: what a counted failure leads to. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from mailward.rules.limits import count_failures
from mailward.rules.model import Ban, Instant, Reason, Subject
from mailward.rules.policy import Policy


@dataclass(frozen=True, slots=True)
class Tolerate:
    """Every subject is below its limit."""


@dataclass(frozen=True, slots=True)
class Banish:
    """At least one limit is reached: these bans fall."""

    bans: tuple[Ban, ...]


Verdict = Tolerate | Banish


def judge(windows: Mapping[Subject, array[float]], policy: Policy, now: Instant) -> Verdict:
    """Decide for subjects whose windows hold the failure in question already.

    The ban falls on the Nth failure, not on the one after it.
    """
    bans: list[Ban] = []
    for subject, window in windows.items():
        limit = policy.limit(subject.kind)
        if limit is None:
            continue
        failures = count_failures(window, limit, now)
        if failures >= limit.failures:
            until = policy.ban_until(subject.kind, limit, window, now)
            if until is None or until > now:
                bans.append(Ban(subject, Reason.AUTHENTICATION, now, until, failures))
    return Banish(tuple(bans)) if bans else Tolerate()
