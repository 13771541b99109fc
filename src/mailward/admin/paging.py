"""A list of bans page by page, in an order: the next page begins where the last one ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, unique

from mailward.guard.bites import in_bites
from mailward.rules.model import Ban

MAX_PAGE = 10_000

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
    first: dict[Place, Ban] = {}
    last: Place | None = None  # of those that are known to be enough
    async for bite in in_bites(bans):
        for ban in bite:
            place = order.place(ban)
            if (after is None or place > after) and (last is None or place <= last):
                first[place] = ban
        if len(first) > 2 * at_most:  # to sort them costs more than to find them
            last = sorted(first)[at_most]
            first = {place: ban for place, ban in first.items() if place <= last}
    places = sorted(first)
    shown = places[:at_most]
    is_more = len(places) > at_most
    return Page([first[place] for place in shown], len(bans), shown[-1] if is_more else None)
