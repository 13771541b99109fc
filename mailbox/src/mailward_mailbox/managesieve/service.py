"""ManageSieve as a service: what is offered before the login, and a session after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from mailward.wire.lines import LineError
from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.accounts.mechanisms import offered_mechanisms
from mailward_mailbox.client import Client
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.managesieve.commands import Command, Commands, Malformed
from mailward_mailbox.managesieve.session import ManageSieveSession
from mailward_mailbox.sieve.parser import EXTENSIONS
from mailward_mailbox.stream import PIECE_OCTETS, linger
from mailward_mailbox.turns import SessionTurns

SILENCE = timedelta(minutes=30)  # RFC 5804 section 1.2
MAX_MALFORMED = 20


class ManageSieveService:
    """As :class:`mailward_mailbox.serving.connections.lines.LineService` says."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    @property
    def offer(self) -> Sequence[str]:
        return (*self.capabilities, f"SASL {' '.join(offered_mechanisms(self._accounts))}")

    @property
    def capabilities(self) -> Sequence[str]:
        # There is no redirect: a script cannot send mail.
        return (f"SIEVE {' '.join(EXTENSIONS)}", "VERSION 1.0", "MAXREDIRECTS 0")

    async def serve(
        self,
        account: Account,
        mail: AccountMail,
        client: Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        session = ManageSieveSession(mail, self.offer, account.name)
        try:
            await _speak(session, reader, writer)
        except LineError as error:
            writer.write(b'BYE "%b"\r\n' % error.told.encode("ascii"))
            await linger(reader, writer)
        except TimeoutError:
            writer.write(b'BYE "Nothing was heard for too long"\r\n')
        except asyncio.CancelledError:
            writer.write(b'BYE (TRYLATER) "The server is stopping"\r\n')
            raise


async def _speak(
    session: ManageSieveSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Raises:
    LineError: there is no telling any more what the client says.
    TimeoutError: it says nothing.
    """
    commands = Commands()
    malformed = 0
    turns = SessionTurns()
    while True:
        await turns.next()  # answers to what has arrived already are written without waiting
        command = commands.next()
        if command is None:
            async with asyncio.timeout(SILENCE.total_seconds()):
                octets = await reader.read(PIECE_OCTETS)
            if not octets:
                return
            await turns.begin()
            commands.receive_data(octets)
            continue
        writer.write(await session.answer(command))
        await writer.drain()
        match command:
            case Malformed():
                malformed += 1
                if malformed >= MAX_MALFORMED:
                    raise LineError("too many mistakes")
            case Command(name):
                malformed = 0
                if name == b"LOGOUT":
                    return
