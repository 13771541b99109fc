"""Bans that would have fallen while the policy only observes. They stop nobody.

They live in memory alone: what they say is judged anew from the failures, which are kept.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator

from mailward.guard.ends import Ends
from mailward.rules.bans import BanTable
from mailward.rules.model import Ban, Instant, Network, Outcome, Reason, Subject, SubjectKind


class Observed:
    """The table of them. *attempts* counts what became of those that they would have refused."""

    def __init__(self) -> None:
        self._forget()
        self.attempts: Counter[tuple[Outcome, str]] = Counter()

    def __len__(self) -> int:
        return len(self._bans)

    def __iter__(self) -> Iterator[Ban]:
        return iter(self._bans)

    def listed(self) -> list[Ban]:
        """All of them as a list."""
        return self._bans.listed()

    @property
    def counts(self) -> Counter[tuple[SubjectKind, Reason]]:
        """How many there are of each kind and reason."""
        return self._bans.counts

    def on(self, subject: Subject) -> Ban | None:
        """The ban on exactly *subject*, over or not."""
        return self._bans.on(subject)

    def has(self, subject: Subject) -> bool:
        """Whether there is one on exactly *subject*."""
        return self.on(subject) is not None

    def covering(self, subject: Subject, now: Instant) -> Ban | None:
        """One that would cover the whole of *subject*."""
        return self._bans.covering(subject, now)

    def over(self, network: Network, now: Instant) -> list[Ban]:
        """All that would cover the whole of *network*."""
        return self._bans.over(network, now)

    def put(self, ban: Ban) -> None:
        """*ban* would have fallen."""
        self._bans.put(ban)
        self._ends.note(ban)
        if not ban.counterparts:  # one that was renewed knows it already
            self._undescribed[ban.subject] = None

    def describe(self, ban: Ban) -> None:
        """Put *ban*, which only knows more about itself than before."""
        self._bans.put(ban)

    def undescribed(self, at_most: int) -> Iterator[Ban]:
        """Bans that do not know yet where their failures came from, each once."""
        for _ in range(min(at_most, len(self._undescribed))):
            ban = self.on(self._undescribed.popitem(last=False)[0])
            if ban is not None:
                yield ban

    def remove(self, subject: Subject) -> Ban | None:
        return self._bans.remove(subject)

    def has_ended(self, now: Instant) -> bool:
        """Whether one of the bans may be over at *now* and not removed yet."""
        return self._ends.has_over(now)

    def ended(self, now: Instant, at_most: int | None = None) -> Iterator[Ban]:
        """Those that would be over at *now*, after up to *at_most* steps."""
        return self._ends.over(now, at_most)

    def forget(self) -> None:
        """Begin anew: another policy judges, or observing is over."""
        self._forget()

    def _forget(self) -> None:
        self._bans = BanTable()
        self._ends = Ends(self.on)
        # OrderedDict, as they leave at the front: a plain dict would search past all that left.
        self._undescribed: OrderedDict[Subject, None] = OrderedDict()
