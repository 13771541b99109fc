"""Where a body ends: by a length, in chunks, or with the connection (RFC 9112 section 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto, unique

from mailward.wire.http.head import HttpError, RequestHead, ResponseHead

MAX_CHUNK_LINE_OCTETS = 1_024
MAX_TRAILER_OCTETS = 8_192
CHUNKED_FIELD = ("Transfer-Encoding", b"chunked")
LAST_CHUNK = b"0\r\n\r\n"

_LENGTH = re.compile(rb"\d{1,18}")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t -~\x80-\xff]*)?")
_NO_CONTENT, _NOT_MODIFIED = 204, 304
_FIRST_FINAL = 200


@dataclass(frozen=True, slots=True)
class Counted:
    """A body of *octets* octets; with none there is no body."""

    octets: int


NO_BODY = Counted(0)


@dataclass(frozen=True, slots=True)
class Chunked:
    """A body in chunks."""


@dataclass(frozen=True, slots=True)
class UntilClose:
    """Whatever comes until the connection ends."""


Framing = Counted | Chunked | UntilClose


def request_framing(head: RequestHead) -> Counted | Chunked:
    """How the body of a request is framed.

    Raises:
        HttpError: it could be read in two ways.
    """
    if head.fields.all("transfer-encoding") and not head.minor:
        raise HttpError("there is no Transfer-Encoding in HTTP/1.0")
    framing = _declared(head)
    return NO_BODY if framing is None else framing


def response_framing(head: ResponseHead, method: str) -> Framing:
    """How the body of the response to a *method* request is framed.

    Raises:
        HttpError: it could be read in two ways.
    """
    framing = _declared(head)
    if (
        method == "HEAD"
        or head.status < _FIRST_FINAL
        or head.status in {_NO_CONTENT, _NOT_MODIFIED}
    ):
        return NO_BODY
    return UntilClose() if framing is None else framing


def chunk(octets: bytes) -> bytes:
    """*octets* as one chunk; of none nothing is made, for that would be the last.

    >>> chunk(b"abc")
    b'3\\r\\nabc\\r\\n'
    """
    return b"%x\r\n%b\r\n" % (len(octets), octets) if octets else b""


def _declared(head: RequestHead | ResponseHead) -> Counted | Chunked | None:
    lengths = head.fields.all("content-length")
    codings = head.fields.all("transfer-encoding")
    if lengths and codings:
        raise HttpError("both Content-Length and Transfer-Encoding")
    if codings:
        if [coding.lower() for coding in codings] != [b"chunked"]:
            raise HttpError("no Transfer-Encoding but chunked is known here")
        return Chunked()
    if not lengths:
        return None
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise HttpError("there must be one Content-Length that is a number")
    return Counted(int(lengths[0]))


@unique
class _Part(Enum):
    """What comes next of a body in chunks."""

    SIZE = auto()
    DATA = auto()
    END_OF_DATA = auto()
    TRAILER = auto()
    OVER = auto()


class ChunkReader:
    """Takes the data out of chunks. What it holds is bounded; extensions and trailers are dropped.

    >>> reader = ChunkReader()
    >>> reader.feed(b"3\\r\\nabc\\r\\n0\\r\\n\\r\\n"), reader.is_over
    (b'abc', True)
    """

    def __init__(self) -> None:
        self._part = _Part.SIZE
        self._held = b""
        self._left = 0
        self._trailer_octets = 0

    @property
    def is_over(self) -> bool:
        """Whether the last chunk was read."""
        return self._part is _Part.OVER

    @property
    def rest(self) -> bytes:
        """What came behind the last chunk: it belongs to another message."""
        return self._held if self.is_over else b""

    def feed(self, octets: bytes) -> bytes:
        """The data in *octets*.

        Raises:
            HttpError: these are no chunks.
        """
        held, at, data = self._held + octets, 0, []
        while self._part is not _Part.OVER:
            if self._part is _Part.DATA:
                piece = held[at : at + self._left]
                if not piece:
                    break
                data.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._part = _Part.END_OF_DATA
                continue
            end = held.find(b"\n", at)
            if end < 0:
                break
            self._take_line(held[at : end + 1])
            at = end + 1
        self._held = held[at:]
        if not self.is_over and len(self._held) > MAX_CHUNK_LINE_OCTETS:
            raise HttpError("a line between chunks is too long")
        return b"".join(data)

    def _take_line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n") or len(line) > MAX_CHUNK_LINE_OCTETS:
            raise HttpError("this is no line between chunks")
        match self._part:
            case _Part.SIZE:
                size = _SIZE_LINE.fullmatch(line[:-2])
                if size is None:
                    raise HttpError("this is no size of a chunk")
                self._left = int(size[1], 16)
                self._part = _Part.DATA if self._left else _Part.TRAILER
            case _Part.END_OF_DATA:
                if line != b"\r\n":
                    raise HttpError("a chunk is longer than it says")
                self._part = _Part.SIZE
            case _Part.TRAILER:
                self._trailer_octets += len(line)
                if self._trailer_octets > MAX_TRAILER_OCTETS:
                    raise HttpError("too much behind the last chunk")
                if line == b"\r\n":
                    self._part = _Part.OVER
            case _Part.DATA | _Part.OVER:
                raise ValueError("there is no line here")
