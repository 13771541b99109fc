"""Lets bans and tallies end, in small bites: a sweep never holds up a connection for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain, islice

from mailward.guard.journal import Event
from mailward.guard.service import Guard
from mailward.rules.limits import MAX_PERIOD
from mailward.rules.model import Instant, Subject, SubjectKind
from mailward.rules.policy import Policy

SWEEP_SECONDS = 1.0
_BITE = 500  # steps between two looks at the connections
_BITES = 40
_MAX_PRUNED = 20_000
_DESCRIBED = 200  # bans of each book that learn at once where their failures came from


class Sweep:
    """The housekeeping of *guard*. ``once`` is to be called every :data:`SWEEP_SECONDS`."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._judged_by: Policy | None = None
        self._unjudged: Iterator[Subject] = iter(())
        self._evicted = 0

    async def once(self, now: Instant) -> None:
        """End what is over at *now*, and judge what a new policy has to say of old tallies."""
        # First: what a flood has left to tell does not wait for what takes long, or fails.
        self._guard.drops.report(now)
        self._guard.journal.report(now)
        await self._end_bans(now)
        await self._judge_anew(now)
        books = (self._guard.mirror, self._guard.observed)
        async with asyncio.TaskGroup() as tasks:  # together: they wait for one commit
            for ban in chain.from_iterable(book.undescribed(_DESCRIBED) for book in books):
                tasks.create_task(self._guard.history.describe(ban, now))
        self._forget_idle(now)
        self._guard.falling.shared.forget_old(now, _BITE)
        self._guard.advance_all(now)
        if evicted := self._guard.counts.evicted - self._evicted:
            self._guard.journal.write(Event.TALLY_EVICTED, now, count=evicted)
            self._evicted += evicted
        oldest = self._oldest_that_counts(now)
        self._guard.reported.forget(oldest, now, _BITE)
        await self._guard.history.prune(oldest, _MAX_PRUNED)

    async def _end_bans(self, now: Instant) -> None:
        for _ in range(_BITES):
            over = [
                *self._guard.mirror.ended(now, _BITE),
                *self._guard.observed.ended(now, _BITE),
            ]
            if not over:
                return
            for ban in over:
                self._guard.end(ban.subject, now)
            await asyncio.sleep(0)

    async def _judge_anew(self, now: Instant) -> None:
        if self._judged_by is not self._guard.policy:
            self._judged_by = self._guard.policy
            # The names alone, of those that may be at their limit: there may be a million tallies.
            counted = [
                (kind, list(tallies.names(limit.failures)))
                for kind, tallies in self._guard.tallies.items()
                if (limit := self._guard.policy.limit(kind))
            ]
            self._unjudged = (Subject(kind, name) for kind, names in counted for name in names)
        for _ in range(_BITES):
            subjects = list(islice(self._unjudged, _BITE))
            if not subjects:
                return
            for subject in subjects:
                self._guard.rejudge(subject, now)
            await asyncio.sleep(0)

    def _forget_idle(self, now: Instant) -> None:
        for kind, tallies in self._guard.tallies.items():
            limit = self._guard.policy.limit(kind)
            if limit is not None:
                tallies.forget_idle(limit, now, _BITE)

    def _oldest_that_counts(self, now: Instant) -> Instant:
        limits = [limit for kind in SubjectKind if (limit := self._guard.policy.limit(kind))]
        longest = max((limit.period for limit in limits), default=MAX_PERIOD)
        return Instant(now - longest.total_seconds())
