"""IMAP sessions in a test: the mail of one account, and clients that are logged in already."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from mailward_mailbox.imap.session import ImapSession, SharedLimits
from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import Flags, Fresh, Message
from mailward_mailbox.mail.store import MailStore

NOON = Instant(1_790_000_000.0)
SECONDS = 20.0
PIECE_OCTETS = 65_536
LETTER = b"From: a@example\r\nSubject: hello\r\nMessage-ID: <1@example>\r\n\r\nhow are you?\r\n"


class ImapClient:
    """The client's end of one session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._held = bytearray()

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def command(self, text: bytes) -> bytes:
        """All that is answered to a command, up to the line that has its tag."""
        self.send(b"t " + text + b"\r\n")
        return await self.up_to(b"t ")

    async def ok(self, text: bytes) -> bytes:
        """The answer to a command that succeeds."""
        told = await self.command(text)
        assert re.search(rb"^t OK", told, re.MULTILINE), told
        return told

    async def up_to(self, start: bytes) -> bytes:
        """All up to the first line that begins so."""
        async with asyncio.timeout(SECONDS):
            looked = 0  # where the first line begins that was not looked at
            while True:
                while (end := self._held.find(b"\n", looked) + 1) > 0:
                    if self._held.startswith(start, looked):
                        told = bytes(self._held[:end])
                        del self._held[:end]
                        return told
                    looked = end
                octets = await self.reader.read(PIECE_OCTETS)
                assert octets, bytes(self._held)
                self._held += octets

    async def all(self) -> bytes:
        """All until the session has ended."""
        async with asyncio.timeout(SECONDS):
            return bytes(self._held) + await self.reader.read()

    def leave(self) -> None:
        self.writer.transport.abort()


@dataclass
class ImapHouse:
    """What a test works with."""

    mail: AccountMail
    tasks: asyncio.TaskGroup
    quota: list[int | None]
    """What the account may use; to be changed in a test."""
    shared: SharedLimits = field(default_factory=SharedLimits)
    clients: list[ImapClient] = field(default_factory=list)

    async def client(self) -> ImapClient:
        near, far = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=far, limit=65_536)
        self.tasks.create_task(self._serve(reader, writer))
        client = ImapClient(*await asyncio.open_connection(sock=near))
        self.clients.append(client)
        return client

    async def put(
        self, octets: bytes = LETTER, flags: tuple[str, ...] = (), mailbox: str = "INBOX"
    ) -> Message:
        fresh = Fresh(octets, Flags(flags))
        return await self.mail.append(self.mail.mailbox(mailbox).id, fresh)

    async def fill(self, count: int, mailbox: str = "INBOX") -> None:
        box = self.mail.mailbox(mailbox).id
        await self.mail.append_all(
            [(box, Fresh(b"Subject: %d\r\n\r\n" % number)) for number in range(count)]
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                await ImapSession(self.mail, reader, writer, self.shared).run()
        finally:
            writer.close()


@asynccontextmanager
async def imap_house(folder: Path) -> AsyncIterator[ImapHouse]:
    """The mail of alice in *folder*, and sessions over it."""
    quota: list[int | None] = [None]
    store = MailStore(folder / "mail", lambda: NOON, quota=lambda: quota[0])
    async with store.open("alice") as mail, asyncio.TaskGroup() as tasks:
        house = ImapHouse(mail, tasks, quota)
        yield house
        for client in house.clients:
            client.leave()
    house.shared.close()
    await store.close()
