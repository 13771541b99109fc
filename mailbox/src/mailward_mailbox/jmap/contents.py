"""What is in messages: one, or many, read some at a time and looked at beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TypeVar

from mailward_mailbox.jmap.desk import Desk
from mailward_mailbox.jmap.message.bodies import leaves, split_blob
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import Message
from mailward_mailbox.message.parse import MAX_HEADER_OCTETS, parse
from mailward_mailbox.message.text import body_of

MAX_TOGETHER = 64
MAX_TOGETHER_OCTETS = 1_048_576

_T = TypeVar("_T")


async def find_blob(mail: AccountMail, blob: str) -> bytes | None:
    """The octets of a message, an upload or one part of either; ``None``: there are none here."""
    whole, path = split_blob(blob)
    octets = await mail.blob(whole)
    if octets is None or path is None:
        return octets
    return await asyncio.to_thread(_part_of, octets, path)


def _part_of(octets: bytes, path: str) -> bytes | None:
    part = next((one for one in leaves(parse(octets)) if one.path == path), None)
    return None if part is None else body_of(part)[0]


async def looked_at(
    desk: Desk,
    messages: Sequence[Message],
    look: Callable[[int, bytes], _T],
    *,
    header_only: bool = False,
) -> AsyncIterator[tuple[int, _T]]:
    """What *look* makes of each message (by its place) and its octets, in a thread.

    Those that are gone meanwhile are left out.
    """
    at_most = MAX_HEADER_OCTETS if header_only else None
    for together, octets in _together(messages, header_only=header_only):
        blobs = {messages[place].blob for place in together}
        async with desk.long if octets > MAX_TOGETHER_OCTETS else nullcontext():
            there = await desk.mail.blobs(blobs, at_most)
            found = [
                (place, there[blob])
                for place in together
                if (blob := messages[place].blob) in there
            ]
            there = {}
            seen = await asyncio.to_thread(_look_all, look, found)
        for one in seen:
            yield one


def _look_all(
    look: Callable[[int, bytes], _T], there: Sequence[tuple[int, bytes]]
) -> list[tuple[int, _T]]:
    return [(place, look(place, octets)) for place, octets in there]


def _together(messages: Sequence[Message], *, header_only: bool) -> Iterator[tuple[list[int], int]]:
    """Places of messages that are read at once, and their octets, which are not too many."""
    together: list[int] = []
    octets = 0
    for place, message in enumerate(messages):
        size = min(message.size, MAX_HEADER_OCTETS) if header_only else message.size
        if together and (len(together) == MAX_TOGETHER or octets + size > MAX_TOGETHER_OCTETS):
            yield together, octets
            together, octets = [], 0
        together.append(place)
        octets += size
    if together:
        yield together, octets
