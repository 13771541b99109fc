"""Header fields as text, dates, message ids and URLs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mailward_mailbox.message.charsets import read_text
from mailward_mailbox.message.header import unfolded
from mailward_mailbox.message.words import composed, decode_words

MAX_DATE_CHARS = 200

_MESSAGE_ID = re.compile(r"<([^<>\s]++)>")
_URL = re.compile(r"<([^<>]++)>")


def line_of(value: bytes) -> str:
    """One line, still encoded."""
    return read_text(unfolded(value))


def text_of_field(value: bytes) -> str:
    """One line, encoded words decoded, in NFC.

    >>> text_of_field(b" =?utf-8?q?a_b?=\\r\\n c")
    'a b c'
    """
    return composed(decode_words(line_of(value)))


def read_date(value: bytes) -> datetime | None:
    """The date (RFC 5322 section 3.3), in UTC where no zone is known; ``None``: it is no date."""
    try:
        date = parsedate_to_datetime(line_of(value)[:MAX_DATE_CHARS])
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if date.tzinfo is None:  # "-0000" says that the zone is unknown
        date = date.replace(tzinfo=UTC)
    return date.replace(microsecond=0)


def message_ids(value: bytes) -> list[str]:
    return _MESSAGE_ID.findall(line_of(value))


def urls(value: bytes) -> list[str]:
    """The URLs of a List-* field (RFC 2369)."""
    return ["".join(url.split()) for url in _URL.findall(line_of(value))]
