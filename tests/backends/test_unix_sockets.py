"""A mail server behind a Unix socket is asked like any other, in every protocol."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from mailward.backends.jmap import JmapUpstream
from mailward.backends.ourselves import Ourselves
from mailward.backends.passage import PassageUpstream
from mailward.backends.port import Client, Granted, Proven
from mailward.backends.upstream import Upstream
from mailward.settings.configuration import ClientAddress, Passage, Protocol
from mailward.settings.configuration import Upstream as Settings
from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import Credentials, Mechanism
from mailward.wire.http.authorization import BasicCredentials
from mailward.wire.proxyline import TlsFacts, proxy_v2_header
from mailward.wire.secret import Secret
from tests.edges.house import Behaviour, MailServer, until
from tests.edges.web import JmapServer

SOON = timedelta(seconds=5)
CLIENT = Client(
    (ip_address("198.51.100.1"), 50_000),
    (ip_address("192.0.2.1"), 993),
    TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
)
HEADER = proxy_v2_header(CLIENT.source, CLIENT.destination, CLIENT.tls)
NONE = ClientAddress.NONE


@asynccontextmanager
async def listening(path: Path, behaviour: Behaviour, *, times: int = 0) -> AsyncIterator[None]:
    """A server at *path*; afterwards *times* connections have come, and none is open."""
    came: list[asyncio.StreamWriter] = []
    open_ones: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)
        open_ones.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await behaviour(reader, writer)
        writer.close()
        open_ones.remove(writer)

    async with await asyncio.start_unix_server(serve, path):
        yield
        await until(lambda: len(came) >= times and not open_ones)


async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """A server that says nothing and closes the connection."""


def settings(path: Path, told: ClientAddress = NONE) -> Settings:
    return Settings("b", "localhost", 0, told, SOON, SOON, path=str(path))


def upstream(path: Path, protocol: Protocol, told: ClientAddress = NONE) -> Upstream:
    return Upstream(settings(path, told), protocol, (), lambda _: None)


def credentials(password: bytes) -> Credentials:
    return Credentials(Mechanism.PLAIN, b"ada", Secret(password))


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_logins_are_judged_and_the_client_is_told_by_a_proxy_header(
    protocol: Protocol, tmp_path: Path
) -> None:
    mail, seen = MailServer(), list[bytes]()
    speak: dict[Protocol, Behaviour] = {
        Protocol.IMAP: mail.imap,
        Protocol.SUBMISSION: mail.submission,
        Protocol.MANAGESIEVE: mail.managesieve,
    }

    async def expects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(len(HEADER)))
        await speak[protocol](reader, writer)

    path = tmp_path / "mail.sock"
    async with listening(path, expects):
        asked = upstream(path, protocol, ClientAddress.PROXY_V2)
        assert isinstance(await asked.login(credentials(b"wrong"), CLIENT), Rejected)
        granted = await asked.login(credentials(b"right"), CLIENT)
        assert isinstance(granted, Granted)
        granted.transport.abort()
        assert seen == [HEADER, HEADER]
        assert mail.guesses == [b"ada", b"ada"]
        assert asked.state == "ok"


@pytest.mark.parametrize("passage", list(Passage))
async def test_connections_without_a_login_are_passed_on(passage: Passage, tmp_path: Path) -> None:
    path = tmp_path / "mail.sock"
    mail = MailServer()
    async with listening(path, mail.submission, times=2):
        asked = PassageUpstream(settings(path), passage, (), lambda _: None)
        granted = await asked.connect(CLIENT)
        assert isinstance(granted, Granted)
        granted.transport.abort()
        await asked.look()
        assert asked.state == "ok"


async def test_requests_are_proven_over_plain_http_by_the_host_that_the_client_says(
    tmp_path: Path,
) -> None:
    path, server = tmp_path / "jmap.sock", JmapServer()
    async with listening(path, server.serve):
        asked = JmapUpstream(settings(path, ClientAddress.FORWARDED), (), lambda _: None)
        await asked.look()
        assert asked.state == "ok"
        right = BasicCredentials(b"joe", Secret(b"right"))
        assert await asked.prove(right, CLIENT, b"mail.test") == Proven()
        wrong = BasicCredentials(b"joe", Secret(b"wrong"))
        assert await asked.prove(wrong, CLIENT, b"mail.test") == Rejected()
        assert server.requests[-1].one("host") == "mail.test"
        assert server.requests[-1].one("forwarded") == "for=198.51.100.1;proto=https"


async def test_a_socket_that_is_not_there_or_refuses_is_an_outage(tmp_path: Path) -> None:
    missing, dead = tmp_path / "missing.sock", tmp_path / "dead.sock"
    async with listening(dead, hang_up):
        pass  # the socket stays, and refuses from now on
    for path, why in ((missing, "No such file or directory"), (dead, "Connection refused")):
        said = f"cannot connect to unix:{path}: {why}"
        for protocol in Protocol:
            asked = upstream(path, protocol)
            assert await asked.login(credentials(b"right"), CLIENT) == Unavailable(said)
            assert asked.state == said
        passed = PassageUpstream(settings(path), Passage.TCP, (), lambda _: None)
        assert await passed.connect(CLIENT) == Unavailable(said)
        web = JmapUpstream(settings(path), (), lambda _: None)
        proof = await web.prove(BasicCredentials(b"joe", Secret(b"pw")), CLIENT, b"mail.test")
        assert proof == Unavailable(said)


async def test_a_silent_server_is_an_outage_and_no_matter_of_tls(tmp_path: Path) -> None:
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        hasty = replace(settings(path), connect_timeout=timedelta(milliseconds=50))
        asked = Upstream(hasty, Protocol.IMAP, (), lambda _: None)
        why = f"unix:{path} did not say a word in time"
        assert await asked.login(credentials(b"right"), CLIENT) == Unavailable(why)


async def test_a_full_queue_is_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "full.sock"
    with socket.socket(socket.AF_UNIX) as full, ExitStack() as waiting:
        full.bind(str(path))
        full.listen(0)
        with suppress(BlockingIOError):
            while True:
                one = waiting.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect(str(path))
        web = JmapUpstream(settings(path), (), lambda _: None)
        why = f"cannot connect to unix:{path}: Resource temporarily unavailable"
        assert await web.connect(CLIENT) == Unavailable(why)


async def test_the_management_socket_is_no_mail_server_by_whatever_path(tmp_path: Path) -> None:
    ours, alias = tmp_path / "mailward.sock", tmp_path / "alias"
    alias.symlink_to(ours)
    async with listening(ours, hang_up, times=2):
        line, web = (
            upstream(alias, Protocol.IMAP),
            JmapUpstream(settings(alias), (), lambda _: None),
        )
        for server in (line, web):
            server.beware_of(Ourselves(str(ours)))
        answers = [await line.login(credentials(b"pw"), CLIENT), await web.connect(CLIENT)]
    for answer in answers:
        assert isinstance(answer, Unavailable)
        assert "this is the management socket of this mailward: set backend.b.address" in answer.why
