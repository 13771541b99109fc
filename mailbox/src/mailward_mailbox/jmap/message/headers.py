"""Header fields in the forms of RFC 8621 section 4.1.2."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from mailward_mailbox.message.addresses import read_addresses, read_groups
from mailward_mailbox.message.charsets import read_text
from mailward_mailbox.message.forms import line_of, message_ids, read_date, text_of_field, urls
from mailward_mailbox.message.header import Header

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

    def of(self, header: Header) -> object:
        """Its value in a message with that *header*."""
        read = FORMS[self.form]
        if self.is_all:
            return [read(value) for value in header.all(self.name)]
        value = header.last(self.name)
        return None if value is None else read(value)


def header_property(name: str) -> HeaderProperty | None:
    """The property of that name; ``None`` where it is none, or the form is not for that field."""
    match = _PROPERTY.fullmatch(name)
    if match is None:
        return None
    known, form = match[1].lower(), match[2] or "Raw"
    if form != "Raw" and known in _DEFINED and known not in _FIT[form]:
        return None
    return HeaderProperty(known, form, bool(match[3]))


def shown_header(header: Header) -> list[dict[str, object]]:
    """All fields, as the property ``headers`` has them."""
    return [{"name": one.name, "value": read_text(one.value)} for one in header.fields]


def as_date(value: bytes) -> str | None:
    date = read_date(value)
    return None if date is None else date.isoformat().replace("+00:00", "Z")


def as_moment(value: bytes) -> float:
    """The same, to be compared; what is no date was long ago."""
    date = read_date(value)
    return 0.0 if date is None else date.timestamp()


def _addresses(value: bytes) -> Sequence[Mapping[str, object]]:
    return [one.shown() for one in read_addresses(line_of(value))]


def _groups(value: bytes) -> Sequence[Mapping[str, object]]:
    return [one.shown() for one in read_groups(line_of(value))]


FORMS: Mapping[str, Callable[[bytes], object]] = MappingProxyType(
    {
        "Raw": read_text,
        "Text": text_of_field,
        "Addresses": _addresses,
        "GroupedAddresses": _groups,
        "MessageIds": lambda value: message_ids(value) or None,
        "Date": as_date,
        "URLs": lambda value: urls(value) or None,
    }
)
