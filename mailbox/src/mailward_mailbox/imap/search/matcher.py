"""Decides whether a message has what a SEARCH asks for, as far as the message has been read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from mailward_mailbox.imap.flags import RECENT
from mailward_mailbox.imap.reading import Numbered
from mailward_mailbox.imap.search.keys import (
    AllKeys,
    AnyKey,
    HasFlag,
    HasId,
    InBody,
    InField,
    InMessage,
    InNumbers,
    InUids,
    ModSeqFrom,
    NotKey,
    OfContent,
    OfHeader,
    ReceivedIn,
    SearchKey,
    SentIn,
    SizeIn,
    leaves,
)
from mailward_mailbox.imap.search.text import (
    addresses_text,
    field_text,
    found_in_body,
    header_text,
    sent_day,
)
from mailward_mailbox.imap.view import MailboxView
from mailward_mailbox.mail.model import Flags
from mailward_mailbox.message.header import Header
from mailward_mailbox.message.part import Part

_ADDRESSES = frozenset({"from", "to", "cc", "bcc"})
Decision = bool | None
"""``None``: more of the message has to be read."""


@dataclass(frozen=True)
class MessageText:
    """What was read of a message: its *header*, and all of it where *whole* is there."""

    header: Header
    whole: Part | None = None
    in_bodies: frozenset[str] = frozenset()
    """All that BODY looks for."""
    in_messages: frozenset[str] = frozenset()
    """All that TEXT looks for."""

    @cached_property
    def header_text(self) -> str:
        return header_text(self.header)

    @cached_property
    def found_in_body(self) -> frozenset[str] | None:
        """Those of :attr:`in_bodies` that are there; ``None``: the body was not read."""
        return self._found(self.in_bodies, has_headers=False)

    @cached_property
    def found_in_message(self) -> frozenset[str] | None:
        """Those of :attr:`in_messages` that are behind the header; ``None`` as above."""
        return self._found(self.in_messages, has_headers=True)

    def _found(self, texts: frozenset[str], *, has_headers: bool) -> frozenset[str] | None:
        if self.whole is None:
            return None
        return found_in_body(self.whole, texts, has_headers=has_headers)

    @cached_property
    def sent_day(self) -> int | None:
        return sent_day(self.header)


class SearchMatcher:
    """One SEARCH over the messages of *view*.

    Raises:
        BadCommandError: a sequence number is beyond the last.
    """

    def __init__(self, view: MailboxView, key: SearchKey) -> None:
        self._view = view
        self._key = key
        self._in_bodies = frozenset(one.text for one in leaves(key) if isinstance(one, InBody))
        self._in_messages = frozenset(one.text for one in leaves(key) if isinstance(one, InMessage))
        self.reads_header = any(isinstance(one, OfHeader) for one in leaves(key))
        self.reads_body = any(isinstance(one, OfContent) for one in leaves(key))
        self._places: Mapping[SearchKey, Sequence[range]] = {
            one: view.places(one.numbers, by_uid=False)
            if isinstance(one, InNumbers)
            else view.places(one.uids, by_uid=True)
            for one in leaves(key)
            if isinstance(one, InNumbers | InUids)
        }

    def text(self, header: Header, whole: Part | None = None) -> MessageText:
        """What was read of a message."""
        return MessageText(header, whole, self._in_bodies, self._in_messages)

    def decide(self, one: Numbered, text: MessageText | None = None) -> Decision:
        """Whether the message has it, as far as *text* of it was read."""
        return self._holds(self._key, one, text)

    def _holds(self, key: SearchKey, one: Numbered, text: MessageText | None) -> Decision:
        match key:
            case AllKeys():
                return self._all(key.keys, one, text, is_met=True)
            case AnyKey():
                return self._all(key.keys, one, text, is_met=False)
            case NotKey():
                held = self._holds(key.key, one, text)
                return None if held is None else not held
            case SentIn() | InField():
                return None if text is None else _in_header(key, text)
            case InBody() | InMessage():
                return None if text is None else _in_content(key, text)
            case _:
                return self._is_stored(key, one)

    def _all(
        self, keys: Sequence[SearchKey], one: Numbered, text: MessageText | None, *, is_met: bool
    ) -> Decision:
        """*is_met* where each key is that; the opposite where one is that."""
        is_open = False
        for key in keys:
            held = self._holds(key, one, text)
            if held is (not is_met):
                return not is_met
            is_open |= held is None
        return None if is_open else is_met

    def _is_stored(  # noqa: PLR0911 -- one for each
        self,
        key: HasFlag | InNumbers | InUids | ReceivedIn | SizeIn | ModSeqFrom | HasId,
        one: Numbered,
    ) -> bool:
        number, message = one
        match key:
            case HasFlag(flag):
                if flag == RECENT:
                    return self._view.is_recent(message.uid)
                return flag in message.flags or flag.lower() in _lowered(message.flags)
            case InNumbers() | InUids():
                return _is_in(number - 1, self._places[key])
            case ReceivedIn(first, end):
                return first <= message.received < end
            case SizeIn(first, end):
                return first <= message.size < end
            case ModSeqFrom(modseq):
                return message.modseq >= modseq
            case HasId(id=wanted, is_thread=is_thread):
                return wanted == (message.thread if is_thread else message.email)


def _in_header(key: SentIn | InField, text: MessageText) -> bool:
    match key:
        case SentIn(first, end):
            return text.sent_day is not None and first <= text.sent_day < end
        case InField(name, wanted):
            return any(
                wanted in field_text(value)
                or (name in _ADDRESSES and wanted in addresses_text(value))
                for value in text.header.all(name)
            )


def _in_content(key: InBody | InMessage, text: MessageText) -> Decision:
    match key:
        case InBody(wanted):
            found = text.found_in_body
        case InMessage(wanted):
            if wanted in text.header_text:
                return True
            found = text.found_in_message
    return None if found is None else wanted in found


def _is_in(place: int, ranges: Sequence[range]) -> bool:
    at = bisect_right(ranges, place, key=lambda one: one.start)
    return bool(at) and place in ranges[at - 1]


@lru_cache(1_000)
def _lowered(flags: Flags) -> Flags:
    return frozenset(flag.lower() for flag in flags)
