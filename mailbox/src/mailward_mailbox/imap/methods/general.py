"""Commands about the session itself: CAPABILITY, ENABLE, ID, NOOP and CHECK."""

from __future__ import annotations

from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.mail.model import MAX_MESSAGE_OCTETS

CAPABILITIES = (
    *("IMAP4rev1", "IMAP4rev2", "LITERAL+", "ID", "ENABLE", "IDLE", "NAMESPACE", "UNSELECT"),
    *("UIDPLUS", "MOVE", "MULTIAPPEND", "CHILDREN", "SPECIAL-USE", "LIST-EXTENDED", "LIST-STATUS"),
    *("STATUS=SIZE", "ESEARCH", "SEARCHRES", "CONDSTORE", "BINARY", "OBJECTID", "UTF8=ACCEPT"),
    *(f"APPENDLIMIT={MAX_MESSAGE_OCTETS}", "QUOTA", "QUOTA=RES-STORAGE"),
)
"""Of a session after login."""
MAX_ID_PAIRS = 30  # RFC 2971 section 3.3

_ENABLES = {b"CONDSTORE", b"IMAP4REV2", b"UTF8=ACCEPT"}


async def capability(state: SessionState, words: ImapWords) -> bytes:
    words.end()
    state.output.line(b"* CAPABILITY " + " ".join(CAPABILITIES).encode())
    return b""


async def enable(state: SessionState, words: ImapWords) -> bytes:
    """What is unknown is passed over (RFC 5161 section 3.1)."""
    names: list[bytes] = []
    while words.skip(b" "):
        words.count()
        names.append(words.keyword())
    words.end()
    if not names:
        raise BadCommandError("An argument is missing")
    enabled = state.enabled
    enabled.is_condstore |= b"CONDSTORE" in names
    enabled.is_rev2 |= b"IMAP4REV2" in names
    enabled.is_utf8 |= b"UTF8=ACCEPT" in names or enabled.is_rev2
    done = [name for name in dict.fromkeys(names) if name in _ENABLES]
    shown = (b"IMAP4rev2" if name == b"IMAP4REV2" else name for name in done)
    state.output.line(b" ".join((b"* ENABLED", *shown)))
    return b""


async def identify(state: SessionState, words: ImapWords) -> bytes:
    words.space()
    if words.starts(b"("):
        strings = words.items(words.nstring, may_be_empty=True)
        if len(strings) % 2 or len(strings) > 2 * MAX_ID_PAIRS:
            raise BadCommandError("ID takes up to 30 pairs")
    elif words.keyword() != b"NIL":
        raise BadCommandError("Invalid argument")
    words.end()
    state.output.line(b'* ID ("name" "mailward")')
    return b""


async def noop(_state: SessionState, words: ImapWords) -> bytes:
    """Updates are sent after each command, this one too."""
    words.end()
    return b""


async def check(state: SessionState, words: ImapWords) -> bytes:
    """All changes are on the disk already."""
    words.end()
    _ = state.selected
    return b""
