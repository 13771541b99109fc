"""The mail of one account: one object, shared by all of its sessions, whatever they speak.

Everything but content is in memory, equal to the file: it is changed when a transaction is on the
disk, and only then. So reading waits for nobody, and what a session sees is never taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.file import MailFile
from mailward_mailbox.mail.model import (
    DELIMITER,
    INBOX,
    MAX_FLAG_OCTETS,
    MAX_FLAGS,
    MAX_MESSAGE_OCTETS,
    MAX_MESSAGES,
    MAX_NAME_OCTETS,
    Changed,
    Flags,
    Fresh,
    Mailbox,
    MailboxExistsError,
    MailError,
    Message,
    NoSuchMailboxError,
    OverQuotaError,
    Script,
    UnfitError,
)

UPLOAD_SECONDS = 3_600.0
"""RFC 8620 section 6.1: an upload that nothing refers to stays for an hour at least."""

_T = TypeVar("_T")


class AccountMail:
    """Mail of *owner*, from *file*, which only *thread* touches.

    *report* is told of every job in the file, how it ended (``None``: well).
    """

    def __init__(
        self,
        owner: str,
        file: MailFile,
        loaded: tuple[int, Iterable[Mailbox]],
        thread: Executor,
        clock: Callable[[], Instant],
        quota: Callable[[], int | None] = lambda: None,
        report: Callable[[BaseException | None], object] = lambda _: None,
    ) -> None:
        self.owner = owner
        """The account's id."""
        self._file = file
        self._thread = thread
        self._clock = clock
        self._quota = quota
        self._report = report
        self.modseq, mailboxes = loaded
        self.by_id: dict[str, Mailbox] = {}
        self.emails: dict[str, dict[tuple[str, int], Message]] = {}
        """By the email's id: each place where it stands, by mailbox and UID."""
        self.threads: dict[str, set[str]] = {}
        """By the thread's id: its emails."""
        self.changing = asyncio.Lock()
        """Held by whoever makes new flags of those that are there, until they are: or two who add
        one each would lose one."""
        self._news = asyncio.Event()
        for mailbox in mailboxes:
            self.by_id[mailbox.id] = mailbox
            for message in mailbox.messages.values():
                self._know(message)

    # -- looking -------------------------------------------------------------------------------

    def mailboxes(self) -> list[Mailbox]:
        """All of them, by name; the inbox first."""
        return sorted(self.by_id.values(), key=lambda one: (one.name != INBOX, one.name))

    def mailbox(self, name: str) -> Mailbox:
        """The mailbox of that name; the inbox is found in any case (RFC 9051 section 5.1).

        Raises:
            NoSuchMailboxError: there is none.
        """
        wanted = canonical_name(name)
        for mailbox in self.by_id.values():
            if mailbox.name == wanted:
                return mailbox
        raise NoSuchMailboxError("there is no such mailbox")

    @property
    def quota(self) -> int | None:
        """How many octets the account may use; ``None``: as many as there are."""
        return self._quota()

    def usage(self) -> int:
        """Octets of messages, uploads and scripts; a copy of a message counts for its row alone."""
        return self._file.used

    async def changed(self, after: int) -> int:
        """Wait until something has changed *after* that modseq; the modseq now."""
        while self.modseq <= after:
            await self._news.wait()
        return self.modseq

    async def blob(self, blob: str) -> bytes | None:
        """Octets by their id, of a message or an upload; ``None`` where this account has none."""
        return await self._ask(partial(self._file.blob, blob))

    async def blobs(self, blobs: Iterable[str], at_most: int | None = None) -> Mapping[str, bytes]:
        """Several at once, of each the first *at_most* octets; without those that are not here."""
        return await self._ask(partial(self._file.blobs, list(blobs), at_most))

    async def piece(self, blob: str, first: int, octets: int) -> bytes | None:
        """So many octets of one from *first* on; ``None`` where this account has none."""
        return await self._ask(partial(self._file.piece, blob, first, octets))

    # -- messages ------------------------------------------------------------------------------

    async def append(self, mailbox: str, fresh: Fresh) -> Message:
        """Store one message: when this returns it survives whatever happens to the process.

        *mailbox* is an id, here and below.

        Raises:
            MailError: it is not stored, and nothing of it is left.
        """
        (message,) = await self.append_all([(mailbox, fresh)])
        return message

    async def append_all(self, placed: Sequence[tuple[str, Fresh]]) -> Sequence[Message]:
        """Store each message in the mailbox that stands with it: all or none, in their order."""
        for mailbox, fresh in placed:
            self._check_there(mailbox)
            check_flags(fresh.flags)
            if len(fresh.octets) > MAX_MESSAGE_OCTETS:
                raise UnfitError(f"the message is longer than {MAX_MESSAGE_OCTETS} octets")
        self._check_count(len(placed))
        return (await self._change(partial(self._file.append, placed, self._clock()))).put

    async def copy(
        self, mailbox: str, uids: Iterable[int], destination: str, *, move: bool = False
    ) -> Sequence[tuple[int, Message]]:
        """Copy (or move) what is still there of *uids*: each old UID, and its new message."""
        self._check_there(mailbox)
        self._check_there(destination)
        there = [uid for uid in uids if uid in self.by_id[mailbox].messages]
        if not there:
            return []
        if not move:
            self._check_count(len(there))
        change = await self._change(
            partial(self._file.copy, mailbox, there, destination, move=move)
        )
        return list(zip(change.origins, change.put, strict=True))

    async def set_flags(self, mailbox: str, flags: Mapping[int, Flags]) -> None:
        """Give messages, by their UIDs, other flags. Who is gone meanwhile is passed over."""
        self._check_there(mailbox)
        for wanted in set(flags.values()):
            check_flags(wanted)
        messages = self.by_id[mailbox].messages
        if any(uid in messages and messages[uid].flags != wanted for uid, wanted in flags.items()):
            await self._change(partial(self._file.set_flags, mailbox, flags))

    async def destroy(self, mailbox: str, uids: Iterable[int]) -> None:
        """Take messages out of *mailbox*; what stands nowhere else is gone for good."""
        self._check_there(mailbox)
        wanted = [uid for uid in uids if uid in self.by_id[mailbox].messages]
        if wanted:
            await self._change(partial(self._file.destroy, mailbox, wanted, self._clock()))

    async def claim_recent(self, mailbox: str) -> range:
        """The UIDs that no session has been told of until now, and this one is."""
        self._check_there(mailbox)
        box = self.by_id[mailbox]
        claimed = range(box.recent_from, box.next_uid)
        if claimed:
            box.recent_from = box.next_uid  # nobody else gets them while the disk is asked
            with suppress(MailError):  # on a full disk mail can be read all the same
                await self._change(partial(self._file.claim_recent, mailbox))
        return claimed

    async def put_blob(self, octets: bytes) -> str:
        """Keep an upload for an hour at least; its id.

        Raises:
            MailError: there is no room for it.
        """
        if len(octets) > MAX_MESSAGE_OCTETS:
            raise UnfitError(f"an upload is {MAX_MESSAGE_OCTETS} octets at most")
        now = self._clock()
        until = Instant(now + UPLOAD_SECONDS)
        return await self._ask(partial(self._file.put_blob, octets, until, now))

    # -- mailboxes -----------------------------------------------------------------------------

    async def create(self, name: str, *, is_subscribed: bool = True) -> Mailbox:
        """Make a mailbox, and those above it that are missing (RFC 9051 section 6.3.4)."""
        name = fit_name(name)
        if any(mailbox.name == name for mailbox in self.by_id.values()):
            raise MailboxExistsError("there is such a mailbox already")
        names = _with_those_above(name)
        await self._change(partial(self._file.create, names, is_subscribed=is_subscribed))
        return self.mailbox(name)

    async def rename(self, before: str, after: str) -> None:
        """Give a mailbox and all below it another name (names, both).

        The inbox stays, and what is in it moves (RFC 9051 section 6.3.6).
        """
        mailbox, after = self.mailbox(before), fit_name(after)
        before = mailbox.name
        if before == INBOX:
            made = await self.create(after, is_subscribed=False)
            await self.copy(mailbox.id, list(mailbox.messages), made.id, move=True)
            return
        if after.startswith(before + DELIMITER):
            raise UnfitError("a mailbox cannot be put below itself")
        names = {
            one.id: after + one.name.removeprefix(before)
            for one in self.by_id.values()
            if one.name == before or one.name.startswith(before + DELIMITER)
        }
        for name in names.values():
            fit_name(name)
        above = _with_those_above(after)[:-1]
        if above:
            await self._change(partial(self._file.create, above, is_subscribed=False))
        await self._change(partial(self._file.rename, names))

    async def remove(self, name: str) -> None:
        """Destroy a mailbox with all messages in it; those below it stay."""
        mailbox = self.mailbox(name)
        if mailbox.name == INBOX:
            raise UnfitError("the inbox stays")
        await self._change(partial(self._file.remove, mailbox.id, self._clock()))

    async def subscribe(self, name: str, *, is_subscribed: bool) -> None:
        """The name of a mailbox that is gone can only be unsubscribed."""
        try:
            mailbox = self.mailbox(name)
        except NoSuchMailboxError:
            if is_subscribed or not await self._ask(partial(self._file.forget_subscription, name)):
                raise
            return
        await self._change(partial(self._file.subscribe, mailbox.id, is_subscribed=is_subscribed))

    async def lost_subscriptions(self) -> Sequence[str]:
        """Names that are subscribed to though there is no such mailbox any more."""
        return await self._ask(self._file.lost_subscriptions)

    # -- Sieve scripts -------------------------------------------------------------------------

    async def scripts(self) -> Sequence[Script]:
        return await self._ask(self._file.scripts)

    async def script(self, name: str) -> bytes | None:
        """The text of a script, ``None`` where there is none of that name."""
        return await self._ask(partial(self._file.script, name))

    async def active_script(self) -> bytes | None:
        return await self._ask(partial(self._file.script, None))

    async def put_script(self, name: str, text: bytes) -> None:
        """Store a script, in the place of one of the same name. Limits are for the caller."""
        await self._ask(partial(self._file.put_script, name, text))

    async def activate_script(self, name: str | None) -> bool:
        """Make it the active one (``None``: none is); whether it is there."""
        return await self._ask(partial(self._file.activate, name))

    async def rename_script(self, name: str, new: str) -> bool:
        return await self._ask(partial(self._file.rename_script, name, new))

    async def delete_script(self, name: str) -> bool:
        return await self._ask(partial(self._file.delete_script, name))

    # -- inside --------------------------------------------------------------------------------

    def _check_there(self, mailbox: str) -> None:
        if mailbox not in self.by_id:
            raise NoSuchMailboxError("there is no such mailbox")

    def _check_count(self, more: int) -> None:
        if sum(len(one.messages) for one in self.by_id.values()) + more > MAX_MESSAGES:
            raise OverQuotaError(is_too_large=False)

    async def _ask(self, job: Callable[[], _T]) -> _T:
        doing = asyncio.get_running_loop().run_in_executor(self._thread, job)
        doing.add_done_callback(self._watch)
        return await doing

    def _watch(self, done: asyncio.Future[_T]) -> None:
        if not done.cancelled():
            self._report(done.exception())

    async def _change(self, job: Callable[[], Changed]) -> Changed:
        """Do *job*; who waits for it may leave, what it did is seen by all the same."""
        doing = asyncio.get_running_loop().run_in_executor(self._thread, job)
        doing.add_done_callback(self._watch)
        doing.add_done_callback(self._apply)  # before anybody who waits for it goes on
        return await asyncio.shield(doing)

    def _apply(self, done: asyncio.Future[Changed]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        change = done.result()
        for new in change.mailboxes:
            known = self.by_id.setdefault(new.id, new)
            known.name, known.is_subscribed = new.name, new.is_subscribed
            known.recent_from, known.modseq = new.recent_from, change.modseq
        for mailbox, uid in change.gone:
            box = self.by_id[mailbox]
            self._forget(box.messages.pop(uid))
            box.modseq = change.modseq
        for message in change.put:
            box = self.by_id[message.mailbox]
            box.messages[message.uid] = message
            box.modseq = change.modseq
            self._know(message)
        for mailbox, next_uid in change.next_uids.items():
            self.by_id[mailbox].next_uid = next_uid
        for mailbox in change.mailboxes_gone:
            del self.by_id[mailbox]
        self.modseq = change.modseq
        self._news.set()
        self._news.clear()

    def _know(self, message: Message) -> None:
        self.emails.setdefault(message.email, {})[message.mailbox, message.uid] = message
        self.threads.setdefault(message.thread, set()).add(message.email)

    def _forget(self, message: Message) -> None:
        places = self.emails[message.email]
        del places[message.mailbox, message.uid]
        if not places:
            del self.emails[message.email]
            emails = self.threads[message.thread]
            emails.discard(message.email)
            if not emails:
                del self.threads[message.thread]


def canonical_name(name: str) -> str:
    """The one spelling of a mailbox's name."""
    first, delimiter, rest = name.partition(DELIMITER)
    return INBOX + delimiter + rest if first.upper() == INBOX else name


def fit_name(name: str) -> str:
    """The one spelling of a name that a mailbox may have.

    >>> fit_name("inbox/2026")
    'INBOX/2026'

    Raises:
        UnfitError: it may not.
    """
    name = canonical_name(name)
    if not name or not all(name.split(DELIMITER)):
        raise UnfitError("a part of the name is empty")
    if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_OCTETS:
        raise UnfitError(f"a name has {MAX_NAME_OCTETS} octets at most")
    if not name.isprintable() or set(name) & set("*%"):
        raise UnfitError('a name holds no control characters, no "*" and no "%"')
    return name


def check_flags(flags: Flags) -> None:
    """Raises:
    UnfitError: they are too many, too long, or no atoms of RFC 9051 section 9.
    """
    if len(flags) > MAX_FLAGS:
        raise UnfitError(f"a message has {MAX_FLAGS} flags at most")
    for flag in flags:
        atom = flag.removeprefix("\\")
        is_atom = atom.isascii() and atom.isprintable() and not set(atom) & set('(){ %*"\\]')
        if not atom or not is_atom or len(flag) > MAX_FLAG_OCTETS:
            raise UnfitError("that is no flag")


def _with_those_above(name: str) -> list[str]:
    parts = name.split(DELIMITER)
    return [DELIMITER.join(parts[: count + 1]) for count in range(len(parts))]
