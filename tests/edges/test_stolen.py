"""A stolen account is stopped: a manual ban on a login ends its sessions, an automatic one none."""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64encode

import pytest

from mailward.guard import operations
from mailward.guard.journal import Event
from mailward.rules.logins import Naming
from mailward.rules.model import Login, Subject, SubjectKind
from mailward.settings.configuration import Protocol
from tests.edges.house import Premises, open_house, policy, until
from tests.edges.proxies import trusted
from tests.edges.web import RIGHT, Request, basic, open_hall, read_response, request

both_loops = True
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ADA = Subject(SubjectKind.LOGIN, "ada")
JOE = Subject(SubjectKind.LOGIN, "joe")
LOCKED = b"This account is locked; ask your administrator"


async def log_in(
    house: Premises,
    protocol: Protocol,
    login: str = "ada",
    acting_for: str = "",
    source: str = "127.0.0.1",
) -> Streams:
    """An open session, in which the mail server answers with what it is told."""
    reader, writer = await house.connect(protocol, source)
    message = b64encode(f"{acting_for}\0{login}\0right".encode())
    match protocol:
        case Protocol.IMAP:
            writer.write(b"a AUTHENTICATE PLAIN " + message + b"\r\n")
            last = b"a OK"
        case Protocol.SUBMISSION:
            writer.write(b"EHLO c\r\nAUTH PLAIN " + message + b"\r\n")
            last = b"235"
        case Protocol.MANAGESIEVE:
            writer.write(b'AUTHENTICATE "PLAIN" "%b"\r\n' % message)
            last = b'OK "Logged in'
    while not (line := await reader.readline()).startswith(last):
        assert line
    await still_open((reader, writer))
    return reader, writer


async def still_open(streams: Streams) -> None:
    """What it says is answered."""
    reader, writer = streams
    writer.write(b"NOOP hello\r\n")
    assert (await reader.readline()).endswith(b"\r\n")


async def is_over(streams: Streams) -> None:
    reader, writer = streams
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_manual_ban_on_a_login_ends_its_sessions(protocol: Protocol) -> None:
    async with open_house() as house:
        stolen = await log_in(house, protocol)
        other = await log_in(house, protocol, "grace")
        await operations.ban(house.guard, ADA, None, "", house.now[0])
        await is_over(stolen)
        await still_open(other)
        assert house.guard.journal.counts[Event.SESSIONS_CLOSED, ""] == 1
        other[1].close()


async def test_a_ban_that_a_stranger_caused_ends_no_session() -> None:
    async with open_house(policy("3/1h", ban_closes_sessions=True)) as house:
        owner = await log_in(house, Protocol.SUBMISSION)
        for host in range(1, 4):
            await house.imap_login("ada", "x", f"127.0.1.{host}")
        assert (await house.imap_login("ada", "right")).startswith(b"a NO [UNAVAILABLE] Too many")
        await still_open(owner)
        # An operator who bans it too means all of it, though the other ban lasts longer.
        until_soon = house.guard.mirror.on(ADA)
        assert until_soon is not None
        await operations.ban(house.guard, ADA, until_soon.since, "", house.now[0])
        await is_over(owner)


async def test_a_session_is_found_by_the_mailbox_that_it_opened() -> None:
    naming = Naming(default_domain="example.org", master_separator="*")
    victim = Subject(SubjectKind.LOGIN, "victim@example.org")
    async with open_house(policy("3/1h", naming=naming)) as house:
        by_identity = await log_in(house, Protocol.IMAP, "boss", acting_for="VICTIM")
        by_separator = await log_in(house, Protocol.MANAGESIEVE, "Victim@example.org*boss")
        own = await log_in(house, Protocol.IMAP, "boss")
        await operations.ban(house.guard, victim, None, "", house.now[0])
        await is_over(by_identity)
        await is_over(by_separator)
        await still_open(own)
        assert (await house.imap_login("boss", "right")).startswith(b"a OK")
        boss = Subject(SubjectKind.LOGIN, "boss@example.org")
        await operations.ban(house.guard, boss, None, "", house.now[0])
        await is_over(own)


async def test_a_login_that_is_under_way_when_its_ban_falls_gets_no_session() -> None:
    async with open_house() as house:
        answer = asyncio.Event()
        house.server.before_answer = answer.wait

        async def lock() -> None:
            await until(lambda: len(house.server.guesses) == 1)
            await operations.ban(house.guard, ADA, None, "", house.now[0])
            answer.set()

        told, _ = await asyncio.gather(house.imap_login("ada", "right"), lock())
        assert told == b"a NO [UNAVAILABLE] " + LOCKED + b"\r\n"
        await until(lambda: len(house.guard.sessions) == 0)


async def test_a_session_ends_with_its_address_where_an_operator_says_so() -> None:
    network = Subject(SubjectKind.ADDRESS, "127.0.4.0/24")
    async with open_house() as house:
        near = await log_in(house, Protocol.IMAP, source="127.0.4.7")
        far = await log_in(house, Protocol.IMAP, source="127.0.5.7")
        assert await house.guard.sessions.close([network], house.now[0]) == 1
        await is_over(near)
        await still_open(far)
        far[1].close()


async def test_octets_are_counted_both_ways() -> None:
    async with open_house() as house:
        streams = await log_in(house, Protocol.IMAP)
        (session,) = await house.guard.sessions.of([ADA])
        assert session.connection.octets() == (12, 12)
        assert (session.login, session.mailbox, session.service) == ("ada", "ada", "imap")
        streams[1].close()
        await until(lambda: len(house.guard.sessions) == 0)
        assert session.connection.octets() == (0, 0)  # it left while somebody looked at it


# -- JMAP ------------------------------------------------------------------------------------------


async def sends_events(asked: Request) -> None:
    asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: a\n\n")
    await asked.reader.read()


async def is_a_websocket(asked: Request) -> None:
    asked.writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Protocol: jmap\r\n\r\nhello"
    )
    await asked.reader.read()


async def takes_all(asked: Request) -> None:
    await asked.body()
    asked.answer("200 OK", b"")


EVENTS = request("/jmap/eventsource/?types=*"), b"event: a\n\n"
WEBSOCKET = (
    request(
        "/ws/",
        RIGHT,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: jmap",
    ),
    b"hello",
)
UPLOAD = request("/jmap/upload/a/", RIGHT, "Content-Length: 10", method="POST") + b"abc", b""


@pytest.mark.parametrize(
    "asked", [EVENTS, WEBSOCKET, UPLOAD], ids=["event source", "websocket", "upload"]
)
async def test_a_manual_ban_ends_what_streams_over_jmap(asked: tuple[bytes, bytes]) -> None:
    octets, heard = asked
    async with open_hall() as hall:
        hall.server.behaviours |= {
            "/jmap/eventsource/": sends_events,
            "/ws/": is_a_websocket,
            "/jmap/upload/a/": takes_all,
        }
        reader, writer = await hall.connect()
        writer.write(octets)
        if heard:
            await reader.readuntil(heard)
        await until(lambda: len(hall.server.requests) == 2)
        (session,) = await hall.guard.sessions.of([JOE])
        assert (session.login, session.service, session.listener) == ("joe", "jmap", "web")
        await operations.ban(hall.guard, JOE, None, "", hall.now[0])
        await is_over((reader, writer))
        await until(lambda: not hall.server.open)


async def test_between_two_requests_the_next_one_is_told_why_it_is_refused() -> None:
    async with open_hall() as hall:
        reader, writer = await hall.connect()
        writer.write(request())
        assert await read_response(reader) is not None
        await hall.guard.sessions.close([JOE], hall.now[0])
        assert len(hall.guard.sessions) == 0
        writer.write(request())
        assert await read_response(reader) is not None
        assert hall.server.guesses == 2  # proven anew, and so a session again
        assert len(hall.guard.sessions) == 1
        await operations.ban(hall.guard, JOE, None, "", hall.now[0])
        writer.write(request())
        refused = await read_response(reader)
        assert refused is not None
        assert refused.status == 429
        assert LOCKED in refused.body
        writer.close()


async def test_a_connection_that_brings_two_logins_is_a_session_of_the_last_one() -> None:
    async with open_hall() as hall:
        reader, writer = await hall.connect()
        for login in ("joe", "ann"):
            writer.write(request("/jmap/api/", basic(login, "right")))
            assert await read_response(reader) is not None
            (session,) = (await hall.guard.sessions.page(None, 0, 9)).sessions
            assert session.login == login
        await hall.guard.sessions.close([JOE], hall.now[0])
        writer.write(request("/jmap/api/", basic("ann", "right")))
        assert await read_response(reader) is not None
        writer.close()


async def test_what_was_proven_for_a_login_is_forgotten_with_its_sessions() -> None:
    async with open_hall() as hall:
        for _ in range(2):
            await hall.ask()
            await hall.ask("/jmap/api/", basic("ann", "right"))
        assert hall.server.guesses == 2  # each once
        hall.server.password = "another"
        assert (told := await hall.ask("/jmap/download/x")) is not None
        assert told.status == 401  # the backend's own word for a proof that is none any more
        hall.server.password = "right"
        await hall.ask()
        before = hall.server.guesses
        await hall.guard.sessions.close([JOE], hall.now[0])
        await hall.ask("/jmap/api/", basic("ann", "right"))
        assert hall.server.guesses == before  # nobody else's
        await hall.ask()
        assert hall.server.guesses == before + 1
        await operations.ban(hall.guard, JOE, None, "", hall.now[0])
        await operations.lift(hall.guard, JOE, hall.now[0])
        await until(
            lambda: hall.guard.sessions.is_forgotten(frozenset({Login("joe")}), hall.now[0])
        )
        await hall.ask()
        assert hall.server.guesses == before + 2


async def test_a_proxys_connection_is_a_session_only_while_it_brings_a_request() -> None:
    async with open_hall(policy("3/1h", trusted=trusted("127.0.0.1"))) as hall:
        hall.server.behaviours["/jmap/eventsource/"] = sends_events
        told = ("X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https")
        reader, writer = await hall.connect()
        writer.write(request("/jmap/api/", RIGHT, *told))
        assert await read_response(reader) is not None
        assert len(hall.guard.sessions) == 0
        writer.write(request("/jmap/eventsource/", RIGHT, *told))
        await reader.readuntil(b"event: a\n\n")
        (session,) = await hall.guard.sessions.of([JOE])
        assert str(session.address) == "198.51.100.1"
        await hall.guard.sessions.close([JOE], hall.now[0])
        await is_over((reader, writer))
