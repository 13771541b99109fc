"""HTTP/1.1 requests of one connection: heads that are bounded, bodies that stream."""

from __future__ import annotations

import re
from http import HTTPStatus

from mailward.wire.http.framing import NO_BODY, Chunked, ChunkReader, Counted
from mailward.wire.http.head import HEAD_END, MAX_HEAD_OCTETS, HttpError
from mailward_mailbox.stream import PIECE_OCTETS, Stream

_BARE_LF = re.compile(rb"(?<!\r)\n")


class CutOffError(Exception):
    """The connection ended in the middle of a message."""


async def next_head(stream: Stream) -> bytes | None:
    """The next head with the empty line that ends it; ``None``: the connection ended before.

    Raises:
        HttpError: it is too long, or its lines do not end with CRLF.
        CutOffError: the connection ended in the middle of it.
        ConnectionError: the connection broke.
    """
    held = stream.held
    if not held and not await stream.more():
        return None
    seen = 0
    while (at := held.find(HEAD_END, max(seen - len(HEAD_END), 0))) < 0:
        if _BARE_LF.search(held, seen):
            raise HttpError("a line ends with CR and LF")
        seen = len(held)
        if seen > MAX_HEAD_OCTETS:
            break
        if not await stream.more():
            raise CutOffError
    length = at + len(HEAD_END)
    if at < 0 or length > MAX_HEAD_OCTETS:
        raise HttpError("the head is too large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    return stream.take(length)


class Body:
    """The body of one request, from *stream*."""

    def __init__(self, stream: Stream, framing: Counted | Chunked) -> None:
        self._stream = stream
        self._left = framing.octets if isinstance(framing, Counted) else 0
        self._chunks = None if isinstance(framing, Counted) else ChunkReader()
        self.is_over = framing == NO_BODY
        """Whether all of it was read, and nothing behind it."""

    async def read(self) -> bytes:
        """A piece of its data as it comes; nothing where it is over.

        Raises:
            HttpError: it is not framed as it should be.
            CutOffError: the connection ended before it.
            ConnectionError: the connection broke.
        """
        while not (data := self._take()) and not self.is_over:
            if not await self._stream.more():
                raise CutOffError
        return data

    def _take(self) -> bytes:
        """A piece of its data that has arrived, or nothing."""
        if self.is_over:
            return b""
        if self._chunks is None:
            piece = self._stream.take(min(self._left, PIECE_OCTETS))
            self._left -= len(piece)
            self.is_over = not self._left
            return piece
        data = self._chunks.feed(self._stream.take(PIECE_OCTETS))
        if self._chunks.is_over:
            self.is_over = True
            self._stream.give_back(self._chunks.rest)
        return data
