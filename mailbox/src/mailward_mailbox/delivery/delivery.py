"""Delivers a message: what it says is delivered is on the disk, or the relay has taken it over."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mailward_mailbox.delivery.directory import Directory
from mailward_mailbox.delivery.envelope import (
    Delivered,
    Elsewhere,
    Envelope,
    Here,
    Outcome,
    Recipient,
    Refused,
)
from mailward_mailbox.delivery.filing import Filing
from mailward_mailbox.delivery.lines import in_whole_lines
from mailward_mailbox.delivery.relay import hand_on
from mailward_mailbox.delivery.report import report
from mailward_mailbox.delivery.trace import Origin, above, received, return_path
from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.model import (
    INBOX,
    BrokenError,
    Fresh,
    MailError,
    NoRoomError,
    OverQuotaError,
)
from mailward_mailbox.mail.store import MailStore
from mailward_mailbox.sieve.run import Filed, Rejected

NO_RELAY = Refused(550, "5.7.1", "Only who has an account here can be written to")
NOBODY = Refused(550, "5.1.1", "Nobody has that address")
_FULL = Refused(452, "4.2.2", "The mailbox is full, try again later")
_TOO_LARGE = Refused(552, "5.2.2", "The mailbox has no room for so large a message")
_NO_ROOM = Refused(451, "4.3.1", "There is no room for it now, try again later")
_TROUBLE = Refused(451, "4.3.0", "It cannot be stored now, try again later")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Decided:
    """Where it is to go, as *script* says."""

    filed: Filed
    script: bytes


_INTO_THE_INBOX = _Decided(Filed((INBOX,)), b"")


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
        self._filing = Filing()

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
        """Deliver *octets*, which *origin* sends; a name for it, and what has come of it.

        One answer is for all recipients. Where it was delivered to some only, it is Delivered, and
        a report in the sender's inbox says who did not get it: told to try again, he would send it
        twice to the others.
        """
        octets = await asyncio.to_thread(in_whole_lines, octets)
        identity = secrets.token_hex(8)
        addresses = [recipient.address for recipient in envelope.recipients]
        trace = received(origin, self.hostname(), addresses, identity, self._clock())
        outcomes = await self._deliver(envelope, above(trace, octets))
        failed = {address: one for address, one in outcomes.items() if isinstance(one, Refused)}
        if not failed:
            return identity, Delivered()
        # What is tried again in vain is refused in the end; not so the other way round.
        worst = min(failed.values(), key=lambda refused: refused.is_final)
        if len(failed) == len(outcomes):
            return identity, worst
        return identity, await self._report(origin, failed, octets)

    async def _deliver(self, envelope: Envelope, octets: bytes) -> dict[str, Outcome]:
        """What has come of it for each address; who has several of them gets one message."""
        outcomes: dict[str, Outcome] = {}
        here = _each_account_once(envelope.recipients)
        with_path = return_path(envelope.sender) + octets
        # All that may refuse it is asked before anything is stored.
        decided = [
            (one, await self._told(self._decide(one, envelope.sender, with_path))) for one in here
        ]
        elsewhere = [one.address for one in envelope.recipients if isinstance(one, Elsewhere)]
        if elsewhere:
            relay = self._relay()
            outcomes |= (
                dict.fromkeys(elsewhere, NO_RELAY)
                if relay is None
                else await hand_on(relay, self.hostname(), envelope, elsewhere, octets)
            )
        for one, decision in decided:
            outcomes[one.address] = (
                decision
                if isinstance(decision, Refused)
                else await self._told(self._store(one, decision, with_path))
            )
        return outcomes

    async def _decide(self, here: Here, sender: str, octets: bytes) -> _Decided | Refused:
        async with self._mail.open(here.account.id) as mail:
            decision, script = await self._filing.decide(here, mail, sender, octets)
        match decision:
            case Filed() as filed:
                return _Decided(filed, script)
            case Rejected(why):
                return Refused(550, "5.7.1", why)

    async def _store(self, here: Here, decided: _Decided, octets: bytes) -> Outcome:
        async with self._mail.open(here.account.id) as mail:
            mailboxes = await self._filing.mailboxes(here, mail, decided.filed, decided.script)
            if mailboxes:
                first, *others = mailboxes
                message = await mail.append(first.id, Fresh(octets))
                for other in others:
                    # The same email in several mailboxes, not several that look alike.
                    await mail.copy(first.id, [message.uid], other.id)
        return Delivered()

    async def _report(
        self, origin: Origin, failed: Mapping[str, Refused], octets: bytes
    ) -> Outcome:
        """Tell the sender, or let the whole be tried again if he cannot be told."""
        sender = self.directory.find(self.directory.address(origin.account))
        if not isinstance(sender, Here):
            return _TROUBLE
        told = report(sender.address, self.hostname(), failed, octets, self._clock())
        return await self._told(self._store(sender, _INTO_THE_INBOX, return_path("") + told))

    async def _told(self, doing: Awaitable[_T]) -> _T | Refused:
        """What comes of *doing*, its errors as an answer."""
        try:
            return await doing
        except OverQuotaError as error:
            return _TOO_LARGE if error.is_too_large else _FULL
        except NoRoomError:
            return _NO_ROOM
        except BrokenError:
            return _TROUBLE
        except MailError as error:
            return Refused(554, "5.3.0", str(error))


def _each_account_once(recipients: Sequence[Recipient]) -> list[Here]:
    """Who has several addresses among them gets one message."""
    found: dict[str, Here] = {}
    for recipient in recipients:
        if isinstance(recipient, Here):
            found.setdefault(recipient.account.id, recipient)
    return list(found.values())
