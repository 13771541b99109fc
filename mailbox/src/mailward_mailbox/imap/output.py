"""Responses on their way to a client: gathered into few writes, and sent as fast as it reads them.

A command that writes much, or works long, calls :meth:`Output.pause` after each small step: that
waits for a client that is slow to read, and gives the event loop back every few milliseconds.
"""

from __future__ import annotations

import asyncio
import time

from mailward.wire.lines import CRLF
from mailward_mailbox.turns import let_others_work

PIECE_OCTETS = 65_536
STEP_SECONDS = 0.005
"""So long does one session work before the others have their turn."""
UNREAD_SECONDS = 1_800.0
"""A client that reads nothing for so long is disconnected."""


class Output:
    """What is written to one client.

    ::

        for number, message in view.pick(wanted, by_uid=True):
            output.line(b"* %d FETCH (UID %d)" % (number, message.uid))
            await output.pause()
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._held = bytearray()
        self._last = CRLF
        """The end of what was sent."""
        self._step_began = time.perf_counter()

    @property
    def is_between_lines(self) -> bool:
        """Whether the last response was written to its end."""
        return (self._held[-2:] or self._last) == CRLF

    def write(self, octets: bytes) -> None:
        self._held += octets

    def line(self, octets: bytes) -> None:
        """Write a response with its CRLF."""
        self._held += octets
        self._held += CRLF

    async def send(self, octets: bytes) -> None:
        """Write what may be long; no more than a piece of it is copied before the client reads."""
        if len(octets) <= PIECE_OCTETS:
            self._held += octets
            await self.pause()
            return
        for at in range(0, len(octets), PIECE_OCTETS):
            self._held += octets[at : at + PIECE_OCTETS]
            await self.pause()

    async def pause(self) -> None:
        """Let the client read, and others work, where it is time for that.

        Raises:
            ConnectionError: the client is gone, or has read nothing for UNREAD_SECONDS.
        """
        if len(self._held) >= PIECE_OCTETS:
            await self.flush()
        if time.perf_counter() - self._step_began >= STEP_SECONDS:
            await let_others_work()
            self._step_began = time.perf_counter()

    async def flush(self) -> None:
        """Send all that was written.

        Raises:
            ConnectionError: as for :meth:`pause`.
        """
        if self._held:
            self._writer.write(self.take())
        try:
            async with asyncio.timeout(UNREAD_SECONDS):
                await self._writer.drain()
        except TimeoutError:
            raise ConnectionAbortedError("the client reads nothing") from None

    def take(self) -> bytes:
        """What was written and not sent yet, which is forgotten."""
        octets = bytes(self._held)
        self._last = octets[-2:] or self._last
        self._held.clear()
        return octets

    def begin_step(self) -> None:
        """A command begins: the event loop has just been elsewhere."""
        self._step_began = time.perf_counter()
