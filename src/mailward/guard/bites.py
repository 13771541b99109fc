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


async def let_go(items: list[object]) -> None:
    """Free all of *items*, which nobody else holds any more: at once that takes a while."""
    while items:
        del items[-2 * BITE :]
        await asyncio.sleep(0)


@contextmanager
def keeping_all() -> Iterator[None]:
    """Look for no garbage while something long is taken in.

    Nearly all that it makes stays: to look through it again and again costs a fifth of the time.
    It is not frozen afterwards, as what was loaded at the start is: with it everything else would
    be, and sessions over TLS are garbage in circles when they end. Two at once: looking begins
    again with the end of the first, which harms nobody.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def in_bites(items: Sequence[T], size: int = BITE) -> AsyncIterator[Sequence[T]]:
    """All of *items*, *size* at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
        await asyncio.sleep(0)


async def sorted_in_bites(items: Iterable[T], key: Callable[[T], str]) -> list[T]:
    """What ``sorted`` makes of *items*."""
    runs: list[list[T]] = []
    left = iter(items)
    while run := sorted(islice(left, 10 * BITE), key=key):
        runs.append(run)
        await asyncio.sleep(0)
    merged, whole = heapq.merge(*runs, key=key), list[T]()
    while some := list(islice(merged, 2 * BITE)):
        whole += some
        await asyncio.sleep(0)
    return whole
