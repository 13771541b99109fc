"""The failures that count: in the windows of this node, and on their way to the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailward.guard.writer import Writer
from mailward.rules.model import Failure, Instant, Limit, Subject, SubjectKind
from mailward.rules.tallies import Tallies
from mailward.stores.port import FailureAdded, TallyCleared


class Counts:
    """A tally for each subject. Whose tally goes for want of room goes from the store, too."""

    def __init__(self, writer: Writer, max_tracked: int) -> None:
        self._writer = writer
        self.tallies = {kind: Tallies(max_tracked) for kind in SubjectKind}
        self.evicted = 0

    def restore(
        self, subject: Subject, instants: Sequence[Instant], limit: Limit | None, now: Instant
    ) -> None:
        """Count what the store has of *subject*; what it has of times to come is now."""
        if limit is None:
            return
        for at in instants:
            if now - at < limit.period_seconds:
                gone = self.tallies[subject.kind].add(subject.name, limit, min(at, now), now)
                self._evict(subject.kind, gone, now)

    def add(self, subject: Subject, failure: Failure, limit: Limit, now: Instant) -> None:
        """*subject* has failed once more."""
        gone = self.tallies[subject.kind].add(subject.name, limit, failure.at, now)
        self._writer.note(FailureAdded(subject, failure), now)
        if gone:
            self._evict(subject.kind, gone, now)

    def clear(self, subject: Subject, now: Instant) -> None:
        """Forget the failures of *subject*, also those in the store that are out of the window."""
        self.tallies[subject.kind].clear(subject.name)
        self._writer.note(TallyCleared(subject), now)

    def resize(self, max_tracked: int, now: Instant) -> None:
        """Keep no more than so many subjects of each kind from now on."""
        for kind, tallies in self.tallies.items():
            self._evict(kind, tallies.resize(max_tracked), now)

    def are_at(self, limit: Limit, subject: Subject, now: Instant) -> bool:
        """Whether *subject* has as many failures as *limit* allows, or more."""
        return self.tallies[subject.kind].count(subject.name, limit, now) >= limit.failures

    def at_limit(self, limit: Limit | None, kind: SubjectKind, now: Instant) -> Iterator[Subject]:
        """The subjects of *kind* that have as many failures as *limit* allows, or more."""
        if limit is not None:
            for name in self.tallies[kind].names(limit.failures):
                if self.are_at(limit, subject := Subject(kind, name), now):
                    yield subject

    def _evict(self, kind: SubjectKind, names: list[str], now: Instant) -> None:
        self.evicted += len(names)
        for name in names:
            self._writer.note(TallyCleared(Subject(kind, name)), now)
