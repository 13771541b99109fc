"""The table of bans: is this address or login covered now, and by what?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from mailward.rules.addresses import NetworkTable
from mailward.rules.model import (
    Address,
    Ban,
    Instant,
    Network,
    Reason,
    Subject,
    SubjectKind,
    subject_number,
)


class BanTable:
    """Every ban that is known here, one for each subject.

    Expired bans stay until they are removed, but cover nothing any more. *counts* are by kind and
    reason, and include them.
    """

    __slots__ = ("_named", "_networks", "counts")

    def __init__(self) -> None:
        self.counts: Counter[tuple[SubjectKind, Reason]] = Counter()
        self._named: dict[Subject, Ban] = {}
        self._networks: NetworkTable[Ban] = NetworkTable()

    def __len__(self) -> int:
        return len(self._named) + len(self._networks)

    def __iter__(self) -> Iterator[Ban]:
        # No generator: a million bans are listed three times as fast.
        return chain(self._networks.values(), self._named.values())

    def listed(self) -> list[Ban]:
        """All of them as a list, which is quick."""
        return list(self)

    def put(self, ban: Ban) -> None:
        """Add *ban*, in the place of one on the same subject."""
        if isinstance(ban.on, Subject):
            known = self._named.get(ban.on)
            self._named[ban.on] = ban
        else:
            known = self._networks.put_at(ban.on, ban)
        self.counts[ban.kind, ban.reason] += 1
        self._discount(known)

    def remove(self, subject: Subject) -> Ban | None:
        """Take the ban on exactly *subject* out and return it."""
        if subject.kind is SubjectKind.ADDRESS:
            ban = self._networks.remove_at(subject_number(subject))
        else:
            ban = self._named.pop(subject, None)
        self._discount(ban)
        return ban

    def on(self, subject: Subject) -> Ban | None:
        """The ban on exactly *subject*, expired or not."""
        if subject.kind is SubjectKind.ADDRESS:
            return self._networks.at(subject_number(subject)) if self._networks else None
        return self._named.get(subject)

    def covering_address(
        self, address: Address, now: Instant, *, by_hand: bool = False
    ) -> Ban | None:
        """A ban in force that covers *address*; of several the one that lasts longest.

        *by_hand* looks for manual ones alone.
        """
        found = self._networks.covering(address)
        return _longest(_manual(found) if by_hand else found, now) if found else None

    def covering(self, subject: Subject, now: Instant, *, by_hand: bool = False) -> Ban | None:
        """A ban in force that covers *subject*, also one on a wider network."""
        if subject.kind is SubjectKind.ADDRESS:
            if not self._networks:
                return None
            found = self._networks.enclosing_number(subject_number(subject))
            return _longest(_manual(found) if by_hand else found, now)
        ban = self._named.get(subject)
        if ban is None or not ban.covers(now):
            return None
        return ban if ban.reason is Reason.MANUAL or not by_hand else None

    def over(self, network: Network, now: Instant) -> list[Ban]:
        """All bans in force that cover the whole of *network*."""
        return [ban for ban in self._networks.enclosing(network) if ban.covers(now)]

    def _discount(self, gone: Ban | None) -> None:
        if gone is not None:
            self.counts[gone.kind, gone.reason] -= 1


def _manual(bans: Iterable[Ban]) -> Iterator[Ban]:
    return (ban for ban in bans if ban.reason is Reason.MANUAL)


def _longest(bans: Iterable[Ban], now: Instant) -> Ban | None:
    found: Ban | None = None
    for ban in bans:
        if ban.until is None:
            return ban
        if ban.covers(now) and (found is None or ban.outlasts(found)):
            found = ban
    return found
