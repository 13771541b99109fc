"""TLS at the doors, from both kinds of client and from people with bad intentions."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from base64 import b64encode

import pytest
import trustme

from mailward.edges.tls import ServerCertificate
from mailward.guard.journal import Event
from mailward.settings.configuration import DoorTls, Protocol
from tests.edges.house import Premises, limits, open_house, policy, until

both_loops = True
STARTTLS = DoorTls(implicit=False, certificate="default")
IMPLICIT = DoorTls(implicit=True, certificate="default")
PLAIN_ADA = b64encode(b"\0ada\0right")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def certificate(authority: trustme.CA, *names: str) -> ServerCertificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return ServerCertificate(context, frozenset(names))


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def keys(authority: trustme.CA) -> dict[str, ServerCertificate]:
    return {
        "default": certificate(authority, "mail.test"),
        "other": certificate(authority, "*.other.test"),
    }


async def begin_tls(
    writer: asyncio.StreamWriter, authority: trustme.CA, host: str = "mail.test"
) -> None:
    async with asyncio.timeout(5):
        await writer.start_tls(trusting(authority), server_hostname=host)


async def imap_with_starttls(
    house: Premises, authority: trustme.CA, host: str = "mail.test"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await house.connect()
    assert b"STARTTLS" in await reader.readline()
    writer.write(b"s STARTTLS\r\n")
    assert (await reader.readline()).startswith(b"s OK")
    await begin_tls(writer, authority, host)
    return reader, writer


async def test_imap_after_starttls_logs_in_and_pumps(authority: trustme.CA) -> None:
    async with open_house(tls=STARTTLS, certificates=keys(authority)) as house:
        reader, writer = await imap_with_starttls(house, authority)
        writer.write(b"c CAPABILITY\r\n")
        capabilities = await reader.readline()
        assert b"STARTTLS" not in capabilities
        assert b"AUTH=PLAIN" in capabilities
        await reader.readline()
        writer.write(b"a LOGIN ada right\r\nb APPEND\r\n")
        assert (await reader.readline()).startswith(b"a OK")
        assert await reader.readline() == b"b APPEND\r\n"
        big = b"c APPEND x {1000000+}\r\n" + b"x" * 1_000_000 + b"\r\n"
        writer.write(big)
        assert await reader.readexactly(len(big)) == big
        writer.close()


async def test_submission_after_starttls_forgets_what_was_said_before(
    authority: trustme.CA,
) -> None:
    async with open_house(tls=STARTTLS, certificates=keys(authority)) as house:
        reader, writer = await house.connect(Protocol.SUBMISSION)
        writer.write(b"EHLO c\r\n")
        said = await reader.readuntil(b"250 ")
        said += await reader.readline()
        assert b"STARTTLS" in said
        writer.write(b"STARTTLS\r\n")
        assert (await reader.readline()).startswith(b"220 2.0.0")
        await begin_tls(writer, authority)
        writer.write(b"AUTH PLAIN " + PLAIN_ADA + b"\r\n")
        assert (await reader.readline()).startswith(b"503 5.5.1")
        writer.write(b"EHLO c\r\nAUTH PLAIN " + PLAIN_ADA + b"\r\n")
        while (line := await reader.readline()).startswith(b"250"):
            assert b"STARTTLS" not in line
        assert line.startswith(b"235")
        writer.close()


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_certificate_that_is_no_longer_configured_is_shown_to_whoever_came_before(
    protocol: Protocol, authority: trustme.CA
) -> None:
    wish = {Protocol.IMAP: b"s STARTTLS\r\n"}.get(protocol, b"STARTTLS\r\n")
    async with open_house(tls=STARTTLS, certificates=keys(authority)) as house:
        reader, writer = await house.connect(protocol)
        assert await reader.readline()
        house.doors.keyring.swap({"renamed": keys(authority)["default"]})
        writer.write(wish)
        while b"Begin TLS" not in await reader.readline():
            pass
        await begin_tls(writer, authority)
        writer.close()


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_implicit_tls_greets_after_the_handshake(
    protocol: Protocol, authority: trustme.CA
) -> None:
    async with open_house(tls=IMPLICIT, certificates=keys(authority)) as house:
        reader, writer = await house.connect(protocol)
        await begin_tls(writer, authority)
        assert (await reader.readline())[:4] in {b"* OK", b"220 ", b'"IMP'}
        writer.close()


async def test_a_client_gets_the_certificate_of_the_name_it_asks_for(
    authority: trustme.CA,
) -> None:
    async with open_house(tls=STARTTLS, certificates=keys(authority)) as house:
        for host in ("imap.other.test", "mail.test"):
            _, writer = await imap_with_starttls(house, authority, host)
            writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await imap_with_starttls(house, authority, "unknown.test")


async def test_new_certificates_are_shown_from_the_next_handshake_on(
    authority: trustme.CA,
) -> None:
    async with open_house(tls=STARTTLS, certificates=keys(authority)) as house:
        reader, writer = await imap_with_starttls(house, authority)
        other = trustme.CA()
        house.doors.keyring.swap(keys(other))
        with pytest.raises(ssl.SSLCertVerificationError):
            await imap_with_starttls(house, authority)
        _, new = await imap_with_starttls(house, other)
        writer.write(b"a LOGIN ada right\r\n")
        assert (await reader.readline()).startswith(b"a OK")
        writer.close()
        new.close()


@pytest.mark.parametrize("behind", [b"a LOGIN ada right\r\n", b"\x16\x03\x01", b"x"])
async def test_plaintext_behind_starttls_closes_and_is_never_obeyed(
    behind: bytes, authority: trustme.CA
) -> None:
    async with open_house(tls=STARTTLS, certificates=keys(authority)) as house:
        reader, writer = await house.connect()
        writer.write(b"s STARTTLS\r\n" + behind)
        said = await reader.read()
        assert b"s OK" not in said
        assert said.endswith(b"* BYE Plaintext behind STARTTLS\r\n")
        assert house.server.guesses == []
        writer.close()


async def test_a_banned_address_costs_no_handshake(authority: trustme.CA) -> None:
    async with open_house(policy("1/1h"), tls=IMPLICIT, certificates=keys(authority)) as house:
        reader, writer = await house.connect()
        await begin_tls(writer, authority)
        writer.write(b"a LOGIN ada wrong\r\n")
        await reader.read()
        with pytest.raises(ConnectionResetError):
            await speak_tls_to(house)
        assert house.guard.drops.total == 1


async def speak_tls_to(house: Premises) -> None:
    reader, writer = await house.connect()
    writer.write(b"\x16\x03\x01")
    await reader.readexactly(1)


@pytest.mark.parametrize(
    "garbage", [b"\r\n" * 100, b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, b"GET / HTTP/1.1\r\n\r\n"]
)
async def test_garbage_for_a_handshake_harms_nobody(garbage: bytes, authority: trustme.CA) -> None:
    async with open_house(tls=IMPLICIT, certificates=keys(authority)) as house:
        clients = [await house.connect() for _ in range(20)]
        for _, writer in clients:
            writer.write(garbage)
        await until(lambda: house.lobby.present == 0)
        for _, writer in clients:
            writer.close()


async def test_a_handshake_that_stops_half_way_ends_with_the_login_time(
    authority: trustme.CA,
) -> None:
    async with open_house(
        doors=limits(login_timeout=300), tls=IMPLICIT, certificates=keys(authority)
    ) as house:
        waiting = [await house.connect() for _ in range(20)]
        for _, writer in waiting:
            writer.write(b"\x16\x03\x01\x02\x00\x01")
        await until(lambda: house.lobby.waiting == 20)
        await until(lambda: house.lobby.present == 0)
        assert house.guard.journal.counts[Event.CONNECTION_TIMEOUT, "imap"] == 20
        for _, writer in waiting:
            writer.close()


async def test_clients_that_vanish_inside_the_handshake_leave_nothing(
    authority: trustme.CA,
) -> None:
    async with open_house(tls=STARTTLS, certificates=keys(authority)) as house:
        for _ in range(20):
            reader, writer = await house.connect()
            await reader.readline()
            writer.write(b"s STARTTLS\r\n")
            await reader.readline()
            writer.write(b"\x16\x03\x01\x02")
            writer.transport.abort()
        await until(lambda: house.lobby.present == 0)


async def test_old_versions_of_tls_are_not_spoken(authority: trustme.CA) -> None:
    made = keys(authority)
    made["default"].context.minimum_version = ssl.TLSVersion.TLSv1_2
    async with open_house(tls=IMPLICIT, certificates=made) as house:
        _, writer = await house.connect()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is the point of them
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await writer.start_tls(old, server_hostname="mail.test")
        writer.close()
        await until(lambda: house.lobby.present == 0)
