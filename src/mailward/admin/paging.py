"""A list of bans page by page, in an order: the next page begins where the last one ended."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, unique

from mailward.rules.model import Ban

MAX_PAGE = 10_000
_BITE = 5_000  # bans looked at between two looks at the connections

Place = tuple[float, str]
"""Where a ban stands in an order; no two have the same."""


@unique
class Order(Enum):
    """What a list of bans is sorted by."""

    SUBJECT = "subject"
    SINCE = "since"
    """The newest first."""
    UNTIL = "until"
    """Those that end soonest first."""
    FAILURES = "failures"
    """Those with the most first."""

    def place(self, ban: Ban) -> Place:
        key = ban.subject.key
        match self:
            case Order.SUBJECT:
                return 0.0, key
            case Order.SINCE:
                return -ban.since, key
            case Order.UNTIL:
                return math.inf if ban.until is None else ban.until, key
            case Order.FAILURES:
                return -float(ban.failures), key


def place_text(place: Place) -> str:
    """A place as a query has it.

    >>> place_from_text(place_text((-1.5, "login:a b"))) == (-1.5, "login:a b")
    True
    """
    return f"{place[0]!r} {place[1]}"


def place_from_text(text: str) -> Place:
    """The inverse.

    Raises:
        ValueError: it is none.
    """
    number, blank, key = text.partition(" ")
    if not blank or math.isnan(float(number)):
        raise ValueError("no place in a list")
    return float(number), key


@dataclass(frozen=True, slots=True)
class Page:
    """Some *bans* of *total*; the *next* ones begin behind that place (``None``: no more)."""

    bans: Sequence[Ban]
    total: int
    next: Place | None


async def page(bans: Sequence[Ban], order: Order, after: Place | None, at_most: int) -> Page:
    """The first *at_most* of *bans* behind *after*. A ban on a subject twice is told once."""
    best: dict[Place, Ban] = {}
    left = 0
    for start in range(0, len(bans), _BITE):
        bite = {order.place(ban): ban for ban in bans[start : start + _BITE]}
        behind = {place: ban for place, ban in bite.items() if after is None or place > after}
        left += len(behind)
        known = best | behind
        best = {place: known[place] for place in heapq.nsmallest(at_most, known)}
        await asyncio.sleep(0)
    places = list(best)
    return Page(list(best.values()), len(bans), places[-1] if left > len(places) else None)
