"""Delivers a message: what it says is delivered is on the disk, or the relay has taken it over."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

from mailward.backends.embedded.delivery.directory import Directory
from mailward.backends.embedded.delivery.envelope import (
    Delivered,
    Elsewhere,
    Envelope,
    Here,
    Outcome,
    Recipient,
    Refused,
)
from mailward.backends.embedded.delivery.trace import Origin, above, received, return_path
from mailward.backends.embedded.mail.model import (
    INBOX,
    BrokenError,
    Fresh,
    MailError,
    NoRoomError,
)
from mailward.backends.embedded.mail.store import MailStore
from mailward.rules.model import Instant

NO_RELAY = Refused(550, "5.7.1", "Only who has an account here can be written to")
NOBODY = Refused(550, "5.1.1", "Nobody has that address")
_NO_ROOM = Refused(451, "4.3.1", "There is no room for it now, try again later")
_TROUBLE = Refused(451, "4.3.0", "It cannot be stored now, try again later")

_log = logging.getLogger("mailward.embedded")


class Delivery:
    """Delivers to the accounts in *directory*, whose mail is in *mail*."""

    def __init__(
        self,
        directory: Directory,
        mail: MailStore,
        hostname: Callable[[], str],
        clock: Callable[[], Instant],
        relay: Callable[[], tuple[str, int] | None],
    ) -> None:
        self.directory = directory
        self._mail = mail
        self.hostname = hostname
        self._clock = clock
        self._relay = relay

    def find(self, address: str) -> Recipient | Refused:
        """Whose *address* it is, or why nothing can be sent to it."""
        match self.directory.find(address):
            case None:
                return NOBODY
            case Elsewhere() as elsewhere:
                return elsewhere if self._relay() is not None else NO_RELAY
            case Here() as here:
                return here

    async def deliver(
        self, origin: Origin, envelope: Envelope, octets: bytes
    ) -> tuple[str, Outcome]:
        """Deliver *octets*; a name for it in logs, and what has come of it."""
        identity = secrets.token_hex(8)
        addresses = [recipient.address for recipient in envelope.recipients]
        trace = received(origin, self.hostname(), addresses, identity, self._clock())
        traced = above(trace, octets)
        outcomes = [
            await self._deliver_here(here, envelope.sender, traced)
            for here in _each_account_once(envelope.recipients)
        ]
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                return identity, outcome
        return identity, Delivered()

    async def _deliver_here(self, here: Here, sender: str, octets: bytes) -> Outcome:
        try:
            async with self._mail.open(here.account.id) as mail:
                inbox = mail.mailbox(INBOX)
                await mail.append(inbox.id, Fresh(return_path(sender) + octets))
        except NoRoomError as error:
            _log.error("%s", error)
            return _NO_ROOM
        except BrokenError as error:
            _log.error("%s", error)
            return _TROUBLE
        except MailError as error:
            return Refused(554, "5.3.0", str(error))
        return Delivered()


def _each_account_once(recipients: Sequence[Recipient]) -> list[Here]:
    """Who has several addresses among them gets one message."""
    found: dict[str, Here] = {}
    for recipient in recipients:
        if isinstance(recipient, Here):
            found.setdefault(recipient.account.id, recipient)
    return list(found.values())
