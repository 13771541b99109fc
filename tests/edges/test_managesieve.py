"""ManageSieve at the doors: its own words, TLS, and a session in which nobody begins anew."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass, field

import trustme

from mailward.settings.configuration import DoorTls, Protocol
from tests.edges.house import Premises, limits, open_house, policy, until
from tests.edges.test_tls import begin_tls, keys

both_loops = True

SIEVE = Protocol.MANAGESIEVE
RIGHT = b64encode(b"\0ada\0right")
SCRIPT = b'# "quotes", {3+} and\r\nUNAUTHENTICATE\r\nkeep;\r\n' * 5_000


class Client:
    """A client of the ManageSieve door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def response(self) -> bytes:
        """All up to an OK, NO or BYE; less where the connection ends."""
        heard = b""
        while line := await self.reader.readline():
            heard += line
            if line.startswith((b"OK", b"NO", b"BYE")):
                break
        return heard

    async def say(self, octets: bytes) -> bytes:
        self.writer.write(octets + b"\r\n")
        return await self.response()

    async def log_in(self, message: bytes = RIGHT) -> bytes:
        return await self.say(b'AUTHENTICATE "PLAIN" "%b"' % message)


async def come(house: Premises, source: str = "127.0.0.1") -> Client:
    client = Client(*await house.connect(SIEVE, source))
    assert (await client.response()).endswith(b'OK "mailward ready"\r\n')
    return client


@dataclass
class Pigeonhole:
    """A server's behaviour after login; it lets anybody begin anew, and tells what it was asked."""

    asked: list[bytes] = field(default_factory=list)
    octets: bytes = b""
    told: bytes = b""
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.may_answer.set()
        writer.write(b'"SASL" "PLAIN"\r\n"UNAUTHENTICATE"\r\nOK\r\n')
        await reader.readline()
        writer.write(b'OK "in"\r\n')
        while line := await reader.readline():
            self.octets += line
            self.asked.append(line.split()[0].upper())
            if line.endswith(b"+}\r\n"):
                octets = int(line.rpartition(b"{")[2].rstrip(b"+}\r\n"))
                self.octets += await reader.readexactly(octets) + await reader.readline()
            await self.may_answer.wait()
            answer = {
                b"CAPABILITY": b'"SIEVE" "fileinto"\r\n"SASL" "PLAIN"\r\n"XCLIENT"\r\nOK\r\n',
                b"GETSCRIPT": b"{%d}\r\n%b\r\nOK\r\n" % (len(SCRIPT), SCRIPT),
            }.get(self.asked[-1], b'OK "%b"\r\n' % line.split()[0])
            self.told += answer
            writer.write(answer)


async def test_every_refusal_is_in_its_own_words() -> None:
    async with open_house(policy("3/1h"), limits(max_attempts=2)) as house:
        client = await come(house, "127.0.1.1")
        wrong = b64encode(b"\0ada\0wrong")
        assert await client.log_in(wrong) == b'NO "Authentication failed"\r\n'
        assert await client.log_in(wrong) == b'NO "Authentication failed"\r\n'
        assert await client.response() == b'BYE "Too many failed logins"\r\n'
        assert await client.reader.read() == b""
        client.writer.close()
        assert (await house.managesieve_login("ada", "wrong", "127.0.1.2")).startswith(b"NO ")
        assert (await house.managesieve_login("ada", "right")).startswith(b"NO (TRYLATER) ")
        assert house.server.guesses == [b"ada"] * 3

        waiting = await come(house, "127.0.1.3")
        for login in ("a", "b", "c"):
            await house.managesieve_login(login, "wrong", "127.0.1.3")
        assert await waiting.response() == b'BYE "Too many failed logins"\r\n'
        waiting.writer.close()
        assert await house.managesieve_login("grace", "right", "127.0.1.3") == b""


async def test_who_is_one_too_many_is_told_to_come_again() -> None:
    async with open_house(doors=limits(max_waiting_per_address=1)) as house:
        first = await come(house)
        second = Client(*await house.connect(SIEVE))
        assert (await second.response()).startswith(b"BYE (TRYLATER) ")
        for client in (first, second):
            client.writer.close()


async def test_an_outage_is_no_failure() -> None:
    async def late(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'BYE (TRYLATER) "busy"\r\n')

    async with open_house(policy("1/1h")) as house:
        house.server.behaviour = late
        for _ in range(3):
            assert (await house.managesieve_login("ada", "right")).startswith(b"NO (TRYLATER) ")
        house.server.behaviour = None
        assert (await house.managesieve_login("ada", "right")).startswith(b"OK ")


async def test_behind_starttls_the_capabilities_come_by_themselves() -> None:
    authority = trustme.CA()
    tls = DoorTls(implicit=False, certificate="default")
    async with open_house(tls=tls, certificates=keys(authority)) as house:
        client = Client(*await house.connect(SIEVE))
        assert b'"STARTTLS"\r\n' in await client.response()
        assert (await client.say(b"STARTTLS")).startswith(b"OK")
        await begin_tls(client.writer, authority)
        capabilities = await client.response()
        assert b'"SASL" "PLAIN LOGIN"\r\n' in capabilities
        assert b"STARTTLS" not in capabilities
        assert (await client.log_in()).startswith(b"OK ")
        client.writer.close()


async def test_what_is_pipelined_behind_starttls_is_not_taken_for_tls() -> None:
    authority = trustme.CA()
    tls = DoorTls(implicit=False, certificate="default")
    async with open_house(tls=tls, certificates=keys(authority)) as house:
        client = Client(*await house.connect(SIEVE))
        await client.response()
        answer = await client.say(b'STARTTLS\r\nAUTHENTICATE "PLAIN" "%b"' % RIGHT)
        assert answer == b'BYE "Plaintext behind STARTTLS"\r\n'
        assert await client.reader.read() == b""
        client.writer.close()
        assert house.server.guesses == []


async def test_a_session_is_the_same_octet_by_octet() -> None:
    async with open_house() as house:
        server = Pigeonhole()
        house.server.behaviour = server
        client = await come(house)
        put = b'PUTSCRIPT "mine" {%d+}\r\n%b' % (len(SCRIPT), SCRIPT)
        said = [b"LISTSCRIPTS", b'HAVESPACE "mine" 9', put, b'GETSCRIPT "mine"', b'noop "a\\"b"']
        octets = b"\r\n".join(said) + b"\r\n"
        first, rest = octets[:20], octets[20:]
        client.writer.write(b'AUTHENTICATE "PLAIN" "%b"\r\n' % RIGHT + first)
        assert await client.response() == b'OK "Logged in"\r\n'
        client.writer.write(rest)
        await until(lambda: len(server.asked) == len(said))
        assert await client.reader.readexactly(len(server.told)) == server.told
        assert server.octets == octets
        client.writer.close()


async def test_nobody_begins_anew_inside_a_session() -> None:
    async with open_house() as house:
        server = Pigeonhole()
        house.server.behaviour = server
        client = await come(house)
        await client.log_in()
        for command in (
            b"UNAUTHENTICATE",
            b"STARTTLS",
            b"XCLIENT ADDR=127.0.0.9",
            b'AUTHENTICATE "PLAIN" "%b"' % RIGHT,
            b'AUTHENTICATE "PLAIN" {%d+}\r\n%b' % (len(RIGHT), RIGHT),
            b"LISTSCRIPTS UNAUTHENTICATE",
            b"FOO {16+}\r\nUNAUTHENTICATE\r\n",
        ):
            assert (await client.say(command)).startswith(b"NO ")
        assert await client.say(b"CAPABILITY") == b'"SIEVE" "fileinto"\r\nOK\r\n'
        assert server.asked == [b"CAPABILITY"]
        client.writer.close()


async def test_our_own_answers_wait_for_those_before_them() -> None:
    async with open_house() as house:
        server = Pigeonhole()
        house.server.behaviour = server
        client = await come(house)
        await client.log_in()
        server.may_answer.clear()
        client.writer.write(b"NOOP\r\nSTARTTLS\r\nLISTSCRIPTS\r\nUNAUTHENTICATE\r\n")
        await until(lambda: server.asked == [b"NOOP"])
        server.may_answer.set()
        heard = [await client.response() for _ in range(4)]
        assert [answer[:8] for answer in heard] == [
            b'OK "NOOP',
            b'NO "That',
            b'OK "LIST',
            b'NO "That',
        ]
        client.writer.close()


async def test_a_server_that_has_ended_is_not_answered_for() -> None:
    async def says_good_bye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'"SASL" "PLAIN"\r\nOK\r\n')
        await reader.readline()
        writer.write(b'OK "in"\r\n')
        writer.write_eof()
        await reader.read()

    async with open_house() as house:
        house.server.behaviour = says_good_bye
        client = await come(house)
        assert (await client.log_in()).startswith(b"OK ")
        assert await client.reader.read() == b""
        client.writer.write(b"STARTTLS\r\n" * 3)
        client.writer.write_eof()
        await until(lambda: house.lobby.present == 0)
        client.writer.close()


async def test_who_only_says_what_is_refused_is_shown_out() -> None:
    async with open_house() as house:
        house.server.behaviour = Pigeonhole()
        client = await come(house)
        await client.log_in()
        client.writer.write(b"UNAUTHENTICATE\r\n" * 100)
        await until(lambda: house.lobby.present == 0)
        client.writer.close()


async def test_a_literal_of_4_gb_is_refused_when_it_is_announced() -> None:
    async with open_house() as house:
        client = await come(house)
        answer = await client.say(b'AUTHENTICATE "PLAIN" {4294967295+}')
        assert answer == b'BYE "Literal too large"\r\n'
        assert await client.reader.read() == b""
        client.writer.close()
        assert house.server.guesses == []
