"""The other end of the pipe: settings line by line on standard input, and the end with its end.

A thread reads it, and the signals are handled between any two steps of Python, so a loop that hangs
does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from mailward_mailbox.settings import MAX_SETTINGS_OCTETS, Settings, UnfitSettingsError
from mailward_mailbox.settings import read_settings as read

STOP_SECONDS = 4
"""From the wish to stop: then the kernel ends the process (SIGALRM)."""
_PIECE_OCTETS = 65_536


class Stopping:
    """Whether the process is to end; asked for by SIGTERM, SIGINT, or the end of the pipe."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wanted = asyncio.Event()

    def listen(self) -> None:
        """Handle the signals from now on; in the main thread alone."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    async def wait(self) -> None:
        await self._wanted.wait()

    def ask(self) -> None:
        """Stop soon, from any thread."""
        signal.alarm(STOP_SECONDS)
        with suppress(RuntimeError):  # the loop has ended: there is no more to stop
            self._loop.call_soon_threadsafe(self._wanted.set)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.ask()


class Lines:
    """The lines of a pipe, without its buffer: a thread waits for them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = b""

    def next(self) -> bytes | None:
        """The next line; ``None`` at the end, and where one is longer than settings can be."""
        while b"\n" not in self._held:
            piece = os.read(self._descriptor, _PIECE_OCTETS)
            if not piece or len(self._held) > MAX_SETTINGS_OCTETS:
                return None
            self._held += piece
        line, _, self._held = self._held.partition(b"\n")
        return line


def first_settings(lines: Lines) -> Settings | None:
    """The settings to begin with; ``None``: the supervisor is gone before it has told any.

    Raises:
        UnfitSettingsError: they cannot be used.
    """
    line = lines.next()
    return None if line is None else read(line)


def follow(
    lines: Lines, apply: Callable[[Settings], None], refuse: Callable[[str], None], stop: Stopping
) -> None:
    """Hand on the settings that come later, in the loop's thread; at the end of the pipe stop."""
    loop = asyncio.get_running_loop()

    def run() -> None:
        try:
            while (line := lines.next()) is not None:
                try:
                    loop.call_soon_threadsafe(apply, read(line))
                except UnfitSettingsError as error:
                    loop.call_soon_threadsafe(refuse, str(error))
        finally:
            stop.ask()

    threading.Thread(target=run, name="supervisor", daemon=True).start()


def tell_ready() -> None:
    """Tell the supervisor that all sockets listen."""
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
