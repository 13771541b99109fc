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
        wall_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        self._wall_ahead_ns = wall_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def __call__(self) -> Instant:
        # Whole microseconds, by division: to round takes three times as long, in every drop.
        now_ns = self._wall_ahead_ns + time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return Instant(now_ns // 1_000 / 1_000_000)
