"""Submission as a service: what is offered before the login, and a session after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from mailward.wire.door import Closing, Reply
from mailward.wire.smtp.reply import address_literal, greeting_name
from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.accounts.mechanisms import offered_mechanisms
from mailward_mailbox.client import Client
from mailward_mailbox.delivery.delivery import Delivery
from mailward_mailbox.delivery.trace import MAX_TRACE_OCTETS, Origin
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import MAX_MESSAGE_OCTETS
from mailward_mailbox.room import Room
from mailward_mailbox.stream import PIECE_OCTETS, linger
from mailward_mailbox.submission.session import (
    SubmissionSession,
    Submitted,
    extensions,
)
from mailward_mailbox.turns import SessionTurns

MAX_OCTETS = MAX_MESSAGE_OCTETS - MAX_TRACE_OCTETS
MAX_UNDER_WAY_OCTETS = 8 * MAX_MESSAGE_OCTETS
"""Of all sessions together, or whoever has an account could fill the memory."""
SILENCE = timedelta(minutes=5)  # RFC 5321 section 4.5.3.2.7


class SubmissionService:
    """As :class:`mailward_mailbox.serving.connections.lines.LineService` says."""

    def __init__(self, accounts: Accounts, delivery: Delivery) -> None:
        self._accounts = accounts
        self._delivery = delivery
        self._room = Room(MAX_UNDER_WAY_OCTETS)

    @property
    def offer(self) -> Sequence[str]:
        return (*extensions(MAX_OCTETS), f"AUTH {' '.join(offered_mechanisms(self._accounts))}")

    @property
    def capabilities(self) -> Sequence[str]:
        return extensions(MAX_OCTETS)

    async def serve(
        self,
        account: Account,
        mail: AccountMail,
        client: Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        name = greeting_name(client.name, address_literal(client.source[0]))
        session = SubmissionSession(
            self._delivery.hostname(), name, self._delivery.find, MAX_OCTETS, self._room
        )
        try:
            await self._speak(session, account, client, reader, writer)
        except TimeoutError:
            writer.write(session.timed_out())
        except asyncio.CancelledError:
            if not session.is_over:  # or the last reply was sent already
                is_shut_out = not self._accounts.is_current(account)
                writer.write(session.locked_out() if is_shut_out else session.stopping())
            raise
        finally:
            session.close()

    async def _speak(
        self,
        session: SubmissionSession,
        account: Account,
        client: Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Raises:
        TimeoutError: the client says nothing.
        """
        turns = SessionTurns()
        while True:
            await turns.next()  # replies to what has arrived already are written without waiting
            match session.next_event():
                case None:
                    async with asyncio.timeout(SILENCE.total_seconds()):
                        octets = await reader.read(PIECE_OCTETS)
                    if not octets:
                        return
                    await turns.begin()
                    session.receive_data(octets)
                case Reply(octets):
                    writer.write(octets)
                    await writer.drain()
                case Submitted() as submitted:
                    if not self._accounts.is_current(account):
                        writer.write(session.locked_out())
                        return
                    identity, outcome = await self._delivery.deliver(
                        _origin(account, client, submitted),
                        submitted.envelope,
                        await asyncio.to_thread(submitted.content.take),
                    )
                    writer.write(session.settled(outcome, identity))
                case Closing(octets):
                    writer.write(octets)
                    await linger(reader, writer)
                    return


def _origin(account: Account, client: Client, submitted: Submitted) -> Origin:
    kind = "UTF8SMTP" if submitted.envelope.is_utf8 else "ESMTP"
    protocol = f"{kind}{'S' if client.tls is not None else ''}A"
    name = submitted.client_name.decode("ascii", "replace")
    return Origin(account.name, client.source[0], name, protocol)
