"""Header fields in the forms of RFC 8621 section 4.1.2."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from mailward_mailbox.jmap.message.addresses import read_addresses, read_groups
from mailward_mailbox.jmap.message.mime import Fields
from mailward_mailbox.message.charsets import read_text
from mailward_mailbox.message.words import decode_words

MAX_DATE_CHARS = 200

_FOLD = re.compile(r"\r?\n(?=[ \t])")
_MESSAGE_ID = re.compile(r"<([^<>\s]+)>")
_URL = re.compile(r"<([^<>]+)>")
_PROPERTY = re.compile(
    r"header:([!-9;-~]+)(?::as(Raw|Text|Addresses|GroupedAddresses|MessageIds|Date|URLs))?(:all)?"
)

_ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc"}) | {
    f"resent-{name}" for name in ("from", "sender", "reply-to", "to", "cc", "bcc")
}
_MESSAGE_IDS = frozenset({"message-id", "in-reply-to", "references", "resent-message-id"})
_DATES = frozenset({"date", "resent-date"})
_URLS = frozenset(
    f"list-{name}" for name in ("help", "unsubscribe", "subscribe", "post", "owner", "archive")
)
_TEXTS = frozenset({"subject", "comments", "keywords", "list-id"})
_OTHERS = frozenset({"return-path", "received"})
_DEFINED = _ADDRESSES | _MESSAGE_IDS | _DATES | _URLS | _TEXTS | _OTHERS
_FIT: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Text": _TEXTS,
        "Addresses": _ADDRESSES,
        "GroupedAddresses": _ADDRESSES,
        "MessageIds": _MESSAGE_IDS,
        "Date": _DATES,
        "URLs": _URLS,
    }
)


@dataclass(frozen=True, slots=True)
class HeaderProperty:
    """A property like ``header:To:asAddresses:all``."""

    name: str
    form: str
    is_all: bool

    def of(self, fields: Fields) -> object:
        """Its value in a message with *fields*."""
        raw = [value for known, value in fields if known.lower() == self.name]
        read = FORMS[self.form]
        if self.is_all:
            return [read(value) for value in raw]
        return read(raw[-1]) if raw else None


def header_property(name: str) -> HeaderProperty | None:
    """The property of that name; ``None`` where it is none, or the form is not for that field."""
    match = _PROPERTY.fullmatch(name)
    if match is None:
        return None
    known, form = match[1].lower(), match[2] or "Raw"
    if form != "Raw" and known in _DEFINED and known not in _FIT[form]:
        return None
    return HeaderProperty(known, form, bool(match[3]))


def raw(value: bytes) -> str:
    return read_text(value)


def unfolded(value: bytes) -> str:
    """One line, still encoded."""
    return _FOLD.sub("", read_text(value)).replace("\r", "").replace("\n", "").strip(" \t")


def as_text(value: bytes) -> str:
    """In one line, decoded.

    >>> as_text(b" =?utf-8?q?a_b?=\\r\\n c")
    'a b c'
    """
    return decode_words(unfolded(value))


def as_date(value: bytes) -> str | None:
    date = _date(value)
    return None if date is None else date.isoformat().replace("+00:00", "Z")


def as_moment(value: bytes) -> float:
    """The same, to be compared; what is no date was long ago."""
    date = _date(value)
    return 0.0 if date is None else date.timestamp()


def _date(value: bytes) -> datetime | None:
    try:
        date = parsedate_to_datetime(unfolded(value)[:MAX_DATE_CHARS])
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if date.tzinfo is None:  # "-0000": nobody knows where it was written
        date = date.replace(tzinfo=UTC)
    return date.replace(microsecond=0)


def as_message_ids(value: bytes) -> list[str] | None:
    return _MESSAGE_ID.findall(unfolded(value)) or None


def as_urls(value: bytes) -> list[str] | None:
    return ["".join(url.split()) for url in _URL.findall(unfolded(value))] or None


def _addresses(value: bytes) -> Sequence[Mapping[str, object]]:
    return [one.shown() for one in read_addresses(unfolded(value))]


def _groups(value: bytes) -> Sequence[Mapping[str, object]]:
    return [one.shown() for one in read_groups(unfolded(value))]


FORMS: Mapping[str, Callable[[bytes], object]] = MappingProxyType(
    {
        "Raw": raw,
        "Text": as_text,
        "Addresses": _addresses,
        "GroupedAddresses": _groups,
        "MessageIds": as_message_ids,
        "Date": as_date,
        "URLs": as_urls,
    }
)
