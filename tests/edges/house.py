"""A whole front door in a test: a scripted mail server, an upstream, a guard, doors on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from mailward.backends.port import Backend
from mailward.backends.second_opinion import Doubt, SecondOpinion
from mailward.backends.upstream import Upstream
from mailward.edges.doors import Doors
from mailward.edges.house import House
from mailward.edges.lobby import Lobby
from mailward.edges.tls import ServerCertificate
from mailward.guard.journal import Journal
from mailward.guard.service import Guard
from mailward.guard.tokens import Tokens
from mailward.rules.limits import parse_limit
from mailward.rules.model import Instant
from mailward.rules.policy import Policy
from mailward.settings.configuration import (
    Bind,
    ClientAddress,
    Configuration,
    DoorLimits,
    DoorTls,
    Listener,
    LogFormat,
    LogLevel,
    LogSettings,
    Protocol,
    StoreSettings,
    StoreType,
)
from mailward.settings.configuration import Upstream as UpstreamSettings
from mailward.stores.memory import MemoryStore

NOON = Instant(1_790_000_000.0)
HOSTS = {
    Protocol.IMAP: "127.0.0.1",
    Protocol.SUBMISSION: "127.0.0.2",
    Protocol.MANAGESIEVE: "127.0.0.3",
}
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* is so, for five seconds at most."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- what a user sees sets no event
            await asyncio.sleep(0.005)


@dataclass
class MailServer:
    """A mail server of one password for all protocols, that can be told to misbehave.

    *guesses* are the logins it was asked for, *names* those of submission clients.
    """

    password: bytes = b"right"
    guesses: list[bytes] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)
    behaviour: Behaviour | None = None
    before_answer: Callable[[], Awaitable[object]] | None = None
    sessions: int = 0

    async def imap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGINDISABLED AUTH=PLAIN] ready\r\n")
        await self.imap_commands(reader, writer)

    async def imap_commands(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """IMAP behind the greeting."""
        while line := await reader.readline():
            tag, command, *words = line.split()
            if command == b"CAPABILITY":
                writer.write(b"* CAPABILITY IMAP4rev1 SASL-IR LOGINDISABLED AUTH=PLAIN\r\n")
            if command == b"AUTHENTICATE" and await self._is_right(words[-1]):
                writer.write(tag + b" OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n")
                await self._echo(reader, writer)
                return
            writer.write(tag + (b" NO [AUTHENTICATIONFAILED] no\r\n" if words else b" OK done\r\n"))

    async def submission(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.test ESMTP\r\n")
        while line := await reader.readline():
            match line.split():
                case [b"EHLO", name]:
                    self.names.append(name)
                    writer.write(b"250-mx.test\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n")
                case [b"AUTH", _, message] if await self._is_right(message):
                    writer.write(b"235 2.7.0 ok\r\n")
                    self.sessions += 1
                    while line := await reader.readline():
                        writer.write(b"250 " + line)
                    return
                case [b"AUTH", *_]:
                    writer.write(b"535 5.7.8 no\r\n")
                case _:
                    writer.write(b"250 ok\r\n")

    async def managesieve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        capabilities = b'"IMPLEMENTATION" "test"\r\n"SIEVE" "fileinto"\r\n"SASL" "PLAIN"\r\n'
        writer.write(capabilities + b'OK "ready"\r\n')
        while line := await reader.readline():
            match line.split():
                case [b"AUTHENTICATE", _, message] if await self._is_right(message.strip(b'"')):
                    writer.write(b'OK "Logged in."\r\n')
                    await self._echo(reader, writer)
                    return
                case [b"AUTHENTICATE", *_]:
                    writer.write(b'NO "no"\r\n')
                case _:
                    writer.write(b"OK\r\n")

    async def _is_right(self, message: bytes) -> bool:
        _, login, password = parts_of_plain(message)
        self.guesses.append(login)
        if self.before_answer is not None:
            await self.before_answer()
        return password == self.password

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write(b"the end\r\n")
        if writer.can_write_eof():  # TLS has no such thing
            writer.write_eof()

    def serve(self, usual: Behaviour) -> Behaviour:
        async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                await (self.behaviour or usual)(reader, writer)
                await writer.drain()
            writer.close()

        return connection


def parts_of_plain(message: bytes) -> list[bytes]:
    """The three parts of a PLAIN message."""
    return b64decode(message).split(b"\0")


@dataclass
class Premises:
    """What a test works with."""

    guard: Guard
    lobby: Lobby
    server: MailServer
    ports: dict[Protocol, int]
    now: list[Instant]
    doors: Doors
    change_doors: Callable[[Callable[[Listener], Listener]], None]
    """Makes every listener anew, as a reload would."""

    async def connect(
        self, protocol: Protocol = Protocol.IMAP, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            HOSTS[protocol], self.ports[protocol], local_addr=(source, 0)
        )

    async def imap_login(self, login: str, password: str, source: str = "127.0.0.1") -> bytes:
        """The tagged answer to one LOGIN, or empty where the connection ended without one."""
        with contextlib.suppress(ConnectionError):
            reader, writer = await self.connect(source=source)
            writer.write(f"a LOGIN {login} {password}\r\n".encode())
            answer = b""
            while not answer and (line := await reader.readline()):
                if line.startswith(b"a "):
                    answer = line
            writer.close()
            return answer
        return b""

    async def submission_login(self, login: str, password: str, source: str = "127.0.0.1") -> bytes:
        """The answer to one AUTH PLAIN, or empty where the connection ended without one."""
        with contextlib.suppress(ConnectionError):
            reader, writer = await self.connect(Protocol.SUBMISSION, source)
            message = b64encode(f"\0{login}\0{password}".encode())
            writer.write(b"EHLO c\r\nAUTH PLAIN " + message + b"\r\n")
            while (line := await reader.readline())[:3] in {b"220", b"250"}:
                pass
            writer.close()
            return line
        return b""

    async def managesieve_login(
        self, login: str, password: str, source: str = "127.0.0.1"
    ) -> bytes:
        """The answer to one AUTHENTICATE, or empty where the connection ended without one."""
        with contextlib.suppress(ConnectionError):
            reader, writer = await self.connect(Protocol.MANAGESIEVE, source)
            message = b64encode(f"\0{login}\0{password}".encode())
            writer.write(b'AUTHENTICATE "PLAIN" "%b"\r\n' % message)
            while line := await reader.readline():
                if line.startswith(b"OK"):
                    break
            answer = await reader.readline()
            writer.close()
            return answer
        return b""


def limits(**changed: int) -> DoorLimits:
    usual = {
        "max_attempts": 3,
        "max_waiting": 1000,
        "max_waiting_per_address": 500,
        "login_timeout": 60_000,
    } | changed
    return DoorLimits(
        login_timeout=timedelta(milliseconds=usual["login_timeout"]),
        max_attempts=usual["max_attempts"],
        max_waiting=usual["max_waiting"],
        max_waiting_per_address=usual["max_waiting_per_address"],
    )


def policy(limit: str, **rest: object) -> Policy:
    return Policy(
        address_limit=parse_limit(limit),
        login_limit=parse_limit(limit),
        **rest,  # type: ignore[arg-type] # the tests' shorthand
    )


def configuration(
    ports: dict[Protocol, int],
    rules: Policy,
    doors: DoorLimits,
    connect_ms: int,
    answer_ms: int,
    tls: DoorTls | None,
) -> Configuration:
    return Configuration(
        hostname="mail.test",
        policy=rules,
        listeners=tuple(
            Listener(
                protocol.value, protocol, (Bind(HOSTS[protocol], 0),), protocol.value, True, tls
            )
            for protocol in ports
        ),
        upstreams=MappingProxyType(
            {
                protocol.value: UpstreamSettings(
                    protocol.value,
                    "127.0.0.1",
                    port,
                    ClientAddress.NONE,
                    timedelta(milliseconds=connect_ms),
                    timedelta(milliseconds=answer_ms),
                )
                for protocol, port in ports.items()
            }
        ),
        doors=doors,
        store=StoreSettings(StoreType.MEMORY, ""),
        socket="",
        log=LogSettings(LogLevel.INFO, LogFormat.TEXT),
    )


@asynccontextmanager
async def open_house(  # noqa: PLR0913 -- a house has many parts
    rules: Policy | None = None,
    doors: DoorLimits | None = None,
    connect_ms: int = 2_000,
    answer_ms: int = 5_000,
    tls: DoorTls | None = None,
    certificates: Mapping[str, ServerCertificate] = MappingProxyType({}),
    behind: Callable[[UpstreamSettings], UpstreamSettings] = lambda usual: usual,
    offers: Mapping[Protocol, Sequence[str]] = MappingProxyType({}),
    *,
    before: Callable[[Listener], Listener] = lambda usual: usual,
    judge: UpstreamSettings | None = None,
) -> AsyncIterator[Premises]:
    """Everything, from the mail server to the doors; ended and checked for leaks afterwards.

    *behind* changes how the mail server is come by; *offers* is what is known of it already.
    *before* changes the listeners. *judge* speaks IMAP and is asked for a second opinion.
    """
    server = MailServer()
    serving = {
        Protocol.IMAP: await asyncio.start_server(server.serve(server.imap), "127.0.0.1", 0),
        Protocol.SUBMISSION: await asyncio.start_server(
            server.serve(server.submission), "127.0.0.1", 0
        ),
        Protocol.MANAGESIEVE: await asyncio.start_server(
            server.serve(server.managesieve), "127.0.0.1", 0
        ),
    }
    ports = {p: s.sockets[0].getsockname()[1] for p, s in serving.items()}
    settings = configuration(
        ports, rules or policy("3/1h"), doors or limits(), connect_ms, answer_ms, tls
    )
    settings = replace(settings, listeners=tuple(map(before, settings.listeners)))
    now = [NOON]
    store = MemoryStore()
    guard = Guard(store, settings.policy, Journal(), await store.load(), now[0])
    lobby = Lobby(settings.doors.max_waiting, settings.doors.max_waiting_per_address)
    async with asyncio.TaskGroup() as tasks:
        house = House(guard, lobby, lambda: now[0], tasks, Tokens(b"of this test"))
        opened = Doors(house, "machine.test")
        opened.keyring.swap(certificates)
        writing = tasks.create_task(guard.writer.run())
        following = tasks.create_task(opened.follow_bans())
        upstreams = {
            (p.value, p): Upstream(
                behind(settings.upstreams[p.value]), p, offers.get(p, ()), lambda _: None
            )
            for p in Protocol
        }
        backends: dict[tuple[str, Protocol], Backend] = dict(upstreams)
        if judge is not None:
            second = Upstream(judge, Protocol.IMAP, (), lambda _: None)
            for asked in Protocol.SUBMISSION, Protocol.MANAGESIEVE:
                key = asked.value, asked
                backends[key] = SecondOpinion(upstreams[key], second, Doubt(), lambda: now[0])
        opened.apply(opened.prepare(settings), backends)

        def change_doors(how: Callable[[Listener], Listener]) -> None:
            changed = replace(settings, listeners=tuple(map(how, settings.listeners)))
            opened.apply(opened.prepare(changed), backends)

        listening = {
            Protocol(status.protocol): int(status.bind.rpartition(":")[2])
            for status in opened.status()
        }
        try:
            yield Premises(guard, lobby, server, listening, now, opened, change_doors)
        finally:
            following.cancel()
            await opened.shut(2.0)
            await guard.writer.close()
            await writing
            for listener in serving.values():
                listener.close()
    assert guard.reservations.under_way == 0
    assert lobby.present == lobby.waiting == len(guard.sessions) == 0
