"""A name that leads to one of our own listeners is found out before anything is said there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from mailward.backends.jmap import JmapUpstream
from mailward.backends.ourselves import Ourselves
from mailward.backends.server import PROBER, MailServer
from mailward.backends.upstream import Upstream
from mailward.settings.configuration import Bind, ClientAddress, Protocol
from mailward.settings.configuration import Upstream as Settings
from mailward.wire.dialogue import Unavailable
from mailward.wire.door import Credentials, Mechanism
from mailward.wire.secret import Secret

SOON = timedelta(seconds=10)


def settings(port: int, *, is_web: bool = False) -> Settings:
    return Settings("dovecot", "localhost", port, ClientAddress.NONE, SOON, SOON, is_web=is_web)


async def asked(server: MailServer, ourselves: Ourselves) -> object:
    server.beware_of(ourselves)
    match server:
        case Upstream():
            return await server.login(Credentials(Mechanism.PLAIN, b"ada", Secret(b"pw")), PROBER)
        case JmapUpstream():
            return await server.connect(PROBER)
        case _:
            raise AssertionError(server)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("is_web", [False, True])
async def test_a_connection_to_ourselves_is_an_outage_that_says_what_to_change(
    host: str, is_web: bool
) -> None:
    heard = bytearray()
    is_over = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        with suppress(ConnectionError):
            heard.extend(await reader.read())
        writer.close()
        is_over.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ourselves = Ourselves()
    ourselves.binds = [("imap", Bind(host, port))]
    upstream: MailServer = (
        JmapUpstream(settings(port, is_web=True), (), lambda _: None)
        if is_web
        else Upstream(settings(port), Protocol.IMAP, (), lambda _: None)
    )
    answer = await asked(upstream, ourselves)
    assert isinstance(answer, Unavailable)
    assert "so each login would lead back to this mailward: set backend.dovecot.address" in (
        answer.why
    )
    await is_over.wait()
    assert heard == b""
    server.close()
    await server.wait_closed()
