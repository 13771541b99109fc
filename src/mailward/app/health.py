"""Says of each backend when it goes down and when it is back, however it flaps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from mailward.guard.journal import Event, Journal
from mailward.rules.model import Instant

MAX_LINES = 4
PERIOD_SECONDS = 60.0
"""So many lines of one backend in so long; what it does then is said when there is room."""
WELL = "ok"
UNKNOWN = "not asked yet"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one backend is seen at the doors of *service*."""

    backend: str
    service: str
    state: str

    @property
    def is_up(self) -> bool:
        return self.state == WELL


@dataclass(slots=True)
class _Told:
    was_up: bool = True
    """As the last line said; without a line a backend is taken to be up."""
    is_up: bool = True
    """As last seen."""
    turns: int = 0
    """How often it has turned since the last line."""
    lines: deque[Instant] = field(default_factory=deque)

    def has_room(self, now: Instant) -> bool:
        while self.lines and now - self.lines[0] >= PERIOD_SECONDS:
            self.lines.popleft()
        return len(self.lines) < MAX_LINES


class Health:
    """What was said of the backends; *journal* takes what is to be said."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._told: dict[tuple[str, str], _Told] = {}

    def look(self, standings: Iterable[Standing], now: Instant) -> bool:
        """Say what is new in *standings*, which are those of all backends.

        Whether there is something to look at again soon, though nothing may happen meanwhile.
        """
        present = {(one.backend, one.service): one for one in standings}
        for gone in self._told.keys() - present.keys():
            del self._told[gone]
        is_waiting = False
        for key, standing in present.items():
            if standing.state == UNKNOWN:
                continue
            told = self._told.setdefault(key, _Told())
            if standing.is_up != told.is_up:
                told.is_up = standing.is_up
                told.turns += 1
            if told.is_up != told.was_up and told.has_room(now):
                self._say(standing, told, now)
            is_waiting = is_waiting or told.is_up != told.was_up
        return is_waiting

    def _say(self, standing: Standing, told: _Told, now: Instant) -> None:
        self._journal.write(
            Event.BACKEND_RECOVERED if standing.is_up else Event.BACKEND_UNAVAILABLE,
            now,
            backend=standing.backend,
            service=standing.service,
            reason=None if standing.is_up else standing.state,
            turns=told.turns if told.turns > 1 else None,
        )
        told.was_up = told.is_up
        told.turns = 0
        told.lines.append(now)
