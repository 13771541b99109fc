"""The examples of servers that share the guard, as they stand there, with real clients."""

from __future__ import annotations

import asyncio
import http.client
import smtplib
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import uvicorn
from aiosmtpd.controller import Controller

from examples.aiosmtpd_guard import GuardedLogins, offered
from examples.asgi_guard import GuardedLogin, Message, Receive, Send
from mailward import AsyncReportClient
from tests.admin.house import House, open_house

RIGHT = ("ada", "right horse")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as made:
        yield made


# -- aiosmtpd --------------------------------------------------------------------------------------


@contextmanager
def submission(guard: Path) -> Iterator[int]:
    """A mail server of aiosmtpd; gives its port."""
    client = AsyncReportClient(guard, "submission2", seconds=0.5)
    handler = GuardedLogins(
        client, lambda login, password: (login.decode(), password.decode()) == RIGHT
    )
    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=_free_port(),
        authenticator=offered,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
        client.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def log_in(port: int, login: str, password: str, mechanism: str = "PLAIN") -> int:
    """The code of the answer to one login."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as line:
        line.ehlo()
        line.user, line.password = login, password
        try:
            code, _ = line.auth(mechanism, getattr(line, f"auth_{mechanism.lower()}"))
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code
        return code


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_mail_server_of_ones_own_shares_the_guard(house: House, mechanism: str) -> None:
    with submission(house.socket) as port:
        assert log_in(port, *RIGHT, mechanism) == 235
        house.fail("203.0.113.1", "ada")  # at one of mailward's own doors
        assert [log_in(port, "ada", "wrong", mechanism) for _ in range(2)] == [535, 535]
        assert log_in(port, *RIGHT, mechanism) == 454, "banned everywhere, right or not"
    services = house.ask("GET", "/api/status").body["services"]["submission2"]
    assert (services["failed"], services["succeeded"]) == (2, 1)
    assert house.ask("GET", "/api/why/127.0.0.1").body["count"] == 2


def test_without_a_guard_the_mail_goes_on(tmp_path: Path) -> None:
    with submission(tmp_path / "none.sock") as port:
        assert (log_in(port, *RIGHT), log_in(port, "ada", "wrong")) == (235, 535)


# -- ASGI ------------------------------------------------------------------------------------------


async def webmail(scope: Message, receive: Receive, send: Send) -> None:
    """A webmail with one account."""
    del receive
    assert scope["type"] == "http"
    offers = dict(scope["headers"]).get(b"authorization")
    right = b"Basic " + b64encode(":".join(RIGHT).encode())
    status = 200 if offers == right or scope["path"] != "/login" else 401
    length = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": length})
    await send({"type": "http.response.body"})


@contextmanager
def web(guard: Path) -> Iterator[int]:
    """The webmail behind the middleware, served by uvicorn; gives its port."""
    client = AsyncReportClient(guard, "webmail", seconds=0.5)
    config = uvicorn.Config(
        GuardedLogin(webmail, client), log_config=None, lifespan="off", loop="asyncio"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
            client.close()


def get(port: int, path: str, credentials: str | None) -> int:
    headers = {}
    if credentials is not None:
        headers["Authorization"] = f"Basic {b64encode(credentials.encode()).decode()}"
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as line:
        line.request("GET", path, headers=headers)
        return line.getresponse().status


def test_a_webmail_shares_the_guard(house: House) -> None:
    with web(house.socket) as port:
        assert get(port, "/login", ":".join(RIGHT)) == 200
        assert get(port, "/login", None) == 401, "who offers nothing has not failed"
        assert [get(port, "/login", f"ada:{n}") for n in range(3)] == [401] * 3
        assert get(port, "/login", ":".join(RIGHT)) == 429
        assert get(port, "/", "ada:wrong") == 200, "only logins are looked at"
    assert not house.admits("127.0.0.1"), "nor does any door of mailward let him in"
    services = house.ask("GET", "/api/status").body["services"]["webmail"]
    assert (services["failed"], services["succeeded"]) == (3, 1)


def test_without_a_guard_the_webmail_goes_on(tmp_path: Path) -> None:
    with web(tmp_path / "none.sock") as port:
        assert get(port, "/login", ":".join(RIGHT)) == 200
        assert get(port, "/login", "ada:wrong") == 401
