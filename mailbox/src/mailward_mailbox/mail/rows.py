"""Rows of an account's file, read and made."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Any

from mailward_mailbox.instant import dated
from mailward_mailbox.mail.model import Flags, Mailbox, Message


def read_mailbox(row: tuple[Any, ...]) -> Mailbox:
    name, role, uid_validity, next_uid, recent_from, is_subscribed, modseq = row[1:]
    return Mailbox(
        *(row[0], name, role, uid_validity, next_uid, recent_from, bool(is_subscribed), modseq)
    )


def read_message(row: tuple[Any, ...]) -> Message:
    mailbox, uid, email, thread, blob, size, received, flags, modseq = row
    return Message(
        *(mailbox, uid, email, thread, blob, size, dated(received)),
        _flags(flags),
        modseq,
    )


@lru_cache(maxsize=1_024)
def _flags(text: str) -> Flags:
    """Few sets of flags are those of most messages: they are one object each."""
    return frozenset(text.split())


def flags_text(flags: Flags) -> str:
    return " ".join(sorted(flags))


def new_id(kind: str) -> str:
    """An id as RFC 8474 section 7 and RFC 8620 section 1.2 allow it."""
    return kind + secrets.token_hex(12)
