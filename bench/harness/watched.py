"""``mailward serve`` with its event loop watched: what is run instead of the command itself.

    python bench/harness/watched.py FILE serve ...

Every second it writes to FILE how many tasks there are and the longest gap between two ticks of a
timer of :data:`TICK_SECONDS`, of that second and of the whole run. Nothing of mailward is changed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

from mailward.app.cli.main import main

TICK_SECONDS = 0.005
_make_loop = uvloop.new_event_loop


class _Watch:
    def __init__(self, loop: asyncio.AbstractEventLoop, file: Path) -> None:
        self._loop = loop
        self._file = file
        self._last = self._told = time.monotonic()
        self._longest = self._longest_ever = 0.0

    def tick(self) -> None:
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last - TICK_SECONDS)
        if now - self._told >= 1.0:
            self._tell()
            self._told, self._longest = now, 0.0
        self._last = now
        self._loop.call_later(TICK_SECONDS, self.tick)

    def _tell(self) -> None:
        self._longest_ever = max(self._longest_ever, self._longest)
        seen = {
            "tasks": len(asyncio.all_tasks(self._loop)),
            "gap_ms": round(self._longest * 1000, 2),
            "longest_gap_ms": round(self._longest_ever * 1000, 2),
        }
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(seen))
        fresh.rename(self._file)


def _watched_loop() -> asyncio.AbstractEventLoop:
    loop = _make_loop()
    loop.call_soon(_Watch(loop, Path(sys.argv[1])).tick)
    return loop


if __name__ == "__main__":
    uvloop.new_event_loop = _watched_loop  # type: ignore[assignment] # the daemon asks for it by this name
    sys.exit(main(sys.argv[2:]))
