"""The tallies: how many failures each subject of one kind has, in bounded memory.

When there is room for no more, subjects with the fewest failures go first, among them the longest
idle; subjects that once succeeded go last; the newest tenth never goes, or a fresh attack could
hide in a flood of made-up names. Every step costs the same however many subjects there are.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from mailward.rules.limits import MAX_FAILURES, add_failure, count_failures, forget_old
from mailward.rules.model import Instant, Limit

NEWEST_SHARE = 10  # one in so many subjects is too new to go
INSTANTS_PER_SUBJECT = 10
"""The sum of kept instants is bounded too: by so many for each subject there is room for."""

_Rank = tuple[bool, int]


@dataclass(slots=True)
class _Tally:
    window: array[float]
    rank: _Rank | None = None
    """Where it waits to be evicted; ``None`` while it is among the newest."""


@dataclass(slots=True)
class Tallies:
    """The failures of every subject of one kind. Names are the subjects' own.

    *max_tracked* bounds the number of subjects.
    """

    max_tracked: int
    # OrderedDict where entries leave at the front: a plain dict would search past all that left.
    _tallies: dict[str, _Tally] = field(default_factory=dict)
    _newest: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _ranks: dict[_Rank, OrderedDict[str, None]] = field(default_factory=dict)
    _succeeded: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _instants: int = 0

    def __len__(self) -> int:
        return len(self._tallies)

    def __contains__(self, name: str) -> bool:
        return name in self._tallies

    def names(self) -> Iterator[str]:
        """Every tracked name, the longest idle first."""
        return iter(self._tallies)

    @property
    def instants(self) -> int:
        """How many failures are kept in all."""
        return self._instants

    def count(self, name: str, limit: Limit, now: Instant) -> int:
        """The failures of *name* that are inside the window at *now*."""
        tally = self._tallies.get(name)
        return 0 if tally is None else count_failures(tally.window, limit, now)

    def window(self, name: str) -> array[float]:
        """The kept instants of *name*, oldest first (a copy)."""
        tally = self._tallies.get(name)
        return array("d") if tally is None else array("d", tally.window)

    def add(self, name: str, limit: Limit, at: Instant, now: Instant) -> list[str]:
        """Count one failure of *name*; return the names that had to go for it."""
        tally = self._tallies.pop(name, None)
        if tally is None:
            tally = _Tally(array("d"))
        else:
            self._unrank(name, tally)
            self._instants -= len(tally.window)
            forget_old(tally.window, limit, now)
        self._tallies[name] = tally
        add_failure(tally.window, at)
        # No limit looks further back, and a subject that is not stopped (its bans are only
        # observed, its failures reported from outside) must not grow for ever.
        del tally.window[:-MAX_FAILURES]
        self._instants += len(tally.window)
        self._newest[name] = None
        return self._shrink()

    def succeed(self, name: str) -> None:
        """Remember that *name* once succeeded: it is somebody real, so it goes last."""
        known = name in self._succeeded
        self._succeeded.pop(name, None)
        self._succeeded[name] = None
        if len(self._succeeded) > max(1, self.max_tracked // NEWEST_SHARE):
            self._succeeded.popitem(last=False)
        tally = self._tallies.get(name)
        if not known and tally is not None and tally.rank is not None:
            self._unrank(name, tally)
            self._rank(name, tally)

    def clear(self, name: str) -> bool:
        """Forget the failures of *name*; say whether there were any."""
        tally = self._tallies.pop(name, None)
        if tally is None:
            return False
        self._unrank(name, tally)
        self._instants -= len(tally.window)
        return True

    def forget_idle(self, limit: Limit, now: Instant, at_most: int) -> list[str]:
        """Drop up to *at_most* subjects whose last failure has left the window."""
        gone: list[str] = []
        for name, tally in self._tallies.items():
            if len(gone) >= at_most or count_failures(tally.window, limit, now):
                break
            gone.append(name)
        for name in gone:
            self.clear(name)
        return gone

    def resize(self, max_tracked: int) -> list[str]:
        """Make room for another number of subjects; return the names that had to go."""
        self.max_tracked = max_tracked
        return self._shrink()

    def _shrink(self) -> list[str]:
        while len(self._newest) > max(1, self.max_tracked // NEWEST_SHARE):
            self._age()
        gone: list[str] = []
        while len(self._tallies) > 1 and (
            len(self._tallies) > self.max_tracked
            or self._instants > self.max_tracked * INSTANTS_PER_SUBJECT
        ):
            if not self._ranks:  # the newest alone hold too many instants: memory comes first
                self._age()
            name = next(iter(self._ranks[min(self._ranks)]))
            self.clear(name)
            gone.append(name)
        return gone

    def _age(self) -> None:
        name, _ = self._newest.popitem(last=False)
        self._rank(name, self._tallies[name])

    def _rank(self, name: str, tally: _Tally) -> None:
        tally.rank = (name in self._succeeded, len(tally.window))
        self._ranks.setdefault(tally.rank, OrderedDict())[name] = None

    def _unrank(self, name: str, tally: _Tally) -> None:
        if tally.rank is None:
            del self._newest[name]
            return
        waiting = self._ranks[tally.rank]
        del waiting[name]
        if not waiting:
            del self._ranks[tally.rank]
        tally.rank = None
