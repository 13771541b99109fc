"""When bans end, soonest first: nobody has to look through all of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import count

from mailward.rules.model import Ban, Instant, Subject, subject_from_key


class Ends:
    """The ends of the bans of one table; *on* looks up the ban on a subject there."""

    def __init__(self, on: Callable[[Subject], Ban | None]) -> None:
        self._on = on
        self._ends: list[tuple[Instant, str]] = []

    def note(self, ban: Ban) -> None:
        """*ban* is in the table now."""
        if ban.until is not None:
            heapq.heappush(self._ends, (ban.until, ban.subject.key))

    def has_over(self, now: Instant) -> bool:
        """Whether :meth:`over` may have something to give."""
        return bool(self._ends) and self._ends[0][0] <= now

    def over(self, now: Instant, at_most: int | None = None) -> Iterator[Ban]:
        """The bans that are over at *now* and not removed yet, after up to *at_most* steps."""
        steps = count() if at_most is None else range(at_most)
        for _ in steps:
            if not self._ends or self._ends[0][0] > now:
                return
            until, key = heapq.heappop(self._ends)
            ban = self._on(subject_from_key(key))
            # A ban that was lifted or made longer left its old end here.
            if ban is not None and ban.until == until:
                yield ban
