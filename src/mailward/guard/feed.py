"""News that comes up as data: whoever wants it follows, and nobody is called by name."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from mailward.guard.bites import let_go

MAX_BEHIND = 100_000
"""A follower that is so many items late loses the oldest: it must not eat our memory."""

T = TypeVar("T")


class Follower(Generic[T]):
    """One reader of a feed, from the moment it was made."""

    def __init__(self) -> None:
        self._items: deque[T] = deque(maxlen=MAX_BEHIND)
        self._news = asyncio.Event()

    def put(self, item: T) -> None:
        self._items.append(item)
        self._news.set()

    def put_all(self, items: Iterable[T]) -> None:
        self._items.extend(items)
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        async for items in self.batches():
            for item in items:
                yield item

    async def batches(self) -> AsyncIterator[list[T]]:
        """All that is new, each time there is something; a list is let go before the next one."""
        while True:
            await self._news.wait()
            self._news.clear()
            items = list(self._items)
            self._items.clear()
            yield items
            await let_go(items)


class Feed(Generic[T]):
    """A stream of items for any number of followers. Without one, publishing costs nothing."""

    def __init__(self) -> None:
        self._followers: list[Follower[T]] = []

    @property
    def followed(self) -> bool:
        return bool(self._followers)

    def publish(self, item: T) -> None:
        for follower in self._followers:
            follower.put(item)

    def publish_all(self, items: Sequence[T]) -> None:
        if items:
            for follower in self._followers:
                follower.put_all(items)

    @contextmanager
    def follow(self) -> Iterator[Follower[T]]:
        """Every item from now on, until the block ends."""
        follower: Follower[T] = Follower()
        self._followers.append(follower)
        try:
            yield follower
        finally:
            self._followers.remove(follower)
