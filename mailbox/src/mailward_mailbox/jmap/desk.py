"""What the calls of one request work on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailward_mailbox.accounts.file import Account
from mailward_mailbox.client import Client
from mailward_mailbox.delivery.delivery import Delivery
from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.errors import MethodError
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import (
    ANSWERED,
    DELETED,
    DRAFT,
    FLAGGED,
    SEEN,
    Flags,
    Message,
)

MAX_CONTENT_CHARS = 33_554_432
"""What all calls of a request may take out of messages: an answer is made in memory."""

_KEYWORDS = {SEEN: "$seen", ANSWERED: "$answered", FLAGGED: "$flagged", DRAFT: "$draft"}
_FLAGS = {keyword: flag for flag, keyword in _KEYWORDS.items()}


@dataclass(slots=True)
class Desk:
    """One account's, for one request."""

    account: Account
    mail: AccountMail
    delivery: Delivery
    now: Instant
    client: Client
    long: asyncio.Semaphore
    """Held while a message that is long is read."""
    created: dict[str, str] = field(default_factory=dict)
    """Creation ids, and what they became."""
    further: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    """Answers of calls that a call implies."""
    _content_chars: int = 0

    @property
    def state(self) -> str:
        return str(self.mail.modseq)

    @property
    def address(self) -> str:
        """Where others can write to the account."""
        return self.delivery.directory.address(self.account.name)

    def named(self, name: str) -> str:
        """The id that *name* means, where it is a creation id (RFC 8620 section 5.3)."""
        return self.created.get(name[1:], name) if name.startswith("#") else name

    def spend(self, chars: int) -> None:
        """Raises:
        MethodError: it is too much for one request.
        """
        self._content_chars += chars
        if self._content_chars > MAX_CONTENT_CHARS:
            raise MethodError("requestTooLarge", "that is too much content: ask for fewer emails")

    def places(self, email: str) -> list[Message]:
        """Where an email stands; nowhere, if it is not there.

        RFC 8621 section 4.1.1: what IMAP has marked as deleted is not there.
        """
        there = list(self.mail.emails.get(email, {}).values())  # at once: threads look here, too
        return [one for one in there if is_visible(one)]


def is_visible(message: Message) -> bool:
    return DELETED not in message.flags


def keywords(places: list[Message]) -> set[str]:
    """The keywords of an email, from the flags of all that it is in IMAP."""
    return {name for message in places for name in flag_keywords(message.flags)}


def flag_keywords(flags: Flags) -> set[str]:
    return {
        _KEYWORDS.get(flag, flag).lower()
        for flag in flags
        if flag in _KEYWORDS or not flag.startswith("\\")
    }


def with_keywords(flags: Flags, wanted: set[str]) -> Flags:
    """The flags that say *wanted*, spelled as they are where they are there already."""
    kept = {
        flag for flag in flags if not (said := flag_keywords(frozenset({flag}))) or said <= wanted
    }
    new = wanted - flag_keywords(frozenset(kept))
    return frozenset(kept | {_FLAGS.get(keyword, keyword) for keyword in new})


def weight(value: object, at_most: int) -> int:
    """How many characters *value* is in JSON, about; what is more than *at_most* is not counted."""
    left, found = [value], 0
    while left and found <= at_most:
        one = left.pop()
        found += 4
        match one:
            case str():
                found += len(one)
            case list() | tuple():
                left += one
            case dict():
                found += sum(len(name) for name in one)
                left += one.values()
            case _:
                pass
    return found
