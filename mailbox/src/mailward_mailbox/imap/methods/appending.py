"""APPEND (RFC 9051 section 6.3.12), several messages at once (RFC 3502), UTF8 (RFC 6855)."""

from __future__ import annotations

from mailward_mailbox.imap.errors import NoError
from mailward_mailbox.imap.sequences import write_numbers
from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.model import Fresh


async def append(state: SessionState, words: ImapWords) -> bytes:
    """Store all of the messages or none: they are on the disk before OK is said."""
    name = state.mailbox_name(words)
    messages = read_messages(words)
    mailbox = state.destination(name)
    if any(not message.octets for message in messages):
        raise NoError("CANNOT", "A message has one octet at least")
    stored = await state.mail.append_all([(mailbox.id, message) for message in messages])
    uids = write_numbers(message.uid for message in stored)
    return b"[APPENDUID %d %b] APPEND completed" % (mailbox.uid_validity, uids)


def read_messages(words: ImapWords) -> list[Fresh]:
    """Raises:
    BadCommandError: what follows the mailbox is not what APPEND takes.
    """
    messages = [_read_message(words)]
    while not words.is_over:
        messages.append(_read_message(words))
    return messages


def _read_message(words: ImapWords) -> Fresh:
    flags, received = frozenset[str](), None
    words.space()
    if words.starts(b"("):
        flags = words.flag_list()
        words.space()
    if words.starts(b'"'):
        received = Instant(words.date_time().timestamp())
        words.space()
    if words.starts(b"{") or words.starts(b"~{"):
        octets, _ = words.message()
    else:
        if words.keyword() != b"UTF8":
            raise BadCommandError("Invalid argument")
        words.expect(b" (")
        octets, _ = words.message()
        words.expect(b")")
    return Fresh(octets, flags, received)
