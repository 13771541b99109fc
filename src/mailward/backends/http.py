"""HTTP/1.1 over one connection: heads that are bounded, bodies that stream.

Reading stops while nobody takes what was read, so a body of any length needs little memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus

from mailward.wire.http.framing import Chunked, ChunkReader, Counted, Framing, UntilClose
from mailward.wire.http.head import MAX_HEAD_OCTETS, HttpError, ResponseHead, read_response
from mailward.wire.http.websocket import SWITCHING

MAX_INTERIM = 100  # of 100 Continue, 102, 103: more than any server has to say
BUFFER_OCTETS = 32_768
"""A reader holds up to twice as much before it stops the connection."""
PIECE_OCTETS = 65_536


class CutOffError(Exception):
    """The connection ended in the middle of a message."""


async def read_head(reader: asyncio.StreamReader) -> bytes | None:
    """The next head with the empty line that ends it; ``None`` where the connection ends before.

    Raises:
        HttpError: it is too long, or its lines do not end with CRLF.
        CutOffError: the connection ended in the middle of it.
    """
    head = bytearray()
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise _too_large() from None
        except asyncio.IncompleteReadError as error:
            if head or error.partial:
                raise CutOffError from None
            return None
        if not line.endswith(b"\r\n"):
            raise HttpError("a line ends with CR and LF")
        head += line
        if len(head) > MAX_HEAD_OCTETS:
            raise _too_large()
        if line == b"\r\n":
            return bytes(head)


def _too_large() -> HttpError:
    return HttpError("the head is too large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


@dataclass(slots=True)
class Wire:
    """One connection to a mail server. Whoever gets it must close it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def response(self) -> ResponseHead:
        """The head of the next response; those that only say that it will come are passed over.

        Raises:
            HttpError: it is none.
            CutOffError: the connection ended.
        """
        for _ in range(MAX_INTERIM + 1):
            octets = await read_head(self.reader)
            if octets is None:
                raise CutOffError
            head = read_response(octets)
            if head.status >= HTTPStatus.OK or head.status == SWITCHING:
                return head
        raise HttpError("too many responses before the response")

    async def is_silent(self) -> bool:
        """Whether it is still open, and says nothing that nobody has asked for.

        What is left behind a response would be taken for that to the next request.
        """
        try:
            async with asyncio.timeout(0):
                await self.reader.read(1)
        except TimeoutError:
            return not self.writer.is_closing()
        except OSError:
            pass
        return False

    def close(self) -> None:
        self.writer.transport.abort()


class Body:
    """The body of one message, from *reader*."""

    def __init__(self, reader: asyncio.StreamReader, framing: Framing) -> None:
        self._reader = reader
        self._framing = framing
        self.is_over = framing == Counted(0)
        """Whether all of it was read, and nothing behind it."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Its data as it comes.

        Raises:
            HttpError: it is not framed as it should be.
            CutOffError: the connection ended before it.
        """
        match self._framing:
            case Counted(octets):
                left = octets
                while left:
                    piece = await self._read(min(left, PIECE_OCTETS))
                    left -= len(piece)
                    self.is_over = not left
                    yield piece
            case Chunked():
                async for piece in self._chunks():
                    yield piece
            case UntilClose():
                while piece := await self._reader.read(PIECE_OCTETS):
                    yield piece
                self.is_over = True

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        chunks = ChunkReader()
        while not chunks.is_over:
            wanted = chunks.wanted
            octets = await (self._line() if wanted is None else self._read(wanted))
            if data := chunks.feed(octets):
                yield data
        self.is_over = True

    async def _line(self) -> bytes:
        """A line between chunks, and not an octet more: what follows may be another message."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise HttpError("a line between chunks is too long") from None
        except asyncio.IncompleteReadError:
            raise CutOffError from None

    async def _read(self, at_most: int) -> bytes:
        piece = await self._reader.read(min(at_most, PIECE_OCTETS))
        if not piece:
            raise CutOffError
        return piece
