"""The journal as server-sent events: each as it comes, until the follower goes away."""

from __future__ import annotations

import asyncio
import json
from typing import NoReturn

from aiohttp import web

from mailward.admin.views import event_view
from mailward.guard.feed import Follower
from mailward.guard.journal import Entry, Journal

KEEP_ALIVE_SECONDS = 15.0
"""So often a silent stream says that it is alive: a follower who is gone is found out by it."""


class Streams:
    """Every stream of events of one server."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._following: set[asyncio.Task[object] | None] = set()

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Send events until the follower goes away or the server ends."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        with self._journal.entries.follow() as follower:
            await response.prepare(request)
            await response.write(b": the events of mailward\n\n")
            task = asyncio.current_task()
            self._following.add(task)
            try:
                await _send(follower, response)
            except ConnectionError:
                return response  # the follower is gone
            finally:
                self._following.discard(task)

    async def end(self, _: web.Application) -> None:
        """End every stream, so that none holds up the end of the server."""
        for task in list(self._following):
            if task is not None:
                task.cancel()


async def _send(follower: Follower[Entry], response: web.StreamResponse) -> NoReturn:
    while True:
        # Cut off in its wait the iterator is spent; a new one goes on where it stopped.
        entries = aiter(follower)
        try:
            while True:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    entry = await anext(entries)
                await response.write(_event(entry))
        except TimeoutError:
            await response.write(b": still here\n\n")


def _event(entry: Entry) -> bytes:
    data = json.dumps(event_view(entry))
    return f"event: {entry.event.value}\ndata: {data}\n\n".encode()
