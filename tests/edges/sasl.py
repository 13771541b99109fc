"""A mail server that knows SCRAM and bearer tokens, and a client; scramp does the sums."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

# It has no types of its own.
from scramp import ScramClient, ScramException, ScramMechanism  # type: ignore[import-untyped]

from mailward.settings.configuration import Protocol
from tests.edges.house import Premises

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1", "OAUTHBEARER", "XOAUTH2")
OFFERS = {
    Protocol.IMAP: ("IMAP4rev1", "SASL-IR", *(f"AUTH={name}" for name in MECHANISMS)),
    Protocol.SUBMISSION: (f"AUTH {' '.join(MECHANISMS)}",),
    Protocol.MANAGESIEVE: ("SIEVE fileinto", f"SASL {' '.join(MECHANISMS)}"),
}
Ask = Callable[[bytes], Awaitable[bytes]]


@dataclass
class Directory:
    """A server's behaviour: who is let in, and what it was asked.

    *openings* are the first SCRAM messages it got, *guesses* the messages that decide.
    """

    passwords: dict[str, str] = field(default_factory=lambda: {"ada": "right"})
    tokens: set[tuple[str, str]] = field(default_factory=lambda: {("ada", "good-token")})
    openings: int = 0
    guesses: list[str] = field(default_factory=list)
    connections: int = 0
    before_answer: Callable[[], Awaitable[object]] | None = None

    async def imap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"* OK [CAPABILITY {' '.join(OFFERS[Protocol.IMAP])}] ready\r\n".encode())
        tag, _, mechanism, initial = (await reader.readline()).split()
        if await self._judge(mechanism.decode(), initial, _asking(reader, writer, b"+ ")):
            writer.write(tag + b" OK [CAPABILITY IMAP4rev1 IDLE] in\r\n")
            writer.write(await reader.readline())
        else:
            writer.write(tag + b" NO [AUTHENTICATIONFAILED] no\r\n")

    async def submission(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await reader.readline()
        writer.write(f"250-mx.test\r\n250 {OFFERS[Protocol.SUBMISSION][0]}\r\n".encode())
        _, mechanism, *rest = (await reader.readline()).split()
        ask = _asking(reader, writer, b"334 ")
        initial = rest[0] if rest else b64encode(await ask(b""))
        if await self._judge(mechanism.decode(), initial, ask):
            writer.write(b"235 2.7.0 in\r\n")
            writer.write(b"250 " + await reader.readline())
        else:
            writer.write(b"535 5.7.8 no\r\n")

    async def managesieve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f'"SIEVE" "fileinto"\r\n"SASL" "{" ".join(MECHANISMS)}"\r\nOK\r\n'.encode())
        _, mechanism, initial = (await reader.readline()).replace(b'"', b"").split()
        asking, proof = _asking(reader, writer, b'"', b'"'), b""

        async def ask(challenge: bytes) -> bytes:
            nonlocal proof
            if not challenge.startswith(b"v="):
                return await asking(challenge)
            proof = b64encode(challenge)
            return b""

        if await self._judge(mechanism.decode(), initial, ask):
            writer.write(b'OK (SASL "%b") "in"\r\n' % proof if proof else b"OK\r\n")
            writer.write(await reader.readline())
        else:
            writer.write(b'NO "no"\r\n')

    async def _judge(self, mechanism: str, initial: bytes, ask: Ask) -> bool:
        self.connections += 1
        try:
            if mechanism.startswith("SCRAM-"):
                return await self._judge_scram(mechanism, b64decode(initial).decode(), ask)
            return await self._judge_bearer(b64decode(initial).decode(), ask)
        finally:
            self.connections -= 1

    async def _judge_scram(self, mechanism: str, first: str, ask: Ask) -> bool:
        self.openings += 1
        name = first.split(",")[2].removeprefix("n=")
        if name not in self.passwords:
            return False
        scram = ScramMechanism(mechanism)
        known = scram.make_auth_info(self.passwords[name], iteration_count=4096)
        server = scram.make_server(lambda _: known)
        server.set_client_first(first)
        final = (await ask(server.get_server_first().encode())).decode()
        self.guesses.append(name)
        if self.before_answer is not None:
            await self.before_answer()
        try:
            server.set_client_final(final)
        except ScramException:
            return False
        return await ask(server.get_server_final().encode()) == b""

    async def _judge_bearer(self, message: str, ask: Ask) -> bool:
        name, _, rest = message.partition("\1")
        token = rest.removeprefix("auth=Bearer ").rstrip("\1")
        name = name.removeprefix("user=").removeprefix("n,").removeprefix("a=").rstrip(",")
        self.guesses.append(name)
        if self.before_answer is not None:
            await self.before_answer()
        if (name, token) in self.tokens:
            return True
        await ask(b'{"status":"invalid_token"}')
        return False


def _asking(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, before: bytes, behind: bytes = b""
) -> Ask:
    async def ask(challenge: bytes) -> bytes:
        writer.write(before + b64encode(challenge) + behind + b"\r\n")
        line = await reader.readline()
        if not line:
            raise ConnectionError
        return b64decode(line.strip(b'"\r\n'))

    return ask


class Caller:
    """A client of one of the doors."""

    def __init__(
        self, protocol: Protocol, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.protocol = protocol
        self.reader = reader
        self.writer = writer

    async def say(self, line: bytes) -> bytes:
        """Send *line* and hear one."""
        self.writer.write(line + b"\r\n")
        return await self.reader.readline()

    async def begin(self, mechanism: str, message: str) -> bytes:
        """Offer the first *message* and hear what is said to it."""
        first = b64encode(message.encode()).decode()
        match self.protocol:
            case Protocol.IMAP:
                return await self.say(f"a AUTHENTICATE {mechanism} {first}".encode())
            case Protocol.SUBMISSION:
                return await self.say(f"AUTH {mechanism} {first}".encode())
            case Protocol.MANAGESIEVE:
                return await self.say(f'AUTHENTICATE "{mechanism}" "{first}"'.encode())

    async def respond(self, octets: bytes) -> bytes:
        """Send *octets* as they are in answer to a challenge, and hear one line."""
        return await self.say(b'"%b"' % octets if self._quotes else octets)

    async def answer(self, message: str) -> bytes:
        return await self.respond(b64encode(message.encode()))

    @property
    def _quotes(self) -> bool:
        return self.protocol is Protocol.MANAGESIEVE

    async def scram(self, login: str, password: str, mechanism: str = "SCRAM-SHA-256") -> bytes:
        """A whole exchange; what is said at its end."""
        client = ScramClient([mechanism], login, password)
        heard = await self.begin(mechanism, client.get_client_first())
        if not is_challenge(heard):
            return heard
        client.set_server_first(text(heard))
        heard = await self.answer(client.get_client_final())
        if not is_challenge(heard) and b"(SASL " not in heard:
            return heard
        client.set_server_final(text(heard))  # raises where the server does not prove itself
        return await self.answer("") if is_challenge(heard) else heard

    async def bearer(self, login: str, token: str) -> bytes:
        return await self.begin("XOAUTH2", f"user={login}\1auth=Bearer {token}\1\1")


async def call(house: Premises, protocol: Protocol, source: str = "127.0.0.1") -> Caller:
    """Come to a door and let it say its capabilities."""
    reader, writer = await house.connect(protocol, source)
    caller = Caller(protocol, reader, writer)
    greeting = await reader.readline()
    while protocol is Protocol.MANAGESIEVE and not greeting.startswith(b"OK"):
        greeting = await reader.readline()
    if protocol is Protocol.SUBMISSION:
        writer.write(b"EHLO c.test\r\n")
        while not (await reader.readline()).startswith(b"250 "):
            pass
    return caller


def is_challenge(line: bytes) -> bool:
    return line.startswith((b"+ ", b"334 ", b'"'))


def text(challenge: bytes) -> str:
    """The server's message in a challenge, or beside ManageSieve's OK."""
    _, quote, quoted = challenge.partition(b'"')
    return b64decode(quoted.split(b'"')[0] if quote else challenge.split(b" ", 1)[1]).decode()


def is_in(line: bytes) -> bool:
    return line.startswith((b"a OK", b"235", b"OK"))


def is_wrong(line: bytes) -> bool:
    return line.startswith((b"a NO [AUTHENTICATIONFAILED]", b"535", b'NO "Authentication failed"'))


def is_later(line: bytes) -> bool:
    return line.startswith((b"a NO [UNAVAILABLE]", b"454", b"NO (TRYLATER)"))


def is_malformed(line: bytes) -> bool:
    return line.startswith((b"a BAD", b"501", b'NO "')) and not is_wrong(line)
