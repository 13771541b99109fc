"""The embedded mail server in a test: in a folder of its own, with clients that need no network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from argon2 import PasswordHasher
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.accounts.hashes import Strength
from mailward_mailbox.accounts.naming import AccountNaming
from mailward_mailbox.client import Client
from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.server import MailServer
from mailward_mailbox.serving.connections.lines import LineService
from mailward_mailbox.serving.connections.listener import Connections, this_task
from mailward_mailbox.serving.connections.logins import Logins
from mailward_mailbox.settings import Settings
from mailward_mailbox.stream import Stream

from mailbox_testing.pairs import AnyProtocol, connect
from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import Credentials, Mechanism
from mailward.wire.secret import Secret

CLIENT = Client((IPv4Address("192.0.2.7"), 40_000), (IPv4Address("192.0.2.1"), 143))
PASSWORD = b"opensesame"
WEAK = Strength(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1), 4_096)
"""So that tests are quick."""
FOLDER = "embedded"
NOON = Instant(1_790_000_000.0)
ANSWER_SECONDS = 10.0


@dataclass
class Premises:
    """An embedded server, what may change around it, and its clock."""

    server: MailServer
    now: Instant
    connections: Connections

    @property
    def naming(self) -> AccountNaming:
        return self.server.settings.naming

    @naming.setter
    def naming(self, naming: AccountNaming) -> None:
        self.server.settings = replace(self.server.settings, naming=naming)

    def passes(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)

    async def add(self, name: str = "alice", password: bytes = PASSWORD) -> None:
        await self.server.accounts.add(name, Secret(password))

    @property
    def logins(self) -> Logins:
        return Logins(self.server.accounts)

    async def end(self) -> None:
        """End it as the process does: sessions first."""
        await self.connections.close()
        await self.server.close()

    async def login(
        self, name: bytes = b"alice", password: bytes = PASSWORD
    ) -> Account | Rejected | Unavailable:
        return await self.logins.check(said(name, password), CLIENT)

    async def session(self, name: bytes = b"alice") -> Session:
        """A session of IMAP of an account."""
        session = await self.connect(self.server.imap, name, Session)
        session.capabilities = self.server.imap.capabilities
        return session

    async def connect(
        self,
        service: LineService,
        name: bytes,
        make: Callable[[], AnyProtocol],
        client: Client = CLIENT,
    ) -> AnyProtocol:
        """The client's end of a session of *service*, which is logged in already."""
        account = await self.login(name)
        assert isinstance(account, Account), account

        begun = asyncio.Event()

        async def serve(stream: Stream, _: socket.socket) -> None:
            reader, writer = stream.hand_over(b"")
            accounts, mail = self.server.accounts, self.server.mail
            async with mail.open(account.id) as opened:
                with accounts.while_current(account, this_task().cancel):
                    begun.set()
                    await service.serve(account, opened, client, reader, writer)

        protocol = await connect(self.connections, serve, make)
        await begun.wait()
        return protocol

    @asynccontextmanager
    async def mail(self, name: bytes = b"alice") -> AsyncIterator[AccountMail]:
        account = self.server.accounts.find(name)
        assert account is not None
        async with self.server.mail.open(account.id) as mail:
            yield mail


@asynccontextmanager
async def premises(folder: Path, strength: Strength = WEAK) -> AsyncIterator[Premises]:
    """An embedded server below *folder*, without accounts where it is new."""
    async with asyncio.TaskGroup() as tasks:
        built: list[Premises] = []
        server = MailServer(folder / FOLDER, Settings(), lambda: built[0].now, strength)
        built.append(Premises(server, NOON, Connections(tasks)))
        try:
            yield built[0]
        finally:
            await built[0].end()


def said(name: bytes, password: bytes, authorization: bytes = b"") -> Credentials:
    return Credentials(Mechanism.PLAIN, name, Secret(password), authorization)


class Session(asyncio.Protocol):
    """A client of IMAP that is logged in; what it reads are lines."""

    def __init__(self) -> None:
        self.capabilities: Sequence[str] = ()
        self._held = bytearray()
        self._more = asyncio.Event()
        self._has_ended = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport is a Transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_ended = True
        self._more.set()

    def send(self, octets: bytes) -> None:
        self._transport.write(octets)

    def leave(self) -> None:
        """The client goes away without a word."""
        self._transport.abort()

    def end_writing(self) -> None:
        self._transport.write_eof()

    async def command(self, text: bytes) -> bytes:
        """All that is answered to a command, up to the line that has its tag."""
        self.send(b"t " + text + b"\r\n")
        return await self.up_to(b"t ")

    async def up_to(self, start: bytes) -> bytes:
        """All up to the first line that begins so."""
        async with asyncio.timeout(ANSWER_SECONDS):
            line = 0  # where the one that is looked at begins
            while True:
                while (end := self._held.find(b"\n", line) + 1) > 0:
                    if self._held.startswith(start, line):
                        answer = bytes(self._held[:end])
                        del self._held[:end]
                        return answer
                    line = end
                assert not self._has_ended, bytes(self._held)
                self._more.clear()
                await self._more.wait()

    async def all(self) -> bytes:
        """All until the session has ended."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while not self._has_ended:
                self._more.clear()
                await self._more.wait()
        return bytes(self._held)
