"""Long lists in bites: between two of them every connection has its turn."""

from __future__ import annotations

import asyncio
import gc
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

BITE = 500
"""What is done to so many takes some milliseconds."""

T = TypeVar("T")

_USUALLY = (700, 10, 100)
"""The old are looked through a tenth as often as is Python's way: in a flood of made-up logins that
took 93 ms again and again. They hold little garbage: a session that has ended is no circle."""

_FOR_MUCH = (2_000, 10, 1_000_000)
"""What is young is looked through as it comes, a few milliseconds at a time; the rest never."""


async def let_go(items: list[T]) -> None:
    """Free all of *items*, which nobody else holds any more: at once that takes a while."""
    while items:
        del items[-2 * BITE :]
        await asyncio.sleep(0)


def look_as_usual() -> None:
    """Look for garbage as suits a daemon."""
    gc.set_threshold(*_USUALLY)


@contextmanager
def keeping_all() -> Iterator[None]:
    """Look for garbage only among what is young while something long is taken in.

    Nearly all that it makes stays. To look for none at all would make all of it young at the end,
    and the first look then keeps everybody waiting: 190 ms with 100,000 networks. It is not frozen
    afterwards, as what was loaded at the start is: with it everything else would be, and what is a
    circle of that would never be freed. Two at once: the end of the first is the end for both,
    which harms nobody.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_FOR_MUCH)
    try:
        yield
    finally:
        gc.set_threshold(*(_USUALLY if before == _FOR_MUCH else before))


async def in_bites(items: Sequence[T], size: int = BITE) -> AsyncIterator[Sequence[T]]:
    """All of *items*, *size* at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
        await asyncio.sleep(0)


async def sorted_in_bites(items: Iterable[T], key: Callable[[T], str]) -> list[T]:
    """What ``sorted`` makes of *items*."""
    runs: list[list[T]] = []
    left = iter(items)
    while run := sorted(islice(left, 2 * BITE), key=key):
        runs.append(run)
        await asyncio.sleep(0)
    merged, whole = heapq.merge(*runs, key=key), list[T]()
    while some := list(islice(merged, BITE)):
        whole += some
        await asyncio.sleep(0)
    return whole
