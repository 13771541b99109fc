"""Time limits before a login, and faults in a session, in the process of the test."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mailbox_testing.doors import CLIENT, PASSWORD, Premises, premises
from mailbox_testing.pairs import connect
from mailward_mailbox import stream as stream_module
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.client import Client
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.serving.connections import door, lines, listener
from mailward_mailbox.serving.connections.lines import LineConnections, LineService
from mailward_mailbox.serving.connections.waiting import Waiting
from mailward_mailbox.stream import Stream

from mailward.wire.imap.door import ImapDoor
from mailward.wire.proxyline import proxy_v2_header

HEADER = proxy_v2_header(CLIENT.source, CLIENT.destination, None)
LOGIN = b"t LOGIN alice " + PASSWORD + b"\r\n"
SECONDS = 10.0


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Premises]:
    async with premises(tmp_path) as house:
        await house.add("alice")
        yield house


class Faulty:
    """A service whose sessions fail at once."""

    offer = ("IMAP4rev1", "AUTH=PLAIN")
    capabilities = ("IMAP4rev1",)

    async def serve(
        self,
        account: Account,
        mail: AccountMail,
        client: Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        raise LookupError("a fault of ours")


async def opened(house: Premises, service: LineService | None = None) -> Stream:
    spoken = service or house.server.imap
    shared = lines.Shared(house.server.accounts, house.server.mail, house.logins, Waiting())
    connections = LineConnections(
        shared, spoken, lambda: ImapDoor(spoken.offer, passwords=True), is_proxied=True
    )
    return await connect(house.connections, connections.serve, Stream)


async def rest(stream: Stream) -> bytes:
    """All that the server says until it ends."""
    octets = b""
    async with asyncio.timeout(SECONDS):
        while piece := await stream.read():
            octets += piece
    stream.close()
    return octets


async def test_a_proxy_header_that_does_not_come_ends_the_connection(
    house: Premises, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lines, "HEADER_SECONDS", 0.05)
    stream = await opened(house)
    stream.write(HEADER[:20])
    assert await rest(stream) == b""
    assert "no PROXY header came in time" in caplog.text


async def test_the_time_before_a_login_is_limited(
    house: Premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LOGIN_SECONDS", 0.2)
    monkeypatch.setattr(stream_module, "LINGER_SECONDS", 0.2)
    stream = await opened(house)
    stream.write(HEADER + b"a NOOP\r\n")
    said = await rest(stream)
    assert said.endswith(b"a OK NOOP completed\r\n* BYE The time for logging in is over\r\n")


async def test_a_session_has_all_the_time_of_its_protocol(
    house: Premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LOGIN_SECONDS", 0.3)
    stream = await opened(house)
    stream.write(HEADER + LOGIN)
    while b"t OK" not in await stream.read():
        pass
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await stream.read()
    stream.write(b"t LOGOUT\r\n")
    assert b"t OK" in await rest(stream)


async def test_a_fault_in_a_session_ends_that_one_and_is_logged(
    house: Premises, caplog: pytest.LogCaptureFixture
) -> None:
    stream = await opened(house, Faulty())
    stream.write(HEADER + LOGIN)
    assert (await rest(stream)).endswith(b"t OK [CAPABILITY IMAP4rev1] Logged in\r\n")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    session = await house.session()
    assert b"t OK" in await session.command(b"NOOP")


async def test_a_client_that_never_reads_the_last_words_loses_its_place(
    house: Premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "FLUSH_SECONDS", 0.05)

    async def serve(stream: Stream, _: object) -> None:
        stream.write(b"x" * 10_000_000)

    deaf = await connect(house.connections, serve, asyncio.Protocol)
    assert deaf
    async with asyncio.timeout(SECONDS):
        while house.connections.count:  # noqa: ASYNC110 -- it sets no event
            await asyncio.sleep(0.01)
