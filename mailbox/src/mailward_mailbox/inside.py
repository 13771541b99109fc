"""Sessions that run in this process, each at the far end of a pair of sockets.

So whoever is granted one gets a transport like any other, and what pumps bytes between a client
and a mail server elsewhere does it here too, with the same limits on what is held.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from mailward.backends.http import Wire
from mailward_mailbox.stream import Stream

BUFFER_OCTETS = 65_536
"""A reader holds up to twice as much before its client is read no further."""

CLOSE_SECONDS = 1.0
CLOSE_TRIES = 2
"""The first makes a session say goodbye, the second ends what waits for that to be read."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ServeHttp = Callable[[Stream], Awaitable[None]]
"""Speaks with one client until it, or the client, ends. Ending is all it has to do."""

_log = logging.getLogger("mailward.embedded")


class Inside:
    """Begins sessions as tasks of *tasks*; a fault in one ends that one, and is logged."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()

    async def transport(self, serve: Serve) -> asyncio.Transport:
        """The near end, reading paused, of a session that *serve* speaks.

        Whoever gets it must close it.
        """
        near, far = _pair()
        try:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        except BaseException:
            near.close()
            far.close()
            raise
        # Before the session can say a word: nobody listens yet.
        transport.pause_reading()
        try:
            await self._begin(serve, far)
        except BaseException:
            transport.abort()
            raise
        return transport

    async def wire(self, serve: ServeHttp) -> Wire:
        """The near end of a session that *serve* speaks, for HTTP.

        Whoever gets it must close it.
        """
        near, far = _pair()
        loop = asyncio.get_running_loop()
        try:
            _, wire = await loop.create_connection(partial(Wire, near), sock=near)
        except BaseException:
            near.close()
            far.close()
            raise
        try:
            _, stream = await loop.create_connection(Stream, sock=far)
        except BaseException:
            far.close()
            wire.abort()
            raise
        self._start(partial(serve, stream), stream)
        return wire

    async def close(self) -> None:
        """End every session; one that does not take its last words goes without."""
        for _ in range(CLOSE_TRIES):
            if not self._running:
                return
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running, timeout=CLOSE_SECONDS)

    async def _begin(self, serve: Serve, far: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=far, limit=BUFFER_OCTETS)
        except BaseException:
            far.close()
            raise
        self._start(partial(serve, reader, writer), writer)

    def _start(
        self, session: Callable[[], Awaitable[None]], far: asyncio.StreamWriter | Stream
    ) -> None:
        task = self._tasks.create_task(self._run(session, far))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(
        self, session: Callable[[], Awaitable[None]], far: asyncio.StreamWriter | Stream
    ) -> None:
        try:
            await session()
        except ConnectionError:
            pass  # the client went away
        except Exception:  # noqa: BLE001 -- in a TaskGroup it would end the daemon
            _log.exception("a session broke off")
        finally:
            far.close()
            with suppress(OSError):
                await far.wait_closed()


def _pair() -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    return near, far
