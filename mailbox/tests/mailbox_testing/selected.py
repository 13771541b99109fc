"""A selected mailbox of one account, asked by FETCH and SEARCH without a session around it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mailward_mailbox.imap.errors import NoError
from mailward_mailbox.imap.fetch.fetch import fetch
from mailward_mailbox.imap.fetch.parse import parse_fetch_items
from mailward_mailbox.imap.output import Output
from mailward_mailbox.imap.reading import MessageReader
from mailward_mailbox.imap.search.parse import parse_search
from mailward_mailbox.imap.search.search import search
from mailward_mailbox.imap.view import Enabled, MailboxView
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import Fresh, Message
from mailward_mailbox.mail.store import MailStore

NOON = Instant(1_790_000_000.0)
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")


class Client(asyncio.Transport):
    """Reads everything at once, and keeps it where it *listens*."""

    def __init__(self) -> None:
        super().__init__()
        self.said = bytearray()
        self.longest = 0
        self.count = 0
        self.listens = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.longest = max(self.longest, len(data))
        self.count += len(data)
        if self.listens:
            self.said += data

    def is_closing(self) -> bool:
        return True  # there is nothing to close


def output_to(client: Client) -> Output:
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    loop = asyncio.get_running_loop()
    return Output(asyncio.StreamWriter(client, protocol, None, loop))


@dataclass
class Selected:
    """The inbox of alice, selected by a session that has *enabled* something."""

    mail: AccountMail
    reader: MessageReader
    enabled: Enabled = field(default_factory=Enabled)
    is_read_only: bool = False
    client: Client = field(default_factory=Client)
    _view: MailboxView | None = None

    @property
    def view(self) -> MailboxView:
        if self._view is None:
            inbox = self.mail.mailbox("INBOX")
            self._view = MailboxView(self.mail, inbox, self.enabled, self.is_read_only)
        return self._view

    async def add(self, octets: bytes, *flags: str, received: float = NOON) -> Message:
        """Deliver a message; the mailbox is selected again."""
        self._view = None
        inbox = self.mail.mailbox("INBOX").id
        return await self.mail.append(inbox, Fresh(octets, frozenset(flags), Instant(received)))

    async def fetch(self, command: bytes, *, by_uid: bool = False) -> bytes:
        """What ``FETCH command`` is answered, without OK."""

        async def run(words: ImapWords, output: Output) -> None:
            wanted = words.sequence_set()
            words.space()
            items = parse_fetch_items(words, is_uid=by_uid)
            await fetch(self.view, wanted, items, output, self.reader, by_uid=by_uid)

        return await self._run(command, run)

    async def search(self, command: bytes, *, by_uid: bool = False) -> bytes:
        """What ``a SEARCH command`` is answered, without OK."""

        async def run(words: ImapWords, output: Output) -> None:
            asked = parse_search(words)
            await search(self.view, asked, output, self.reader, tag=b"a", by_uid=by_uid)

        return await self._run(command, run)

    async def found(self, command: bytes) -> list[int]:
        """The numbers that SEARCH finds."""
        said = await self.search(command)
        assert said.startswith(b"* SEARCH"), said
        return [int(number) for number in said.split()[2:]]

    async def _run(self, command: bytes, run: object) -> bytes:
        assert callable(run)
        self.client.said.clear()
        output = output_to(self.client)
        try:
            await run(ImapWords(*cut(command)), output)
        except NoError as error:
            output.line(f"NO [{error.code}] {error}".encode())
        except BadCommandError as error:
            output.line(f"BAD {error}".encode())
        await output.flush()
        return bytes(self.client.said)


@asynccontextmanager
async def selected(folder: Path) -> AsyncIterator[Selected]:
    """An account without mail."""
    store, reader = MailStore(folder / "mail", lambda: NOON), MessageReader()
    try:
        async with store.open("alice") as mail:
            yield Selected(mail, reader)
    finally:
        reader.close()
        await store.close()


def cut(command: bytes) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """The lines and literals of a command."""
    lines, literals, at = [], [], 0
    while (found := _LITERAL.search(command, at)) is not None:
        lines.append(command[at : found.end() - 2])
        end = found.end() + int(found[1])
        literals.append(command[found.end() : end])
        at = end
    return [*lines, command[at:]], literals
