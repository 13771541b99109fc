"""TLS to the mail server: proven, or told later with nobody counted, and the status says why."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from scramp import ScramClient  # type: ignore[import-untyped] # it has no types of its own

from mailward.backends.port import Client
from mailward.backends.upstream import Upstream as MailServer
from mailward.rules.model import Address
from mailward.settings.configuration import (
    ClientAddress,
    Encryption,
    Protocol,
    Upstream,
    UpstreamTls,
)
from mailward.wire.dialogue import Unavailable
from mailward.wire.door import Credentials, Mechanism
from mailward.wire.proxyline import TlsFacts
from mailward.wire.secret import Secret
from tests.edges.house import Behaviour, Premises, open_house, policy, until
from tests.edges.sasl import OFFERS, Directory, call, is_challenge, is_later, text

both_loops = True

OK = b"a OK "
WRONG = b"a NO [AUTHENTICATIONFAILED] "
LATER = b"a NO [UNAVAILABLE] "
NAME = "imap.test"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def shows(leaf: trustme.LeafCert, oldest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if oldest is not None:
        context.minimum_version = oldest
    leaf.configure_cert(context)
    return context


def implicit(context: ssl.SSLContext, afterwards: Behaviour) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(context)
        await afterwards(reader, writer)

    return behave


def starttls(context: ssl.SSLContext, afterwards: Behaviour, *, behind: bytes = b"") -> Behaviour:
    """A server that speaks plaintext up to STARTTLS, and sends *behind* with its go-ahead."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n")
        if await reader.readline() == b"m4 STARTTLS\r\n":
            writer.write(b"m4 OK go\r\n" + behind)
            await writer.start_tls(context)
            await afterwards(reader, writer)

    return behave


def by(
    mode: Encryption, ca: Path | None, name: str | None = NAME
) -> Callable[[Upstream], Upstream]:
    settings = UpstreamTls(mode, None if ca is None else str(ca), name)
    return lambda usual: replace(usual, tls=settings)


def state(house: Premises) -> str:
    (found,) = (status.state for status in house.doors.status() if status.protocol == "imap")
    return found


async def end(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), 10)


@pytest.mark.parametrize("mode", [Encryption.IMPLICIT, Encryption.STARTTLS])
async def test_a_login_and_its_session_go_through_tls(
    mode: Encryption, authority: trustme.CA, ca: Path
) -> None:
    context = shows(authority.issue_cert(NAME))
    async with open_house(behind=by(mode, ca)) as house:
        server = house.server
        match mode:
            case Encryption.IMPLICIT:
                server.behaviour = implicit(context, server.imap)
            case Encryption.STARTTLS | Encryption.NONE:
                server.behaviour = starttls(context, server.imap_commands)
        assert (await house.imap_login("ada", "wrong")).startswith(WRONG)
        assert server.guesses == [b"ada"]
        reader, writer = await house.connect()
        writer.write(b"a LOGIN ada right\r\nb NOOP\r\n")
        while not (await reader.readline()).startswith(OK):
            pass
        assert await reader.readline() == b"b NOOP\r\n"  # the server is an echo now
        big = b"c APPEND x {2097152+}\r\n" + bytes(range(256)) * 8_192 + b"\r\n"
        writer.write(big)
        assert await reader.readexactly(len(big)) == big
        writer.close()
        await end(reader)
        assert state(house) == "ok"


async def test_the_proxy_header_comes_first_and_the_handshake_asks_for_the_name(ca: Path) -> None:
    sent = bytearray()

    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while NAME.encode() not in sent:
            sent.extend(await reader.read(1_000))

    def proxied(usual: Upstream) -> Upstream:
        return replace(by(Encryption.IMPLICIT, ca)(usual), client_address=ClientAddress.PROXY_V1)

    async with open_house(behind=proxied) as house:
        house.server.behaviour = listen
        assert (await house.imap_login("ada", "right")).startswith(LATER)
    header, _, handshake = bytes(sent).partition(b"\r\n")
    assert header.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")
    assert handshake.startswith(b"\x16\x03")  # a TLS record with a handshake in it


@pytest.mark.parametrize("mode", Encryption)
async def test_a_header_tells_of_the_clients_tls_unless_starttls_follows(
    mode: Encryption, ca: Path
) -> None:
    """Dovecot 2.4 takes the connection itself for encrypted then, and refuses STARTTLS."""
    header = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header.extend(await reader.readexactly(16))
        header.extend(await reader.readexactly(int.from_bytes(header[14:])))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        here: Address = ip_address("127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        seconds = timedelta(seconds=5)
        tls = UpstreamTls(mode, str(ca), NAME)
        settings = Upstream("imap", str(here), port, ClientAddress.PROXY_V2, seconds, seconds, tls)
        backend = MailServer(settings, Protocol.IMAP, (), lambda _: None)
        client = Client((here, 50_000), (here, 143), TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384"))
        password = Credentials(Mechanism.PLAIN, b"ada", Secret(b"right"))
        assert isinstance(await backend.login(password, client), Unavailable)
    assert (b"TLSv1.3" in header) is (mode is not Encryption.STARTTLS)


@asynccontextmanager
async def trouble(
    behaviour: Behaviour, behind: Callable[[Upstream], Upstream], connect_ms: int = 5_000
) -> AsyncIterator[list[str]]:
    """A house whose mail server misbehaves: told later, and nothing is ever counted."""
    said: list[str] = []
    async with open_house(policy("1/1h"), connect_ms=connect_ms, behind=behind) as house:
        house.server.behaviour = behaviour
        for _ in range(2):
            assert (await house.imap_login("ada", "wrong")).startswith(LATER)
        said.append(state(house))
        assert house.server.guesses == []
        assert not list(house.guard.mirror.kept())
        assert house.guard.reservations.under_way == 0
        yield said


async def nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    pass


async def told(
    behaviour: Behaviour, behind: Callable[[Upstream], Upstream], connect_ms: int = 5_000
) -> str:
    async with trouble(behaviour, behind, connect_ms) as said:
        return said[0].partition(" of 127.0.0.1:")[2].partition(" ")[2] or said[0]


@pytest.mark.parametrize("mode", [Encryption.IMPLICIT, Encryption.STARTTLS])
async def test_a_certificate_that_proves_nothing_lets_nobody_in(
    mode: Encryption, authority: trustme.CA, ca: Path
) -> None:
    before = starttls if mode is Encryption.STARTTLS else implicit
    expired = authority.issue_cert(NAME, not_before=LONG_AGO, not_after=LONG_AGO + timedelta(1))
    early = authority.issue_cert(NAME, not_before=datetime.now(UTC) + timedelta(2))  # noqa: TID251 -- OpenSSL asks the real clock
    assert await told(before(shows(expired), nothing), by(mode, ca)) == (
        "has expired: renew it there"
    )
    assert await told(before(shows(early), nothing), by(mode, ca)) == (
        "is not valid yet: look at the clocks of both machines"
    )
    other = shows(authority.issue_cert("other.test"))
    assert await told(before(other, nothing), by(mode, ca)) == (
        "is not for imap.test: set backend.imap.tls.server-name to a name in it"
    )
    assert await told(before(other, nothing), by(mode, ca, name=None)) == (
        "is not for 127.0.0.1: set backend.imap.tls.server-name to a name in it"
    )
    stranger = shows(trustme.CA().issue_cert(NAME))
    for trusted in (ca, None):
        assert await told(before(stranger, nothing), by(mode, trusted)) == (
            "is vouched for by nobody who is trusted here: set backend.imap.tls.ca to a file with"
            " its authority's certificate, or with its own"
        )


async def test_a_certificate_itself_may_stand_in_for_its_authority(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert(NAME)
    own = tmp_path / "own.pem"
    leaf.cert_chain_pems[0].write_to_path(own)
    async with open_house(behind=by(Encryption.IMPLICIT, own)) as house:
        house.server.behaviour = implicit(shows(leaf), house.server.imap)
        assert (await house.imap_login("ada", "wrong")).startswith(WRONG)


async def test_an_address_may_be_what_the_certificate_is_for(
    authority: trustme.CA, ca: Path
) -> None:
    async with open_house(behind=by(Encryption.IMPLICIT, ca, name=None)) as house:
        context = shows(authority.issue_cert("127.0.0.1"))
        house.server.behaviour = implicit(context, house.server.imap)
        assert (await house.imap_login("ada", "wrong")).startswith(WRONG)


async def test_a_server_without_tls_gets_no_password(ca: Path) -> None:
    async def plaintext(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n")
        assert b"AGFkYQ" not in await reader.read()

    assert (await told(plaintext, by(Encryption.IMPLICIT, ca))).endswith(
        'does not begin with TLS: set backend.imap.tls = "starttls", or the port for TLS'
    )
    assert (await told(plaintext, by(Encryption.STARTTLS, ca))).startswith(
        "the backend offers no STARTTLS: "
    )


async def test_bytes_between_starttls_and_tls_are_not_believed(
    authority: trustme.CA, ca: Path
) -> None:
    context = shows(authority.issue_cert(NAME))
    injected = starttls(context, nothing, behind=b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")
    assert await told(injected, by(Encryption.STARTTLS, ca)) == (
        "the backend sent something between STARTTLS and TLS"
    )


@pytest.mark.parametrize("mode", [Encryption.IMPLICIT, Encryption.STARTTLS])
async def test_a_handshake_of_garbage_or_none_at_all_is_an_outage(
    mode: Encryption, ca: Path
) -> None:
    async def before(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if mode is Encryption.STARTTLS:
            writer.write(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
            await reader.readline()
            writer.write(b"m4 OK go\r\n")
        await reader.read(100)

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await before(reader, writer)
        writer.write(b"\x16\x03\x03\x00\x04junk" * 10)
        await reader.read()

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await before(reader, writer)

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await before(reader, writer)
        await reader.read()

    assert "TLS" in await told(garbage, by(mode, ca))
    assert (await told(hangs_up, by(mode, ca))).endswith(
        "closed the connection in the TLS handshake; its log may say why"
    )
    assert (await told(hangs, by(mode, ca), connect_ms=200)).endswith(
        "did not finish the TLS handshake in time"
    )


async def test_a_server_that_waits_for_a_handshake_is_told_from_a_silent_one(
    authority: trustme.CA, ca: Path
) -> None:
    context = shows(authority.issue_cert(NAME))
    for mode in (Encryption.NONE, Encryption.STARTTLS):
        waits = by(mode, ca if mode is Encryption.STARTTLS else None)
        assert (await told(implicit(context, nothing), waits, connect_ms=200)).endswith(
            "did not say a word in time; if TLS begins at once there,"
            ' set backend.imap.tls = "implicit"'
        )


async def test_a_server_that_is_silent_behind_the_handshake_is_an_outage(
    authority: trustme.CA, ca: Path
) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    behaviour = implicit(shows(authority.issue_cert(NAME)), silent)
    said = await told(behaviour, by(Encryption.IMPLICIT, ca), connect_ms=300)
    assert said.endswith("did not answer in time")


async def test_a_server_that_ends_tls_after_the_guess_has_not_answered(
    authority: trustme.CA, ca: Path
) -> None:
    async with open_house(policy("1/1h"), behind=by(Encryption.IMPLICIT, ca)) as house:

        async def dies() -> None:
            raise ConnectionResetError

        house.server.before_answer = dies
        behaviour = implicit(shows(authority.issue_cert(NAME)), house.server.imap)
        house.server.behaviour = behaviour
        assert (await house.imap_login("ada", "wrong")).startswith(LATER)
        assert house.server.guesses == [b"ada"]
        assert not list(house.guard.mirror.kept())
        assert state(house) == "the backend closed the connection without an answer"


async def test_a_server_of_yesterdays_tls_is_told_from_a_broken_one(ca: Path) -> None:
    async def only_1_1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(bytes.fromhex("15030100020246"))  # alert: protocol version
        await reader.read()

    assert (await told(only_1_1, by(Encryption.IMPLICIT, ca))).endswith(
        "has no TLS 1.2 or later: allow it there"
    )


async def test_authorities_that_cannot_be_read_ask_nobody(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    assert await told(nothing, by(Encryption.IMPLICIT, empty)) == (
        f"backend.imap.tls.ca: {empty} holds no certificate; it takes a PEM file"
    )
    missing = tmp_path / "missing.pem"
    assert await told(nothing, by(Encryption.IMPLICIT, missing)) == (
        f"backend.imap.tls.ca: {missing} cannot be read: No such file or directory"
    )


async def test_a_session_that_ends_before_its_client_has_taken_it_leaves_nothing_behind(
    authority: trustme.CA, ca: Path
) -> None:
    directory, served = Directory(), asyncio.Queue[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await served.put(writer)
        await directory.imap(reader, writer)

    async with open_house(behind=by(Encryption.IMPLICIT, ca), offers=OFFERS) as house:
        house.server.behaviour = implicit(shows(authority.issue_cert(NAME)), serve)
        caller, client = (
            await call(house, Protocol.IMAP),
            ScramClient(["SCRAM-SHA-1"], "ada", "right"),
        )
        client.set_server_first(text(await caller.begin("SCRAM-SHA-1", client.get_client_first())))
        assert is_challenge(await caller.answer(client.get_client_final()))
        server = await served.get()
        resets = struct.pack("ii", 1, 0)
        server.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, resets)
        server.transport.abort()
        for _ in range(100):
            await asyncio.sleep(0)  # the reset is noticed meanwhile
        assert is_later(await caller.answer(""))
        caller.writer.close()
        await until(lambda: house.lobby.present == 0)
