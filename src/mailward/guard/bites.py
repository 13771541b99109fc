"""Long lists in bites: between two of them every connection has its turn."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

BITE = 500
"""What is done to so many takes some milliseconds."""

T = TypeVar("T")


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
