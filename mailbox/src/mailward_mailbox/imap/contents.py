"""What is in the messages that one command looks into: read and parsed some at a time.

Each turn away from the event loop and back costs more than a small message does, so small ones
travel together; and what is long is parsed beside the loop, where it is in nobody's way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from pymap.mime import MessageContent
from pymap.parsing.specials import FetchRequirement

from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import Message

Drain = Callable[[], Awaitable[None]]
"""Waits while a client has to read what it was sent."""

MAX_TOGETHER = 64
MAX_TOGETHER_OCTETS = 1_048_576
MAX_HEADER_OCTETS = 1_048_576
MAX_CONTAINERS = 100
"""So many parts may hold others, and so deep are they nested at most."""
MAX_LINES_READ = 5_000_000

_CONTAINER = re.compile(rb"multipart/|message/rfc822", re.IGNORECASE)
_EMPTY_LINE = re.compile(rb"(?:\A|\n)\r?\n")


@dataclass(frozen=True, slots=True)
class Content:
    """One message: what was asked for of its *octets*, and how pymap reads it."""

    octets: bytes = field(repr=False)
    parsed: MessageContent


class Contents:
    """Of *messages*, which are asked for in their order, most of them."""

    def __init__(self, mail: AccountMail, messages: Sequence[Message], drain: Drain) -> None:
        self._mail = mail
        self._drain = drain
        self._messages = messages
        self._places = {message.uid: place for place, message in enumerate(messages)}
        self._ready: dict[int, Content | None] = {}

    async def get(self, message: Message, wanted: FetchRequirement) -> Content | None:
        """The content of one of them; ``None`` where it is gone, or nothing of it is *wanted*."""
        if wanted.has_none(FetchRequirement.CONTENT):
            return None
        if message.uid not in self._ready:
            await self._drain()  # or all that is fetched would be in memory at once
            self._ready = await self._read(message, wanted)
        return self._ready.pop(message.uid)

    async def _read(self, first: Message, wanted: FetchRequirement) -> dict[int, Content | None]:
        at_most = None if wanted & FetchRequirement.BODY else MAX_HEADER_OCTETS
        together = self._together(first)
        blobs = await self._mail.blobs({message.blob for message in together}, at_most)
        parse = partial(_parse, is_whole=at_most is None)
        found = [blobs.get(message.blob) for message in together]
        parsed = await asyncio.to_thread(lambda: [one and parse(one) for one in found])
        return {message.uid: one or None for message, one in zip(together, parsed, strict=True)}

    def _together(self, first: Message) -> list[Message]:
        """*first*, and those behind it that are small enough."""
        place = self._places[first.uid]
        together, octets = [first], first.size
        for message in self._messages[place + 1 : place + MAX_TOGETHER]:
            octets += message.size
            if octets > MAX_TOGETHER_OCTETS:
                break
            together.append(message)
        return together


def _parse(octets: bytes, *, is_whole: bool) -> Content:
    """What is in a message. One with parts in parts beyond all measure is text, as it stands."""
    end = _EMPTY_LINE.search(octets)
    header = octets if end is None else octets[: end.end()]
    if not is_whole:
        return Content(header, MessageContent.parse(header))
    containers = sum(1 for _ in islice(_CONTAINER.finditer(octets), MAX_CONTAINERS + 1))
    # pymap reads all lines of a part anew for each part that it stands in.
    if containers <= MAX_CONTAINERS and containers * octets.count(b"\n") <= MAX_LINES_READ:
        return Content(octets, MessageContent.parse(octets))
    text = {"lines": [(len(header), len(octets), len(octets))], "content_type": "text/plain"}
    return Content(
        octets,
        MessageContent.from_json(
            octets,
            {"header": MessageContent.parse(header).header.json, "body": {**text, "nested": []}},
        ),
    )
