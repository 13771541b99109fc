"""Writes behind: what changed is noted at once and goes to the store in batches.

A failing store bans nobody and lifts nothing: changes wait here, in their order, until it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mailward.guard.journal import Event, Journal
from mailward.guard.thinning import thinned
from mailward.rules.model import Instant
from mailward.stores.port import BanPut, Change, Store, StoreError

BATCH_SECONDS = 0.5
"""A failure is in the store within a second: half to wait, half to write."""

BATCH_CHANGES = 10_000
"""In a flood so many are written at once: what waits is memory, and the garbage collector looks
through it while everybody waits."""

SWITCH_SECONDS = 0.001
"""How long the loop may keep the interpreter from the store's thread (the default is 5 ms): a ban
is durable before its client is answered, and that should not take longer in a flood."""

MAX_WAITING_CHANGES = 200_000
"""While the store is away so much is remembered, and every ban; beyond it the oldest failures are
let go, then tokens, then ids of reports, then what was forgotten."""


class Writer:
    """The only one who writes to *store*. ``run`` has to run for anything to arrive there."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._noted: list[Change] = []
        self._waiting: list[asyncio.Future[bool]] = []
        self._wanted = asyncio.Event()
        self._closing = False
        self._stopped = asyncio.Event()
        self._stopped.set()
        self._now = Instant(0.0)
        self.degraded = ""
        """What is wrong with the store; empty while all is well."""

    @property
    def behind(self) -> int:
        """How many changes have not reached the store."""
        return len(self._noted)

    def note(self, change: Change, now: Instant) -> None:
        """Remember a change; it is written in its turn."""
        self._now = max(self._now, now)
        self._noted.append(change)
        if len(self._noted) == BATCH_CHANGES:
            self._wanted.set()

    def note_all(self, changes: Sequence[Change], now: Instant) -> None:
        """The same for many: they are in one commit."""
        self._now = max(self._now, now)
        self._noted += changes

    async def written(self) -> bool:
        """Wait until all that was noted is committed; what was noted just now, durably.

        Returns ``False`` at once while the store is degraded: nothing may hang on its recovery.
        """
        if self.degraded:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wanted.set()
        return await future

    async def run(self) -> None:
        """Write until :meth:`close` is called."""
        self._stopped.clear()
        while not self._closing:
            try:
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            await self._write()
        self._stopped.set()

    async def close(self) -> None:
        """Let the batch on its way arrive, write the rest, close the store."""
        self._closing = True
        self._wanted.set()
        await self._stopped.wait()
        await self._write()
        await self._store.close()

    async def _write(self) -> None:
        changes, self._noted = self._noted, []
        waiting, self._waiting = self._waiting, []
        well = True
        if changes:
            try:
                is_ban_in_it = any(isinstance(change, BanPut) for change in changes)
                await self._store.commit(changes, durable=bool(waiting) or is_ban_in_it)
            except StoreError as error:
                well = False
                self._keep(changes)
                self._degrade(str(error))
            else:
                self._recover()
        for future in waiting:
            if not future.done():
                future.set_result(well)

    def _keep(self, changes: list[Change]) -> None:
        self._noted = changes + self._noted
        if len(self._noted) > MAX_WAITING_CHANGES:
            # Well below, as it is not done in no time: not with every batch again.
            self._noted = thinned(self._noted, MAX_WAITING_CHANGES * 3 // 4)

    def _degrade(self, why: str) -> None:
        if not self.degraded:
            self._journal.write(Event.STORE_DEGRADED, self._now, reason=why)
        self.degraded = why

    def _recover(self) -> None:
        if self.degraded:
            self.degraded = ""
            self._journal.write(Event.STORE_RECOVERED, self._now)
