"""Sessions at the far end of a pair of sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
import uvloop
from mailward_mailbox.inside import Inside, Serve
from mailward_mailbox.jmap.http.reading import next_head
from mailward_mailbox.stream import Stream

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


class Reader(asyncio.Protocol):
    """Keeps what it reads."""

    def __init__(self) -> None:
        self.read = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.read += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def hear(serve: Serve) -> bytes:
    """All that a session says to somebody who begins to listen a little late."""
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        transport = await Inside(tasks).transport(serve)
        for _ in range(10):
            await asyncio.sleep(0)
        reader = Reader()
        transport.set_protocol(reader)
        transport.resume_reading()
        await reader.ended.wait()
    return reader.read


@pytest.mark.parametrize("loop", LOOPS)
def test_what_a_session_says_at_once_is_heard(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(hear(serve)) == b"hello"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_fault_in_a_session_ends_that_one_and_is_logged(
    loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half")
        raise LookupError("a fault of ours")

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(hear(serve)) == b"half"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("loop", LOOPS)
def test_closing_ends_even_a_session_that_does_not_want_to(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except asyncio.CancelledError:
            writer.write(b"x" * 10_000_000)
            await writer.drain()  # nobody reads it

    async def close() -> None:
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
            inside = Inside(tasks)
            transport = await inside.transport(serve)
            await asyncio.sleep(0)
            await inside.close()
            transport.abort()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(close())


async def test_a_session_may_speak_http_too() -> None:
    async def serve(stream: Stream) -> None:
        stream.write((await next_head(stream) or b"").upper())

    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        wire = await Inside(tasks).wire(serve)
        wire.write(b"hello\r\n\r\n")
        assert await wire.head() == b"HELLO\r\n\r\n"
        assert await wire.read() == b""
        wire.abort()
