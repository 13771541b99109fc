"""The one real clock: wall time at the start, and what has passed since.

It does not jump: setting the machine's clock neither bans nor frees anybody until the next start.
It counts suspend (CLOCK_BOOTTIME), because a ban ends while the machine sleeps, too.

A clock that was wrong at the start, and set right since, makes every stored instant wrong by the
same amount. So the store keeps by how much wall time was ahead of the time since boot: the next
start knows by how much to move them.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import NamedTuple

from mailward.rules.model import Instant
from mailward.stores.port import ClockMoved, Contents, FactPut, Store, StoreError

FACT = "clock"
STEP_SECONDS = 1.0  # what is less is no clock that was set, and hurts no period
WORTH_TELLING_SECONDS = 60.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNKNOWN = "unknown"  # the sandbox of the service (ProcSubset=pid) does not show that file

_log = logging.getLogger("mailward.daemon")


class SteadyClock:
    """Call it for the instant that is now. The file *boot_id* tells one boot from another."""

    def __init__(self, boot_id: Path = _BOOT_ID) -> None:
        self._wall_ahead_ns = _wall_ahead_ns()
        self._boot = _text_of(boot_id)

    def __call__(self) -> Instant:
        # Whole microseconds, by division: to round takes three times as long, in every drop.
        now_ns = self._wall_ahead_ns + time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return Instant(now_ns // 1_000 / 1_000_000)

    @property
    def ahead(self) -> float:
        """The seconds by which it is ahead of the time since boot; always the same."""
        return self._wall_ahead_ns / 1e9

    @property
    def behind(self) -> float:
        """The seconds by which the machine's clock was set forward since the start."""
        return (_wall_ahead_ns() - self._wall_ahead_ns) / 1e9

    def __str__(self) -> str:
        """What the next start has to know: the boot, and by how much each clock is ahead of it."""
        return f"{self._boot} {self.ahead:.6f} {self.ahead + self.behind:.6f}"

    def moved_since(self, fact: str) -> float:
        """The seconds by which stored instants are to be moved; *fact* is of the last start.

        In one boot the time since boot tells it exactly. Across boots, or where boots are not told
        apart, only a clock that was set while the daemon ran is known.
        """
        told = _told(fact)
        if told is None:
            return 0.0
        is_same_boot = told.boot == self._boot != _UNKNOWN
        moved = (self.ahead if is_same_boot else told.seen) - told.ahead
        return moved if abs(moved) >= STEP_SECONDS else 0.0

    def is_told_by(self, fact: str) -> bool:
        """Whether *fact* says what the next start has to know."""
        told = _told(fact)
        return (
            told is not None
            and told.boot == self._boot
            and abs(told.ahead - self.ahead) < STEP_SECONDS
            and abs(told.seen - self.ahead - self.behind) < STEP_SECONDS
        )


async def mended(store: Store, contents: Contents, clock: SteadyClock) -> Contents:
    """*contents* of *store*, with its instants moved to the time of *clock*.

    Raises:
        StoreError: it cannot be read.
    """
    moved = clock.moved_since(contents.facts.get(FACT, ""))
    if not moved:
        return contents
    try:
        # In one commit: a crash in between would move everything twice.
        await store.commit([ClockMoved(moved), FactPut(FACT, str(clock))], durable=True)
    except StoreError as error:
        _log.error(
            "the clock was set by %+.0f s; bans and failures stay as stored: %s", moved, error
        )
        return contents
    _log.warning("the clock was set by %+.0f s; stored bans and failures are moved with it", moved)
    return await store.load()


def clock_warning(clock: SteadyClock) -> str | None:
    """What to tell an operator whose clock was set while the daemon ran."""
    behind = clock.behind
    if abs(behind) < WORTH_TELLING_SECONDS:
        return None
    return (
        f"the clock of this machine was set by {behind:+.0f} s since mailward started: bans last as"
        " long as they should, but all moments that are shown are off by that; restart mailward"
    )


class _Told(NamedTuple):
    boot: str
    ahead: float
    """By how much the daemon's clock was ahead of the time since boot."""
    seen: float
    """The same of the machine's clock, when it was last looked at."""


def _told(fact: str) -> _Told | None:
    match fact.split(" "):
        case [boot, ahead, seen]:
            try:
                return _Told(boot, float(ahead), float(seen))
            except ValueError:
                return None
        case _:
            return None


def _wall_ahead_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _text_of(boot_id: Path) -> str:
    try:
        return boot_id.read_text().strip()
    except OSError:
        return _UNKNOWN
