"""The JMAP door before Cyrus, behind nginx, and before a WebSocket that echoes."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.real.attack import Told, guess
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.cyrus import Cyrus
from tests.real.daemon import Mailward
from tests.real.processes import Child, answers, free_port
from tests.real.servers import program

WRONG = "wrong-opensesame"
ATTACKER = "127.0.0.66"
NGINX = "127.0.9.9"
SIZE = 50_000_000
USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]

_DOOR = """
[server.listener.jmap]
protocol = "jmap"
bind = ["127.0.0.1:{port}"]
backend = "jmap"
{more}

[backend.jmap]
address = "http://127.0.0.1:{backend}"
client-address = "forwarded"
"""


def basic(login: str, password: str) -> str:
    return "Basic " + b64encode(f"{login}:{password}".encode()).decode()


@dataclass(frozen=True)
class Answer:
    status: int
    fields: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class JmapDoor:
    """The door on *port*, and what plain HTTP calls do there."""

    port: int

    def connect(self, source: str = "127.0.0.1") -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, 30, (source, 0))

    def ask(
        self,
        path: str,
        login: str = "alice",
        password: str | None = None,
        body: bytes | None = None,
        source: str = "127.0.0.1",
        **fields: str,
    ) -> Answer | None:
        """The answer to one request, ``None`` where there is none."""
        headers = {"Authorization": basic(login, password or ACCOUNTS.get(login, WRONG))}
        headers |= {"Content-Type": "application/json"} if body else {}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        with closing(self.connect(source)) as line:
            try:
                line.request("POST" if body else "GET", path, body, headers)
                answer = line.getresponse()
                return Answer(answer.status, answer.headers, answer.read())
            except (ConnectionError, http.client.BadStatusLine):
                return None

    def call(self, *calls: list[Any]) -> Any:
        body = json.dumps({"using": USING, "methodCalls": calls}).encode()
        answer = self.ask("/jmap/", body=body)
        assert answer is not None
        assert answer.status == 200, answer.body
        return answer.json["methodResponses"]

    def told(self, login: str, password: str, source: str) -> int | None:
        answer = self.ask("/jmap/", login, password, source=source)
        return None if answer is None else answer.status


@pytest.fixture
def door() -> JmapDoor:
    return JmapDoor(free_port())


@pytest.fixture
def start(mailward: StartMailward, door: JmapDoor) -> Callable[..., Mailward]:
    def start(security: str, backend: int, more: str = "", tables: str = "") -> Mailward:
        table = _DOOR.format(port=door.port, backend=backend, more=more)
        return mailward(security, more=table + tables)

    return start


def test_mail_is_read_and_blobs_go_both_ways_in_front_of_cyrus(
    start: Callable[..., Mailward], door: JmapDoor, cyrus: Cyrus
) -> None:
    ward = start('fail2ban = "8/1h"', cyrus.http_port)
    session = door.ask("/.well-known/jmap")
    assert session is not None
    assert (session.status, session.fields["Location"]) == (
        301,
        f"http://127.0.0.1:{door.port}/jmap",
    )
    session = door.ask("/jmap/")
    assert session is not None
    account = session.json["primaryAccounts"][USING[1]]
    (_, inbox, _) = door.call(["Mailbox/get", {"accountId": account}, "0"])[0]
    assert [box["role"] for box in inbox["list"]] == ["inbox"]
    responses = door.call(
        ["Email/query", {"accountId": account}, "0"],
        [
            "Email/get",
            {
                "accountId": account,
                "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"},
            },
            "1",
        ],
    )
    assert [name for name, *_ in responses] == ["Email/query", "Email/get"]
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


def test_two_failures_in_each_of_four_services_ban_the_address_in_all(
    start: Callable[..., Mailward], door: JmapDoor, cyrus: Cyrus
) -> None:
    ward = start('fail2ban = "8/1h"', cyrus.http_port)
    for number in range(8):
        assert ward.bans() == {}
        if number % 4 == 3:
            assert door.told(f"user{number}", WRONG, ATTACKER) == 401
        else:
            line = ward.doors[number % 4]
            assert guess(line, f"user{number}", WRONG, source=ATTACKER) is Told.WRONG
    assert list(ward.bans()) == [ATTACKER]
    assert door.told("alice", ACCOUNTS["alice"], ATTACKER) is None
    assert door.told("alice", ACCOUNTS["alice"], "127.0.0.67") == 200
    for line in ward.doors:
        assert guess(line, "alice", ACCOUNTS["alice"], source=ATTACKER) is Told.DROPPED


def test_an_address_that_failed_seven_times_is_served_and_one_login_is_refused_everywhere(
    start: Callable[..., Mailward], door: JmapDoor, cyrus: Cyrus
) -> None:
    ward = start('fail2ban = "8/1h"', cyrus.http_port)
    for number in range(7):
        assert door.told(f"user{number}", WRONG, ATTACKER) == 401
    assert door.told("alice", ACCOUNTS["alice"], ATTACKER) == 200
    for number in range(8):
        assert door.told("bob", WRONG, f"127.0.0.{70 + number}") == 401
    assert list(ward.bans()) == ["bob"]
    assert door.told("bob", ACCOUNTS["bob"], "127.0.0.99") == 429
    for line in ward.doors:
        assert guess(line, "bob", ACCOUNTS["bob"], source="127.0.0.99") is not Told.OK


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


_NGINX_CONF = """\
daemon off;
worker_processes 1;
user nobody nogroup;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 100; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream door {{ server 127.0.0.1:{door}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://door;
      proxy_http_version 1.1;
      proxy_bind {source};
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header {header};
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, door: int, header: str) -> Iterator[int]:
    """nginx in HTTP mode before *door*, which tells its client in *header*; its port."""
    folder = folder / "nginx-http"
    folder.mkdir()
    folder.chmod(0o755)
    port = free_port()
    (folder / "nginx.conf").write_text(
        _NGINX_CONF.format(folder=folder, door=door, port=port, source=NGINX, header=header)
    )
    child = Child(
        [program("nginx"), "-e", "stderr", "-c", folder / "nginx.conf"],
        output=folder / "output",
        folder=folder,
    )
    try:
        child.wait_until(lambda: answers(port))
        yield port
    finally:
        child.terminate()


@pytest.mark.parametrize(
    ("client_header", "sent"),
    [
        ("x-forwarded-for", "X-Forwarded-For $proxy_add_x_forwarded_for"),
        ("forwarded", 'Forwarded "$http_forwarded, for=$remote_addr;proto=https"'),
    ],
)
def test_the_client_of_nginx_is_counted_and_told_and_never_nginx(
    start: Callable[..., Mailward],
    door: JmapDoor,
    cyrus: Cyrus,
    folder: Path,
    client_header: str,
    sent: str,
) -> None:
    sent = sent.replace("$http_forwarded, ", "") if client_header == "forwarded" else sent
    ward = start(
        'fail2ban = "3/1h"',
        cyrus.http_port,
        f'client-header = "{client_header}"',
        f'[server.proxy]\ntrusted-networks = {{ "{NGINX}" }}\n',
    )
    with nginx(folder, door.port, sent) as port:
        behind = JmapDoor(port)
        forged = {"X_Forwarded_For": "198.51.100.9", "Forwarded": "for=198.51.100.9"}
        for number in range(3):
            answer = behind.ask("/jmap/", f"user{number}", WRONG, None, ATTACKER, **forged)
            assert answer is not None
            assert answer.status == 401
        assert list(ward.bans()) == [ATTACKER]
        shut_out = behind.ask("/jmap/", "alice", source=ATTACKER)
        assert shut_out is not None
        assert shut_out.status == 403
        for _ in range(3):  # and nginx goes on for everybody else
            served = behind.ask("/jmap/", "alice", source="127.0.0.67")
            assert served is not None
            assert served.status == 200


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
