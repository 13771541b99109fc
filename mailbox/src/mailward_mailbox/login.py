"""What all line protocols of the embedded server have in common: who is let in, and how."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

from mailward.backends.port import Client as DoorClient
from mailward.backends.port import Granted, LoginAnswer, ScramExchange
from mailward.wire.dialogue import Rejected, Unavailable, Watch
from mailward.wire.door import (
    BearerToken,
    Credentials,
    ScramMechanism,
    ScramOpening,
    ScramProof,
)
from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.accounts.scram import ScramServer
from mailward_mailbox.client import Client
from mailward_mailbox.inside import Inside
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import MailError
from mailward_mailbox.mail.store import MailStore


class EmbeddedBackend(ABC):
    """One protocol of the embedded server, as :class:`mailward.backends.port.Backend` says."""

    def __init__(self, accounts: Accounts, mail: MailStore, inside: Inside) -> None:
        self._accounts = accounts
        self._mail = mail
        self._inside = inside

    @property
    @abstractmethod
    def offer(self) -> Sequence[str]:
        """See the port; :attr:`mechanisms` are part of it, as the protocol writes them."""

    @property
    @abstractmethod
    def capabilities(self) -> Sequence[str]:
        """What a session can do, as the protocol writes it."""

    @abstractmethod
    async def serve(
        self,
        account: Account,
        mail: AccountMail,
        client: Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Speak with the owner of *account*, who was told already that the login succeeded."""

    def watch(self) -> Watch | None:
        """What stands in the pump; our own sessions know no second login."""
        return None

    @property
    def mechanisms(self) -> Sequence[str]:
        scram = (ScramMechanism.SHA_256.value,) if self._accounts.has_scram else ()
        return ("PLAIN", "LOGIN", *scram)

    @property
    def state(self) -> str:
        return "ok"

    async def login(
        self, credentials: Credentials | BearerToken, client: DoorClient
    ) -> LoginAnswer:
        if isinstance(credentials, BearerToken):
            return Unavailable("the embedded accounts know no tokens")
        name, password = credentials.login, credentials.password
        match await self._accounts.verify(name, password, client.source[0]):
            case Rejected() | Unavailable() as refusal:
                return refusal
            case Account() as account:
                acts_for = credentials.authorization
                if acts_for and self._accounts.find(acts_for) != account:
                    return Rejected()
                return await self._grant(account, client)

    async def open(
        self, opening: ScramOpening, client: DoorClient
    ) -> ScramExchange | Rejected | Unavailable:
        if opening.mechanism is not ScramMechanism.SHA_256:
            return Unavailable("the embedded accounts know SCRAM-SHA-256 only")
        begun = self._accounts.open_scram(opening)
        if isinstance(begun, Unavailable):
            return begun
        return ScramExchange(begun[0].challenge, partial(self._prove, begun, client), _nothing)

    async def keep_probing(self) -> None:
        """It is here, and what it can do is known."""
        await asyncio.get_running_loop().create_future()

    async def _prove(
        self, begun: tuple[ScramServer, Account | None], client: DoorClient, proof: ScramProof
    ) -> LoginAnswer:
        match self._accounts.prove_scram(begun, proof, client.source[0]):
            case Rejected() as rejected:
                return rejected
            case (account, signature):
                return await self._grant(account, client, signature)

    async def _grant(
        self, account: Account, client: DoorClient, signature: bytes = b""
    ) -> Granted | Unavailable:
        known = Client(client.source, client.destination, client.tls, client.name)
        opened: asyncio.Future[MailError | None] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with self._mail.open(account.id) as mail:
                    opened.set_result(None)
                    with self._accounts.while_current(account, _session_task().cancel):
                        await self.serve(account, mail, known, reader, writer)
            except MailError as error:
                if opened.done():
                    raise
                opened.set_result(error)
            finally:
                opened.cancel()  # if it was not done

        transport = await self._inside.transport(serve)
        try:
            error = await opened
        except BaseException:
            transport.abort()
            raise
        if error is not None:
            transport.abort()
            return Unavailable(str(error))
        return Granted(transport, self.capabilities, b"", self.watch(), signature)


def _session_task() -> asyncio.Task[object]:
    """The task that a session runs in."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a session runs in a task")
    return task


def _nothing() -> None:
    """An exchange that is given up leaves nothing behind."""
