"""Any port: the address is all that is looked at."""

from __future__ import annotations

import asyncio
import ssl
from ipaddress import ip_address

import pytest
import trustme

from mailward.guard import operations
from mailward.settings.configuration import ClientAddress, DoorTls, Passage
from tests.edges.house import NOON, until
from tests.edges.passages import Server, echo, open_crossing, rest
from tests.edges.test_tls import keys

both_loops = True


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def test_everything_passes_both_ways_and_so_does_the_end() -> None:
    said = b"USER joe\nPASS \x00\xff\r\n" * 20_000
    async with open_crossing(Passage.TCP, Server(echo)) as crossing:
        reader, writer = await crossing.connect()
        assert await reader.readline() == b"+OK ready\r\n"
        assert crossing.lobby.waiting == 0
        writer.write(said)
        writer.write_eof()
        assert await rest(reader) == said + b"the end\r\n"
        assert bytes(crossing.server.heard) == said
        writer.close()


async def test_who_speaks_first_is_heard_too() -> None:
    async with open_crossing(
        Passage.TCP, Server(echo), client_address=ClientAddress.PROXY_V1
    ) as crossing:
        reader, writer = await crossing.connect("127.0.0.8")
        writer.write(b"\x16\x03\x01 hello")
        writer.write_eof()
        assert (await rest(reader)).endswith(b"\x16\x03\x01 hellothe end\r\n")
        header, _, heard = bytes(crossing.server.heard).partition(b"\r\n")
        assert header.startswith(b"PROXY TCP4 127.0.0.8 127.0.0.1 ")
        assert heard == b"\x16\x03\x01 hello"
        writer.close()


async def test_tls_may_end_at_the_door(authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = DoorTls(implicit=True, certificate="default")
    async with open_crossing(
        Passage.TCP, Server(echo), tls=tls, certificates=keys(authority)
    ) as crossing:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", crossing.port, ssl=context, server_hostname="mail.test"
        )
        assert await reader.readline() == b"+OK ready\r\n"
        writer.write(b"STAT\r\n")
        assert await reader.readline() == b"STAT\r\n"
        writer.close()


async def test_a_banned_address_gets_no_byte_and_no_connection_to_the_server() -> None:
    async with open_crossing(Passage.TCP, Server(echo)) as crossing:
        subject = crossing.guard.policy.prefixes.subject(ip_address("127.0.0.6"))
        await operations.ban(crossing.guard, subject, None, "", NOON)
        assert await crossing.drops("127.0.0.6")
        assert crossing.server.connections == 0


async def test_a_server_that_is_down_closes_without_a_word() -> None:
    async with open_crossing(Passage.TCP, Server(echo), is_up=False) as crossing:
        reader, writer = await crossing.connect()
        assert await rest(reader) == b""
        writer.close()
        (status,) = crossing.doors.status()
        assert status.state.startswith("cannot connect to 127.0.0.1:")


async def test_a_probe_tells_whether_anybody_listens() -> None:
    async with open_crossing(Passage.TCP, Server(echo)) as crossing, asyncio.TaskGroup() as tasks:
        probing = tasks.create_task(crossing.upstream.keep_probing())
        await until(lambda: crossing.upstream.state == "ok")
        probing.cancel()


async def test_a_client_that_leaves_takes_its_connection_to_the_server_along() -> None:
    async with open_crossing(Passage.TCP, Server(echo)) as crossing:
        reader, writer = await crossing.connect()
        await reader.readline()
        writer.transport.abort()
        await until(lambda: crossing.server.gone == 1)
