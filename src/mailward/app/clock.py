"""The one real clock: wall time at the start, and what has passed since.

It does not jump: setting the machine's clock neither bans nor frees anybody until the next start.
It counts suspend (CLOCK_BOOTTIME), because a ban ends while the machine sleeps, too.
"""

from __future__ import annotations

import time

from mailward.rules.model import Instant


class SteadyClock:
    """Call it for the instant that is now."""

    def __init__(self) -> None:
        self._wall_at_start = time.clock_gettime(time.CLOCK_REALTIME)
        self._start = time.clock_gettime(time.CLOCK_BOOTTIME)

    def __call__(self) -> Instant:
        passed = time.clock_gettime(time.CLOCK_BOOTTIME) - self._start
        return Instant(round(self._wall_at_start + passed, 6))
