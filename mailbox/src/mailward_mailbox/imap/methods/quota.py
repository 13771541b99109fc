"""GETQUOTA and GETQUOTAROOT (RFC 9208): one root for all mailboxes, where there is a quota."""

from __future__ import annotations

from mailward_mailbox.imap.errors import NoError
from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.words import ImapWords

_UNIT_OCTETS = 1_024  # RFC 9208 section 5.1: STORAGE


async def get_quota(state: SessionState, words: ImapWords) -> bytes:
    words.space()
    root = words.astring()
    words.end()
    if root or state.mail.quota is None:
        raise NoError("NONEXISTENT", "There is no such quota root")
    _write_quota(state, state.mail.quota)
    return b""


async def get_quota_root(state: SessionState, words: ImapWords) -> bytes:
    name = state.mailbox_name(words)
    words.end()
    mailbox, quota = state.mail.mailbox(name), state.mail.quota
    roots = b"" if quota is None else b' ""'
    state.output.line(b"* QUOTAROOT %b%b" % (state.written(mailbox.name), roots))
    if quota is not None:
        _write_quota(state, quota)
    return b""


def _write_quota(state: SessionState, quota: int) -> None:
    used = -(-state.mail.usage() // _UNIT_OCTETS)
    state.output.line(b'* QUOTA "" (STORAGE %d %d)' % (used, quota // _UNIT_OCTETS))
