"""A door for JMAP in a test, before a scripted HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from mailward.backends.jmap import JmapUpstream
from mailward.edges.doors import Doors
from mailward.edges.house import House
from mailward.edges.lobby import Lobby
from mailward.edges.tls import ServerCertificate
from mailward.guard.journal import Journal
from mailward.guard.service import Guard
from mailward.guard.tokens import Tokens
from mailward.rules.model import Instant
from mailward.rules.policy import Policy
from mailward.settings.configuration import (
    Bind,
    ClientAddress,
    Configuration,
    DoorLimits,
    LogFormat,
    LogLevel,
    LogSettings,
    StoreSettings,
    StoreType,
    Upstream,
    Web,
    WebListener,
)
from mailward.stores.memory import MemoryStore
from tests.edges.house import NOON, limits, policy, until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SESSION = {
    "capabilities": {"urn:ietf:params:jmap:websocket": {"url": "wss://mail.test/ws"}},
    "apiUrl": "https://mail.test/jmap/api/",
    "downloadUrl": "/jmap/download/{accountId}/{blobId}/{name}?accept={type}",
    "uploadUrl": "/jmap/upload/{accountId}/",
    "eventSourceUrl": "/jmap/eventsource/?types={types}",
}


@dataclass(frozen=True)
class Request:
    """What the server was asked. *fields* are by their names in lower case."""

    method: str
    target: str
    fields: Mapping[str, list[str]]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def one(self, name: str) -> str:
        (value,) = self.fields[name]
        return value

    async def body(self) -> bytes:
        if "content-length" in self.fields:
            return await self.reader.readexactly(int(self.one("content-length")))
        return b"".join([piece async for piece in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        if "transfer-encoding" not in self.fields:
            return
        while size := int(await self.reader.readline(), 16):
            yield await self.reader.readexactly(size)
            assert await self.reader.readline() == b"\r\n"
        assert await self.reader.readline() == b"\r\n"

    def answer(self, status: str, body: bytes = b"", *more: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


Behaviour = Callable[[Request], Awaitable[None]]


@dataclass
class JmapServer:
    """A mail server of one password. *requests* are what it was asked, but by a probe."""

    password: str = "right"
    token: str = "t0k3n"
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    """By the path, instead of what it would do."""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    open: int = 0

    @property
    def guesses(self) -> int:
        return sum(request.target == "/jmap/session" for request in self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        # ValueError: what was to be a line or a chunk has ended before its end.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while (line := await reader.readline()).endswith(b"\r\n"):
                await self._answer(line, reader, writer)
                await writer.drain()
                if writer.is_closing():
                    break
        writer.close()
        self.open -= 1

    async def _answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, target, version = line.decode().split()
        assert version == "HTTP/1.1"
        fields: dict[str, list[str]] = {}
        while (field_line := await reader.readline()) != b"\r\n":
            name, _, value = field_line.decode("latin-1").partition(":")
            fields.setdefault(name.lower(), []).append(value.strip())
        request = Request(method, target, fields, reader, writer)
        self.requests.append(request)
        path = target.partition("?")[0]
        if path in self.behaviours:
            await self.behaviours[path](request)
        elif path == "/.well-known/jmap":
            request.answer("301 Moved", b"", "Location: /jmap/session")
        elif method != "OPTIONS" and not self.is_right(request):
            await request.body()
            request.answer("401 Unauthorized", b"the server's own words")
        elif path == "/jmap/session":
            request.answer("200 OK", json.dumps(SESSION).encode())
        else:
            request.answer("200 OK", await request.body(), "X-Server: yes")

    def is_right(self, request: Request) -> bool:
        offered = request.fields.get("authorization", [""])
        return offered in ([basic("joe", self.password)], [f"Bearer {self.token}"]) or (
            len(offered) == 1 and offered[0].startswith("Basic ") and offered[0] in self.others()
        )

    def others(self) -> list[str]:
        return [basic(login, self.password) for login in ("ann", "bob")]


def basic(login: str, password: str) -> str:
    return "Basic " + b64encode(f"{login}:{password}".encode()).decode()


RIGHT = basic("joe", "right")
WRONG = basic("joe", "wrong")


@dataclass(frozen=True)
class Response:
    status: int
    fields: Mapping[str, list[str]]
    body: bytes

    def one(self, name: str) -> str:
        (value,) = self.fields[name]
        return value


async def read_response(reader: asyncio.StreamReader, method: str = "GET") -> Response | None:
    """The next response, or ``None`` where the connection ended without one."""
    with contextlib.suppress(ConnectionError):
        line = await reader.readline()
        if not line:
            return None
        status = int(line.split()[1])
        fields: dict[str, list[str]] = {}
        while (field_line := await reader.readline()) != b"\r\n":
            name, _, value = field_line.decode("latin-1").partition(":")
            fields.setdefault(name.lower(), []).append(value.strip())
        if method == "HEAD" or status < 200 or status in {204, 304}:
            return Response(status, fields, b"")
        if "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"][0]))
        elif "transfer-encoding" in fields:
            pieces = []
            while size := int(await reader.readline(), 16):
                pieces.append(await reader.readexactly(size))
                await reader.readline()
            await reader.readline()
            body = b"".join(pieces)
        else:
            body = await reader.read()
        return Response(status, fields, body)
    return None


@dataclass
class Hall:
    """What a test works with."""

    guard: Guard
    lobby: Lobby
    server: JmapServer
    doors: Doors
    upstream: JmapUpstream
    port: int
    now: list[Instant]

    async def connect(self, source: str = "127.0.0.1") -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))

    async def ask(
        self,
        target: str = "/jmap/api/",
        authorization: str | None = RIGHT,
        *more: str,
        method: str = "GET",
        body: bytes | None = None,
        source: str = "127.0.0.1",
    ) -> Response | None:
        """The answer to one request on a connection of its own."""
        with contextlib.suppress(ConnectionError):
            reader, writer = await self.connect(source)
            writer.write(request(target, authorization, *more, method=method, body=body))
            answer = await read_response(reader, method)
            writer.close()
            return answer
        return None

    async def raw(self, octets: bytes, source: str = "127.0.0.1") -> Response | None:
        """The answer to *octets*."""
        with contextlib.suppress(ConnectionError):
            reader, writer = await self.connect(source)
            writer.write(octets)
            answer = await read_response(reader)
            writer.close()
            return answer
        return None


def request(
    target: str = "/jmap/api/",
    authorization: str | None = RIGHT,
    *more: str,
    method: str = "GET",
    body: bytes | None = None,
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: mail.test"]
    if authorization is not None:
        lines.append(f"Authorization: {authorization}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *more]).encode() + b"\r\n\r\n" + (body or b"")


@asynccontextmanager
async def open_hall(
    rules: Policy | None = None,
    doors: DoorLimits | None = None,
    *,
    answer_ms: int = 5_000,
    before: Callable[[WebListener], WebListener] = lambda usual: usual,
    behind: Callable[[Upstream], Upstream] = lambda usual: usual,
    certificates: Mapping[str, ServerCertificate] = MappingProxyType({}),
    is_known: bool = True,
) -> AsyncIterator[Hall]:
    """Everything, from the server to the door; ended and checked for leaks afterwards.

    *is_known*: the paths of the server are, as after an earlier run.
    """
    server = JmapServer()
    serving = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    rules = rules or policy("3/1h")
    upstream_settings = behind(
        Upstream(
            "cyrus",
            "127.0.0.1",
            serving.sockets[0].getsockname()[1],
            ClientAddress.FORWARDED,
            timedelta(seconds=2),
            timedelta(milliseconds=answer_ms),
            is_web=True,
        )
    )
    listener = WebListener("web", Web.JMAP, (Bind("127.0.0.1", 0),), "cyrus", None)
    settings = Configuration(
        hostname="mail.test",
        policy=rules,
        listeners=(),
        web=(before(replace(listener, client_header="x-forwarded-for")),),
        upstreams=MappingProxyType({"cyrus": upstream_settings}),
        doors=doors or limits(),
        store=StoreSettings(StoreType.MEMORY, ""),
        socket="",
        log=LogSettings(LogLevel.INFO, LogFormat.TEXT),
    )
    store = MemoryStore()
    guard = Guard(store, rules, Journal(), await store.load(), NOON)
    lobby = Lobby(settings.doors.max_waiting, settings.doors.max_waiting_per_address)
    now = [NOON]
    async with asyncio.TaskGroup() as tasks:
        house = House(guard, lobby, lambda: now[0], tasks, Tokens(b"of this test"))
        opened = Doors(house, "machine.test")
        opened.keyring.swap(certificates)
        writing = tasks.create_task(guard.writer.run())
        following = tasks.create_task(opened.follow_bans())
        known = ("/jmap", "/ws") if is_known else ()
        upstream = JmapUpstream(upstream_settings, known, lambda _: None)
        upstream.session_path = "/jmap/session" if is_known else None
        upstream.closed_hosts = {b"mail.test": None} if is_known else {}
        opened.apply(opened.prepare(settings), {}, web={("cyrus", Web.JMAP): upstream})
        (status,) = opened.status()
        port = int(status.bind.rpartition(":")[2])
        try:
            yield Hall(guard, lobby, server, opened, upstream, port, now)
        finally:
            following.cancel()
            await opened.shut(2.0)
            await guard.writer.close()
            await writing
            serving.close()
            await until(lambda: not server.open)
    assert guard.reservations.under_way == 0
    assert lobby.present == lobby.waiting == len(guard.sessions) == 0
