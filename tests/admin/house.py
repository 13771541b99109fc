"""A running management API: a real guard and a real Unix socket, with a clock turned by hand."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from mailward.admin.afar import Conversation
from mailward.admin.api import make_app
from mailward.admin.control import Control
from mailward.admin.gate import Gate
from mailward.admin.keys import Keys, Source
from mailward.admin.loaded import read_anew
from mailward.edges.doors import Doors
from mailward.edges.house import House as Shared
from mailward.edges.lobby import Lobby
from mailward.guard.journal import Journal
from mailward.guard.reservations import Refused, Ticket
from mailward.guard.service import Guard
from mailward.guard.sweep import Sweep
from mailward.guard.tokens import Tokens
from mailward.rules.model import Attempt, Instant, Outcome, Subject
from mailward.settings.build import build
from mailward.settings.configuration import Configuration
from mailward.settings.dialect import Entry, read_keys
from mailward.settings.errors import Fault, SettingsError
from mailward.stores.memory import MemoryStore
from mailward.stores.port import Change, StoreError

NOON = Instant(1_790_000_000.0)  # 2026-09-21 14:13:20 UTC

T = TypeVar("T")


class FillingStore(MemoryStore):
    """A store whose disk can be full."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False

    async def commit(self, changes: Sequence[Change], *, durable: bool) -> None:
        if self.full:
            raise StoreError("the disk is full; make room")
        await super().commit(changes, durable=durable)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of the API."""

    status: int
    kind: str
    body: Any

    @property
    def detail(self) -> str:
        return str(self.body["detail"])


class House:
    """The daemon without its doors. Everything of the guard happens on a thread of its own."""

    def __init__(self, folder: Path, store: FillingStore) -> None:
        self.now = NOON
        self.file = folder / "config.toml"
        self.socket = folder / "mailward.sock"
        self.store = store
        self.in_use: frozenset[str] = frozenset()
        """Addresses that cannot be bound, as somebody else has them."""
        self.doors: list[Mapping[str, object]] = []
        self.warnings: list[str] = []
        self.certificates = 0
        self.bad_certificate = ""
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self.ports: list[int] = []
        """Where operators from afar are served."""
        self.guard: Guard
        self.control: Control
        self._gate: Gate
        self._doors: Doors
        self._far: web.AppRunner

    # -- what happens at the doors -------------------------------------------------------------

    def fail(self, address: str, login: str | None = None, service: str = "imap") -> bool:
        """One wrong guess; says whether it was passed on."""
        return self.call(self._fail(address, login, service))

    async def _fail(self, address: str, login: str | None, service: str) -> bool:
        policy = self.guard.policy
        name = None if login is None else policy.naming.login(login.encode())
        attempt = Attempt(policy.prefixes.fold(ip_address(address)), name, service)
        match await self.guard.screen(attempt, self.now):
            case Ticket() as ticket:
                await self.guard.settle(ticket, Outcome.FAILED, self.now)
                return True
            case Refused():
                return False

    def admits(self, address: str) -> bool:
        folded = self.guard.policy.prefixes.fold(ip_address(address))
        return self.guard.admit(folded, self.now) is None

    def covers(self, subject: Subject) -> bool:
        return self.guard.mirror.covering(subject, self.now) is not None

    def later(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)

    def sweep(self) -> None:
        self.call(Sweep(self.guard).once(self.now))

    # -- the API -------------------------------------------------------------------------------

    def ask(self, method: str, target: str, body: object = None) -> Told:
        """One request; *body* is sent as JSON, or as it is if it is ``bytes``."""
        octets = body if isinstance(body, bytes) else None if body is None else _json(body)
        with closing(UnixConnection(self.socket)) as line:
            line.request(method, target, body=octets)
            answer = line.getresponse()
            text = answer.read()
        kind = answer.headers.get_content_type()
        return Told(answer.status, kind, json.loads(text) if "json" in kind else text)

    # -- the thread ----------------------------------------------------------------------------

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* on the guard's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    @contextmanager
    def running(self) -> Iterator[None]:
        up = threading.Event()
        thread = threading.Thread(target=self._run, args=(up,), daemon=True)
        thread.start()
        assert up.wait(20)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(20)
            assert not thread.is_alive()

    def _run(self, up: threading.Event) -> None:
        try:
            self._loop.run_until_complete(self._serve(up))
        finally:
            up.set()
            self._loop.run_until_complete(self._end_the_rest())
            self._loop.close()

    async def _end_the_rest(self) -> None:
        """End what still runs, as the daemon's own runner does: conversations that linger."""
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _serve(self, up: threading.Event) -> None:
        contents = await self.store.load()
        entries = self._read()
        built = build(entries, contents.settings, self.now, name=str(self.file))
        configuration = built.configuration
        assert configuration is not None
        journal = Journal()
        self.guard = Guard(self.store, configuration.policy, journal, contents, self.now)
        source = Source(str(self.file), self._read, self._apply, self._reload_certificates)
        keys = Keys(self.guard, self._clock, source, read_anew(entries, built), contents.settings)
        self.control = Control(
            self.guard, self._clock, keys, lambda: self.doors, "1.2.3", lambda: self.warnings
        )
        self._gate = Gate(self.guard, self._clock, configuration.operator)
        far = make_app(self.control, journal, self._gate)
        self._far = web.AppRunner(far, handle_signals=False, shutdown_timeout=2.0)
        runner = web.AppRunner(
            make_app(self.control, journal), handle_signals=False, access_log=None
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.guard.writer.run())
            await runner.setup()
            await web.UnixSite(runner, str(self.socket)).start()
            await self._far.setup()
            await self._open(configuration, tasks)
            following = tasks.create_task(self._doors.follow_bans())
            up.set()
            await self._stop.wait()
            following.cancel()
            await self._doors.shut(2.0)
            await self._far.cleanup()
            await runner.cleanup()
            self._gate.close()
            await self.guard.writer.close()

    def _clock(self) -> Instant:
        return self.now

    def _read(self) -> dict[str, Entry]:
        return read_keys(self.file.read_text(), str(self.file))

    async def _reload_certificates(self) -> int:
        if self.bad_certificate:
            fault = Fault(None, None, "certificate.default", self.bad_certificate)
            raise SettingsError([fault])
        return self.certificates

    async def _open(self, configuration: Configuration, tasks: asyncio.TaskGroup) -> None:
        """Open the doors for operators."""
        far = self._far.server
        assert far is not None
        lobby = Lobby(configuration.doors.max_waiting, configuration.doors.max_waiting_per_address)
        shared = Shared(self.guard, lobby, self._clock, tasks, Tokens(b"a key"))
        self._doors = Doors(shared, "machine.test")
        self._doors.speak = partial(Conversation, far)
        self._doors.apply(self._doors.prepare(replace(configuration, listeners=())), {})
        self.ports = [int(door.bind.rpartition(":")[2]) for door in self._doors.status()]

    async def _apply(self, configuration: Configuration) -> None:
        for listener in configuration.listeners:
            for bind in listener.binds:
                if str(bind) in self.in_use:
                    key = f"server.listener.{listener.name}.bind.{bind}"
                    raise SettingsError([Fault(str(self.file), None, key, "is in use")])
        self.guard.adopt(configuration.policy, self.now)
        self._gate.adopt(configuration.operator)


CONFIGURATION = """\
[server.security]
fail2ban = "3/1h"
blocked-networks = { "198.51.100.0/24" }
blocked-logins = { "root@example.org" }
allowed-networks = { "192.0.2.0/28" }
"""


@contextmanager
def open_house(folder: Path, configuration: str = CONFIGURATION) -> Iterator[House]:
    """A house with a configuration of its own, running."""
    made = House(folder, FillingStore())
    made.file.write_text(configuration)
    with made.running():
        yield made


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _json(body: object) -> bytes:
    return json.dumps(body).encode()
