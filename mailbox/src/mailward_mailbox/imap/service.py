"""IMAP as a service: what is offered before the login, and a session after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.accounts.mechanisms import offered_mechanisms
from mailward_mailbox.client import Client
from mailward_mailbox.imap.methods.general import CAPABILITIES
from mailward_mailbox.imap.session import ImapSession, SharedLimits
from mailward_mailbox.mail.account import AccountMail


class ImapService:
    """As :class:`mailward_mailbox.serving.connections.lines.LineService` says."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._shared = SharedLimits()

    @property
    def offer(self) -> Sequence[str]:
        mechanisms = (f"AUTH={name}" for name in offered_mechanisms(self._accounts))
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
