"""Turns on the event loop: what goes on for long lets others work in between."""

from __future__ import annotations

import asyncio

STEP_SECONDS = 0.005


class Turns:
    """The turns of one session, which asks for the next one between its steps."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    async def next(self) -> None:
        """Let others work where this turn has lasted long enough."""
        if self._loop.time() - self._began >= STEP_SECONDS:
            await asyncio.sleep(0)
            self._began = self._loop.time()
