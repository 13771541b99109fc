"""Commands about messages of the selected mailbox: STORE, COPY, MOVE and EXPUNGE.

RFC 9051 sections 6.4.3, 6.4.6 to 6.4.9; conditional STORE: RFC 7162 section 3.1.3. Changes of many
messages are made in steps, so that other sessions have their turn between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from mailward_mailbox.imap.flags import added, removed
from mailward_mailbox.imap.sequences import SequenceSet, write_numbers
from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.view import MailboxView
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.mail.model import DELETED, Flags, Message

STEP_MESSAGES = 250
"""Changed in one transaction."""

_WAYS: dict[bytes, Callable[[Flags, Flags], Flags]] = {
    b"FLAGS": lambda _, wanted: wanted,
    b"+FLAGS": added,
    b"-FLAGS": removed,
}


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What one STORE asks for."""

    wanted: SequenceSet
    way: Callable[[Flags, Flags], Flags]
    flags: Flags
    is_silent: bool
    by_uid: bool
    unchanged_since: int | None


async def store(state: SessionState, words: ImapWords) -> bytes:
    return await _store(state, read_store(words, by_uid=False))


async def uid_store(state: SessionState, words: ImapWords) -> bytes:
    return await _store(state, read_store(words, by_uid=True))


async def copy(state: SessionState, words: ImapWords) -> bytes:
    return await _copy(state, words, by_uid=False)


async def uid_copy(state: SessionState, words: ImapWords) -> bytes:
    return await _copy(state, words, by_uid=True)


async def move(state: SessionState, words: ImapWords) -> bytes:
    return await _move(state, words, by_uid=False)


async def uid_move(state: SessionState, words: ImapWords) -> bytes:
    return await _move(state, words, by_uid=True)


async def expunge(state: SessionState, words: ImapWords) -> bytes:
    words.end()
    view = state.writable
    await expunge_deleted(state, view, view.uids)
    return await _expunged(state, view)


async def uid_expunge(state: SessionState, words: ImapWords) -> bytes:
    words.space()
    wanted = words.sequence_set()
    words.end()
    view = state.writable
    places = view.places(wanted, by_uid=True)
    await expunge_deleted(state, view, [view.uids[n] for found in places for n in found])
    return await _expunged(state, view)


async def expunge_deleted(state: SessionState, view: MailboxView, uids: Iterable[int]) -> None:
    r"""Remove those of *uids* that are marked ``\Deleted``; the client is not told here."""
    messages = view.mailbox.messages
    deleted = (uid for uid in list(uids) if uid in messages and DELETED in messages[uid].flags)
    while step := list(islice(deleted, STEP_MESSAGES)):
        await state.mail.destroy(view.mailbox.id, step)
        await state.output.pause()


async def _expunged(state: SessionState, view: MailboxView) -> bytes:
    await view.update(state.output, may_expunge=True)
    if state.enabled.is_condstore:
        return b"[HIGHESTMODSEQ %d] EXPUNGE completed" % view.mailbox.modseq
    return b"EXPUNGE completed"


def read_store(words: ImapWords, *, by_uid: bool) -> StoreRequest:
    """Raises:
    BadCommandError: the arguments are not those of STORE.
    """
    words.space()
    wanted = words.sequence_set()
    words.space()
    unchanged_since = None
    if words.skip(b"("):
        if words.keyword() != b"UNCHANGEDSINCE":
            raise BadCommandError("Unknown modifier")
        words.space()
        unchanged_since = words.number64()
        words.expect(b")")
        words.space()
    item = words.keyword()
    way = _WAYS.get(item.removesuffix(b".SILENT"))
    if way is None:
        raise BadCommandError("Unknown item to store")
    words.space()
    flags = words.flags()
    words.end()
    return StoreRequest(wanted, way, flags, item.endswith(b".SILENT"), by_uid, unchanged_since)


async def _store(state: SessionState, request: StoreRequest) -> bytes:
    view, enabled = state.writable, state.enabled
    enabled.is_condstore |= request.unchanged_since is not None
    picked = view.pick(request.wanted, by_uid=request.by_uid)
    modified: list[int] = []
    while step := [(number, message.uid) for number, message in islice(picked, STEP_MESSAGES)]:
        kept = await _change(view, [uid for _, uid in step], request)
        modified += [uid if request.by_uid else n for n, uid in step if uid in kept]
        await _tell(state, view, [pair for pair in step if pair[1] not in kept], request)
    if modified:
        return b"[MODIFIED %b] STORE completed, except for those" % write_numbers(modified)
    return b""


async def _change(view: MailboxView, uids: Sequence[int], request: StoreRequest) -> set[int]:
    """Change flags, and return the UIDs whose messages have changed since that modseq."""
    messages, kept = view.mailbox.messages, set()
    wanted = view.spelled(request.flags)
    async with view.mail.changing:
        flags = {}
        for uid in uids:
            message = messages.get(uid)
            if message is None:
                continue
            if request.unchanged_since is not None and message.modseq > request.unchanged_since:
                kept.add(uid)
                continue
            flags[uid] = request.way(message.flags, wanted)
        await view.mail.set_flags(view.mailbox.id, flags)
    return kept


async def _tell(
    state: SessionState, view: MailboxView, pairs: Sequence[tuple[int, int]], request: StoreRequest
) -> None:
    """Tell the flags of messages, by number and UID, unless the client knows them."""
    messages, output = view.mailbox.messages, state.output
    there = [(number, messages[uid]) for number, uid in pairs if uid in messages]
    view.tell_keywords(output, (message.flags for _, message in there))
    for number, message in there:
        items = [b"UID %d" % message.uid] if request.by_uid or state.enabled.is_rev2 else []
        if not request.is_silent:
            items.append(view.flags_items(message))
        elif state.enabled.is_condstore:
            items.append(b"MODSEQ (%d)" % message.modseq)
        view.note(message)
        if not request.is_silent or state.enabled.is_condstore:
            output.line(b"* %d FETCH (%b)" % (number, b" ".join(items)))
            await output.pause()


async def _copy(state: SessionState, words: ImapWords, *, by_uid: bool) -> bytes:
    wanted, name = _read_copy(state, words)
    view = state.selected
    uids = [message.uid for _, message in view.pick(wanted, by_uid=by_uid)]
    destination = state.destination(name)
    done = await state.mail.copy(view.mailbox.id, uids, destination.id)
    return _copy_uid(destination.uid_validity, done) + b"COPY completed"


async def _move(state: SessionState, words: ImapWords, *, by_uid: bool) -> bytes:
    wanted, name = _read_copy(state, words)
    view = state.writable
    uids = [message.uid for _, message in view.pick(wanted, by_uid=by_uid)]
    destination = state.destination(name)
    done = await state.mail.copy(view.mailbox.id, uids, destination.id, move=True)
    if done:
        # RFC 6851 section 4.3: before the messages have lost their numbers.
        code = _copy_uid(destination.uid_validity, done)
        state.output.line(b"* OK %bMoved" % code)
    await view.update(state.output, may_expunge=True)
    return b""


def _read_copy(state: SessionState, words: ImapWords) -> tuple[SequenceSet, str]:
    words.space()
    wanted = words.sequence_set()
    name = state.mailbox_name(words)
    words.end()
    return wanted, name


def _copy_uid(uid_validity: int, done: Sequence[tuple[int, Message]]) -> bytes:
    """The response code of RFC 4315, with a blank behind it; nothing where nothing was copied."""
    if not done:
        return b""
    before = write_numbers(uid for uid, _ in done)
    after = write_numbers(message.uid for _, message in done)
    return b"[COPYUID %d %b %b] " % (uid_validity, before, after)
