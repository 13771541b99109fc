"""Accepts connections on one socket, and serves each in a task of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address

from mailward_mailbox.client import Address, Client
from mailward_mailbox.stream import Stream

MAX_CONNECTIONS = 4_096
"""Of all listeners together."""
ACCEPTS_PER_TURN = 64
REST_SECONDS = 0.2  # when descriptors have run out
COMPLAINT_SECONDS = 60.0
FLUSH_SECONDS = 60.0
"""For a client to read the last words; it keeps its connection's place as long."""
CLOSE_SECONDS = 1.0
CLOSE_TRIES = 2
"""The first makes a session say goodbye, the second ends one that waits for that to be read."""

Serve = Callable[[Stream, socket.socket], Awaitable[None]]
"""Speaks with one client until it, or the client, ends."""

_log = logging.getLogger("mailbox.listener")


class Connections:
    """All connections, as tasks of *tasks*; a fault in one ends that one, and is logged."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        return len(self._running)

    def begin(self, accepted: socket.socket, serve: Serve) -> None:
        task = self._tasks.create_task(self._run(accepted, serve))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """End every connection, in :data:`CLOSE_TRIES` seconds at most."""
        for _ in range(CLOSE_TRIES):
            if not self._running:
                return
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running, timeout=CLOSE_SECONDS)

    async def _run(self, accepted: socket.socket, serve: Serve) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, stream = await loop.connect_accepted_socket(Stream, accepted)
        except OSError:
            accepted.close()
            return
        try:
            try:
                await serve(stream, accepted)
            finally:
                await _closed(transport, stream)
        except ConnectionError:
            pass  # the client went away
        except Exception:  # noqa: BLE001 -- in a TaskGroup it would end the process
            _log.exception("a session broke off")


async def _closed(transport: asyncio.Transport, stream: Stream) -> None:
    """Close, once the last words are read, or the time for that is over."""
    transport.close()
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await stream.wait_closed()
    except TimeoutError:
        transport.abort()
    except asyncio.CancelledError:
        transport.abort()
        raise


class Listener:
    """Accepts on *listening*, and hands each connection to *serve*."""

    def __init__(self, listening: socket.socket, connections: Connections, serve: Serve) -> None:
        self._socket = listening
        self._connections = connections
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._resting: asyncio.TimerHandle | None = None
        self._complain_at = 0.0
        self._loop.add_reader(listening.fileno(), self._accept)

    def close(self) -> None:
        """Accept nothing more."""
        if self._resting is not None:
            self._resting.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                accepted, _peer = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    self._rest(f"it cannot accept: {error.strerror}")
                    return
                continue  # the client had gone before it was accepted
            if self._connections.count >= MAX_CONNECTIONS:
                accepted.close()
                self._complain(f"a connection is refused: there are {MAX_CONNECTIONS}")
                continue
            accepted.setblocking(False)
            if accepted.family != socket.AF_UNIX:
                with suppress(OSError):
                    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._connections.begin(accepted, self._serve)

    def _rest(self, why: str) -> None:
        self._complain(why)
        self._loop.remove_reader(self._socket.fileno())
        self._resting = self._loop.call_later(REST_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._resting = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _complain(self, why: str) -> None:
        if self._loop.time() >= self._complain_at:
            self._complain_at = self._loop.time() + COMPLAINT_SECONDS
            _log.error("%s: %s", self._socket.getsockname(), why)


def direct_client(accepted: socket.socket) -> Client:
    """The other end of a TCP connection, which no proxy stands before."""
    return Client(_endpoint(accepted.getpeername()), _endpoint(accepted.getsockname()))


def this_task() -> asyncio.Task[object]:
    """The task that a connection is served in."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a connection is served in a task")
    return task


def _endpoint(name: tuple[str, int]) -> tuple[Address, int]:
    return ip_address(name[0].partition("%")[0]), name[1]
