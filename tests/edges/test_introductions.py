"""A webmail says who its client is: believed where it is trusted, else not a word of it."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode

import pytest

from mailward.settings.configuration import ClientAddress, Protocol, Upstream
from mailward.wire.proxyreader import HeaderReader, Proxied
from tests.edges.house import Premises, limits, open_house, policy
from tests.edges.proxies import CLIENT, OTHER, PROXY, STRANGER, behind_proxy, binary, trusted

both_loops = True

WORDS = {
    Protocol.IMAP: b'i ID ("name" "webmail" "X-Originating-IP" "%b" "x-originating-port" "50000")',
    Protocol.SUBMISSION: b"XCLIENT ADDR=%b PORT=50000 PROTO=ESMTP HELO=[127.0.0.1] LOGIN=admin",
    Protocol.MANAGESIEVE: b"XCLIENT ADDR=%b PORT=50000",
}
PORT = re.compile(rb' "x-originating-port" "50000"| PORT=50000')
ANSWERS = {
    Protocol.IMAP: b"i OK",
    Protocol.SUBMISSION: b"220 ",
    Protocol.MANAGESIEVE: b"OK",
}
BANNED = {
    Protocol.IMAP: b"* BYE",
    Protocol.SUBMISSION: b"421 4.7.0",
    Protocol.MANAGESIEVE: b"BYE",
}
ALL = pytest.mark.parametrize("protocol", list(Protocol))


class Webmail:
    """One connection of a webmail that speaks *protocol*, and has been greeted."""

    def __init__(
        self, protocol: Protocol, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.protocol = protocol
        self.reader = reader
        self.writer = writer

    async def introduce(self, client: str, port: bytes = b"50000") -> bytes:
        """The answer to the words that name *client*, without its port where that is empty."""
        if ":" in client and self.protocol is Protocol.SUBMISSION:
            client = f"IPV6:{client}"
        words = WORDS[self.protocol] % client.encode()
        words = words.replace(b"50000", port) if port else PORT.sub(b"", words)
        self.writer.write(words + b"\r\n")
        return await self.answer()

    async def guess(self, name: str, password: str = "x") -> bytes:  # noqa: S107 -- a wrong one
        """The answer to a login."""
        message = b64encode(f"\0{name}\0{password}".encode())
        match self.protocol:
            case Protocol.IMAP:
                self.writer.write(b"a AUTHENTICATE PLAIN %b\r\n" % message)
            case Protocol.SUBMISSION:
                self.writer.write(b"EHLO web.test\r\n")
                await self.answer()
                self.writer.write(b"AUTH PLAIN %b\r\n" % message)
            case Protocol.MANAGESIEVE:
                self.writer.write(b'AUTHENTICATE "PLAIN" "%b"\r\n' % message)
        return await self.answer()

    async def answer(self) -> bytes:
        """The line that ends the next answer; empty where the connection ends."""
        async with asyncio.timeout(5):
            while line := await self.reader.readline():
                if self._is_last(line):
                    break
        return line

    def _is_last(self, line: bytes) -> bool:
        match self.protocol:
            case Protocol.IMAP:
                return line.startswith((b"a ", b"i ", b"* BYE"))
            case Protocol.SUBMISSION:
                return line[3:4] == b" "
            case Protocol.MANAGESIEVE:
                return line.startswith((b"OK", b"NO", b"BYE"))


async def arrive(
    house: Premises, protocol: Protocol, source: str = PROXY, preface: bytes = b""
) -> Webmail:
    reader, writer = await house.connect(protocol, source)
    writer.write(preface)
    webmail = Webmail(protocol, reader, writer)
    if protocol is Protocol.IMAP:
        await reader.readline()
    else:
        await webmail.answer()
    return webmail


@ALL
@pytest.mark.parametrize("client", [CLIENT, "2001:db8::9"])
async def test_a_ban_hits_the_client_that_a_webmail_names_and_nobody_else(
    protocol: Protocol, client: str
) -> None:
    async with open_house(policy("3/1h", trusted=trusted(PROXY))) as house:
        for name in "abc":
            webmail = await arrive(house, protocol)
            assert (await webmail.introduce(client)).startswith(ANSWERS[protocol])
            await webmail.guess(name)
            webmail.writer.close()
        assert [str(ban.subject.name) for ban in house.guard.mirror] in (
            [CLIENT],
            ["2001:db8::/64"],
        )
        webmail = await arrive(house, protocol)
        assert (await webmail.introduce(client)).startswith(BANNED[protocol])
        assert await webmail.reader.read() == b""
        webmail.writer.close()
        assert house.guard.drops.total == 1
        webmail = await arrive(house, protocol)
        await webmail.introduce(OTHER)
        assert not (await webmail.guess("ada", "right")).startswith((b"a NO", b"535", b"NO"))
        webmail.writer.close()


@ALL
async def test_nobody_believes_a_stranger(protocol: Protocol) -> None:
    async with open_house(policy("3/1h", trusted=trusted(PROXY))) as house:
        for name in "abc":
            webmail = await arrive(house, protocol, STRANGER)
            refused = await webmail.introduce(CLIENT)
            assert refused.startswith((b"i OK", b"500 ", b"NO"))
            await webmail.guess(name)
            webmail.writer.close()
        assert [ban.subject.name for ban in house.guard.mirror] == [STRANGER]


@pytest.mark.parametrize("protocol", [Protocol.SUBMISSION, Protocol.MANAGESIEVE])
async def test_the_words_are_shown_to_those_alone_who_may_say_them(protocol: Protocol) -> None:
    async with open_house(policy("3/1h", trusted=trusted(PROXY))) as house:
        for source, is_shown in ((PROXY, True), (STRANGER, False)):
            reader, writer = await house.connect(protocol, source)
            if protocol is Protocol.SUBMISSION:
                writer.write(b"EHLO web.test\r\n")
            writer.write(b"NOOP\r\n")
            async with asyncio.timeout(5):
                said = await reader.readuntil(
                    b"OK" if protocol is Protocol.MANAGESIEVE else b"2.0.0"
                )
            assert (b"XCLIENT" in said) is is_shown
            writer.close()


@ALL
async def test_a_client_behind_a_proxy_is_not_believed_because_its_proxy_is(
    protocol: Protocol,
) -> None:
    async with behind_proxy() as house:
        for name in "abc":
            webmail = await arrive(house, protocol, preface=binary(CLIENT))
            await webmail.introduce(OTHER)
            await webmail.guess(name)
            webmail.writer.close()
        assert [ban.subject.name for ban in house.guard.mirror] == [CLIENT]


@ALL
async def test_a_webmail_behind_a_proxy_is_believed_where_it_is_trusted(protocol: Protocol) -> None:
    async with behind_proxy() as house:
        for name in "abc":
            webmail = await arrive(house, protocol, preface=binary(PROXY))
            await webmail.introduce(OTHER)
            await webmail.guess(name)
            webmail.writer.close()
        assert [ban.subject.name for ban in house.guard.mirror] == [OTHER]


@ALL
async def test_one_word_is_believed_and_the_next_may_be_the_clients_own(protocol: Protocol) -> None:
    async with open_house(policy("1/1h", trusted=trusted(PROXY))) as house:
        webmail = await arrive(house, protocol)
        await webmail.introduce(CLIENT)
        await webmail.introduce(OTHER)
        await webmail.guess("ada")
        webmail.writer.close()
        assert {ban.subject.name for ban in house.guard.mirror} == {CLIENT, "ada"}


@ALL
async def test_too_many_connections_of_one_client_are_too_many_through_a_webmail(
    protocol: Protocol,
) -> None:
    rules = policy("3/1h", trusted=trusted(PROXY))
    async with open_house(rules, limits(max_waiting_per_address=2)) as house:
        waiting = [await arrive(house, protocol) for _ in range(4)]
        answers = [await webmail.introduce(CLIENT) for webmail in waiting]
        assert [a.startswith(ANSWERS[protocol]) for a in answers] == [True, True, False, False]
        assert await waiting[3].reader.read() == b""
        for webmail in waiting:
            webmail.writer.close()


@ALL
@pytest.mark.parametrize("port", [b"50000", b"0", b""])
async def test_the_mail_server_is_told_whom_the_webmail_names(
    protocol: Protocol, port: bytes
) -> None:
    def behind(usual: Upstream) -> Upstream:
        return Upstream(
            usual.name,
            usual.host,
            usual.port,
            ClientAddress.PROXY_V2,
            usual.connect_timeout,
            usual.answer_timeout,
        )

    told: list[object] = []
    async with open_house(policy("3/1h", trusted=trusted(PROXY)), behind=behind) as house:
        speak = {
            Protocol.IMAP: house.server.imap,
            Protocol.SUBMISSION: house.server.submission,
            Protocol.MANAGESIEVE: house.server.managesieve,
        }[protocol]

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            header = HeaderReader()
            while header.result is None:
                header.receive(await reader.read(1))
            told.append(header.result)
            await speak(reader, writer)

        house.server.behaviour = listen
        webmail = await arrive(house, protocol)
        await webmail.introduce(CLIENT, port)
        await webmail.guess("ada", "right")
        own_port = webmail.writer.get_extra_info("sockname")[1]
        webmail.writer.close()
    sources = [(str(t.source[0]), t.source[1]) for t in told if isinstance(t, Proxied)]
    # Mail servers turn away who comes from port 0.
    assert (CLIENT, 50_000 if port == b"50000" else own_port) in sources


async def test_an_address_that_cannot_be_read_is_passed_over_and_reported_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_house(policy("3/1h", trusted=trusted(PROXY))) as house:
        webmail = await arrive(house, Protocol.IMAP)
        for junk in ("unknown", "203.0.113.999", "a" * 500):
            assert (await webmail.introduce(junk)).startswith(b"i OK")
        await webmail.guess("ada")
        assert {guest.is_direct for guest in house.lobby.everybody()} == {True}
        webmail.writer.close()
    assert caplog.text.count("what it has sent as x-originating-ip is no address") == 1
    assert "aaa" not in caplog.text


async def test_a_ban_closes_what_a_webmail_does_for_that_client() -> None:
    async with open_house(policy("1/1h", trusted=trusted(PROXY))) as house:
        idle, busy = [await arrive(house, Protocol.IMAP) for _ in range(2)]
        await idle.introduce(CLIENT)
        await busy.introduce(CLIENT)
        unnamed = await arrive(house, Protocol.IMAP)
        await busy.guess("ada")
        assert (await idle.answer()).startswith(b"* BYE")
        unnamed.writer.write(b"a NOOP\r\n")
        assert (await unnamed.answer()).startswith(b"a OK")
        for webmail in (idle, busy, unnamed):
            webmail.writer.close()
