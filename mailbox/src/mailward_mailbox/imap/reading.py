"""Reads messages for FETCH and SEARCH in bounded steps, in threads beside the event loop.

Small messages are read and worked on together; a long one alone, and one long one at a time in the
whole server. So memory stays bounded, and another session waits for no more than a step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import TypeVar

from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import Message
from mailward_mailbox.message.part import Part
from mailward_mailbox.room import Room

MAX_THREADS = 2
"""Each more lets the event loop wait 5 ms longer for the GIL."""
MAX_TOGETHER = 64
MAX_TOGETHER_OCTETS = 1_048_576
BEGINNING_OCTETS = 32_768
"""Of a message whose header is wanted; one with a longer header is read as a whole."""

MAX_OUTLINES = 32
"""A client may fetch a long message in hundreds of pieces: it is parsed once for them."""

MAX_HELD_OCTETS = 67_108_864
"""Of long decoded parts that wait in memory for their clients, in the whole server."""

_R = TypeVar("_R")

Numbered = tuple[int, Message]
"""A message and its sequence number."""


class ReadExtent(IntEnum):
    """How much of a message has to be read."""

    NOTHING = 0
    HEADER = 1
    WHOLE = 2


class MessageReader:
    """The threads in which all sessions of one server read their messages."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_THREADS, "imap-messages")
        self._long = asyncio.Semaphore(1)
        self.room = Room(MAX_HELD_OCTETS)
        """For what is sent from memory, and is long."""
        self._outlines: dict[str, Part] = {}
        """By blob: of long messages that were read last, the oldest first."""

    def close(self) -> None:
        """Begin no further step."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def outline(self, blob: str) -> Part | None:
        """Where the parts of a long message are, if it was read not long ago."""
        return self._outlines.get(blob)

    def keep_outline(self, blob: str, outline: Part) -> None:
        self._outlines.pop(blob, None)
        self._outlines[blob] = outline
        if len(self._outlines) > MAX_OUTLINES:
            del self._outlines[next(iter(self._outlines))]

    async def each(
        self,
        mail: AccountMail,
        messages: Iterable[Numbered],
        extent: ReadExtent,
        work: Callable[[Numbered, bytes], _R],
        *,
        stream: Callable[[Numbered], _R | None] = lambda _: None,
    ) -> AsyncIterator[tuple[Numbered, _R | None]]:
        """What *work*, called in a thread, makes of the octets of each message, in their order.

        The octets end anywhere behind the header where *extent* is HEADER. ``None``: the octets
        are not there any more. *stream* may do without those of a long message.
        """
        for together in _together(messages, extent):
            is_long = together[0][1].size > MAX_TOGETHER_OCTETS
            streamed = stream(together[0]) if is_long else None
            if streamed is not None:
                yield together[0], streamed
                continue
            for done in await self._step(mail, together, extent, work):
                yield done

    async def _step(
        self,
        mail: AccountMail,
        together: Sequence[Numbered],
        extent: ReadExtent,
        work: Callable[[Numbered, bytes], _R],
    ) -> list[tuple[Numbered, _R | None]]:
        if extent is ReadExtent.WHOLE and together[0][1].size > MAX_TOGETHER_OCTETS:
            return [(one, await self._alone(mail, one, work)) for one in together]
        at_most = BEGINNING_OCTETS if extent is ReadExtent.HEADER else None
        blobs = await mail.blobs({message.blob for _, message in together}, at_most)
        ready = [
            (one, octets)
            for one in together
            if (octets := blobs.get(one[1].blob)) is not None
            and (len(octets) >= one[1].size or at_most is None or _has_header(octets))
        ]
        worked = await self._run(lambda: {one[0]: work(one, octets) for one, octets in ready})
        return [
            (one, worked[one[0]] if one[0] in worked else await self._alone(mail, one, work))
            for one in together
        ]

    async def _alone(
        self, mail: AccountMail, one: Numbered, work: Callable[[Numbered, bytes], _R]
    ) -> _R | None:
        async with self._long:
            octets = await mail.blob(one[1].blob)
            return None if octets is None else await self._run(lambda: work(one, octets))

    async def _run(self, job: Callable[[], _R]) -> _R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, job)


def _together(messages: Iterable[Numbered], extent: ReadExtent) -> Iterator[list[Numbered]]:
    """Messages that are read in one step."""
    together: list[Numbered] = []
    octets = 0
    for one in messages:
        size = min(one[1].size, BEGINNING_OCTETS) if extent is ReadExtent.HEADER else one[1].size
        if together and (len(together) >= MAX_TOGETHER or octets + size > MAX_TOGETHER_OCTETS):
            yield together
            together, octets = [], 0
        together.append(one)
        octets += size
    if together:
        yield together


def _has_header(octets: bytes) -> bool:
    return b"\n\r\n" in octets or b"\n\n" in octets or octets.startswith((b"\n", b"\r\n"))
