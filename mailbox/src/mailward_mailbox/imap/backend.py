"""The embedded server's IMAP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.client import Client
from mailward_mailbox.imap.methods.general import CAPABILITIES
from mailward_mailbox.imap.session import ImapSession, SharedLimits
from mailward_mailbox.inside import Inside
from mailward_mailbox.login import EmbeddedBackend
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.store import MailStore


class EmbeddedImap(EmbeddedBackend):
    """As :class:`mailward.backends.port.Backend` says."""

    def __init__(self, accounts: Accounts, mail: MailStore, inside: Inside) -> None:
        super().__init__(accounts, mail, inside)
        self._shared = SharedLimits()

    @property
    def offer(self) -> Sequence[str]:
        mechanisms = (f"AUTH={name}" for name in self.mechanisms)
        return ("IMAP4rev1", "IMAP4rev2", "LITERAL+", "ID", *mechanisms)

    @property
    def capabilities(self) -> Sequence[str]:
        return CAPABILITIES

    async def serve(
        self,
        account: Account,
        mail: AccountMail,
        client: Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        await ImapSession(mail, reader, writer, self._shared).run()

    def close(self) -> None:
        """No session is left."""
        self._shared.close()
