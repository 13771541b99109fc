"""Keeps the built-in mail server's process running, and says why it does not run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from mailward.app.mailbox.process import MailboxProcess

FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 60.0
"""Between an end and the next start; it doubles from the first with each end."""
WELL_SECONDS = 60.0
"""A process that was ready for so long begins with the first pause again."""

_log = logging.getLogger("mailward.mailbox")


class Supervisor:
    """Runs *command* again and again; *told* is the line of settings for the next start.

    *when_ready* is called each time that it is ready.
    """

    def __init__(
        self,
        command: Sequence[str],
        told: str,
        when_ready: Callable[[], None] = lambda: None,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self._command = command
        self._told = told
        self._when_ready = when_ready
        self._first_pause = first_pause_seconds
        self._process: MailboxProcess | None = None
        self._stopping = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._ready_at: float | None = None
        self.fault = ""
        """Why it does not run, and when it starts again; empty while it runs."""
        self.settled = asyncio.Event()
        """It was ready once, or has ended before it was."""

    def tell(self, line: str) -> None:
        """Go on with other settings; a process that is started later gets them, too."""
        if line == self._told:
            return
        self._told = line
        if self._process is not None:
            self._process.tell(line)

    def give_up(self) -> None:
        """The process hangs: end it, so that another one is started."""
        if self._process is not None:
            self._process.give_up()

    async def run(self) -> None:
        """Start it, and start it again each time it ends, until :meth:`stop`."""
        pause = self._first_pause
        try:
            while not self._stopping.is_set():
                ending, well_for = await self._run_once()
                if self._stopping.is_set():
                    return
                if well_for >= WELL_SECONDS:
                    pause = self._first_pause
                self.fault = f"the built-in mail server {ending}"
                _log.error("%s; it is started again in %g s", self.fault, pause)
                self.settled.set()
                await self._pause(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
        finally:
            self._has_ended.set()

    async def stop(self) -> None:
        """End the process and start none any more; only where :meth:`run` was begun."""
        self._stopping.set()
        if self._process is not None:
            await self._process.stop()
        await self._has_ended.wait()

    # -- inside --------------------------------------------------------------------------------

    async def _run_once(self) -> tuple[str, float]:
        """How one process ended, and for how many seconds it was ready."""
        self._ready_at = None
        self._process = MailboxProcess(self._command, self._told, self._is_ready)
        try:
            ending = await self._process.run()
        except OSError as error:
            ending = f"cannot be started: {error.strerror or error}"
        except Exception:  # noqa: BLE001 -- in a TaskGroup it would end the daemon
            _log.exception("the built-in mail server cannot be looked after")
            ending = "could not be looked after any more"
        now = asyncio.get_running_loop().time()
        return ending, 0.0 if self._ready_at is None else now - self._ready_at

    def _is_ready(self) -> None:
        self._ready_at = asyncio.get_running_loop().time()
        if self.fault:
            _log.warning("the built-in mail server is ready again")
        self.fault = ""
        self.settled.set()
        self._when_ready()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
