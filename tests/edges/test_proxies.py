"""Doors behind a proxy: whoever it speaks for is counted, and nobody else is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

import pytest
import trustme

from mailward.guard.journal import Event
from mailward.rules.model import Instant
from mailward.settings.configuration import ClientAddress, DoorTls, Protocol
from mailward.wire.proxyline import SIGNATURE, TlsFacts
from mailward.wire.proxyreader import HeaderReader, Proxied
from tests.edges.house import limits, open_house, policy, until
from tests.edges.proxies import (
    CLIENT,
    LOCAL,
    OTHER,
    PROXY,
    STRANGER,
    TLS,
    begin_tls,
    behind_proxy,
    binary,
    certificate,
    first_words,
    line,
    login,
    trusted,
)

both_loops = True
STARTTLS = DoorTls(implicit=False, certificate="default")
IMPLICIT = DoorTls(implicit=True, certificate="default")
WRONG = b"a NO [AUTHENTICATIONFAILED]"
LATER = b"a NO [UNAVAILABLE]"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


# -- whose connection it is ------------------------------------------------------------------------


@pytest.mark.parametrize("header", [binary, line])
async def test_a_ban_hits_the_client_behind_the_proxy_and_nobody_else(
    header: Callable[[str], bytes],
) -> None:
    async with behind_proxy() as house:
        for name in "abc":
            assert (await login(house, header(CLIENT), name)).startswith(WRONG)
        assert await first_words(house, header(CLIENT)) == b""
        assert house.guard.drops.total == 1
        assert (await login(house, header(OTHER), "ada", "right")).startswith(b"a OK")
        assert [ban.subject.name for ban in house.guard.mirror] == [CLIENT]


async def test_a_client_that_has_the_address_of_its_proxy_is_counted_and_the_proxy_is_not() -> None:
    async with behind_proxy() as house:
        for name in "abc":
            await login(house, binary(PROXY), name)
        assert [ban.subject.name for ban in house.guard.mirror] == [PROXY]
        assert await first_words(house, binary(PROXY)) == b""
        assert (await first_words(house, binary(CLIENT)))[:4] == b"* OK"


async def test_mapped_and_translated_addresses_are_the_one_they_carry() -> None:
    async with behind_proxy() as house:
        for address in (CLIENT, f"::ffff:{CLIENT}", "64:ff9b::203.0.113.9"):
            await login(house, binary(address), address[:4])
        assert [ban.subject.name for ban in house.guard.mirror] == [CLIENT]


async def test_the_caps_of_an_address_are_for_the_client_and_not_for_the_proxy() -> None:
    async with behind_proxy(doors=limits(max_waiting_per_address=2)) as house:
        waiting = []
        for number in range(1, 6):
            reader, writer = await house.connect()
            writer.write(binary(f"203.0.113.{number}"))
            assert (await reader.readline())[:4] == b"* OK"
            waiting.append(writer)
        for _ in range(2):
            reader, writer = await house.connect()
            writer.write(binary(CLIENT))
            assert (await reader.readline())[:4] == b"* OK"
            waiting.append(writer)
        assert (await first_words(house, binary(CLIENT))).startswith(b"* BYE [UNAVAILABLE]")
        for writer in waiting:
            writer.close()


async def test_a_ban_closes_the_connections_of_that_client_alone() -> None:
    async with behind_proxy() as house:
        idle, writer = await house.connect()
        writer.write(binary(CLIENT))
        spared, other = await house.connect()
        other.write(binary(OTHER))
        await asyncio.gather(idle.readline(), spared.readline())
        for name in "abc":
            await login(house, binary(CLIENT), name)
        assert (await idle.readline()).startswith(b"* BYE")
        other.write(b"b NOOP\r\n")
        assert (await spared.readline()).startswith(b"b OK")
        writer.close()
        other.close()


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_every_door_reads_the_header(protocol: Protocol) -> None:
    async with behind_proxy() as house:
        reader, writer = await house.connect(protocol)
        writer.write(binary(CLIENT))
        assert await reader.readline()
        assert [str(guest.address) for guest in house.lobby.everybody()] == [CLIENT]
        writer.close()


# -- TLS -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [binary, line])
async def test_tls_begins_right_behind_the_header(
    authority: trustme.CA, header: Callable[[str], bytes]
) -> None:
    async with behind_proxy(tls=IMPLICIT, authority=authority) as house:
        reader, writer = await house.connect()
        writer.write(header(CLIENT))
        await begin_tls(writer, authority)
        assert (await reader.readline())[:4] == b"* OK"
        writer.write(b"a LOGIN ada x\r\n")
        assert (await reader.readline()).startswith(WRONG)
        writer.close()


async def test_starttls_works_behind_a_header(authority: trustme.CA) -> None:
    async with behind_proxy(tls=STARTTLS, authority=authority, allow_plaintext=False) as house:
        reader, writer = await house.connect()
        writer.write(binary(CLIENT) + b"s STARTTLS\r\n")
        assert b"LOGINDISABLED" in await reader.readline()
        assert (await reader.readline()).startswith(b"s OK")
        await begin_tls(writer, authority)
        writer.write(b"a LOGIN ada x\r\n")
        assert (await reader.readline()).startswith(WRONG)
        writer.close()


async def test_a_banned_client_gets_no_handshake(authority: trustme.CA) -> None:
    async with behind_proxy("1/1h", tls=IMPLICIT, authority=authority) as house:
        reader, writer = await house.connect()
        writer.write(binary(CLIENT))
        await begin_tls(writer, authority)
        writer.write(b"a LOGIN ada x\r\n")
        await reader.read()
        reader, writer = await house.connect()
        writer.write(binary(CLIENT))
        with suppress(ConnectionError):
            assert await reader.read() == b""


async def test_passwords_are_welcome_where_the_proxy_says_that_the_client_has_tls() -> None:
    async with behind_proxy(allow_plaintext=None) as house:
        assert (await login(house, binary(CLIENT))).startswith(b"a NO [PRIVACYREQUIRED]")
        assert (await login(house, binary(CLIENT, TLS))).startswith(WRONG)
        # Its client is on the proxy's own machine: nothing has crossed a network.
        assert (await login(house, binary("127.0.0.1"))).startswith(WRONG)


@pytest.mark.parametrize("facts", [TLS, TlsFacts("", ""), None])
async def test_the_mail_server_is_told_what_the_proxy_tells(facts: TlsFacts | None) -> None:
    async with behind_proxy(told=ClientAddress.PROXY_V2) as house:
        told: list[object] = []

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            header = HeaderReader()
            while header.result is None:
                header.receive(await reader.read(1))
            told.append(header.result)
            await house.server.imap(reader, writer)

        house.server.behaviour = listen
        assert (await login(house, binary(CLIENT, facts), "ada", "right")).startswith(b"a OK")
        client = (ip_address(CLIENT), 50_000)
        assert Proxied(client, (ip_address("192.0.2.1"), 143), facts) in told


# -- health checks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check",
    [LOCAL, b"PROXY UNKNOWN\r\n", SIGNATURE + bytes.fromhex("21000000")],
    ids=["LOCAL", "UNKNOWN", "AF_UNSPEC"],
)
async def test_a_health_check_is_greeted_but_cannot_log_in(check: bytes) -> None:
    async with behind_proxy("1/1h") as house:
        assert (await first_words(house, check))[:4] == b"* OK"
        for _ in range(3):
            assert (await login(house, check, "ada", "right")).startswith(LATER)
        assert house.server.guesses == []
        assert (await login(house, binary(CLIENT), "ada", "right")).startswith(b"a OK")
        assert not list(house.guard.mirror)


async def test_health_checks_are_in_nobodys_way() -> None:
    async with behind_proxy(doors=limits(max_waiting_per_address=1)) as house:
        checks = [await house.connect() for _ in range(5)]
        for reader, writer in checks:
            writer.write(LOCAL)
            assert (await reader.readline())[:4] == b"* OK"
        assert (await first_words(house, binary(PROXY)))[:4] in {b"* OK", b"* BY"}
        assert (await first_words(house, binary(CLIENT)))[:4] == b"* OK"
        for _, writer in checks:
            writer.close()


async def test_who_only_connects_and_leaves_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async with behind_proxy() as house:
        for _ in range(3):
            _, writer = await house.connect()
            writer.close()
        assert (await first_words(house, binary(CLIENT)))[:4] == b"* OK"
    assert "PROXY header" not in caplog.text


# -- whom nobody believes --------------------------------------------------------------------------


async def test_a_peer_that_is_not_trusted_is_closed_and_reported_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with behind_proxy() as house:
        for _ in range(3):
            assert await first_words(house, binary(CLIENT), STRANGER) == b""
        assert caplog.text.count("127.0.0.9 may not connect") == 1
        assert "add server.proxy.trusted-networks.127.0.0.9;" in caplog.text
        house.now[0] = Instant(house.now[0] + 61)
        await first_words(house, binary(CLIENT), STRANGER)
        assert caplog.text.count("127.0.0.9 may not connect") == 2
        assert "(2 more before this one)" in caplog.text
        assert house.guard.drops.total == 0  # it is no ban


@pytest.mark.parametrize("header", [binary(CLIENT), line(CLIENT)], ids=["v2", "v1"])
@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_header_that_is_not_expected_is_refused_and_reported_once_a_minute(
    header: bytes, caplog: pytest.LogCaptureFixture, *, is_trusted: bool
) -> None:
    rules = policy("3/1h", trusted=trusted(PROXY)) if is_trusted else policy("3/1h")
    async with open_house(rules) as house:
        for protocol in Protocol:
            for _ in range(3):
                reader, writer = await house.connect(protocol, PROXY)
                writer.write(header)
                with suppress(ConnectionError):
                    await reader.read()
                writer.close()
            needle = f"listener {protocol.value}: 127.0.0.1 has sent a PROXY header"
            assert caplog.text.count(needle) == 1
        assert "set server.listener.imap.proxy-protocol = true" in caplog.text


@pytest.mark.parametrize("header", [binary(CLIENT), line(CLIENT)], ids=["v2", "v1"])
async def test_a_header_before_tls_is_refused_and_reported_too(
    header: bytes, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    certificates = {"default": certificate(authority)}
    async with open_house(tls=IMPLICIT, certificates=certificates) as house:
        assert await first_words(house, header) == b""
        await until(lambda: house.lobby.present == 0)
    assert caplog.text.count("listener imap: 127.0.0.1 has sent a PROXY header") == 1


# -- a trusted peer itself -------------------------------------------------------------------------


async def test_a_trusted_peer_that_names_nobody_is_never_counted_but_its_logins_are() -> None:
    async with open_house(
        policy("3/1h", trusted=trusted(PROXY)), limits(max_waiting_per_address=1)
    ) as house:
        for name in "abcde":
            assert (await house.imap_login(name, "x")).startswith(WRONG)
        for _ in range(3):
            await house.submission_login("grace", "x")
        assert [ban.subject.key for ban in house.guard.mirror] == ["login:grace"]
        assert (await house.imap_login("grace", "right")).startswith(LATER)
        many = [await house.connect() for _ in range(3)]
        for reader, writer in many:
            assert (await reader.readline())[:4] == b"* OK"
            writer.close()


async def test_a_peer_that_lost_its_trust_before_its_header_came_is_not_believed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with behind_proxy() as house:
        reader, writer = await house.connect(source=PROXY)
        writer.write(SIGNATURE)
        assert (await first_words(house, binary(OTHER)))[:4] == b"* OK"  # ours is awaited by now
        house.guard.adopt(policy("3/1h"), house.now[0])
        writer.write(binary(CLIENT)[len(SIGNATURE) :])
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
    assert "127.0.0.1 may not connect" in caplog.text


async def test_a_drop_behind_a_proxy_is_an_event_with_the_clients_address() -> None:
    async with behind_proxy("1/1h") as house:
        await login(house, binary(CLIENT))
        with house.guard.journal.entries.follow() as entries:
            await first_words(house, binary(CLIENT))
            batch = await anext(entries.batches())
        assert [(e.event, e.fields["address"]) for e in batch] == [
            (Event.CONNECTION_DROPPED, CLIENT)
        ]


async def test_a_reset_is_all_that_a_banned_client_behind_a_proxy_gets() -> None:
    async with behind_proxy("1/1h") as house:
        await login(house, binary(CLIENT))
        reader, writer = await house.connect()
        writer.write(binary(CLIENT))
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_reload_makes_a_listener_one_for_proxies_and_back_again() -> None:
    rules = policy("3/1h", trusted=trusted(PROXY))
    async with open_house(rules) as house:
        assert (await first_words(house, b""))[:4] == b"* OK"
        house.change_doors(lambda usual: replace(usual, proxy_protocol=True))
        assert await first_words(house, b"a NOOP\r\n") == b""
        assert (await first_words(house, binary(CLIENT)))[:4] == b"* OK"
        house.change_doors(lambda usual: replace(usual, proxy_protocol=False))
        assert (await first_words(house, b"", STRANGER))[:4] == b"* OK"
