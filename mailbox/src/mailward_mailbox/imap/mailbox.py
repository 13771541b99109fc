"""An account's mail as pymap wants it: its messages and mailboxes over ours.

pymap keeps for each session what it has told its client, and compares. It is given what has
changed since, so no command reads a whole mailbox but the one that opens it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from pymap.backend.mailbox import MailboxDataInterface, MailboxSetInterface
from pymap.bytes import Writeable
from pymap.concurrent import Event
from pymap.flags import FlagOp
from pymap.interfaces.message import CachedMessage
from pymap.listtree import ListTree
from pymap.mailbox import MailboxSnapshot
from pymap.message import BaseLoadedMessage, BaseMessage
from pymap.parsing.message import AppendMessage
from pymap.parsing.response.fetch import BodyStructure, EnvelopeStructure
from pymap.parsing.specials import FetchRequirement, Flag, ObjectId, SequenceSet
from pymap.parsing.specials.flag import Recent, Wildcard, get_system_flags
from pymap.selected import SelectedMailbox, SelectedSet

from mailward.rules.model import Instant
from mailward_mailbox.imap.contents import Content, Contents, Drain
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import (
    DELIMITER,
    SEEN,
    Flags,
    Fresh,
    Mailbox,
    MailboxExistsError,
    Message,
    NoSuchMailboxError,
)

_KEPT_FLAGS = (get_system_flags() | {Wildcard}) - {Recent}


class PymapMessage(BaseMessage):
    """One message, as it was when it was looked at; what is in it is among *contents*."""

    __slots__ = ["_contents", "_message"]

    def __init__(self, message: Message, contents: Contents, *, expunged: bool = False) -> None:
        super().__init__(
            message.uid,
            datetime.fromtimestamp(message.received, UTC),
            pymap_flags(message.flags),
            email_id=ObjectId(message.email.encode()),
            thread_id=ObjectId(message.thread.encode()),
            expunged=expunged,
        )
        self._contents = contents
        self._message = message

    @property
    def size(self) -> int:
        return self._message.size

    def gone(self) -> PymapMessage:
        """The same, after it was expunged."""
        return PymapMessage(self._message, self._contents, expunged=True)

    async def load_content(self, requirement: FetchRequirement) -> _Loaded:
        content = await self._contents.get(self._message, requirement)
        return _Loaded(self, requirement, content)


class _Loaded(BaseLoadedMessage):
    """Whatever a stranger wrote into a message: what cannot be read of it is shown as empty."""

    def __init__(
        self, message: PymapMessage, requirement: FetchRequirement, content: Content | None
    ) -> None:
        super().__init__(message, requirement, None if content is None else content.parsed)
        self._size = message.size
        self._octets = b"" if content is None else content.octets

    def get_size(self, section: Sequence[int] | None = None) -> int:
        """Of the message itself it is known without its content."""
        return super().get_size(section) if section else self._size

    def get_body(self, section: Sequence[int] | None = None, binary: bool = False) -> Writeable:
        """The whole message is just its octets."""
        return (
            super().get_body(section, binary) if section or binary else Writeable.wrap(self._octets)
        )

    def get_envelope_structure(self) -> EnvelopeStructure:
        try:
            structure = super().get_envelope_structure()
            bytes(structure)  # only now everything in it is read
        except Exception:  # noqa: BLE001 -- of the many that strange headers raise there
            return EnvelopeStructure.empty()
        return structure

    def get_body_structure(self) -> BodyStructure:
        try:
            structure = super().get_body_structure()
            bytes(structure.extended)
        except Exception:  # noqa: BLE001 -- the same
            return BodyStructure.empty()
        return structure


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
            selected.add_updates(self._seen(new), [])
        elif self.ours.modseq > told:
            new, gone = self.ours.changes(told)
            selected.add_updates(self._seen(new), gone)
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
        return self._seen([stored])[0]

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
        return self.look([(0, cached_msg)])[0][1]

    def look(self, cached: Sequence[tuple[int, CachedMessage]]) -> list[tuple[int, PymapMessage]]:
        """Messages, with their numbers, as they are now; what is gone as the session knew it."""
        there = self.ours.messages
        contents = self._contents([there[one.uid] for _, one in cached if one.uid in there])
        return [
            (
                number,
                PymapMessage(there[one.uid], contents) if one.uid in there else _gone(one),
            )
            for number, one in cached
        ]

    async def find(
        self, seq_set: SequenceSet, selected: SelectedMailbox
    ) -> AsyncIterable[tuple[int, PymapMessage]]:
        for found in self.look(selected.messages.get_all(seq_set)):
            yield found

    async def update(
        self, uid: int, cached_msg: CachedMessage, flag_set: frozenset[Flag], mode: FlagOp
    ) -> PymapMessage:
        await self.update_all([uid], flag_set, mode)
        return await self.get(uid, cached_msg)

    async def update_all(
        self, uids: Iterable[int], flag_set: frozenset[Flag], mode: FlagOp
    ) -> None:
        """Change the flags of messages, all at once."""
        there = self.ours.messages
        async with self.mail.changing:
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

    def _seen(self, messages: Sequence[Message]) -> list[PymapMessage]:
        contents = self._contents(messages)
        return [PymapMessage(message, contents) for message in messages]

    def _contents(self, messages: Sequence[Message]) -> Contents:
        return Contents(self.mail, messages, self._drain)

    async def cleanup(self) -> None:
        """There is nothing to tidy."""

    async def messages(self) -> AsyncIterable[PymapMessage]:
        for message in self._seen(list(self.ours.messages.values())):
            yield message

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


def _gone(cached: CachedMessage) -> PymapMessage:
    if not isinstance(cached, PymapMessage):
        raise TypeError("a session knows only messages that it was given")
    return cached.gone()


@lru_cache(10_000)
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
