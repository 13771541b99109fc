"""Connections of proxies that have not said yet whose they are.

A header is taken straight from the socket, and not an octet more: what stands behind it is for
whoever reads the socket next, be it TLS or a protocol.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from mailward.wire.proxyline import KEYWORD, SIGNATURE
from mailward.wire.proxyreader import MAX_HEADER_OCTETS, HeaderRead, HeaderReader, Unreadable

HEADER_SECONDS = 5.0  # a proxy sends its header with the first packet
MAX_AWAITED = 4_096  # at one listener: all clients come at once where a proxy has been restarted

Told = Callable[[HeaderRead | None], None]


@dataclass(eq=False, slots=True)
class _Awaited:
    accepted: socket.socket
    told: Told
    reader: HeaderReader = field(default_factory=HeaderReader)
    timer: asyncio.TimerHandle | None = None


class Headers:
    """The headers that one listener waits for. Where too many are out, the oldest is given up."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._awaited: dict[_Awaited, None] = {}

    def expect(self, accepted: socket.socket, told: Told) -> None:
        """Read the header of *accepted*, and call *told* with it once.

        ``None`` says that the other side went away without a word. Whoever is told owns the
        socket again.
        """
        awaited = _Awaited(accepted, told)
        if self._read(awaited):
            return
        if len(self._awaited) >= MAX_AWAITED:
            self._end(next(iter(self._awaited)), Unreadable("too many others keep us waiting"))
        self._awaited[awaited] = None
        self._loop.add_reader(accepted.fileno(), self._read, awaited)
        awaited.timer = self._loop.call_later(HEADER_SECONDS, self._time_out, awaited)

    def close(self) -> None:
        """Wait no longer for anybody."""
        for awaited in list(self._awaited):
            self._forget(awaited)
            awaited.accepted.close()

    def _read(self, awaited: _Awaited) -> bool:
        """Take what has come of the header; whether that was the end of it."""
        try:
            seen = awaited.accepted.recv(MAX_HEADER_OCTETS, socket.MSG_PEEK)
            taken = awaited.reader.receive(seen)
            if taken:
                awaited.accepted.recv(taken)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            seen = b""
        result = awaited.reader.result
        if result is None and seen:
            return False
        if result is None and awaited.reader.has_begun:
            result = Unreadable("the connection ended inside of it")
        self._end(awaited, result)
        return True

    def _time_out(self, awaited: _Awaited) -> None:
        self._end(awaited, Unreadable(f"it was not there within {HEADER_SECONDS:.0f} s"))

    def _end(self, awaited: _Awaited, result: HeaderRead | None) -> None:
        self._forget(awaited)
        awaited.told(result)

    def _forget(self, awaited: _Awaited) -> None:
        if awaited.timer is not None:
            awaited.timer.cancel()
            self._loop.remove_reader(awaited.accepted.fileno())
        self._awaited.pop(awaited, None)


async def is_header(accepted: socket.socket) -> bool:
    """Whether what comes first on *accepted* is a PROXY header; it is left where it is."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(accepted.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(accepted.fileno())
    try:
        seen = accepted.recv(len(SIGNATURE), socket.MSG_PEEK)
    except OSError:  # it was gone again: whoever reads next finds that out
        return False
    return seen.startswith(KEYWORD) or seen == SIGNATURE
