"""An account's mail as pymap wants it: its messages and mailboxes over ours.

pymap keeps for each session what it has told its client, and compares. It is given what has
changed since, so no command reads a whole mailbox but the one that opens it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache

from pymap.backend.mailbox import MailboxDataInterface, MailboxSetInterface
from pymap.concurrent import Event
from pymap.flags import FlagOp
from pymap.interfaces.message import CachedMessage
from pymap.listtree import ListTree
from pymap.mailbox import MailboxSnapshot
from pymap.message import BaseLoadedMessage, BaseMessage
from pymap.mime import MessageContent
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import FetchRequirement, Flag, ObjectId
from pymap.parsing.specials.flag import Recent, Wildcard, get_system_flags
from pymap.selected import SelectedMailbox, SelectedSet

from mailward.backends.embedded.mail.account import AccountMail
from mailward.backends.embedded.mail.model import (
    DELIMITER,
    SEEN,
    Flags,
    Fresh,
    Mailbox,
    MailboxExistsError,
    Message,
    NoSuchMailboxError,
)
from mailward.rules.model import Instant

_KEPT_FLAGS = (get_system_flags() | {Wildcard}) - {Recent}


Drain = Callable[[], Awaitable[None]]
"""Waits while a client has to read what it was sent."""


class PymapMessage(BaseMessage):
    """One message, as it was when it was looked at."""

    __slots__ = ["_drain", "_mail", "_message"]

    def __init__(
        self, mail: AccountMail, drain: Drain, message: Message, *, expunged: bool = False
    ) -> None:
        super().__init__(
            message.uid,
            datetime.fromtimestamp(message.received, UTC),
            pymap_flags(message.flags),
            email_id=ObjectId(message.email.encode()),
            thread_id=ObjectId(message.thread.encode()),
            expunged=expunged,
        )
        self._mail = mail
        self._drain = drain
        self._message = message

    def gone(self) -> PymapMessage:
        """The same, after it was expunged."""
        return PymapMessage(self._mail, self._drain, self._message, expunged=True)

    async def load_content(self, requirement: FetchRequirement) -> BaseLoadedMessage:
        content = None
        if not requirement.has_none(FetchRequirement.CONTENT):
            await self._drain()  # or all that is fetched would be in memory at once
            octets = await self._mail.blob(self._message.blob)
            if octets is not None:
                # Long ones take a while: other sessions go on meanwhile.
                content = await asyncio.to_thread(MessageContent.parse, octets)
        return BaseLoadedMessage(self, requirement, content)


class PymapMailbox(MailboxDataInterface[PymapMessage]):
    """One of our mailboxes, for one session."""

    def __init__(self, mail: AccountMail, drain: Drain, mailbox: Mailbox) -> None:
        self.mail = mail
        self._drain = drain
        self.ours = mailbox
        self._selected_set = SelectedSet()

    @property
    def mailbox_id(self) -> ObjectId:
        return ObjectId(self.ours.id.encode())

    @property
    def readonly(self) -> bool:
        return False

    @property
    def uid_validity(self) -> int:
        return self.ours.uid_validity

    @property
    def permanent_flags(self) -> frozenset[Flag]:
        return _KEPT_FLAGS

    @property
    def selected_set(self) -> SelectedSet:
        return self._selected_set

    async def update_selected(
        self, selected: SelectedMailbox, *, wait_on: Event | None = None
    ) -> SelectedMailbox:
        if wait_on is not None:
            await self._wait(selected.mod_sequence or 0, wait_on)
        told = selected.mod_sequence
        selected.mod_sequence = self.mail.modseq
        if told is None:
            new = list(self.ours.messages.values())
            selected.add_updates([self._seen(one) for one in new], [])
        elif self.ours.modseq > told:
            new, gone = self.ours.changes(told)
            selected.add_updates([self._seen(one) for one in new], gone)
        return selected

    async def _wait(self, told: int, done: Event) -> None:
        """Wait until something has happened in this mailbox, or the client is *done*."""
        async with asyncio.TaskGroup() as tasks:
            change = tasks.create_task(self._change(told))
            end = tasks.create_task(done.wait())
            await asyncio.wait({change, end}, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            end.cancel()

    async def _change(self, told: int) -> None:
        while self.ours.modseq <= told and self.ours.id in self.mail.by_id:
            await self.mail.changed(self.mail.modseq)

    async def append(self, append_msg: AppendMessage, *, recent: bool = False) -> PymapMessage:
        stored = await self.mail.append(self.ours.id, fresh(append_msg))
        return self._seen(stored)

    async def copy(
        self, uid: int, destination: PymapMailbox, *, recent: bool = False
    ) -> int | None:
        done = await self.mail.copy(self.ours.id, [uid], destination.ours.id)
        return done[0][1].uid if done else None

    async def move(
        self, uid: int, destination: PymapMailbox, *, recent: bool = False
    ) -> int | None:
        done = await self.mail.copy(self.ours.id, [uid], destination.ours.id, move=True)
        return done[0][1].uid if done else None

    async def get(self, uid: int, cached_msg: CachedMessage) -> PymapMessage:
        return self.look(uid, cached_msg)

    def look(self, uid: int, cached: CachedMessage) -> PymapMessage:
        """A message as it is now; one that is gone as the session knew it."""
        message = self.ours.messages.get(uid)
        if message is not None:
            return self._seen(message)
        if not isinstance(cached, PymapMessage):
            raise TypeError("a session knows the messages it was given")
        return cached.gone()

    async def update(
        self, uid: int, cached_msg: CachedMessage, flag_set: frozenset[Flag], mode: FlagOp
    ) -> PymapMessage:
        await self.update_all([uid], flag_set, mode)
        return self.look(uid, cached_msg)

    async def update_all(
        self, uids: Iterable[int], flag_set: frozenset[Flag], mode: FlagOp
    ) -> None:
        """Change the flags of messages, all at once."""
        there = self.ours.messages
        await self.mail.set_flags(
            self.ours.id,
            {
                uid: our_flags(mode.apply(pymap_flags(there[uid].flags), flag_set))
                for uid in uids
                if uid in there
            },
        )

    async def delete(self, uids: Iterable[int]) -> None:
        await self.mail.destroy(self.ours.id, uids)

    async def claim_recent(self, selected: SelectedMailbox) -> None:
        for uid in await self.mail.claim_recent(self.ours.id):
            if uid in self.ours.messages:
                selected.session_flags.add_recent(uid)

    def _seen(self, message: Message) -> PymapMessage:
        return PymapMessage(self.mail, self._drain, message)

    async def cleanup(self) -> None:
        """There is nothing to tidy."""

    async def messages(self) -> AsyncIterable[PymapMessage]:
        for message in list(self.ours.messages.values()):
            yield self._seen(message)

    async def snapshot(self) -> MailboxSnapshot:
        ours = self.ours
        unseen = [
            number for number, one in enumerate(ours.messages.values(), 1) if SEEN not in one.flags
        ]
        return MailboxSnapshot(
            self.mailbox_id,
            readonly=False,
            uid_validity=ours.uid_validity,
            permanent_flags=self.permanent_flags,
            session_flags=self.session_flags,
            exists=len(ours.messages),
            recent=sum(uid >= ours.recent_from for uid in ours.messages),
            unseen=len(unseen),
            first_unseen=unseen[0] if unseen else None,
            next_uid=ours.next_uid,
        )


class PymapMailboxes(MailboxSetInterface[PymapMailbox]):
    """All mailboxes of one account, for one session."""

    def __init__(self, mail: AccountMail, drain: Drain) -> None:
        self._mail = mail
        self._drain = drain
        self._known: dict[str, PymapMailbox] = {}

    @property
    def delimiter(self) -> str:
        return DELIMITER

    def by_id(self, mailbox: str) -> PymapMailbox:
        """Raises:
        KeyError: there is none.
        """
        if mailbox not in self._known or self._known[mailbox].ours is not self._mail.by_id[mailbox]:
            self._known[mailbox] = PymapMailbox(self._mail, self._drain, self._mail.by_id[mailbox])
        return self._known[mailbox]

    async def set_subscribed(self, name: str, subscribed: bool) -> None:
        await self._mail.subscribe(name, is_subscribed=subscribed)

    async def list_subscribed(self) -> ListTree:
        return self._tree(one.name for one in self._mail.mailboxes() if one.is_subscribed)

    async def list_mailboxes(self) -> ListTree:
        return self._tree(one.name for one in self._mail.mailboxes())

    async def get_mailbox(self, name: str) -> PymapMailbox:
        try:
            return self.by_id(self._mail.mailbox(name).id)
        except NoSuchMailboxError:
            raise KeyError(name) from None

    async def add_mailbox(self, name: str) -> ObjectId:
        try:
            return ObjectId((await self._mail.create(name)).id.encode())
        except MailboxExistsError:
            raise ValueError(name) from None

    async def delete_mailbox(self, name: str) -> None:
        try:
            await self._mail.remove(name)
        except NoSuchMailboxError:
            raise KeyError(name) from None

    async def rename_mailbox(self, before: str, after: str) -> None:
        try:
            await self._mail.rename(before, after)
        except NoSuchMailboxError:
            raise KeyError(before) from None
        except MailboxExistsError:
            raise ValueError(after) from None

    def _tree(self, names: Iterable[str]) -> ListTree:
        return ListTree(DELIMITER).update(*names)


def pymap_flags(flags: Flags) -> frozenset[Flag]:
    return frozenset(_flag(flag) for flag in flags)


def our_flags(flags: Iterable[Flag]) -> Flags:
    return frozenset(str(flag) for flag in flags if flag != Recent)


def fresh(message: AppendMessage) -> Fresh:
    received = None if message.when is None else Instant(message.when.timestamp())
    return Fresh(bytes(message.literal), our_flags(message.flag_set), received)


@lru_cache(10_000)
def _flag(flag: str) -> Flag:
    return Flag(flag)
