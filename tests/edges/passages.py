"""A door at port 25 or at any port in a test, before a scripted server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from mailward.backends.passage import PassageUpstream
from mailward.edges.doors import Doors
from mailward.edges.house import House
from mailward.edges.lobby import Lobby
from mailward.edges.tls import ServerCertificate
from mailward.guard.journal import Journal
from mailward.guard.service import Guard
from mailward.guard.tokens import Tokens
from mailward.rules.policy import Policy
from mailward.settings.configuration import (
    Bind,
    ClientAddress,
    Configuration,
    DoorLimits,
    DoorTls,
    LogFormat,
    LogLevel,
    LogSettings,
    Passage,
    PassageListener,
    StoreSettings,
    StoreType,
    Upstream,
    UpstreamTls,
)
from mailward.stores.memory import MemoryStore
from tests.edges.house import NOON, limits, policy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Behaviour = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """What stands behind the door; *heard* is all that it was sent, of every connection."""

    behaviour: Behaviour
    keywords: tuple[bytes, ...] = (b"PIPELINING", b"CHUNKING", b"STARTTLS")
    replies: Mapping[bytes, bytes] = field(default_factory=dict)
    """By the verb; what is not in it is answered with 250."""
    heard: bytearray = field(default_factory=bytearray)
    connections: int = 0
    gone: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            await self.behaviour(self, reader, writer)
        writer.close()
        self.gone += 1


async def postfix(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Port 25, as far as a test needs it."""
    writer.write(b"220 mx.behind ESMTP\r\n")
    while line := await reader.readline():
        server.heard += line
        match verb := line.split()[0].upper():
            case b"PROXY":
                pass
            case b"EHLO":
                lines = [b"mx.behind", *server.keywords]
                writer.writelines(b"250-%b\r\n" % text for text in lines[:-1])
                writer.write(b"250 %b\r\n" % lines[-1])
            case b"QUIT":
                writer.write(b"221 2.0.0 Bye\r\n")
                await writer.drain()
                return
            case b"DATA" if verb not in server.replies:
                writer.write(b"354 go on\r\n")
                while (line := await reader.readline()) not in {b"", b".\r\n"}:
                    server.heard += line
                server.heard += line
                writer.write(b"250 2.0.0 Ok\r\n")
            case _:
                if verb == b"BDAT":
                    server.heard += await reader.readexactly(int(line.split()[1]))
                writer.write(server.replies.get(verb, b"250 2.0.0 Ok\r\n"))


async def echo(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"+OK ready\r\n")
    while data := await reader.read(65_536):
        server.heard += data
        writer.write(data)
        await writer.drain()
    writer.write(b"the end\r\n")
    if writer.can_write_eof():  # TLS has no such thing
        writer.write_eof()


@dataclass
class Crossing:
    """What a test works with."""

    guard: Guard
    lobby: Lobby
    server: Server
    doors: Doors
    upstream: PassageUpstream
    port: int

    async def connect(self, source: str = "127.0.0.1") -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))

    async def drops(self, source: str) -> bool:
        """Whether somebody at *source* is dropped at accept."""
        try:
            reader, writer = await self.connect(source)
        except ConnectionError:
            return True
        said = await rest(reader)
        writer.close()
        return said == b""

    async def greeted(self, source: str = "127.0.0.1") -> Streams:
        """A connection that has said EHLO and seen what came of it."""
        reader, writer = await self.connect(source)
        assert await reader.readline() == b"220 mx.behind ESMTP\r\n"
        writer.write(b"EHLO client.test\r\n")
        await reply(reader)
        return reader, writer


async def reply(reader: asyncio.StreamReader) -> list[bytes]:
    """One whole reply; less where the connection ended."""
    lines = []
    async with asyncio.timeout(5):
        while line := await reader.readline():
            lines.append(line.rstrip(b"\r\n"))
            if line[3:4] != b"-":
                break
    return lines


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything up to the end."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            return await reader.read()
    return b""


@asynccontextmanager
async def open_crossing(  # noqa: PLR0913 -- a house has many parts
    protocol: Passage,
    server: Server,
    *,
    rules: Policy | None = None,
    doors: DoorLimits | None = None,
    tls: DoorTls | None = None,
    certificates: Mapping[str, ServerCertificate] = MappingProxyType({}),
    client_address: ClientAddress = ClientAddress.NONE,
    is_up: bool = True,
    proxy_protocol: bool = False,
) -> AsyncIterator[Crossing]:
    """The server, its upstream, and one door; ended and checked for leaks afterwards."""
    serving = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    behind = Upstream(
        "behind",
        "127.0.0.1",
        serving.sockets[0].getsockname()[1],
        client_address,
        timedelta(seconds=2),
        timedelta(seconds=2),
        UpstreamTls(),
    )
    if not is_up:
        serving.close()
        await serving.wait_closed()
    rules = rules or policy("3/1h")
    settings = Configuration(
        hostname="mail.test",
        policy=rules,
        listeners=(),
        passages=(
            PassageListener(
                "mx", protocol, (Bind("127.0.0.1", 0),), "behind", True, tls, proxy_protocol
            ),
        ),
        upstreams=MappingProxyType({"behind": behind}),
        doors=doors or limits(),
        store=StoreSettings(StoreType.MEMORY, ""),
        socket="",
        log=LogSettings(LogLevel.INFO, LogFormat.TEXT),
    )
    store = MemoryStore()
    guard = Guard(store, rules, Journal(), await store.load(), NOON)
    lobby = Lobby(settings.doors.max_waiting, settings.doors.max_waiting_per_address)
    async with asyncio.TaskGroup() as tasks:
        opened = Doors(
            House(guard, lobby, lambda: NOON, tasks, Tokens(b"of this test")), "machine.test"
        )
        opened.keyring.swap(certificates)
        writing = tasks.create_task(guard.writer.run())
        following = tasks.create_task(opened.follow_bans())
        upstream = PassageUpstream(behind, protocol, (), lambda _: None)
        opened.apply(opened.prepare(settings), {}, {("behind", protocol): upstream})
        (status,) = opened.status()
        port = int(status.bind.rpartition(":")[2])
        try:
            yield Crossing(guard, lobby, server, opened, upstream, port)
        finally:
            following.cancel()
            await opened.shut(2.0)
            await guard.writer.close()
            await writing
            serving.close()
    assert lobby.present == lobby.waiting == 0
