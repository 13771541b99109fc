"""HTTP/1.1 over one connection: heads that are bounded, bodies that stream.

Reading stops while nobody takes what was read, so a body of any length needs little memory.
"""

from __future__ import annotations

import asyncio
import re
import socket
from http import HTTPStatus

from mailward.wire.http.framing import (
    NO_BODY,
    Chunked,
    ChunkReader,
    Counted,
    Framing,
    UntilClose,
)
from mailward.wire.http.head import (
    HEAD_END,
    MAX_HEAD_OCTETS,
    HttpError,
    ResponseHead,
    read_response,
)
from mailward.wire.http.websocket import SWITCHING

MAX_INTERIM = 100  # of 100 Continue, 102, 103: more than any server has to say
PIECE_OCTETS = 65_536
"""So much is taken at once; and when so much waits to be taken, reading stops."""
_BARE_LF = re.compile(rb"(?<!\r)\n")


class CutOffError(Exception):
    """The connection ended in the middle of a message."""


class Stream(asyncio.Protocol):
    """One connection, for one who reads and one who writes at a time.

    What has arrived is taken without waiting: asyncio's own streams wait for each line of a head.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._loop: asyncio.AbstractEventLoop
        self._held = bytearray()
        self._has_ended = False
        self._fault: Exception | None = None
        self._is_stopped = False
        self._deadline: float | None = None
        self._is_late = False
        self._alarm: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._reading: asyncio.Future[None] | None = None
        self._is_full = False
        self._is_gone = False
        self._writing: asyncio.Future[None] | None = None
        self.received = self.sent = 0
        """In octets."""

    # -- what the connection tells -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport is a Transport
        # Asked for each time it costs a system call (Python 3.11).
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._held += data
        self.received += len(data)
        if len(self._held) >= PIECE_OCTETS and not self._is_stopped:
            self._is_stopped = True
            self._transport.pause_reading()
        _wake(self._reading)

    def eof_received(self) -> bool:
        self._has_ended = True
        _wake(self._reading)
        # The answer is still heard where the other end has said all it has to say; TLS knows no
        # half of a close.
        return self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_ended = self._is_gone = True
        self._fault = exc
        self._silence()
        _wake(self._reading)
        _wake(self._writing)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        _wake(self._writing)

    # -- reading -------------------------------------------------------------------------------

    def expect_within(self, seconds: float | None) -> None:
        """From now on reading raises TimeoutError in so many seconds; ``None``: it may wait."""
        self._is_late = False
        if seconds is None:
            self._deadline = None  # the alarm stays, for the next message: it will find no deadline
            return
        self._deadline = self._loop.time() + seconds
        if self._alarm is None or self._deadline < self._rings_at:
            self._set_alarm(self._deadline)

    async def head(self) -> bytes | None:
        """The next head with the empty line that ends it; ``None``: the connection ended before.

        Raises:
            HttpError: it is too long, or its lines do not end with CRLF.
            CutOffError: the connection ended in the middle of it.
            OSError: the connection broke, or the time is over.
        """
        if not self._held and not await self.more():
            return None
        seen = 0
        while (at := self._held.find(HEAD_END, max(seen - len(HEAD_END), 0))) < 0:
            if _BARE_LF.search(self._held, seen):
                raise HttpError("a line ends with CR and LF")
            seen = len(self._held)
            if seen > MAX_HEAD_OCTETS:
                break
            if not await self.more():
                raise CutOffError
        length = at + len(HEAD_END)
        if at < 0 or length > MAX_HEAD_OCTETS:
            raise HttpError("the head is too large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return self.take(length)

    def take(self, at_most: int) -> bytes:
        """What has arrived, without waiting."""
        if at_most >= len(self._held):
            octets = bytes(self._held)
            self._held.clear()
        else:
            octets = bytes(self._held[:at_most])
            del self._held[:at_most]
        return octets

    def give_back(self, octets: bytes) -> None:
        """What was taken, but is another's to read."""
        self._held[:0] = octets

    async def more(self) -> bool:
        """Wait until more has arrived; whether it has before the end.

        Raises:
            OSError: the connection broke, or the time is over.
        """
        before = len(self._held)
        if self._is_stopped and not self._has_ended:
            self._is_stopped = False
            self._transport.resume_reading()
        if not self._has_ended and not self._is_late:
            self._reading = self._loop.create_future()
            try:
                await self._reading
            finally:
                self._reading = None
        if len(self._held) > before:
            return True
        if not self._has_ended:
            raise TimeoutError
        if self._fault is not None:
            raise ConnectionResetError("the connection broke") from self._fault
        return False

    async def read(self) -> bytes:
        """A piece of whatever comes; nothing at the end.

        Raises:
            OSError: the connection broke, or the time is over.
        """
        if not self._held:
            await self.more()
        return self.take(PIECE_OCTETS)

    @property
    def is_idle(self) -> bool:
        """Whether it is open, and all that has come was taken."""
        return not (self._held or self._has_ended or self._transport.is_closing())

    # -- writing -------------------------------------------------------------------------------

    def write(self, octets: bytes) -> None:
        if octets and not self._transport.is_closing():
            self.sent += len(octets)
            self._transport.write(octets)

    async def drain(self) -> None:
        """Wait while as much is under way as may be.

        Raises:
            OSError: the connection is gone.
        """
        if self._is_full and not self._is_gone:
            await self._sending()
        # Before it is told that it is gone nobody must go on writing, without ever waiting.
        if self._is_gone or self._transport.is_closing():
            raise ConnectionResetError("the connection is gone")

    def close(self) -> None:
        """Close, once all is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until it is gone; whoever waits has closed it."""
        while not self._is_gone:
            await self._sending()

    # -- inside --------------------------------------------------------------------------------

    async def _sending(self) -> None:
        """Wait until much of what was written is sent, or never will be."""
        self._writing = self._loop.create_future()
        try:
            await self._writing
        finally:
            self._writing = None

    def _set_alarm(self, deadline: float) -> None:
        self._silence()
        self._rings_at = deadline
        self._alarm = self._loop.call_at(deadline, self._ring)

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:  # it was set for a message that came in time
            self._set_alarm(self._deadline)
            return
        self._is_late = True
        _wake(self._reading)


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


class Wire(Stream):
    """One connection to a mail server, through *socket*. Whoever gets it must close it."""

    def __init__(self, plain: socket.socket) -> None:
        super().__init__()
        self._socket = plain

    async def response(self) -> ResponseHead:
        """The head of the next response; those that only say that it will come are passed over.

        Raises:
            HttpError: it is none.
            CutOffError: the connection ended.
            OSError: the connection broke, or the time is over.
        """
        for _ in range(MAX_INTERIM + 1):
            octets = await self.head()
            if octets is None:
                raise CutOffError
            head = read_response(octets)
            if head.status >= HTTPStatus.OK or head.status == SWITCHING:
                return head
        raise HttpError("too many responses before the response")

    def is_silent(self) -> bool:
        """Whether it is still open, and says nothing that nobody has asked for.

        What is left behind a response would be taken for that to the next request. What the loop
        has not read yet counts as well: so does an end that has only just come.
        """
        if not self.is_idle:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False


class Body:
    """The body of one message, from *stream*."""

    def __init__(self, stream: Stream, framing: Framing) -> None:
        self.framing = framing
        self._stream = stream
        self._left = framing.octets if isinstance(framing, Counted) else 0
        self._chunks: ChunkReader | None = None
        self.is_over = framing == NO_BODY
        """Whether all of it was read, and nothing behind it."""

    def take(self) -> bytes:
        """What of its data has arrived: a piece of it, or nothing.

        Raises:
            HttpError: it is not framed as it should be.
        """
        match self.framing:
            case Counted():
                piece = self._stream.take(min(self._left, PIECE_OCTETS))
                self._left -= len(piece)
                self.is_over = not self._left
                return piece
            case Chunked():
                return self._take_chunks()
            case UntilClose():
                return self._stream.take(PIECE_OCTETS)

    async def read(self) -> bytes:
        """A piece of its data as it comes; nothing where it is over.

        Raises:
            HttpError: it is not framed as it should be.
            CutOffError: the connection ended before it.
            OSError: the connection broke, or the time is over.
        """
        while not (data := self.take()) and not self.is_over:
            if await self._stream.more():
                continue
            if not isinstance(self.framing, UntilClose):
                raise CutOffError
            self.is_over = True
        return data

    def _take_chunks(self) -> bytes:
        if self.is_over:
            return b""
        chunks = self._chunks = self._chunks or ChunkReader()
        data = chunks.feed(self._stream.take(PIECE_OCTETS))
        if chunks.is_over:
            self.is_over = True
            self._stream.give_back(chunks.rest)
        return data
