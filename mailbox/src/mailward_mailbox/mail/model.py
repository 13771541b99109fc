"""What an account's mail is made of, and how a change of it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailward_mailbox.instant import Instant

DELIMITER = "/"
INBOX = "INBOX"
MAX_MESSAGE_OCTETS = 26_214_400
"""25 MB, as most providers take."""
MAX_MESSAGES = 100_000
"""Of one account, in all mailboxes: each takes some 1.3 kB of memory while the account is open."""
MAX_MAILBOXES = 1_000
MAX_NAME_OCTETS = 255
MAX_FLAGS = 100
MAX_FLAG_OCTETS = 100

Flags = frozenset[str]
"""As IMAP writes them: ``\\Seen``, ``$Forwarded``, ``work``."""

SEEN, ANSWERED, FLAGGED = "\\Seen", "\\Answered", "\\Flagged"
DELETED, DRAFT = "\\Deleted", "\\Draft"


class MailError(Exception):
    """What was asked for cannot be done; nothing has changed. The message says why."""


class NoSuchMailboxError(MailError):
    """There is no mailbox of that name or id."""


class MailboxExistsError(MailError):
    """There is a mailbox of that name already."""


class UnfitError(MailError):
    """A name, a flag or a message breaks a rule that is ours or a standard's."""


class NoRoomError(MailError):
    """The disk is full."""


class OverQuotaError(NoRoomError):
    """The account would hold more than its quota, or too many messages.

    *is_too_large*: even if it held nothing else.
    """

    def __init__(self, *, is_too_large: bool) -> None:
        super().__init__("the mailbox is full")
        self.is_too_large = is_too_large


class BrokenError(MailError):
    """The file cannot be read or written now."""


class DamagedError(BrokenError):
    """The file is damaged, another one's, or a newer version's: an operator has to restore it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One email in one mailbox. Frozen: a change makes another one."""

    mailbox: str
    """The mailbox's id."""
    uid: int
    email: str
    """The same for each copy (EMAILID of RFC 8474, Email.id of JMAP)."""
    thread: str
    blob: str
    """Of its octets: see :meth:`AccountMail.blob`."""
    size: int
    received: Instant
    flags: Flags
    modseq: int


@dataclass(frozen=True, slots=True)
class Fresh:
    """A message that is to be stored. *octets* are kept as they are."""

    octets: bytes = field(repr=False)
    flags: Flags = frozenset()
    received: Instant | None = None
    """``None``: now."""


@dataclass(slots=True)
class Mailbox:
    """One mailbox as it stands on the disk. Only :class:`AccountMail` changes it."""

    id: str
    name: str
    role: str | None
    """JMAP's (RFC 8621 section 2): ``inbox``, ``drafts``, ``sent``, ``junk``, ``trash``."""
    uid_validity: int
    next_uid: int
    recent_from: int
    is_subscribed: bool
    modseq: int
    """Of the last change of anything in it."""
    messages: dict[int, Message] = field(default_factory=dict)
    """By UID, in their order."""


@dataclass(frozen=True, slots=True)
class Script:
    """One Sieve script, without its text."""

    name: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """What one transaction did: applied to the memory as a whole, when it is on the disk."""

    modseq: int
    mailboxes: Sequence[Mailbox] = ()
    """New, or with other properties (their messages are not looked at)."""
    mailboxes_gone: Sequence[str] = ()
    put: Sequence[Message] = ()
    origins: Sequence[int] = ()
    """The UIDs that those of *put* were copied from, if they were."""
    gone: Sequence[tuple[str, int]] = ()
    """Mailbox and UID."""
    next_uids: Mapping[str, int] = field(default_factory=dict)
