"""This node's bans in memory, equal to the store's, with news of each that comes or goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from mailward.guard.ends import Ends
from mailward.guard.feed import Feed
from mailward.guard.writer import Writer
from mailward.rules.bans import BanTable
from mailward.rules.model import Address, Ban, Instant, Network, Reason, Subject, SubjectKind
from mailward.stores.port import BanPut, BanRemoved


@dataclass(frozen=True, slots=True)
class BanInForce:
    """From now on *ban* covers its subject."""

    ban: Ban


@dataclass(frozen=True, slots=True)
class BanGone:
    """*ban* covers nothing any more."""

    ban: Ban


BanChange = BanInForce | BanGone

_LOOKED_AT = 20_000  # bans in one call, if none of them needs anything: a few milliseconds
_FEW = 1_000  # changes of the file's bans; they are made between two looks at the connections


@dataclass(frozen=True, slots=True)
class Fixing:
    """What becomes of the bans of the configuration file.

    *put* are new or changed and *gone* are not there any more, where those are few; else *table*
    has all. *news* are the subjects that were not banned by the file before.
    """

    put: Sequence[Ban]
    gone: Sequence[Subject]
    news: Sequence[BanInForce]
    table: BanTable | None


class Mirror:
    """Two tables: *fixed* bans stand in the configuration file, the others in the store."""

    def __init__(self, writer: Writer, bans: Sequence[Ban], fixed: Iterable[Ban]) -> None:
        self._writer = writer
        self._kept = BanTable()
        self._ends = Ends(self.on)
        self.changes: Feed[BanChange] = Feed()
        self.gone = 0
        """How often a ban was taken away or replaced: while it stays the same none was."""
        for ban in bans:
            self._take(ban)
        self._unlooked_at = iter(bans)
        self._fixed = _table(fixed)

    def __len__(self) -> int:
        return len(self._kept) + len(self._fixed)

    def __iter__(self) -> Iterator[Ban]:
        return chain(self._fixed, self._kept)

    @property
    def counts(self) -> Counter[tuple[SubjectKind, Reason]]:
        """How many there are of each kind and reason."""
        return self._kept.counts + self._fixed.counts

    def is_fixed(self, subject: Subject) -> bool:
        """Whether a ban on exactly *subject* stands in the configuration file."""
        return self._fixed.on(subject) is not None

    def has(self, subject: Subject) -> bool:
        """Whether there is a ban on exactly *subject*, expired or not."""
        return self._kept.on(subject) is not None or self.is_fixed(subject)

    def listed(self) -> list[Ban]:
        """All of them as a list, those of the file first."""
        return list(self)

    def kept(self) -> list[Ban]:
        """The bans of the store, expired ones included."""
        return self._kept.listed()

    def fixed(self) -> list[Ban]:
        """The bans of the configuration file."""
        return self._fixed.listed()

    def on(self, subject: Subject) -> Ban | None:
        """The store's ban on exactly *subject*, expired or not."""
        return self._kept.on(subject)

    def covering_address(
        self, address: Address, now: Instant, *, by_hand: bool = False
    ) -> Ban | None:
        """A ban in force that covers *address*; *by_hand* looks for manual ones alone."""
        return self._kept.covering_address(
            address, now, by_hand=by_hand
        ) or self._fixed.covering_address(address, now)

    def covering(self, subject: Subject, now: Instant, *, by_hand: bool = False) -> Ban | None:
        """A ban in force that covers the whole of *subject*; *by_hand* as above."""
        return self._kept.covering(subject, now, by_hand=by_hand) or self._fixed.covering(
            subject, now
        )

    def kept_over(self, network: Network, now: Instant) -> list[Ban]:
        """The store's bans that cover the whole of *network*."""
        return self._kept.over(network, now)

    def compare(self, bans: Collection[Ban]) -> Fixing:
        """What has to change if *bans* are to be those of the configuration file.

        Many of them take a while. It only looks, so it may be asked for in a thread.
        """
        put = [ban for ban in bans if self._fixed.on(ban.subject) is not ban]
        wanted = {ban.subject for ban in bans}
        gone = [ban.subject for ban in self._fixed.listed() if ban.subject not in wanted]
        news = [BanInForce(ban) for ban in put if self._fixed.on(ban.subject) is None]
        return Fixing(put, gone, news, _table(bans) if len(put) + len(gone) > _FEW else None)

    def fix(self, fixing: Fixing) -> None:
        """Take the bans that were compared for those of the configuration file."""
        if fixing.table is not None:
            self._fixed = fixing.table
        else:
            for subject in fixing.gone:
                self._fixed.remove(subject)
            for ban in fixing.put:
                self._fixed.put(ban)
        self.changes.publish_all(fixing.news)
        if fixing.put or fixing.gone:
            self.gone += 1

    def put(self, ban: Ban, now: Instant, *, is_noted: bool = True) -> None:
        """Bring *ban* into force here and on its way to the store; else the caller notes it."""
        if self._kept.on(ban.subject) is not None:
            self.gone += 1
        self._take(ban)
        if is_noted:
            self._writer.note(BanPut(ban), now)
        self.changes.publish(BanInForce(ban))

    def describe(self, ban: Ban, now: Instant) -> None:
        """Put *ban*, which only knows more about itself than before."""
        self._kept.put(ban)
        self._writer.note(BanPut(ban), now)

    def undescribed(self, at_most: int) -> Iterator[Ban]:
        """Bans of before the start that do not know where their failures came from, each once.

        The daemon was killed between a ban and its description. Of many bans some are looked at in
        one call.
        """
        for ban in islice(self._unlooked_at, _LOOKED_AT):
            if ban.failures and not (ban.counterparts or ban.services):
                if self.on(ban.subject) is ban:
                    yield ban
                    at_most -= 1
                if not at_most:
                    return

    def remove(self, subject: Subject, now: Instant) -> Ban | None:
        """Take the store's ban on exactly *subject* away and return it."""
        ban = self._kept.remove(subject)
        if ban is not None:
            self.gone += 1
            self._writer.note(BanRemoved(subject), now)
            self.changes.publish(BanGone(ban))
        return ban

    def has_ended(self, now: Instant) -> bool:
        """Whether one of the bans may be over at *now* and not removed yet."""
        return self._ends.has_over(now)

    def ended(self, now: Instant, at_most: int | None = None) -> Iterator[Ban]:
        """The bans that are over at *now* and not removed yet, after up to *at_most* steps."""
        return self._ends.over(now, at_most)

    def _take(self, ban: Ban) -> None:
        self._kept.put(ban)
        self._ends.note(ban)


def _table(bans: Iterable[Ban]) -> BanTable:
    table = BanTable()
    for ban in bans:
        table.put(ban)
    return table
