"""SELECT, EXAMINE, CLOSE and UNSELECT (RFC 9051 sections 6.3.2, 6.3.3, 6.4.1 and 6.4.2)."""

from __future__ import annotations

from mailward_mailbox.imap.methods.messages import expunge_deleted
from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.view import MailboxView
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.mail.model import DELIMITER


async def select(state: SessionState, words: ImapWords) -> bytes:
    return await _open(state, words, is_read_only=False)


async def examine(state: SessionState, words: ImapWords) -> bytes:
    return await _open(state, words, is_read_only=True)


async def _open(state: SessionState, words: ImapWords, *, is_read_only: bool) -> bytes:
    name = state.mailbox_name(words)
    wants_condstore = False
    if words.skip(b" "):
        if set(words.items(words.keyword)) != {b"CONDSTORE"}:
            raise BadCommandError("Unknown parameter")
        wants_condstore = True
    words.end()
    enabled, output = state.enabled, state.output
    enabled.is_condstore |= wants_condstore
    if state.view is not None:
        state.view = None
        # RFC 7162 section 3.2.11: always, whatever the client has enabled.
        output.line(b"* OK [CLOSED] The mailbox selected before is closed")
    mailbox = state.mail.mailbox(name)
    view = MailboxView(state.mail, mailbox, enabled, is_read_only)
    await view.opening(output)
    if enabled.is_rev2:
        output.line(b'* LIST () "%b" %b' % (DELIMITER.encode(), state.written(mailbox.name)))
    state.view = view
    if is_read_only:
        return b"[READ-ONLY] EXAMINE completed"
    return b"[READ-WRITE] SELECT completed"


async def close(state: SessionState, words: ImapWords) -> bytes:
    """What is marked ``\\Deleted`` goes without a word, unless the mailbox is read-only."""
    words.end()
    view = state.selected
    if not view.is_read_only:
        await expunge_deleted(state, view, view.uids)
    state.view = None
    return b""


async def unselect(state: SessionState, words: ImapWords) -> bytes:
    words.end()
    _ = state.selected
    state.view = None
    return b""
