"""Checks the credentials of a login, the same for every protocol."""

from __future__ import annotations

from dataclasses import dataclass

from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import BearerToken, Credentials, ScramMechanism, ScramOpening, ScramProof
from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.accounts.scram import ScramServer
from mailward_mailbox.client import Client


@dataclass(frozen=True, slots=True)
class Exchange:
    """A SCRAM exchange that has begun; *challenge* is for the client."""

    challenge: bytes
    begun: tuple[ScramServer, Account | None]


class Logins:
    """Logins to *accounts*. It keeps no count of wrong ones: the front door does."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def check(
        self, offered: Credentials | BearerToken, client: Client
    ) -> Account | Rejected | Unavailable:
        """The account whose credentials these are."""
        if isinstance(offered, BearerToken):
            return Unavailable("no tokens are known here")
        answer = await self._accounts.verify(offered.login, offered.password, client.source[0])
        acts_for = offered.authorization
        if isinstance(answer, Account) and acts_for and self._accounts.find(acts_for) != answer:
            return Rejected()
        return answer

    def open(self, opening: ScramOpening) -> Exchange | Unavailable:
        """The challenge for a client that begins SCRAM."""
        if opening.mechanism is not ScramMechanism.SHA_256:
            return Unavailable("only SCRAM-SHA-256 is known")
        begun = self._accounts.open_scram(opening)
        if isinstance(begun, Unavailable):
            return begun
        return Exchange(begun[0].challenge, begun)

    def prove(
        self, exchange: Exchange, proof: ScramProof, client: Client
    ) -> tuple[Account, bytes] | Rejected:
        """The account whose proof this is, and the server's own for the client."""
        return self._accounts.prove_scram(exchange.begun, proof, client.source[0])
