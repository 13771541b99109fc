"""FETCH and SEARCH as the session calls them (RFC 9051 sections 6.4.4, 6.4.5 and 6.4.9)."""

from __future__ import annotations

from mailward_mailbox.imap.fetch.fetch import fetch as send_messages
from mailward_mailbox.imap.fetch.parse import parse_fetch_items
from mailward_mailbox.imap.search.parse import parse_search
from mailward_mailbox.imap.search.search import search as find_messages
from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.words import ImapWords


async def fetch(state: SessionState, words: ImapWords) -> bytes:
    return await _fetch(state, words, by_uid=False)


async def uid_fetch(state: SessionState, words: ImapWords) -> bytes:
    return await _fetch(state, words, by_uid=True)


async def search(state: SessionState, words: ImapWords) -> bytes:
    return await _search(state, words, by_uid=False)


async def uid_search(state: SessionState, words: ImapWords) -> bytes:
    return await _search(state, words, by_uid=True)


async def _fetch(state: SessionState, words: ImapWords, *, by_uid: bool) -> bytes:
    view = state.selected
    words.space()
    wanted = words.sequence_set()
    words.space()
    items = parse_fetch_items(words, is_uid=by_uid)
    state.enabled.is_condstore |= items.uses_modseq
    await send_messages(view, wanted, items, state.output, state.messages, by_uid=by_uid)
    return b""


async def _search(state: SessionState, words: ImapWords, *, by_uid: bool) -> bytes:
    view = state.selected
    words.space()
    asked = parse_search(words)
    state.enabled.is_condstore |= asked.uses_modseq
    await find_messages(view, asked, state.output, state.messages, tag=state.tag, by_uid=by_uid)
    return b""
