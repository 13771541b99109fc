"""Commands about mailboxes by their names (RFC 9051 sections 6.3.4 to 6.3.11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.mail.model import DELETED, DELIMITER, MAX_MESSAGE_OCTETS, SEEN, Mailbox

_NUMBERS: Mapping[bytes, Callable[[Mailbox], int]] = MappingProxyType(
    {
        b"MESSAGES": lambda box: len(box.messages),
        b"UIDNEXT": lambda box: box.next_uid,
        b"UIDVALIDITY": lambda box: box.uid_validity,
        b"UNSEEN": lambda box: sum(SEEN not in one.flags for one in box.messages.values()),
        b"DELETED": lambda box: sum(DELETED in one.flags for one in box.messages.values()),
        b"DELETED-STORAGE": lambda box: sum(
            one.size for one in box.messages.values() if DELETED in one.flags
        ),
        b"SIZE": lambda box: sum(one.size for one in box.messages.values()),
        b"RECENT": lambda box: sum(uid >= box.recent_from for uid in box.messages),
        b"HIGHESTMODSEQ": lambda box: box.modseq,
        b"APPENDLIMIT": lambda _: MAX_MESSAGE_OCTETS,
    }
)
_STATUS_ITEMS = {*_NUMBERS, b"MAILBOXID"}


async def create(state: SessionState, words: ImapWords) -> bytes:
    """A delimiter at the end says that there will be some below (RFC 9051 section 6.3.4)."""
    name = state.mailbox_name(words).removesuffix(DELIMITER)
    words.end()
    mailbox = await state.mail.create(name, is_subscribed=False)
    return b"[MAILBOXID (%b)] CREATE completed" % mailbox.id.encode()


async def delete(state: SessionState, words: ImapWords) -> bytes:
    name = state.mailbox_name(words)
    words.end()
    mailbox = state.mail.mailbox(name)
    await state.mail.remove(mailbox.name)
    if state.view is not None and state.view.mailbox is mailbox:
        state.view = None
    return b""


async def rename(state: SessionState, words: ImapWords) -> bytes:
    before = state.mailbox_name(words)
    after = state.mailbox_name(words)
    words.end()
    await state.mail.rename(before, after.removesuffix(DELIMITER))
    return b""


async def subscribe(state: SessionState, words: ImapWords) -> bytes:
    return await _subscribe(state, words, is_subscribed=True)


async def unsubscribe(state: SessionState, words: ImapWords) -> bytes:
    return await _subscribe(state, words, is_subscribed=False)


async def _subscribe(state: SessionState, words: ImapWords, *, is_subscribed: bool) -> bytes:
    name = state.mailbox_name(words)
    words.end()
    await state.mail.subscribe(name.removesuffix(DELIMITER), is_subscribed=is_subscribed)
    return b""


async def status(state: SessionState, words: ImapWords) -> bytes:
    name = state.mailbox_name(words)
    words.space()
    items = read_status_items(words)
    words.end()
    mailbox = state.mail.mailbox(name)
    state.enabled.is_condstore |= b"HIGHESTMODSEQ" in items
    write_status(state, mailbox, items)
    return b""


def read_status_items(words: ImapWords) -> list[bytes]:
    """Raises:
    BadCommandError: one of them is unknown.
    """
    items = list(dict.fromkeys(words.items(words.keyword)))
    if set(items) - _STATUS_ITEMS:
        raise BadCommandError("Unknown status item")
    return items


def write_status(state: SessionState, mailbox: Mailbox, items: list[bytes]) -> None:
    values = b" ".join(b"%b %b" % (item, _value(mailbox, item)) for item in items)
    state.output.line(b"* STATUS %b (%b)" % (state.written(mailbox.name), values))


def _value(mailbox: Mailbox, item: bytes) -> bytes:
    if item == b"MAILBOXID":
        return b"(%b)" % mailbox.id.encode()
    return b"%d" % _NUMBERS[item](mailbox)


async def namespace(state: SessionState, words: ImapWords) -> bytes:
    words.end()
    state.output.line(b'* NAMESPACE (("" "%b")) NIL NIL' % DELIMITER.encode())
    return b""
