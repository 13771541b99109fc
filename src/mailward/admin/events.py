"""The journal as server-sent events: the last ones, then each as it comes.

Each has an id. A follower that comes back with the last one it saw (``Last-Event-ID``, as browsers
do by themselves) gets what it missed, as far as that was kept; after a restart all that was kept.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Sequence
from itertools import islice

from aiohttp import web

from mailward.admin.afar import lock_of
from mailward.admin.forms import query_fields
from mailward.admin.views import event_view
from mailward.guard.feed import Follower
from mailward.guard.journal import MAX_KEPT, Entry, Journal

KEEP_ALIVE_SECONDS = 15.0
"""So often a silent stream says that it is alive: a follower who is gone is found out by it."""


class Streams:
    """Every stream of events of one server."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._following: set[asyncio.Task[object] | None] = set()
        self._life = secrets.token_hex(4)
        """What tells the ids of this journal from those before a restart."""

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Send the last events, then others until the follower goes away or the server ends."""
        fields = query_fields(request)
        last, goes_on = fields.number("last", 0, MAX_KEPT), fields.text_flag("follow", default=True)
        fields.end()
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        with self._journal.entries.follow() as follower:
            # In the same turn, so that none is told twice and none is lost between the two.
            kept = self._kept(request.headers.get("Last-Event-ID"), last)
            await response.prepare(request)
            await response.write(b": the events of mailward\n\n")
            task = asyncio.current_task()
            self._following.add(task)
            try:
                for entry in kept:
                    await response.write(self._event(entry))
                if not goes_on:
                    await response.write_eof()
                    return response
                await self._send(follower, response, lock_of(request))
                response.force_close()
                await response.write_eof()
            except ConnectionError:
                pass  # the follower is gone
            finally:
                self._following.discard(task)
            return response

    async def end(self, _: web.Application) -> None:
        """End every stream, so that none holds up the end of the server."""
        for task in list(self._following):
            if task is not None:
                task.cancel()

    def _kept(self, seen: str | None, last: int) -> Sequence[Entry]:
        """The kept events behind the one with the id *seen*, or the *last* ones."""
        kept = self._journal.kept
        if seen is None:
            return list(islice(kept, max(0, len(kept) - last), None))
        life, _, number = seen.partition(".")
        if life != self._life or not (number.isascii() and number.isdigit()):
            return list(kept)
        return [entry for entry in kept if entry.number > int(number[:20])]

    async def _send(
        self,
        follower: Follower[Entry],
        response: web.StreamResponse,
        is_locked: Callable[[], bool],
    ) -> None:
        """Send what comes, until the follower is banned by hand: that is an event, too."""
        while not is_locked():
            # Cut off in its wait the iterator is spent; a new one goes on where it stopped.
            entries = aiter(follower)
            try:
                while not is_locked():
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        entry = await anext(entries)
                    await response.write(self._event(entry))
            except TimeoutError:
                await response.write(b": still here\n\n")

    def _event(self, entry: Entry) -> bytes:
        data = json.dumps(event_view(entry))
        id_ = f"{self._life}.{entry.number}"
        return f"id: {id_}\nevent: {entry.event.value}\ndata: {data}\n\n".encode()
