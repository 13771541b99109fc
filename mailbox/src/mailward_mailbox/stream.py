"""One connection, for one that reads and one that writes at a time, with little held."""

from __future__ import annotations

import asyncio
from contextlib import suppress

PIECE_OCTETS = 65_536
"""So much is taken at once; while so much waits to be taken, nothing more is read."""

LINGER_SECONDS = 5.0


class Stream(asyncio.Protocol):
    """A connection whose octets are taken without waiting for a line, and may be given back."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._loop: asyncio.AbstractEventLoop
        self._held = bytearray()
        self._has_ended = False
        self._fault: Exception | None = None
        self._is_stopped = False
        self._reading: asyncio.Future[None] | None = None
        self._is_full = False
        self._is_gone = False
        self._writing: asyncio.Future[None] | None = None
        self._heir: asyncio.StreamWriter | None = None

    # -- events of the transport ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport is a Transport
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= PIECE_OCTETS and not self._is_stopped:
            self._is_stopped = True
            self._transport.pause_reading()
        _wake(self._reading)

    def eof_received(self) -> bool:
        self._has_ended = True
        _wake(self._reading)
        return True  # the client may still wait for the answer

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_ended = self._is_gone = True
        self._fault = exc
        _wake(self._reading)
        _wake(self._writing)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        _wake(self._writing)

    # -- reading -------------------------------------------------------------------------------

    def take(self, at_most: int = PIECE_OCTETS) -> bytes:
        """Up to *at_most* octets that have arrived, without waiting."""
        octets = bytes(self._held[:at_most])
        del self._held[:at_most]
        return octets

    def give_back(self, octets: bytes) -> None:
        """Put octets that were taken before all that is still to be taken."""
        self._held[:0] = octets

    @property
    def held(self) -> bytearray:
        """The octets that have arrived and were not taken; to be read only."""
        return self._held

    async def more(self) -> bool:
        """Wait until more has arrived; whether it has before the end.

        Raises:
            ConnectionError: the connection broke.
        """
        before = len(self._held)
        if self._is_stopped and not self._has_ended:
            self._is_stopped = False
            self._transport.resume_reading()
        if not self._has_ended:
            self._reading = self._loop.create_future()
            try:
                await self._reading
            finally:
                self._reading = None
        if len(self._held) > before:
            return True
        if self._fault is not None:
            raise ConnectionResetError("the connection broke") from self._fault
        return False

    async def read(self, at_most: int = PIECE_OCTETS) -> bytes:
        """Up to *at_most* octets as they come; nothing at the end.

        Raises:
            ConnectionError: the connection broke.
        """
        if not self._held:
            await self.more()
        return self.take(at_most)

    # -- writing -------------------------------------------------------------------------------

    def write(self, octets: bytes) -> None:
        if octets and not self._transport.is_closing():
            self._transport.write(octets)

    async def drain(self) -> None:
        """Wait while as much is under way as may be.

        Raises:
            ConnectionError: the connection is gone.
        """
        if self._is_full and not self._is_gone:
            await self._sending()
        if self._is_gone or self._transport.is_closing():
            raise ConnectionResetError("the connection is gone")

    def write_eof(self) -> None:
        """Say that no more will be written."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Close, once all is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until it is gone, also where it was handed over; to be called after a close."""
        if self._heir is not None:
            with suppress(OSError):
                await self._heir.wait_closed()
            return
        while not self._is_gone:
            await self._sending()

    async def linger(self) -> None:
        """Say that no more is written, and drop what still comes, for a while.

        A connection that is closed while something unread is on its way takes the last words with
        it.

        Raises:
            ConnectionError: the connection broke.
        """
        self.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while await self.read():
                    pass

    def hand_over(self, octets: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The same connection as asyncio's streams, which begin with *octets*.

        To be called right after :meth:`drain`; this object is of no use any more.

        Raises:
            ConnectionError: the connection is gone.
        """
        if self._is_gone or self._transport.is_closing():
            raise ConnectionResetError("the connection is gone")
        reader = asyncio.StreamReader(limit=PIECE_OCTETS, loop=self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self._loop)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        reader.feed_data(octets + bytes(self._held))
        self._held.clear()
        if self._has_ended:
            reader.feed_eof()
        elif self._is_stopped and len(octets) < PIECE_OCTETS:
            self._transport.resume_reading()
        self._heir = asyncio.StreamWriter(self._transport, protocol, reader, self._loop)
        return reader, self._heir

    async def _sending(self) -> None:
        """Wait until much of what was written is sent, or never will be."""
        self._writing = self._loop.create_future()
        try:
            await self._writing
        finally:
            self._writing = None


async def linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As :meth:`Stream.linger` does, where it was handed over."""
    writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while await reader.read(PIECE_OCTETS):
                pass


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
