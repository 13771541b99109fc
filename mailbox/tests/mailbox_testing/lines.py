"""Sessions of the embedded server whose protocol is lines: what is said, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

from mailward_mailbox.login import EmbeddedBackend
from mailward_mailbox.mail.model import INBOX

from mailbox_testing.doors import PASSWORD, Premises, premises, said
from mailward.backends.port import Client, Granted

CLIENT = Client((IPv4Address("192.0.2.7"), 40_000), (IPv4Address("192.0.2.1"), 587), name=b"me")
SECONDS = 20.0


class Talk:
    """The client's end of a session."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._reader = asyncio.StreamReader(limit=1 << 20)
        protocol = asyncio.StreamReaderProtocol(self._reader)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        loop = asyncio.get_running_loop()
        self.writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)

    async def say(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def reply(self) -> bytes:
        """The next reply of SMTP, all its lines."""
        lines = b""
        async with asyncio.timeout(SECONDS):
            while True:
                line = await self._reader.readline()
                lines += line
                if line[3:4] != b"-":
                    return lines

    async def ask(self, octets: bytes) -> bytes:
        await self.say(octets)
        return await self.reply()

    async def answer(self) -> bytes:
        """The next response of ManageSieve, up to the line that ends it."""
        lines = b""
        async with asyncio.timeout(SECONDS):
            while True:
                line = await self._reader.readline()
                lines += line
                if not line or line.startswith((b"OK", b"NO", b"BYE")):
                    return lines

    async def command(self, octets: bytes) -> bytes:
        await self.say(octets + b"\r\n")
        return await self.answer()

    async def rest(self) -> bytes:
        """All until the end of the session."""
        async with asyncio.timeout(SECONDS):
            return await self._reader.read()


@asynccontextmanager
async def house(folder: Path, *names: str) -> AsyncIterator[Premises]:
    """A server with accounts of these names."""
    async with premises(folder) as here:
        for name in names:
            await here.add(name)
        yield here


@asynccontextmanager
async def session(
    backend: EmbeddedBackend, name: str = "alice", client: Client = CLIENT
) -> AsyncIterator[Talk]:
    granted = await backend.login(said(name.encode(), PASSWORD), client)
    assert isinstance(granted, Granted), granted
    talk = Talk(granted.transport)
    try:
        yield talk
    finally:
        talk.writer.close()


async def messages(here: Premises, name: str, mailbox: str = INBOX) -> list[bytes]:
    """What stands in a mailbox, in its order."""
    async with here.mail(name.encode()) as mail:
        found = [await mail.blob(one.blob) for one in mail.mailbox(mailbox).messages.values()]
    return [octets for octets in found if octets is not None]
