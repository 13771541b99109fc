"""Every object of the daemon, made by hand in one place: read it to see the whole program."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from mailward.app.logs import set_up_logs
from mailward.backends.port import Backend
from mailward.backends.upstream import Upstream, offer_from_text, offer_to_text
from mailward.edges.doors import Doors, Prepared
from mailward.edges.lobby import Lobby
from mailward.edges.session import House
from mailward.guard.journal import Journal
from mailward.guard.service import Guard
from mailward.guard.sweep import SWEEP_SECONDS, Sweep
from mailward.rules.model import Instant
from mailward.settings.configuration import Configuration, Protocol, StoreSettings, StoreType
from mailward.stores.memory import MemoryStore
from mailward.stores.port import Contents, FactPut, Store
from mailward.stores.sqlite import SqliteStore

LAST_WORDS_SECONDS = 2.0  # for what is still to be sent when the daemon stops
SETTLING_STEPS = 20

_log = logging.getLogger("mailward.daemon")

Clock = Callable[[], Instant]


def choose_store(settings: StoreSettings, data: Path) -> Store:
    match settings.type:
        case StoreType.SQLITE:
            return SqliteStore(data / settings.path)
        case StoreType.MEMORY:
            return MemoryStore()


class Program:
    """The running daemon. *tasks* is where everything that runs beside something else lives."""

    def __init__(
        self,
        configuration: Configuration,
        store: Store,
        contents: Contents,
        clock: Clock,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._clock = clock
        self._tasks = tasks
        self._facts = dict(contents.facts)
        self._upstreams: dict[tuple[str, Protocol], tuple[Upstream, asyncio.Task[None]]] = {}
        self._running: list[asyncio.Task[None]] = []
        self.journal = Journal()
        self.guard = Guard(store, configuration.policy, self.journal, contents, clock())
        self.lobby = Lobby(
            configuration.doors.max_waiting, configuration.doors.max_waiting_per_address
        )
        self.doors = Doors(House(self.guard, self.lobby, clock, tasks), platform.node())

    def start(self, prepared: Prepared) -> None:
        """Begin the housekeeping and open the doors."""
        self._running = [
            self._tasks.create_task(self._sweep(Sweep(self.guard))),
            self._tasks.create_task(self.doors.follow_bans()),
        ]
        self._tasks.create_task(self.guard.writer.run())
        self._open(prepared)

    async def adopt(self, configuration: Configuration) -> None:
        """Put *configuration* in the place of the one in use, as a whole or not at all.

        Raises:
            SettingsError: a new socket cannot be opened; nothing has changed.
        """
        prepared = self.doors.prepare(configuration)
        set_up_logs(configuration.log)
        self.guard.adopt(configuration.policy, self._clock())
        self._open(prepared)

    def upstreams(self) -> list[Upstream]:
        return [upstream for upstream, _ in self._upstreams.values()]

    async def shut(self) -> None:
        """Shut the doors, and give the guesses under way a moment to be settled."""
        for task in (*self._running, *(task for _, task in self._upstreams.values())):
            task.cancel()
        await self.doors.shut(LAST_WORDS_SECONDS)
        for _ in range(SETTLING_STEPS):
            if not self.guard.reservations.under_way:
                return
            await asyncio.sleep(LAST_WORDS_SECONDS / SETTLING_STEPS)

    async def close(self) -> None:
        """Write down what is still only in memory."""
        await self.guard.writer.close()

    def _open(self, prepared: Prepared) -> None:
        self.doors.apply(prepared, self._backends(prepared.configuration))

    def _backends(self, configuration: Configuration) -> Mapping[tuple[str, Protocol], Backend]:
        """One backend for each protocol it is asked in; those that did not change stay."""
        wanted = {(listener.backend, listener.protocol) for listener in configuration.listeners}
        for gone in self._upstreams.keys() - wanted:
            self._upstreams.pop(gone)[1].cancel()
        for name, protocol in wanted:
            settings = configuration.upstreams[name]
            known = self._upstreams.get((name, protocol))
            if known is not None:
                if known[0].settings == settings:
                    continue
                known[1].cancel()
            fact = f"offer:{protocol.value}:{name}"
            upstream = Upstream(
                settings,
                protocol,
                offer_from_text(self._facts.get(fact, "")),
                partial(self._remember, fact),
            )
            probing = self._tasks.create_task(upstream.keep_probing())
            self._upstreams[name, protocol] = (upstream, probing)
        return {key: upstream for key, (upstream, _) in self._upstreams.items()}

    def _remember(self, fact: str, offer: Sequence[str]) -> None:
        value = self._facts[fact] = offer_to_text(offer)
        self.guard.writer.note(FactPut(fact, value), self._clock())

    async def _sweep(self, sweep: Sweep) -> None:
        while True:
            try:
                await sweep.once(self._clock())
            except Exception:  # noqa: BLE001 -- in a TaskGroup it would end the daemon
                _log.exception("the housekeeping failed; it goes on")
            await asyncio.sleep(SWEEP_SECONDS)
