"""What the store knows of the past, and what is told of bans: never before they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from mailward.guard.journal import Event, Journal
from mailward.guard.mirror import Mirror
from mailward.guard.observed import Observed
from mailward.guard.origins import with_origins
from mailward.guard.writer import Writer
from mailward.rules.model import Ban, Failure, Instant, Subject, SubjectKind
from mailward.rules.tallies import Tallies
from mailward.stores.port import Store, StoreError

_BITE = 500  # bans told together: they share a commit


class History:
    """Reads *store* behind *writer*, and writes the *journal* of the bans of two books."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        journal: Journal,
        tallies: Mapping[SubjectKind, Tallies],
        books: tuple[Mirror, Observed],
    ) -> None:
        self._store = store
        self._writer = writer
        self._journal = journal
        self._tallies = tallies
        self._mirror, self._observed = books

    async def failures(self, subject: Subject, at_most: int) -> list[Failure]:
        """The last *at_most* failures of *subject* with their details, oldest first.

        While the store cannot be read only their instants are known.
        """
        await self._writer.written()
        try:
            return list(await self._store.failures(subject, at_most))
        except StoreError:
            window = self._tallies[subject.kind].window(subject.name)[-at_most:]
            return [Failure(Instant(at), "", "") for at in window]

    async def announce(self, bans: Sequence[Ban], since: Instant, now: Instant) -> None:
        """Tell of *bans* when they are durable; those that fell before *since* are renewed."""
        if not bans:
            return
        await self._writer.written()
        for start in range(0, len(bans), _BITE):
            some = bans[start : start + _BITE]
            async with asyncio.TaskGroup() as tasks:
                for ban in some:
                    tasks.create_task(self.describe(ban, now))
            for ban in some:
                event = Event.BAN_ADDED if ban.since >= since else Event.BAN_RENEWED
                self._journal.ban(event, ban, now)

    async def describe(self, ban: Ban, now: Instant) -> None:
        """Let *ban* remember where its failures came from."""
        told = with_origins(ban, await self.failures(ban.subject, max(ban.failures, 1)))
        if told == ban:
            return
        if self._mirror.on(ban.subject) is ban:  # else it was lifted or replaced meanwhile
            self._mirror.describe(told, now)
        elif self._observed.on(ban.subject) is ban:
            self._observed.describe(told)

    async def prune(self, before: Instant, at_most: int) -> None:
        """Let the store forget up to *at_most* failures that no window can hold any more."""
        if self._writer.degraded:
            return
        try:
            await self._store.forget_before(before, at_most)
        except StoreError:
            return  # the next write meets the same trouble, and reports it
