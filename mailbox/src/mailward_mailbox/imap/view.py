"""The selected mailbox as its session's client knows it (RFC 9051 sections 2.3.1 and 5.2).

Sequence numbers are places in the list of UIDs that the client was told of. The mailbox changes
under it at any time; the list changes only in :meth:`MailboxView.update`, which tells the client.

FETCH and SEARCH read messages by :meth:`MailboxView.pick`; what they tell the client of a message's
flags they report by :meth:`MailboxView.note`, so that it is not told again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mailward_mailbox.imap.flags import RECENT, SYSTEM_FLAGS, write_flags
from mailward_mailbox.imap.output import Output
from mailward_mailbox.imap.sequences import SequenceSet
from mailward_mailbox.imap.words import BadCommandError
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import SEEN, Flags, Mailbox, Message


class MailboxGoneError(Exception):
    """The selected mailbox was removed by another session."""


@dataclass(slots=True)
class Enabled:
    """What the client has switched on for its session (ENABLE, or a command that implies it)."""

    is_rev2: bool = False
    """IMAP4rev2: no RECENT, ESEARCH instead of SEARCH, names in UTF-8."""
    is_utf8: bool = False
    """Names in UTF-8: by UTF8=ACCEPT (RFC 6855) or IMAP4rev2."""
    is_condstore: bool = False
    """Each FLAGS comes with a MODSEQ (RFC 7162)."""


@dataclass(slots=True)
class MailboxView:
    """*mailbox* of *mail* in a session with what it has *enabled*."""

    mail: AccountMail
    mailbox: Mailbox
    enabled: Enabled
    is_read_only: bool
    uids: list[int] = field(init=False)
    """Those that the client was told of; the first has number 1. Ascending."""
    saved: list[int] = field(default_factory=list)
    """``$``: the UIDs that SEARCH has saved, ascending (RFC 9051 section 6.4.4.1)."""
    modseq: int = field(init=False)
    """Changes up to this one were told, removals aside."""
    _removals: int = field(init=False)
    """Removals up to this change were told."""
    _keywords: set[str] = field(init=False)
    """Told in FLAGS."""
    _noted: dict[int, int] = field(default_factory=dict)
    """By UID: the modseq of flags that the client knows already."""
    _recent: list[range] = field(default_factory=list)
    """UIDs that are recent in this session."""

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Know the mailbox as it is now."""
        self.uids = list(self.mailbox.messages)
        self.modseq = self._removals = self.mailbox.modseq
        flag_sets = {message.flags for message in self.mailbox.messages.values()}
        self._keywords = set[str]().union(*flag_sets) - set(SYSTEM_FLAGS)

    # -- looking -------------------------------------------------------------------------------

    def pick(self, wanted: SequenceSet, *, by_uid: bool) -> Iterator[tuple[int, Message]]:
        """Sequence number and message of those *wanted* that are still there, in their order.

        Lazy: what is removed before its turn is left out.

        Raises:
            BadCommandError: a sequence number is beyond the last, or ``*`` where there is none
                (RFC 9051 section 9, seq-number).
        """
        self.check(wanted, by_uid=by_uid)
        return self._there(self.places(wanted, by_uid=by_uid))

    def check(self, wanted: SequenceSet, *, by_uid: bool) -> None:
        """Raises:
        BadCommandError: a sequence number is beyond the last, or ``*`` where there is none.
        """
        is_numbers = not by_uid and not wanted.is_saved
        if is_numbers and (not self.uids or wanted.largest > len(self.uids)):
            raise BadCommandError("There is no message of that number")

    def everything(self) -> Iterator[tuple[int, Message]]:
        """Sequence number and message of all that are still there, in their order."""
        return self._there([range(len(self.uids))])

    def places(self, wanted: SequenceSet, *, by_uid: bool) -> list[range]:
        """The places in :attr:`uids` of those *wanted*; a place is a sequence number less one.

        Numbers beyond the last have none.
        """
        if wanted.is_saved:
            return list(self._places_of(self.saved))
        if by_uid:
            return list(wanted.places(self.uids))
        count = len(self.uids)
        return [
            range(first - 1, min(last, count))
            for first, last in wanted.within(count)
            if first <= count
        ]

    def number(self, uid: int) -> int | None:
        """The sequence number of a UID; ``None``: the client was not told of it."""
        place = bisect_left(self.uids, uid)
        return place + 1 if place < len(self.uids) and self.uids[place] == uid else None

    def is_recent(self, uid: int) -> bool:
        return any(uid in claimed for claimed in self._recent)

    def flags(self, message: Message) -> bytes:
        """The flags of a message as this session writes them, in parentheses."""
        if self._recent and self.is_recent(message.uid):
            return write_flags(message.flags | {RECENT})
        return write_flags(message.flags)

    def flags_items(self, message: Message) -> bytes:
        """FLAGS of a message, and MODSEQ where the client wants to know: items of FETCH."""
        flags = b"FLAGS " + self.flags(message)
        return b"%b MODSEQ (%d)" % (flags, message.modseq) if self.enabled.is_condstore else flags

    # -- telling -------------------------------------------------------------------------------

    def spelled(self, flags: Flags) -> Flags:
        """*flags* with the keywords that the mailbox has already in its spelling."""
        if flags <= self._keywords:
            return flags
        known = {keyword.lower(): keyword for keyword in self._keywords}
        return frozenset(known.get(flag.lower(), flag) for flag in flags)

    def note(self, message: Message) -> None:
        """The client knows the flags that *message* has now."""
        if message.modseq > self.modseq:
            self._noted[message.uid] = message.modseq

    async def claim_recent(self) -> None:
        r"""Make recent in this session what no session was told of (RFC 3501 section 2.3.2)."""
        box = self.mailbox
        if self.enabled.is_rev2 or box.recent_from >= box.next_uid:
            return
        if self.is_read_only:
            self._recent = [range(box.recent_from, box.next_uid)]  # they stay so for others
            return
        claimed = await self.mail.claim_recent(box.id)
        if not claimed:
            return
        if self._recent and self._recent[-1].stop == claimed.start:
            claimed = range(self._recent.pop().start, claimed.stop)
        self._recent.append(claimed)

    async def opening(self, output: Output) -> None:
        """Write what SELECT and EXAMINE tell of the mailbox as it is now."""
        await self.claim_recent()
        self._begin()
        box, rev2 = self.mailbox, self.enabled.is_rev2
        output.line(b"* %d EXISTS" % len(self.uids))
        if not rev2:
            output.line(b"* %d RECENT" % self._count_recent())
        self._write_keywords(output)
        if not rev2:
            unseen = next(
                (n for n, one in enumerate(box.messages.values(), 1) if SEEN not in one.flags), 0
            )
            if unseen:
                output.line(b"* OK [UNSEEN %d] First unseen" % unseen)
        output.line(b"* OK [UIDVALIDITY %d] UIDs valid" % box.uid_validity)
        output.line(b"* OK [UIDNEXT %d] Next UID" % box.next_uid)
        output.line(b"* OK [HIGHESTMODSEQ %d] Highest" % self.modseq)
        output.line(b"* OK [MAILBOXID (%b)] Mailbox id" % box.id.encode())
        await output.pause()

    async def update(self, output: Output, *, may_expunge: bool) -> None:
        """Tell the client of everything that has changed since it was told last.

        Without *may_expunge*, removed messages keep their numbers for now (RFC 9051 section 7.5.1).

        Raises:
            MailboxGoneError: the mailbox is not there any more.
        """
        box = self.mailbox
        if self.mail.by_id.get(box.id) is not box:
            raise MailboxGoneError
        await self.claim_recent()
        if may_expunge and box.modseq != self._removals:
            self._removals = box.modseq
            await self._tell_removed(output)
        if box.modseq == self.modseq:
            return
        before, self.modseq = self.modseq, box.modseq
        last = self.uids[-1] if self.uids else 0
        changed = [message for message in box.messages.values() if message.modseq > before]
        new = [message.uid for message in changed if message.uid > last]
        noted, self._noted = self._noted, {}
        if new:
            self.uids += new
            output.line(b"* %d EXISTS" % len(self.uids))
            if not self.enabled.is_rev2:
                output.line(b"* %d RECENT" % self._count_recent())
        if self._learn_keywords(message.flags for message in changed):
            self._write_keywords(output)
        for message in changed:
            number = self.number(message.uid) if message.uid <= last else None
            if number is not None and noted.get(message.uid) != message.modseq:
                output.line(
                    b"* %d FETCH (UID %d %b)" % (number, message.uid, self.flags_items(message))
                )
                await output.pause()

    def tell_keywords(self, output: Output, flags: Iterable[Flags]) -> None:
        """Write FLAGS where one of *flags* is new to the client: before a FETCH that has it."""
        if self._learn_keywords(flags):
            self._write_keywords(output)

    def removed(self, uids: Iterable[int]) -> list[int]:
        """Forget *uids*: the numbers to write as EXPUNGE, each as it is in its turn."""
        gone = set(uids)
        numbers = [place + 1 for place, uid in enumerate(self.uids) if uid in gone]
        self.uids = [uid for uid in self.uids if uid not in gone]
        self.saved = [uid for uid in self.saved if uid not in gone]
        return numbers[::-1]

    # -- inside --------------------------------------------------------------------------------

    def _there(self, places: list[range]) -> Iterator[tuple[int, Message]]:
        messages, uids = self.mailbox.messages, self.uids
        for found in places:
            for place in found:
                message = messages.get(uids[place])
                if message is not None:
                    yield place + 1, message

    def _places_of(self, uids: Iterable[int]) -> Iterator[range]:
        for uid in uids:
            number = self.number(uid)
            if number is not None:
                yield range(number - 1, number)

    async def _tell_removed(self, output: Output) -> None:
        messages = self.mailbox.messages
        for number in self.removed([uid for uid in self.uids if uid not in messages]):
            output.line(b"* %d EXPUNGE" % number)
            await output.pause()

    def _count_recent(self) -> int:
        return sum(
            bisect_right(self.uids, claimed.stop - 1) - bisect_left(self.uids, claimed.start)
            for claimed in self._recent
        )

    def _learn_keywords(self, flags: Iterable[Flags]) -> bool:
        """Whether one of *flags* is a keyword that the client was not told of."""
        found = set[str]().union(*set(flags)) - self._keywords - set(SYSTEM_FLAGS)
        self._keywords |= found
        return bool(found)

    def _write_keywords(self, output: Output) -> None:
        flags = {*SYSTEM_FLAGS, *self._keywords}
        output.line(b"* FLAGS " + write_flags(flags))
        kept = b"()" if self.is_read_only else write_flags({*flags, "\\*"})
        output.line(b"* OK [PERMANENTFLAGS %b] Kept" % kept)
