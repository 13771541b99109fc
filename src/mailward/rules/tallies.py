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

    *max_tracked* bounds the number of subjects. Most of a flood have failed once: they are kept
    as their instants, the longest idle first, which is the order they go in, and have no tally.
    """

    max_tracked: int
    # OrderedDict where entries leave at the front: a plain dict would search past all that left.
    _once: OrderedDict[str, Instant] = field(default_factory=OrderedDict)
    """Who failed once and never succeeded, the newest too."""
    _tallies: dict[str, _Tally] = field(default_factory=dict)
    """All others."""
    _newest: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _ranks: dict[_Rank, OrderedDict[str, None]] = field(default_factory=dict)
    _succeeded: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _instants: int = 0

    def __len__(self) -> int:
        return len(self._once) + len(self._tallies)

    def __contains__(self, name: str) -> bool:
        return name in self._once or name in self._tallies

    def knows(self, name: str) -> bool:
        """Whether *name* has failed or succeeded since anything was forgotten of it."""
        return name in self or name in self._succeeded

    def names(self, at_least: int = 1) -> Iterator[str]:
        """Every tracked name of which so many failures are kept, inside the window or not."""
        if at_least <= 1:
            yield from self._once
        for name, tally in self._tallies.items():
            if len(tally.window) >= at_least:
                yield name

    @property
    def instants(self) -> int:
        """How many failures are kept in all."""
        return self._instants

    def count(self, name: str, limit: Limit, now: Instant) -> int:
        """The failures of *name* that are inside the window at *now*."""
        if (at := self._once.get(name)) is not None:
            return 1 if now - at < limit.period_seconds else 0
        tally = self._tallies.get(name)
        return 0 if tally is None else count_failures(tally.window, limit, now)

    def window(self, name: str) -> array[float]:
        """The kept instants of *name*, oldest first (a copy)."""
        if (at := self._once.get(name)) is not None:
            return array("d", (at,))
        tally = self._tallies.get(name)
        return array("d") if tally is None else array("d", tally.window)

    def add(self, name: str, limit: Limit, at: Instant, now: Instant) -> list[str]:
        """Count one failure of *name*; return the names that had to go for it."""
        window = self._take(name)
        if window is not None:
            forget_old(window, limit, now)
        if window or name in self._succeeded:
            window = array("d") if window is None else window
            add_failure(window, at)
            if len(window) > MAX_FAILURES:
                # No limit looks further back, and a subject that is not stopped (its bans are
                # only observed, its failures reported from outside) must not grow for ever.
                del window[:-MAX_FAILURES]
            self._tallies[name] = _Tally(window)
            self._instants += len(window)
        else:
            self._once[name] = at
            self._instants += 1
        self._newest[name] = None
        return self._shrink()

    def succeed(self, name: str) -> None:
        """Remember that *name* once succeeded: it is somebody real, so it goes last."""
        known = name in self._succeeded
        self._succeeded.pop(name, None)
        self._succeeded[name] = None
        if len(self._succeeded) > max(1, self.max_tracked // NEWEST_SHARE):
            self._succeeded.popitem(last=False)
        if (at := self._once.pop(name, None)) is not None:
            self._tallies[name] = tally = _Tally(array("d", (at,)))
            if name not in self._newest:
                self._rank(name, tally)
            return
        known_tally = self._tallies.get(name)
        if not known and known_tally is not None and known_tally.rank is not None:
            self._unrank(name, known_tally)
            self._rank(name, known_tally)

    def clear(self, name: str) -> bool:
        """Forget the failures of *name*; say whether there were any."""
        return self._take(name) is not None

    def forget_idle(self, limit: Limit, now: Instant, at_most: int) -> list[str]:
        """Drop up to *at_most* subjects whose last failure has left the window."""
        gone: list[str] = []
        for names in (self._once, self._tallies):
            for name in names:
                if len(gone) >= at_most or self.count(name, limit, now):
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
        # No subject has less than one instant: few of these are few of both.
        while self._instants > self.max_tracked and len(self) > 1 and self._is_full():
            while (name := self._next_to_go()) is None:
                self._age()  # the newest alone hold too many instants: memory comes first
            self.clear(name)
            gone.append(name)
        return gone

    def _is_full(self) -> bool:
        most = self.max_tracked
        return len(self) > most or self._instants > most * INSTANTS_PER_SUBJECT

    def _next_to_go(self) -> str | None:
        """Who goes first of all that are not among the newest."""
        once = next(iter(self._once), None)
        if once is not None and once not in self._newest:
            return once  # no rank is lower
        return next(iter(self._ranks[min(self._ranks)])) if self._ranks else None

    def _age(self) -> None:
        name, _ = self._newest.popitem(last=False)
        if tally := self._tallies.get(name):
            self._rank(name, tally)

    def _take(self, name: str) -> array[float] | None:
        """Take *name* out of all that is kept here but who succeeded; return its window."""
        if (at := self._once.pop(name, None)) is not None:
            self._newest.pop(name, None)
            self._instants -= 1
            return array("d", (at,))
        tally = self._tallies.pop(name, None)
        if tally is None:
            return None
        self._unrank(name, tally)
        self._instants -= len(tally.window)
        return tally.window

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
