"""The JMAP door before Cyrus, and before a WebSocket that echoes."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from threading import Event, Thread

import aiohttp
import pytest
from aiohttp import web

from tests.real.attack import guess
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.cyrus import Cyrus
from tests.real.daemon import Mailward
from tests.real.jmap import USING, WRONG, JmapDoor, basic, jmap_tables
from tests.real.processes import free_port

ATTACKER = "127.0.0.66"
SIZE = 50_000_000


@pytest.fixture
def door() -> JmapDoor:
    return JmapDoor(free_port())


@pytest.fixture
def start(mailward: StartMailward, door: JmapDoor) -> Callable[..., Mailward]:
    def start(security: str, backend: int) -> Mailward:
        return mailward(security, more=jmap_tables(door.port, backend))

    return start


def test_mail_is_read_and_blobs_go_both_ways_in_front_of_cyrus(
    start: Callable[..., Mailward], door: JmapDoor, cyrus: Cyrus
) -> None:
    ward = start('fail2ban = "8/1h"', cyrus.http_port)
    session = door.ask("/.well-known/jmap")
    assert session is not None
    assert (session.status, session.fields["Location"]) == (301, "/jmap")
    session = door.ask("/jmap/")
    assert session is not None
    account = session.json["primaryAccounts"][USING[1]]
    (_, inbox, _) = door.call(["Mailbox/get", {"accountId": account}, "0"])[0]
    assert [box["role"] for box in inbox["list"]] == ["inbox"]
    box = inbox["list"][0]["id"]
    imported = import_message(door, account, box)
    responses = door.call(
        ["Email/query", {"accountId": account, "filter": {"inMailbox": box}}, "0"],
        [
            "Email/get",
            {
                "accountId": account,
                "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"},
                "properties": ["subject", "preview"],
            },
            "1",
        ],
    )
    assert [name for name, *_ in responses] == ["Email/query", "Email/get"]
    assert responses[0][1]["ids"] == [imported]
    (mail,) = responses[1][1]["list"]
    assert mail == {"id": imported, "subject": "a certain message", "preview": "hello "}
    blob = bytes(range(250)) * (SIZE // 250)
    before = ward.memory_octets()
    uploaded = door.ask(f"/jmap/upload/{account}/", body=blob)
    assert uploaded is not None
    assert (uploaded.status, uploaded.json["size"]) == (201, SIZE)
    path = f"/jmap/download/{account}/{uploaded.json['blobId']}/a%2Fb.bin?accept=x/y"
    downloaded = door.ask(path)
    assert downloaded is not None
    assert downloaded.status == 200
    assert sha256(downloaded.body).digest() == sha256(blob).digest()
    assert ward.memory_octets() - before < SIZE / 5
    assert ward.bans() == {}


def import_message(door: JmapDoor, account: str, mailbox: str) -> str:
    """Put a message into *mailbox*; its id."""
    message = b"From: a@test\r\nSubject: a certain message\r\n\r\nhello\r\n"
    uploaded = door.ask(f"/jmap/upload/{account}/", body=message, Content_Type="message/rfc822")
    assert uploaded is not None
    email = {"blobId": uploaded.json["blobId"], "mailboxIds": {mailbox: True}}
    responses = door.call(["Email/import", {"accountId": account, "emails": {"a": email}}, "0"])
    return str(responses[0][1]["created"]["a"]["id"])


def test_a_kept_connection_is_closed_by_failures_over_imap(
    start: Callable[..., Mailward], door: JmapDoor, cyrus: Cyrus
) -> None:
    ward = start('fail2ban = "2/1h"', cyrus.http_port)
    headers = {"Authorization": basic("alice", ACCOUNTS["alice"])}
    with closing(door.connect(ATTACKER)) as line:
        for _ in range(2):
            line.request("GET", "/jmap/", headers=headers)
            assert line.getresponse().read()
        for number in range(2):
            guess(ward.imap, f"user{number}", WRONG, source=ATTACKER)
        with suppress(ConnectionError):
            line.request("GET", "/jmap/", headers=headers)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            line.getresponse()


@contextmanager
def echo_server() -> Iterator[int]:
    """A JMAP server that has nothing but a session resource and a WebSocket; its port."""
    port, ready, told = free_port(), Event(), list[Callable[[], object]]()
    right = basic("alice", ACCOUNTS["alice"])

    async def session(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != right:
            return web.Response(status=401)
        websocket = {"url": f"ws://127.0.0.1:{port}/ws"}
        return web.json_response(
            {"apiUrl": "/api", "capabilities": {"urn:ietf:params:jmap:websocket": websocket}}
        )

    async def echo(request: web.Request) -> web.StreamResponse:
        if "refuse" in request.query:
            return web.Response(status=426, text="not now")
        socket_ = web.WebSocketResponse(protocols=["jmap"], max_msg_size=0)
        await socket_.prepare(request)
        async for message in socket_:
            await socket_.send_str(message.data)
        return socket_

    async def serve() -> None:
        app = web.Application()
        app.add_routes([web.get("/.well-known/jmap", session), web.get("/ws", echo)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        told.append(lambda: loop.call_soon_threadsafe(stopping.set))
        ready.set()
        await stopping.wait()
        await runner.cleanup()

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield port
    finally:
        told[0]()
        thread.join()


async def test_a_websocket_goes_through_once_it_is_agreed_to(
    start: Callable[..., Mailward], door: JmapDoor
) -> None:
    with echo_server() as port:
        start('fail2ban = "3/1h"', port)
        url = f"http://127.0.0.1:{door.port}"
        headers = {"Authorization": basic("alice", ACCOUNTS["alice"])}
        async with aiohttp.ClientSession(headers=headers) as client:
            async with client.get(f"{url}/.well-known/jmap") as learning:
                assert learning.status == 200
            async with client.ws_connect(f"{url}/ws", protocols=["jmap"], max_msg_size=0) as line:
                for text in ("hello", "x" * 1_000_000):
                    await line.send_str(text)
                    assert await line.receive_str() == text
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(f"{url}/ws?refuse=1")
            assert refused.value.status == 426
        async with aiohttp.ClientSession() as stranger:
            with pytest.raises(aiohttp.WSServerHandshakeError) as unknown:
                await stranger.ws_connect(f"{url}/ws")
            assert unknown.value.status == 401


def test_nothing_is_heard_by_who_says_nothing(
    start: Callable[..., Mailward], door: JmapDoor, cyrus: Cyrus
) -> None:
    start('fail2ban = "3/1h"\nlogin-timeout = "1s"', cyrus.http_port)
    with socket.create_connection(("127.0.0.1", door.port)) as line:
        line.settimeout(10)
        line.sendall(b"GET /jmap/ HTTP/1.1\r\nHost: a\r\n")
        with suppress(ConnectionError):
            assert line.recv(100) == b""
