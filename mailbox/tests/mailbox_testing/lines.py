"""Sessions of the embedded server whose protocol is lines: what is said, and what is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

from mailward_mailbox.client import Client
from mailward_mailbox.mail.model import INBOX
from mailward_mailbox.serving.connections.lines import LineService
from mailward_mailbox.stream import Stream

from mailbox_testing.doors import Premises, premises

CLIENT = Client((IPv4Address("192.0.2.7"), 40_000), (IPv4Address("192.0.2.1"), 587), name=b"me")
SECONDS = 20.0


class Talk:
    """The client's end of a session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

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
    here: Premises, service: LineService, name: str = "alice", client: Client = CLIENT
) -> AsyncIterator[Talk]:
    stream = await here.connect(service, name.encode(), Stream, client)
    talk = Talk(*stream.hand_over(b""))
    try:
        yield talk
    finally:
        talk.writer.close()


async def messages(here: Premises, name: str, mailbox: str = INBOX) -> list[bytes]:
    """What stands in a mailbox, in its order."""
    async with here.mail(name.encode()) as mail:
        found = [await mail.blob(one.blob) for one in mail.mailbox(mailbox).messages.values()]
    return [octets for octets in found if octets is not None]


async def worst_wait(talk: Talk, commands: bytes) -> float:
    """Seconds of work for which others waited at most until *commands* had ended the session."""
    worst = 0.0
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(talk.say(commands))
        answered = tasks.create_task(talk.rest())
        while not answered.done():
            began = time.thread_time()
            await asyncio.sleep(0)
            worst = max(worst, time.thread_time() - began)
    return worst
