"""An embedded mail server in a folder of its own, and its sessions as a granted client has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from mailward.backends.embedded.login import EmbeddedBackend
from mailward.backends.embedded.mail.model import INBOX
from mailward.backends.embedded.server import Embedded
from mailward.backends.port import Client, Granted
from mailward.rules.logins import Naming
from mailward.rules.model import Instant
from mailward.settings.configuration import EmbeddedSettings
from mailward.wire.door import Credentials, Mechanism
from mailward.wire.secret import Secret

NOW = Instant(1_800_000_000.0)
HOSTNAME = "mail.example.org"
PASSWORD = b"opensesame"
CLIENT = Client((ip_address("192.0.2.9"), 50_000), (ip_address("192.0.2.1"), 587), None, b"me")
SECONDS = 20.0


@dataclass
class Talk:
    """The client's end of a session."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def line(self) -> bytes:
        """The next line, with its end; empty at the end of the session."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.readline()

    async def reply(self) -> bytes:
        """The next reply of SMTP, all its lines."""
        lines = []
        while True:
            lines.append(await self.line())
            if lines[-1][3:4] != b"-":
                return b"".join(lines)

    async def ask(self, octets: bytes) -> bytes:
        await self.say(octets)
        return await self.reply()

    async def rest(self) -> bytes:
        """All until the end of the session."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.read()


class House:
    """The server, and what a test wants to know of it."""

    def __init__(self, server: Embedded) -> None:
        self.server = server
        self.naming = Naming()

    async def add(self, *names: str) -> None:
        for name in names:
            await self.server.accounts.add(name, Secret(PASSWORD))

    @asynccontextmanager
    async def session(
        self, backend: EmbeddedBackend, name: str = "alice", client: Client = CLIENT
    ) -> AsyncIterator[Talk]:
        """A session of *name* at *backend*."""
        granted = await backend.login(
            Credentials(Mechanism.PLAIN, name.encode(), Secret(PASSWORD), b""), client
        )
        assert isinstance(granted, Granted), granted
        reader = asyncio.StreamReader(limit=1 << 20)
        protocol = asyncio.StreamReaderProtocol(reader)
        granted.transport.set_protocol(protocol)
        protocol.connection_made(granted.transport)
        granted.transport.resume_reading()
        writer = asyncio.StreamWriter(
            granted.transport, protocol, reader, asyncio.get_running_loop()
        )
        try:
            yield Talk(reader, writer)
        finally:
            writer.close()

    async def messages(self, name: str, mailbox: str = INBOX) -> list[bytes]:
        """What stands in a mailbox, in its order."""
        account = self.server.accounts.find(name.encode())
        assert account is not None
        async with self.server.mail.open(account.id) as mail:
            found = [await mail.blob(one.blob) for one in mail.mailbox(mailbox).messages.values()]
        return [octets for octets in found if octets is not None]


@asynccontextmanager
async def house(
    folder: Path, *names: str, settings: EmbeddedSettings | None = None
) -> AsyncIterator[House]:
    """A server with accounts of these names."""
    async with asyncio.TaskGroup() as tasks:
        holder: list[House] = []
        server = Embedded(
            folder,
            settings or EmbeddedSettings(),
            lambda: holder[0].naming if holder else Naming(),
            lambda: NOW,
            tasks,
            lambda: HOSTNAME,
        )
        holder.append(House(server))
        try:
            await holder[0].add(*names)
            yield holder[0]
        finally:
            await server.close()
