"""Log lines that a stranger can cause without a guess, aggregated: a flood must fill no disk.

The first line of a subject is written at once, then one a minute with the count of what came since.
All subjects together have :data:`LINES_PER_SECOND`. What that bound leaves out is counted, and the
numbers are for one line a minute. The memory is bounded by the same numbers: only a subject with a
line of the last minute is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from operator import itemgetter

from mailward.rules.model import Instant

REPORT_SECONDS = 60.0  # at most one line for a subject in so long
LINES_PER_SECOND = 10  # for all subjects together
MAX_SUBJECTS = 1_000  # a bound for the case that no sweep comes; 10 lines/s for a minute are 600
MAX_COUNTED_APART = 10_000  # of the subjects that were left out; more are not told apart
_WINDOW_SECONDS = 1.0
_MAX_OVERDUE = 5
"""So many lines with a count wait for a free place when a flood of new subjects takes them all."""

Again = Callable[[int, str, Instant], None]
"""Writes the line for so many repeats; the service is empty where there was more than one."""


def _write_nothing(_count: int, _service: str, _now: Instant) -> None: ...


@dataclass(slots=True)
class Repeat:
    """A subject whose last line was written at *told_at*, and *count* events since.

    *again* writes the next line. *service* is that of all these events, else empty.
    """

    told_at: Instant
    again: Again = _write_nothing
    count: int = 0
    service: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many *lines* of how many *subjects* the bound has left out."""

    lines: int
    subjects: int


@dataclass(slots=True)
class Repeats:
    """Decides which lines are written. *now* must not run backwards."""

    _repeats: dict[Hashable, Repeat] = field(default_factory=dict)
    _window_since: float = 0.0
    _written: int = 0
    _overdue: int = 0
    _lines_left_out: int = 0
    _subjects_left_out: set[int] = field(default_factory=set)
    _left_out_since: float = 0.0

    def __len__(self) -> int:
        """How many subjects are remembered."""
        return len(self._repeats)

    def first(
        self,
        subject: Hashable,
        now: Instant,
        *,
        service: str = "",
        count: int = 1,
        always: bool = False,
    ) -> Repeat | None:
        """Take one event of *subject*, which stands for *count*.

        Return:
            The repeat to come where the line is to be written now, with its ``again`` to be set;
            ``None`` where the event was counted instead.

        *always*: the bound for all subjects together does not hold for it.
        """
        known = self._repeats.get(subject)
        if known is not None:
            if known.service != service:
                known.service = "" if known.count else service
            known.count += count
            return None
        has_room = self._has_room(now, self._overdue) or always
        if not has_room or len(self._repeats) >= MAX_SUBJECTS:
            self._leave_out(subject, count, now)
            return None
        self._written += 1
        repeat = self._repeats[subject] = Repeat(now)
        return repeat

    def report(self, now: Instant) -> LeftOut | None:
        """Write the lines that are due; return what was left out, if that is due."""
        self._write_due(now, now - REPORT_SECONDS)
        if self._lines_left_out and now - self._left_out_since >= REPORT_SECONDS:
            return self._take_left_out()
        return None

    def flush(self, now: Instant) -> LeftOut | None:
        """Write what is pending before its time, within the bound; return all that was left out."""
        self._window_since, self._written = now, 0
        self._write_due(now, now, max_overdue=0)
        return self._take_left_out() if self._lines_left_out else None

    # -- inside --------------------------------------------------------------------------------

    def _write_due(self, now: Instant, told_by: float, max_overdue: int = _MAX_OVERDUE) -> None:
        due = [pair for pair in self._repeats.items() if pair[1].told_at <= told_by]
        pending = [(repeat.count, subject) for subject, repeat in due if repeat.count]
        for subject, repeat in due:
            if not repeat.count:
                del self._repeats[subject]
        self._overdue = 0
        # The largest counts first: a flood of new subjects must not hide the flood of one.
        for count, subject in sorted(pending, key=itemgetter(0), reverse=True):
            repeat = self._repeats[subject]
            if self._has_room(now, 0):
                self._written += 1
                repeat.again(count, repeat.service, now)
                repeat.told_at, repeat.count, repeat.service = now, 0, ""
            elif self._overdue < max_overdue:
                self._overdue += 1
            else:
                del self._repeats[subject]
                self._leave_out(subject, count, now)

    def _has_room(self, now: Instant, reserved: int) -> bool:
        if now - self._window_since >= _WINDOW_SECONDS:
            self._window_since, self._written = now, 0
        return self._written + reserved < LINES_PER_SECOND

    def _leave_out(self, subject: Hashable, count: int, now: Instant) -> None:
        if not self._lines_left_out:
            self._left_out_since = now
        self._lines_left_out += count
        if len(self._subjects_left_out) < MAX_COUNTED_APART:
            self._subjects_left_out.add(hash(subject))

    def _take_left_out(self) -> LeftOut:
        left_out = LeftOut(self._lines_left_out, len(self._subjects_left_out))
        self._lines_left_out = 0
        self._subjects_left_out = set()
        return left_out
