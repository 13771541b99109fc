"""What is answered over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from json import JSONEncoder

from mailward.wire.http.answers import Answer
from mailward.wire.http.head import write_response
from mailward_mailbox.jmap.desk import weight
from mailward_mailbox.jmap.errors import RequestError
from mailward_mailbox.stream import Stream

_PIECE_CHARS = 262_144
_JSON = ("Content-Type", b"application/json; charset=utf-8")
_dumps = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_NO_STORE = ("Cache-Control", b"no-cache, no-store, must-revalidate")


@dataclass(frozen=True, slots=True)
class Reply:
    """One response."""

    status: HTTPStatus
    body: bytes = field(default=b"", repr=False)
    fields: Sequence[tuple[str, bytes]] = ()

    @classmethod
    def of_answer(cls, answer: Answer) -> Reply:
        """What the door says itself, said for it to see."""
        return cls(answer.status, fields=answer.fields)

    async def send(self, stream: Stream, *, has_body: bool, closes: bool) -> None:
        """Write it, no faster than it is read, so that no second copy of it waits.

        Raises:
            ConnectionError: the connection is gone.
        """
        stream.write(self.octets(has_body=False, closes=closes))
        for at in range(0, len(self.body) if has_body else 0, _PIECE_CHARS):
            stream.write(self.body[at : at + _PIECE_CHARS])
            await stream.drain()
        await stream.drain()

    def octets(self, *, has_body: bool, closes: bool) -> bytes:
        """As it is sent; *has_body* is not so for HEAD."""
        fields = [*self.fields]
        if self.status != HTTPStatus.NO_CONTENT:
            fields.append(("Content-Length", b"%d" % len(self.body)))
        if closes:
            fields.append(("Connection", b"close"))
        head = write_response(self.status, self.status.phrase.encode(), fields)
        return head + self.body if has_body else head


def of_json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(status, json_octets(value), (_JSON, _NO_STORE))


async def of_long_json(value: object) -> Reply:
    """The same for an answer that may be long: it is written beside the event loop."""
    octets = await asyncio.to_thread(json_octets, value)
    return Reply(HTTPStatus.OK, octets, (_JSON, _NO_STORE))


def json_octets(value: object) -> bytes:
    """JSON, written in pieces: no other thread runs while one is."""
    return b"".join(piece.encode() for piece in _pieces(value))


def _pieces(value: object) -> Iterator[str]:
    match value:
        case str() if len(value) > _PIECE_CHARS:
            yield '"'
            for at in range(0, len(value), _PIECE_CHARS):
                yield _dumps(value[at : at + _PIECE_CHARS])[1:-1]
            yield '"'
        case dict() | list() | tuple() if weight(value, _PIECE_CHARS) <= _PIECE_CHARS:
            yield _dumps(value)
        case dict():
            for number, (name, one) in enumerate(value.items()):
                yield f"{',' if number else '{'}{_dumps(name)}:"
                yield from _pieces(one)
            yield "}"
        case list() | tuple():
            for number, some in enumerate(_batches(value)):
                yield "," if number else "["
                if len(some) > 1:
                    yield _dumps(some)[1:-1]
                else:
                    yield from _pieces(some[0])
            yield "]"
        case _:
            yield _dumps(value)


def _batches(values: Sequence[object]) -> Iterator[list[object]]:
    """The values in lists that are short, or of one value alone."""
    batch: list[object] = []
    chars = 0
    for value in values:
        more = weight(value, _PIECE_CHARS)
        if batch and chars + more > _PIECE_CHARS:
            yield batch
            batch, chars = [], 0
        batch.append(value)
        chars += more
    if batch:
        yield batch


def of_problem(error: RequestError) -> Reply:
    body = json.dumps(error.problem).encode()
    return Reply(error.status, body, (("Content-Type", b"application/problem+json"), _NO_STORE))
