"""Every object of the daemon, made by hand in one place: read it to see the whole program."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import resource
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mailward.admin.control import Crowd
from mailward.admin.gate import Gate
from mailward.app.certificates import load_certificates
from mailward.app.clock import FACT, SteadyClock, clock_warning
from mailward.app.health import Health, Standing
from mailward.app.logs import set_up_logs
from mailward.app.mailbox.mailbox import Mailbox
from mailward.app.mailbox.told import settings_line
from mailward.app.neighbours import neighbours
from mailward.app.opinions import shortcomings
from mailward.app.upstreams import AnyUpstream, make_upstream, placed_mailbox, placed_upstreams
from mailward.backends.accounts import MailboxAccounts
from mailward.backends.jmap import JmapUpstream
from mailward.backends.ourselves import Ourselves
from mailward.backends.passage import PassageUpstream
from mailward.backends.port import (
    Backend,
    PassageBackend,
    WebBackend,
)
from mailward.backends.second_opinion import Doubt, SecondOpinion
from mailward.backends.tls import check_trust
from mailward.backends.upstream import Upstream, offer_from_text, offer_to_text
from mailward.edges.complaints import Complaints
from mailward.edges.doors import Doors, Prepared
from mailward.edges.house import House
from mailward.edges.lobby import Lobby
from mailward.edges.tls import ServerCertificate
from mailward.guard.journal import Journal
from mailward.guard.service import Guard
from mailward.guard.sweep import SWEEP_SECONDS, Sweep
from mailward.guard.tokens import Tokens
from mailward.settings.advice import advice, fitted
from mailward.settings.configuration import (
    EMBEDDED,
    Certificate,
    Configuration,
    Passage,
    Protocol,
    StoreSettings,
    StoreType,
    Web,
)
from mailward.settings.configuration import Upstream as UpstreamSettings
from mailward.settings.opinions import second_opinions
from mailward.settings.upstreams import Spoken
from mailward.stores.memory import MemoryStore
from mailward.stores.port import Contents, FactPut, Store
from mailward.stores.sqlite import SqliteStore

LAST_WORDS_SECONDS = 2.0  # for what is still to be sent when the daemon stops
SETTLING_STEPS = 20
TOKENS_FORGOTTEN = 500  # at most, in one sweep
LOOK_AGAIN_SECONDS = 1.0
SETTLE_SECONDS = 5.0  # for the built-in mail server to be ready when the daemon starts

_log = logging.getLogger("mailward.daemon")

_Asked = tuple[str, Spoken]


def choose_store(settings: StoreSettings, data: Path) -> Store:
    match settings.type:
        case StoreType.SQLITE:
            return SqliteStore(data / settings.path)
        case StoreType.MEMORY:
            return MemoryStore()


def descriptor_limit() -> int | None:
    """How many descriptors this process may have; ``None`` says that there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


class Program:
    """The running daemon. *tasks* is where everything that runs beside something else lives.

    *key* is the one of the digests of good tokens.
    """

    def __init__(
        self,
        configuration: Configuration,
        store: Store,
        contents: Contents,
        clock: SteadyClock,
        tasks: asyncio.TaskGroup,
        data: Path,
        key: bytes,
    ) -> None:
        self._clock = clock
        self._data = data
        self._certificates = configuration.certificates
        self._configuration = configuration
        self._tasks = tasks
        self._facts = dict(contents.facts)
        self._upstreams: dict[_Asked, tuple[AnyUpstream, asyncio.Task[None]]] = {}
        self._ourselves = Ourselves(str(data / configuration.socket))
        self._opinions: dict[_Asked, SecondOpinion] = {}
        self._news = asyncio.Event()
        self._mailbox: Mailbox | None = None
        self._embedded = configuration.embedded
        self._running: list[asyncio.Task[None]] = []
        self.has_no_account = False
        """There is a built-in mail server, and it had no account at the start."""
        self.journal = Journal()
        self.journal.lines = set_up_logs(configuration.log, self.journal.repeats, clock)
        self.guard = Guard(store, configuration.policy, self.journal, contents, clock())
        self.gate = Gate(self.guard, clock, configuration.operator)
        self.lobby = Lobby(
            configuration.doors.max_waiting, configuration.doors.max_waiting_per_address
        )
        self.tokens = Tokens(key, writer=self.guard.writer, known=contents.tokens)
        self._complaints = Complaints()
        house = House(self.guard, self.lobby, clock, tasks, self.tokens, self._complaints)
        self.doors = Doors(house, platform.node())

    def start(self, prepared: Prepared) -> None:
        """Begin the housekeeping and open the doors.

        Raises:
            SettingsError: a certificate cannot be used.
        """
        self.doors.keyring.swap(self._load(self._certificates, at_start=True))
        check_trust(placed_upstreams(prepared.configuration, self._data).values())
        self._embed(prepared.configuration)
        self._running = [
            self._tasks.create_task(self._sweep(Sweep(self.guard))),
            self._tasks.create_task(self.doors.follow_bans()),
            self._tasks.create_task(self._watch_backends()),
        ]
        self._tasks.create_task(self.guard.writer.run())
        self._open(prepared)

    async def adopt(self, configuration: Configuration) -> None:
        """Put *configuration* in the place of the one in use, as a whole or not at all.

        Raises:
            SettingsError: a certificate cannot be used, or a new socket cannot be opened; nothing
                has changed.
        """
        configuration = fitted(configuration, descriptor_limit())
        # Nothing else changes the bans of the file meanwhile: reloads come one after the other.
        fixing = await asyncio.to_thread(self.guard.mirror.compare, configuration.policy.blocked)
        certificates = self._load(configuration.certificates, at_start=False)
        check_trust(placed_upstreams(configuration, self._data).values())
        prepared = self.doors.prepare(configuration)
        self._embed(configuration)
        self._certificates = configuration.certificates
        self._configuration = configuration
        self.doors.keyring.swap(certificates)
        self.journal.lines = set_up_logs(configuration.log, self.journal.repeats, self._clock)
        self.guard.adopt(configuration.policy, self._clock(), fixing)
        self.gate.adopt(configuration.operator)
        self._open(prepared)

    async def reload_certificates(self) -> int:
        """Read every certificate anew, for the next handshakes; return how many there are.

        The authorities of the backends are read anew, too.

        Raises:
            SettingsError: one cannot be used; all stay as they were.
        """
        check_trust(upstream.settings for upstream in self.upstreams())
        self.doors.keyring.swap(self._load(self._certificates, at_start=False))
        for upstream in self.upstreams():
            upstream.read_trust()
        return len(self._certificates)

    @property
    def accounts(self) -> MailboxAccounts | None:
        """The accounts that are kept here, if any are."""
        return None if self._mailbox is None else self._mailbox.accounts

    async def settle_in(self) -> None:
        """Wait until the built-in mail server is known as a backend, where there is one.

        It may take long or never come up: the doors are open meanwhile.
        """
        if self._mailbox is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._mailbox.settled.wait()
                for upstream in self._embedded_upstreams():
                    await upstream.look()
                status = await self._mailbox.status()
                self.has_no_account = status is not None and not status.accounts

    def upstreams(self) -> list[AnyUpstream]:
        return [upstream for upstream, _ in self._upstreams.values()]

    def warnings(self) -> list[str]:
        """What an operator should look at, though it is allowed."""
        # The allowed networks change without a reload.
        configuration = replace(self._configuration, policy=self.guard.policy)
        found = list(advice(configuration, descriptor_limit()))
        found += neighbours(configuration)
        found += (
            f"backend {server.settings.name} {server.doubt}"
            for server in self.upstreams()
            if server.doubt
        )
        if self._mailbox is not None:
            found += self._mailbox.faults()
        for opinion in self._opinions.values():
            found.extend(shortcomings(opinion.first, opinion.second))
        policy, now = self.guard.policy, self._clock()
        if warning := clock_warning(self._clock):
            found.append(warning)
        found += map(str, self.guard.falling.suspected(policy, now))
        one_source = self.journal.funnel.found(policy, now)
        return found if one_source is None else [*found, str(one_source)]

    def crowd(self) -> Crowd:
        """Who is at the doors."""
        return Crowd(
            self.lobby.waiting,
            self.lobby.present,
            self.lobby.accepted,
            self.lobby.max_waiting,
            self._configuration.doors.lowered_from,
        )

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
        self.gate.close()
        if self._mailbox is not None:
            await self._mailbox.stop()
        await self.guard.writer.close()
        self.guard.drops.flush(self._clock())
        self.journal.flush(self._clock())
        self._complaints.flush(self._clock())

    def _load(
        self, certificates: Mapping[str, Certificate], *, at_start: bool
    ) -> Mapping[str, ServerCertificate]:
        now = datetime.fromtimestamp(self._clock(), UTC)
        return load_certificates(certificates, self._data, now, at_start=at_start)

    def _open(self, prepared: Prepared) -> None:
        self._renew_upstreams(prepared.configuration)
        backends: dict[tuple[str, Protocol], Backend] = {}
        passages: dict[tuple[str, Passage], PassageBackend] = {}
        web: dict[tuple[str, Web], WebBackend] = {}
        for upstream in self.upstreams():
            match upstream:
                case Upstream():
                    asked = upstream.settings.name, upstream.protocol
                    backends[asked] = self._opinions.get(asked, upstream)
                case PassageUpstream():
                    passages[upstream.settings.name, upstream.protocol] = upstream
                case JmapUpstream():
                    web[upstream.settings.name, upstream.protocol] = upstream
        self.doors.apply(prepared, backends, passages, web)
        self._ourselves.binds = self.doors.binds

    def _renew_upstreams(self, configuration: Configuration) -> None:
        """One upstream for each protocol it is asked in; those that did not change stay."""
        wanted: set[_Asked] = {(door.backend, door.protocol) for door in configuration.listeners}
        wanted |= {(door.backend, door.protocol) for door in configuration.passages}
        wanted |= {(door.backend, door.protocol) for door in configuration.web}
        judges = second_opinions(configuration)
        wanted |= set(judges.values())
        for gone in self._upstreams.keys() - wanted:
            self._upstreams.pop(gone)[1].cancel()
        placed = placed_upstreams(configuration, self._data)
        for name, protocol in wanted:
            settings = (
                placed_mailbox(self._embedded, protocol, self._data)
                if name == EMBEDDED
                else placed[name]
            )
            known = self._upstreams.get((name, protocol))
            if known is not None:
                if known[0].settings == settings:
                    known[0].read_trust()
                    continue
                known[1].cancel()
            upstream = self._upstream(settings, protocol)
            upstream.beware_of(self._ourselves)
            probing = self._tasks.create_task(self._probe(upstream))
            self._upstreams[name, protocol] = (upstream, probing)
        self._opinions = {
            asked: opinion
            for asked, judge in judges.items()
            if (opinion := self._opinion(self._upstreams[asked][0], self._upstreams[judge][0]))
        }

    def _opinion(self, first: AnyUpstream, second: AnyUpstream) -> SecondOpinion | None:
        """*first* with *second* asked about what it refuses; the doubt there was goes on."""
        if not isinstance(first, Upstream) or not isinstance(second, Upstream):
            return None
        known = self._opinions.get((first.settings.name, first.protocol))
        if known is not None and (known.first, known.second) == (first, second):
            return known
        doubt = Doubt() if known is None else known.doubt
        return SecondOpinion(first, second, doubt, self._clock)

    def _embed(self, configuration: Configuration) -> None:
        """Start the built-in mail server where it is wanted for the first time; tell it more."""
        line = settings_line(configuration, platform.node())
        if self._mailbox is not None:
            self._mailbox.tell(line)
        elif configuration.uses_embedded:
            folder = self._data / configuration.embedded.path
            self._mailbox = Mailbox(folder, line, self._look_at_mailbox)
            self._tasks.create_task(self._mailbox.run())

    def _embedded_upstreams(self) -> list[AnyUpstream]:
        return [one for one in self.upstreams() if one.settings.name == EMBEDDED]

    def _look_at_mailbox(self) -> None:
        for upstream in self._embedded_upstreams():
            upstream.look_soon()

    async def _probe(self, upstream: AnyUpstream) -> None:
        """Look at *upstream* again and again; at the built-in mail server when it was started."""
        if upstream.settings.name == EMBEDDED and self._mailbox is not None:
            await self._mailbox.settled.wait()
        await upstream.keep_probing()

    def _upstream(self, settings: UpstreamSettings, spoken: Spoken) -> AnyUpstream:
        fact = f"offer:{spoken.value}:{settings.name}"
        offer = offer_from_text(self._facts.get(fact, ""))
        upstream = make_upstream(settings, spoken, offer, partial(self._remember, fact))
        upstream.news = self._news
        return upstream

    def _remember(self, fact: str, offer: Sequence[str]) -> None:
        value = self._facts[fact] = offer_to_text(offer)
        self.guard.writer.note(FactPut(fact, value), self._clock())

    def _standings(self) -> list[Standing]:
        """How every backend is, as the doors before it see it."""
        return [
            Standing(name, protocol.value, self._opinions.get(asked, upstream).state)
            for asked, (upstream, _) in self._upstreams.items()
            for name, protocol in (asked,)
        ]

    async def _watch_backends(self) -> None:
        """Say when a backend goes down, and when it is back."""
        health = Health(self.journal)
        while True:
            self._news.clear()
            is_waiting = health.look(self._standings(), self._clock())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_SECONDS if is_waiting else None):
                    await self._news.wait()

    def _look_at_clock(self) -> None:
        """Let the next start know if the machine's clock was set, or this is a new boot."""
        if not self._clock.is_told_by(self._facts.get(FACT, "")):
            told = self._facts[FACT] = str(self._clock)
            self.guard.writer.note(FactPut(FACT, told), self._clock())

    async def _sweep(self, sweep: Sweep) -> None:
        while True:
            try:
                self._complaints.report(self._clock())
                await sweep.once(self._clock())
                self._look_at_clock()
                self.tokens.forget_old(self.guard.policy, self._clock(), TOKENS_FORGOTTEN)
                if one_source := self.journal.funnel.news(self.guard.policy, self._clock()):
                    _log.warning("%s", one_source)
            except Exception:  # noqa: BLE001 -- in a TaskGroup it would end the daemon
                _log.exception("the housekeeping failed; it goes on")
            await asyncio.sleep(SWEEP_SECONDS)
