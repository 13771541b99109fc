"""Who sends a message to whom, and what can come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailward_mailbox.accounts.file import Account


@dataclass(frozen=True, slots=True)
class Here:
    """A recipient who has an account here."""

    address: str
    account: Account


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A recipient whose mail server is another one."""

    address: str


Recipient = Here | Elsewhere


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is said beside the message. *sender* is empty where nobody wants to hear of failures."""

    sender: str
    recipients: Sequence[Recipient]
    is_utf8: bool = False
    """SMTPUTF8 (RFC 6531): an address or the header may hold more than ASCII."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """It is on the disk of each recipient, or taken over by the relay."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not delivered: why, as a reply says it (RFC 5321 section 4.2, RFC 3463)."""

    code: int
    status: str
    why: str

    @property
    def is_final(self) -> bool:
        """Whether trying again would be in vain."""
        return self.code >= 500  # noqa: PLR2004 -- RFC 5321 section 4.2.1


Outcome = Delivered | Refused
