"""The embedded server's JMAP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from mailward.backends.http import Wire
from mailward.backends.port import Client as DoorClient
from mailward.backends.port import ProofAnswer, Proven
from mailward.settings.configuration import EMBEDDED
from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.http.authorization import BasicCredentials, HttpCredentials
from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.client import Client
from mailward_mailbox.delivery.delivery import Delivery
from mailward_mailbox.inside import Inside
from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.http.resource import SESSION_PATH
from mailward_mailbox.jmap.http.serving import Premises, Serving
from mailward_mailbox.mail.store import MailStore

ANSWER_TIMEOUT = timedelta(minutes=2)
"""A query may look into every message."""


class EmbeddedJmap:
    """As :class:`mailward.backends.port.WebBackend` says."""

    name = EMBEDDED
    state = "ok"
    paths: Sequence[str] = ("/jmap",)
    session_path: str | None = SESSION_PATH
    answer_timeout = ANSWER_TIMEOUT

    def __init__(
        self,
        accounts: Accounts,
        mail: MailStore,
        inside: Inside,
        delivery: Delivery,
        clock: Callable[[], Instant],
    ) -> None:
        self._accounts = accounts
        self._inside = inside
        self.premises = Premises(accounts, mail, delivery, clock)

    async def prove(
        self, credentials: HttpCredentials, client: DoorClient, host: bytes
    ) -> ProofAnswer:
        if not isinstance(credentials, BasicCredentials):
            return Rejected()  # the embedded accounts know no tokens: none is right
        name, password = credentials.login, credentials.password
        match await self._accounts.verify(name, password, client.source[0]):
            case Account():
                return Proven()
            case Rejected() | Unavailable() as refusal:
                return refusal

    async def connect(self, client: DoorClient) -> Wire | Unavailable:
        known = Client(client.source, client.destination, client.tls)
        serving = Serving(self.premises, lambda _: known)
        return await self._inside.wire(serving.serve)

    def introduction(self, client: DoorClient) -> list[tuple[str, bytes]]:
        """It is told who connects, and needs no fields for it."""
        return []

    def place(self, location: bytes, host: bytes) -> bytes:
        """It redirects to paths alone."""
        return location
