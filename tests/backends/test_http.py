"""Connections that HTTP is read from: what waits, for how long, and what is left for whom."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mailward.backends.http import PIECE_OCTETS, Body, CutOffError, Stream
from mailward.wire.http.framing import Chunked, Counted, UntilClose
from mailward.wire.http.head import MAX_HEAD_OCTETS, HttpError

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Stream, Stream]]:
    """Both ends of one connection."""
    loop = asyncio.get_running_loop()
    pair = socket.socketpair()
    (_, here), (_, there) = [await loop.create_connection(Stream, sock=end) for end in pair]
    try:
        async with asyncio.timeout(10):
            yield here, there
    finally:
        here.abort()
        there.abort()


async def test_who_is_not_heard_in_time_is_late() -> None:
    async with connected() as (here, there):
        there.write(HEAD[:-1])
        here.expect_within(0.01)
        with pytest.raises(TimeoutError):
            await here.head()


async def test_drops_do_not_buy_time() -> None:
    async with connected() as (here, there):
        here.expect_within(0.05)
        with pytest.raises(TimeoutError):
            await dripped(here, there)


async def test_each_message_has_its_own_time() -> None:
    async with connected() as (here, there):
        loop = asyncio.get_running_loop()
        here.expect_within(0.02)
        there.write(HEAD)
        assert await here.head() == HEAD
        here.expect_within(None)
        here.expect_within(0.1)  # the alarm of the first rings meanwhile, and nobody is late
        began = loop.time()
        with pytest.raises(TimeoutError):
            await here.head()
        assert loop.time() - began > 0.09
        here.expect_within(60)
        here.expect_within(0.01)  # a shorter time than before counts as well
        with pytest.raises(TimeoutError):
            await here.head()
        here.expect_within(None)  # and who was late may be heard again
        there.write(HEAD)
        assert await here.head() == HEAD


async def test_a_time_that_is_over_while_nobody_listens_harms_nobody() -> None:
    async with connected() as (here, there), asyncio.TaskGroup() as tasks:
        here.expect_within(0.01)
        here.expect_within(None)
        other = tasks.create_task(here.head())
        there.expect_within(0.05)
        with pytest.raises(TimeoutError):
            await there.head()
        assert not other.done()
        there.write(HEAD)
        assert await other == HEAD


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"GET / HTTP/1.1\nHost: a\r\n", "CR and LF"),
        (b"a" * (MAX_HEAD_OCTETS + 1), "too large"),
        (b"a" * MAX_HEAD_OCTETS + b"\r\n\r\n", "too large"),
    ],
)
async def test_a_head_that_cannot_become_one_is_refused_at_once(octets: bytes, why: str) -> None:
    async with connected() as (here, there):
        there.write(octets)
        with pytest.raises(HttpError, match=why):
            await here.head()


async def test_an_end_between_messages_is_none_and_within_one_a_cut() -> None:
    async with connected() as (here, there):
        there.write(HEAD + HEAD[:-1])
        there.close()
        assert await here.head() == HEAD
        with pytest.raises(CutOffError):
            await here.head()
    async with connected() as (here, there):
        there.close()
        assert await here.head() is None


async def test_a_body_takes_its_own_octets_and_no_more() -> None:
    async with connected() as (here, there):
        there.write(b"abc" + b"2\r\nde\r\n0\r\n\r\n" + HEAD + b"rest")
        there.close()
        assert await Body(here, Counted(3)).read() == b"abc"
        chunks = Body(here, Chunked())
        assert (await chunks.read(), await chunks.read(), chunks.is_over) == (b"de", b"", True)
        assert await here.head() == HEAD
        assert await Body(here, UntilClose()).read() == b"rest"


@pytest.mark.parametrize("framing", [Counted(4), Chunked()])
async def test_a_body_that_ends_too_early_is_cut_off(framing: Counted | Chunked) -> None:
    async with connected() as (here, there):
        there.write(b"3\r\n")
        there.close()
        with pytest.raises(CutOffError):
            await whole(Body(here, framing))


async def test_who_writes_waits_while_nobody_reads() -> None:
    async with connected() as (here, there), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(flood(here, 200))
        here.expect_within(0.1)
        with pytest.raises(TimeoutError):
            await here.head()  # nothing comes, and so much time has passed
        assert not sending.done()
        assert len(await whole(Body(there, Counted(200 * PIECE_OCTETS)))) == 200 * PIECE_OCTETS


async def test_who_waits_to_write_hears_that_the_other_is_gone() -> None:
    async with connected() as (here, there):
        asyncio.get_running_loop().call_later(0.05, there.abort)
        with pytest.raises(ConnectionResetError):
            await flood(here, 1_000_000)
        await here.wait_closed()


async def dripped(here: Stream, there: Stream) -> None:
    while True:
        there.write(b"a")
        await here.more()


async def whole(body: Body) -> bytes:
    octets = bytearray()
    while piece := await body.read():
        octets += piece
    return bytes(octets)


async def flood(stream: Stream, pieces: int) -> None:
    for _ in range(pieces):
        stream.write(b"x" * PIECE_OCTETS)
        await stream.drain()
