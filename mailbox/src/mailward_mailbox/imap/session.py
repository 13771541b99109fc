"""One IMAP session's commands, as pymap calls them. What touches many messages does so at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymap.backend.session import BaseSession
from pymap.config import IMAPConfig
from pymap.exceptions import MailboxNotFound, MailboxReadOnly
from pymap.flags import FlagOp
from pymap.parsing.message import AppendMessage
from pymap.parsing.response.code import AppendUid, CopyUid
from pymap.parsing.specials import SequenceSet
from pymap.parsing.specials.flag import Flag, Seen
from pymap.selected import SelectedMailbox

from mailward_mailbox.imap.contents import Drain
from mailward_mailbox.imap.mailbox import (
    PymapMailbox,
    PymapMailboxes,
    PymapMessage,
    fresh,
)
from mailward_mailbox.mail.account import AccountMail


class PymapSession(BaseSession[PymapMessage]):
    """A session of the owner of *mail*; *drain* waits for a client that is slow to read."""

    def __init__(self, mail: AccountMail, config: IMAPConfig, drain: Drain) -> None:
        super().__init__(mail.owner)
        self._mail = mail
        self._config = config
        self._mailboxes = PymapMailboxes(mail, drain)

    @property
    def config(self) -> IMAPConfig:
        return self._config

    @property
    def mailbox_set(self) -> PymapMailboxes:
        return self._mailboxes

    async def _get_selected(self, selected: SelectedMailbox) -> PymapMailbox:
        # By its id: another session may have given it another name.
        try:
            return self._mailboxes.by_id(selected.mailbox_id.value.decode())
        except KeyError:
            raise MailboxNotFound(str(selected.lookup)) from None

    async def append_messages(
        self,
        name: str,
        messages: Sequence[AppendMessage],
        selected: SelectedMailbox | None = None,
    ) -> tuple[AppendUid, SelectedMailbox | None]:
        """All or none (RFC 3502 section 6.3.11)."""
        mailbox = await self._writable(name)
        stored = await self._mail.append_all(
            [(mailbox.ours.id, fresh(message)) for message in messages]
        )
        uids = [message.uid for message in stored]
        return AppendUid(mailbox.uid_validity, uids), await self._load_updates(selected, mailbox)

    async def fetch_messages(
        self, selected: SelectedMailbox, sequence_set: SequenceSet, set_seen: bool
    ) -> tuple[Iterable[tuple[int, PymapMessage]], SelectedMailbox]:
        mailbox = await self._get_selected(selected)
        wanted = selected.messages.get_all(sequence_set)
        if set_seen:
            await mailbox.update_all([one.uid for _, one in wanted], frozenset({Seen}), FlagOp.ADD)
        return mailbox.look(wanted), await mailbox.update_selected(selected)

    async def copy_messages(
        self, selected: SelectedMailbox, sequence_set: SequenceSet, mailbox: str
    ) -> tuple[CopyUid | None, SelectedMailbox]:
        return await self._transfer(selected, sequence_set, mailbox, move=False)

    async def move_messages(
        self, selected: SelectedMailbox, sequence_set: SequenceSet, mailbox: str
    ) -> tuple[CopyUid | None, SelectedMailbox]:
        if selected.readonly:
            raise MailboxReadOnly
        return await self._transfer(selected, sequence_set, mailbox, move=True)

    async def update_flags(
        self,
        selected: SelectedMailbox,
        sequence_set: SequenceSet,
        flag_set: frozenset[Flag],
        mode: FlagOp = FlagOp.REPLACE,
    ) -> tuple[Iterable[tuple[int, PymapMessage]], SelectedMailbox]:
        if selected.readonly:
            raise MailboxReadOnly
        mailbox = await self._get_selected(selected)
        wanted = selected.messages.get_all(sequence_set)
        await mailbox.update_all(
            [one.uid for _, one in wanted], selected.permanent_flags & flag_set, mode
        )
        return mailbox.look(wanted), await mailbox.update_selected(selected)

    async def _writable(self, name: str) -> PymapMailbox:
        try:
            return await self._mailboxes.get_mailbox(name)
        except KeyError:
            raise MailboxNotFound(name, try_create=True) from None

    async def _transfer(
        self, selected: SelectedMailbox, sequence_set: SequenceSet, name: str, *, move: bool
    ) -> tuple[CopyUid | None, SelectedMailbox]:
        mailbox = await self._get_selected(selected)
        destination = await self._writable(name)
        wanted = [uid for _, uid in selected.messages.get_uids(sequence_set)]
        done = await self._mail.copy(mailbox.ours.id, wanted, destination.ours.id, move=move)
        uids = [(before, message.uid) for before, message in done]
        told = CopyUid(destination.uid_validity, uids) if uids else None
        return told, await mailbox.update_selected(selected)
