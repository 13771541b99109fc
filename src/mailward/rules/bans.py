"""The table of bans: is this address or login covered now, and by what?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mailward.rules.addresses import NetworkTable, subject_network
from mailward.rules.model import Address, Ban, Instant, Network, Reason, Subject, SubjectKind


class BanTable:
    """Every ban that is known here, one for each subject.

    Expired bans stay until they are removed, but cover nothing any more. *counts* are by kind and
    reason, and include them.
    """

    __slots__ = ("_by_subject", "_networks", "counts")

    def __init__(self) -> None:
        self.counts: Counter[tuple[SubjectKind, Reason]] = Counter()
        # Who looks for the ban on a subject need not read its name as a network first.
        self._by_subject: dict[Subject, Ban] = {}
        self._networks: NetworkTable[Ban] = NetworkTable()

    def __len__(self) -> int:
        return len(self._by_subject)

    def __iter__(self) -> Iterator[Ban]:
        yield from self._by_subject.values()

    def listed(self) -> list[Ban]:
        """All of them as a list, which is quick."""
        return list(self._by_subject.values())

    def put(self, ban: Ban) -> None:
        """Add *ban*, in the place of one on the same subject."""
        known = self._by_subject.get(ban.subject)
        self._by_subject[ban.subject] = ban
        if ban.subject.kind is SubjectKind.ADDRESS:
            self._networks.put(subject_network(ban.subject), ban)
        self.counts[ban.subject.kind, ban.reason] += 1
        self._discount(known)

    def remove(self, subject: Subject) -> Ban | None:
        """Take the ban on exactly *subject* out and return it."""
        ban = self._by_subject.pop(subject, None)
        if ban is not None and subject.kind is SubjectKind.ADDRESS:
            self._networks.remove(subject_network(subject))
        self._discount(ban)
        return ban

    def on(self, subject: Subject) -> Ban | None:
        """The ban on exactly *subject*, expired or not."""
        return self._by_subject.get(subject)

    def covering_address(
        self, address: Address, now: Instant, *, by_hand: bool = False
    ) -> Ban | None:
        """A ban in force that covers *address*; of several the one that lasts longest.

        *by_hand* looks for manual ones alone.
        """
        found = self._networks.covering(address)
        return _longest(_manual(found) if by_hand else found, now)

    def covering_network(
        self, network: Network, now: Instant, *, by_hand: bool = False
    ) -> Ban | None:
        """A ban in force that covers the whole of *network*."""
        found = self._networks.enclosing(network)
        return _longest(_manual(found) if by_hand else found, now)

    def covering(self, subject: Subject, now: Instant, *, by_hand: bool = False) -> Ban | None:
        """A ban in force that covers *subject*, also one on a wider network."""
        if subject.kind is SubjectKind.ADDRESS:
            return self.covering_network(subject_network(subject), now, by_hand=by_hand)
        ban = self._by_subject.get(subject)
        if ban is None or not ban.covers(now):
            return None
        return ban if ban.reason is Reason.MANUAL or not by_hand else None

    def over(self, network: Network, now: Instant) -> list[Ban]:
        """All bans in force that cover the whole of *network*."""
        return [ban for ban in self._networks.enclosing(network) if ban.covers(now)]

    def _discount(self, gone: Ban | None) -> None:
        if gone is not None:
            self.counts[gone.subject.kind, gone.reason] -= 1


def _manual(bans: Iterator[Ban]) -> Iterator[Ban]:
    return (ban for ban in bans if ban.reason is Reason.MANUAL)


def _longest(bans: Iterator[Ban], now: Instant) -> Ban | None:
    found: Ban | None = None
    for ban in bans:
        if not ban.covers(now):
            continue
        if ban.until is None:
            return ban
        if found is None or (found.until is not None and ban.until > found.until):
            found = ban
    return found
