"""The embedded server's IMAP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.client import Client
from mailward_mailbox.imap.connection import (
    MAX_UNDER_WAY_OCTETS,
    capabilities,
    serve_imap,
)
from mailward_mailbox.inside import Inside
from mailward_mailbox.login import EmbeddedBackend
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.store import MailStore
from mailward_mailbox.room import Room


class EmbeddedImap(EmbeddedBackend):
    """As :class:`mailward.backends.port.Backend` says."""

    def __init__(self, accounts: Accounts, mail: MailStore, inside: Inside) -> None:
        super().__init__(accounts, mail, inside)
        self._room = Room(MAX_UNDER_WAY_OCTETS)

    @property
    def offer(self) -> Sequence[str]:
        mechanisms = (f"AUTH={name}" for name in self.mechanisms)
        return ("IMAP4rev1", "LITERAL+", "ID", *mechanisms)

    @property
    def capabilities(self) -> Sequence[str]:
        return capabilities()

    async def serve(
        self,
        account: Account,
        mail: AccountMail,
        client: Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        await serve_imap(mail, reader, writer, self._room)
