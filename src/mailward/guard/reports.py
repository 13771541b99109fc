"""What programs with doors of their own tell: counted like what ours see, however late it comes.

Whoever lets people in beside our doors (a webmail, a VPN, a script) reports what it saw, one by one
or thousands at once, and may ask beforehand who is banned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, unique

from mailward.guard.service import Guard
from mailward.rules.judge import Banish, Tolerate
from mailward.rules.model import Attempt, Ban, Instant, Outcome, Subject

_BITE = 100  # reports taken between two looks at the connections: a few milliseconds


@dataclass(frozen=True, slots=True)
class Report:
    """What became of *attempt* elsewhere at *at* (``None``: just now).

    *digest* stands for its id, by which a repeated one is known.
    """

    attempt: Attempt
    outcome: Outcome
    at: Instant | None = None
    digest: bytes | None = None


@unique
class Fate(Enum):
    """What became of a report. Only an accepted one counts."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    TOO_OLD = "too old"


@dataclass(frozen=True, slots=True)
class Taken:
    """The fate of each report, in their order, and the *bans* that fell, which are durable."""

    fates: tuple[Fate, ...]
    bans: tuple[Ban, ...]


async def take_reports(
    guard: Guard, reports: Sequence[Report], clock: Callable[[], Instant]
) -> Taken:
    """Take all of *reports* that can be; one that cannot be harms no other."""
    began, reported = clock(), guard.reported
    fates: list[Fate] = []
    fallen: dict[Subject, Ban] = {}
    for start in range(0, len(reports), _BITE):
        now = clock()
        fresh: dict[bytes, None] = {}
        for report in reports[start : start + _BITE]:
            if report.digest is not None and (report.digest in fresh or report.digest in reported):
                fates.append(Fate.REPEATED)
                continue
            fate, bans = _take(guard, report, now)
            fates.append(fate)
            if fate is Fate.ACCEPTED and report.digest is not None:
                fresh[report.digest] = None
            # Of several for one subject the last stands: a ban that lasts while its window is full
            # gets longer with each further failure.
            fallen.update((ban.subject, ban) for ban in bans)
        # Before anybody else has his turn, so that failures and ids are of one commit; and behind
        # all of the failures, as a store is quick with many changes of one kind in a row.
        reported.add(fresh, now)
        await asyncio.sleep(0)
    await guard.history.announce(tuple(fallen.values()), began, clock())
    return Taken(tuple(fates), tuple(guard.mirror.on(who) or ban for who, ban in fallen.items()))


def _take(guard: Guard, report: Report, now: Instant) -> tuple[Fate, tuple[Ban, ...]]:
    at = now if report.at is None else report.at
    try:
        verdict = guard.take(report.attempt, report.outcome, at, now)
    except ValueError:
        return Fate.TOO_OLD, ()
    match verdict:
        case Tolerate():
            return Fate.ACCEPTED, ()
        case Banish(bans):
            return Fate.ACCEPTED, bans


def counted_for(guard: Guard, report: Report, now: Instant) -> tuple[Subject, ...]:
    """The subjects that *report*, which was accepted at *now*, counts for."""
    match report.outcome:
        case Outcome.SUCCEEDED | Outcome.UNAVAILABLE | Outcome.EXPIRED:
            return ()
        case Outcome.FAILED:
            age = 0.0 if report.at is None else now - report.at
            return tuple(
                subject
                for subject in guard.policy.subjects(report.attempt)
                if (limit := guard.policy.limit(subject.kind)) and age < limit.period_seconds
            )


def bans_on(guard: Guard, attempt: Attempt, now: Instant) -> tuple[Ban, ...]:
    """The bans that would refuse *attempt*: one on its address, one on its login."""
    named = attempt.named
    found = (
        guard.admit(attempt.address, now, is_direct=attempt.is_direct),
        (
            None
            if named is None
            else guard.mirror.covering(named, now, by_hand=guard.policy.observes(named.kind))
        ),
    )
    return tuple(ban for ban in found if ban is not None)
