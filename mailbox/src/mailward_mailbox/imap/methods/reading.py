"""FETCH and SEARCH as the session calls them (RFC 9051 sections 6.4.4, 6.4.5 and 6.4.9)."""

from __future__ import annotations

from mailward_mailbox.imap.fetch.fetch import fetch as send_messages
from mailward_mailbox.imap.fetch.parse import parse_fetch_items
from mailward_mailbox.imap.reading import MessageReader
from mailward_mailbox.imap.search.parse import parse_search
from mailward_mailbox.imap.search.search import search as find_messages
from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.words import ImapWords


async def fetch(
    state: SessionState, words: ImapWords, reader: MessageReader, *, by_uid: bool
) -> bytes:
    """FETCH, and *by_uid* UID FETCH."""
    view = state.selected
    words.space()
    wanted = words.sequence_set()
    words.space()
    items = parse_fetch_items(words, is_uid=by_uid)
    state.enabled.is_condstore |= items.uses_modseq
    await send_messages(view, wanted, items, state.output, reader, by_uid=by_uid)
    return b""


async def search(
    state: SessionState, words: ImapWords, reader: MessageReader, *, by_uid: bool
) -> bytes:
    """SEARCH, and *by_uid* UID SEARCH."""
    view = state.selected
    words.space()
    asked = parse_search(words)
    state.enabled.is_condstore |= asked.uses_modseq
    await find_messages(view, asked, state.output, reader, tag=state.tag, by_uid=by_uid)
    return b""
