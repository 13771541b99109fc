"""The same client for programs on asyncio: the loop never waits, threads of its own do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from os import PathLike
from typing import Self, TypeVar

from mailward.client.news import Seen, Told, UnreachableError
from mailward.client.sync import ReportClient

_T = TypeVar("_T")


class AsyncReportClient:
    """:class:`mailward.client.sync.ReportClient` with methods to be awaited; see there.

    *at_once* calls are made at the same time. One that finds no place in time is unreachable, too:
    while the guard is away nobody waits longer than *seconds*, however many ask.
    """

    def __init__(
        self,
        at: str | PathLike[str],
        service: str,
        *,
        credentials: str | None = None,
        ca: str | None = None,
        seconds: float = 2.0,
        batch_seconds: float = 60.0,
        at_once: int = 8,
    ) -> None:
        self._client = ReportClient(
            at,
            service,
            credentials=credentials,
            ca=ca,
            seconds=seconds,
            batch_seconds=batch_seconds,
        )
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="mailward-client")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections and the threads; calls that wait are given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def allows(self, address: str, login: str | None = None) -> bool:
        return await self._soon(partial(self._client.allows, address, login))

    async def failed(
        self,
        address: str,
        login: str | None = None,
        *,
        at: datetime | None = None,
        id: str | None = None,  # noqa: A002 -- it is called so everywhere else
    ) -> Told:
        return await self._soon(partial(self._client.failed, address, login, at=at, id=id))

    async def succeeded(
        self,
        address: str,
        login: str | None = None,
        *,
        at: datetime | None = None,
        id: str | None = None,  # noqa: A002 -- the same
    ) -> Told:
        return await self._soon(partial(self._client.succeeded, address, login, at=at, id=id))

    async def failures(self, seen: Iterable[Seen]) -> Sequence[Told]:
        return await self._work(lambda: list(self._client.failures(seen)))

    async def successes(self, seen: Iterable[Seen]) -> Sequence[Told]:
        return await self._work(lambda: list(self._client.successes(seen)))

    async def _soon(self, work: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._work(work)
        except TimeoutError:
            raise UnreachableError("there was no answer in time") from None

    async def _work(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
