"""Into which mailboxes a message belongs, as its recipient's active script says.

A script that is broken, that takes too long or that asks for a mailbox nobody could have costs
nobody a message: it goes to the inbox, and the log says so once for each script.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from hashlib import sha256

from mailward_mailbox.delivery.envelope import Here
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import (
    INBOX,
    Mailbox,
    MailboxExistsError,
    NoSuchMailboxError,
    UnfitError,
)
from mailward_mailbox.sieve.run import Decision, Filed, RunError, decide
from mailward_mailbox.sieve.tokens import SieveError

MAX_COMPLAINTS = 1_000

_KEPT = Filed((INBOX,))
_log = logging.getLogger("mailbox.delivery")


class Filing:
    """Runs the scripts of all accounts."""

    def __init__(self) -> None:
        self._complaints: OrderedDict[str, None] = OrderedDict()

    async def decide(
        self, here: Here, mail: AccountMail, sender: str, octets: bytes
    ) -> tuple[Decision, bytes]:
        """What the script of *here* makes of a message, and the script, empty where none is."""
        script = await mail.active_script()
        if script is None:
            return _KEPT, b""
        try:
            # Even what is bounded takes a while: other sessions go on meanwhile.
            decision = await asyncio.to_thread(decide, script, sender, here.address, octets)
        except (SieveError, RunError) as error:
            self._complain(here, script, str(error))
            return _KEPT, script
        except Exception as fault:  # noqa: BLE001 -- none of ours keeps a message from its reader
            self._complain(here, script, "a fault of ours", fault)
            return _KEPT, script
        return decision, script

    async def mailboxes(
        self, here: Here, mail: AccountMail, filed: Filed, script: bytes
    ) -> list[Mailbox]:
        """The mailboxes themselves, those that are missing made; empty: it is discarded."""
        found: dict[str, Mailbox] = {}
        for name in filed.mailboxes:
            try:
                mailbox = await _there(mail, name)
            except UnfitError as error:
                self._complain(here, script, f"{name!a}: {error}")
                mailbox = mail.mailbox(INBOX)
            found.setdefault(mailbox.id, mailbox)
        return list(found.values())

    def _complain(
        self, here: Here, script: bytes, why: str, fault: Exception | None = None
    ) -> None:
        seen = f"{here.account.id}:{sha256(script).hexdigest()}"
        if seen not in self._complaints:
            name = here.account.name
            _log.warning("the active Sieve script of %s fails: %s", name, why, exc_info=fault)
        self._complaints[seen] = None
        while len(self._complaints) > MAX_COMPLAINTS:
            self._complaints.popitem(last=False)


async def _there(mail: AccountMail, name: str) -> Mailbox:
    try:
        return mail.mailbox(name)
    except NoSuchMailboxError:
        pass
    try:
        return await mail.create(name)
    except MailboxExistsError:  # another session was faster
        return mail.mailbox(name)
