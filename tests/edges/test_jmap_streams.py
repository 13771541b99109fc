"""JMAP: bodies stream both ways, and are whole or nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.edges.house import policy, until
from tests.edges.web import RIGHT, WRONG, Request, open_hall, read_response, request

both_loops = True


async def test_an_upload_is_not_read_before_its_credentials_are_proven() -> None:
    async with open_hall() as hall:
        body = b"x" * 50_000_000
        reader, writer = await hall.connect()
        writer.write(
            request("/jmap/upload/a/", WRONG, f"Content-Length: {len(body)}", method="POST")
        )
        answer = await read_response(reader)
        assert answer is not None
        assert (answer.status, answer.one("connection")) == (401, "close")
        assert hall.guard.reservations.under_way == 0
        assert [asked.target for asked in hall.server.requests] == ["/jmap/session"]
        writer.close()


async def test_a_trickled_upload_holds_no_place_of_its_login() -> None:
    async with open_hall(policy("1/1h")) as hall:
        reader, writer = await hall.connect()
        writer.write(
            request("/jmap/upload/a/", RIGHT, "Content-Length: 10", method="POST") + b"abc"
        )
        await until(lambda: len(hall.server.requests) == 2)
        assert hall.guard.reservations.under_way == 0
        other = await hall.ask(source="127.0.0.7")
        assert other is not None
        assert other.status == 200
        writer.write(b"defghij")
        answer = await read_response(reader)
        assert answer is not None
        assert answer.body == b"abcdefghij"
        writer.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_uploads_and_downloads_stream(chunked: bool) -> None:
    size = 3_000_000

    async def counts(asked: Request) -> None:
        asked.answer("200 OK", str(len(await asked.body())).encode())

    async def streams(asked: Request) -> None:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(size // 1_000):
            asked.writer.write(b"3e8\r\n" + b"x" * 1_000 + b"\r\n")
            await asked.writer.drain()
        asked.writer.write(b"0\r\nTrailer: dropped\r\n\r\n")

    async with open_hall() as hall:
        hall.server.behaviours |= {"/jmap/upload/a/": counts, "/jmap/download/a/": streams}
        reader, writer = await hall.connect()
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        writer.write(request("/jmap/upload/a/", RIGHT, framing, method="POST"))
        for _ in range(size // 1_000):
            writer.write(b"3E8;ext=1\r\n" * chunked + b"x" * 1_000 + b"\r\n" * chunked)
            await writer.drain()
        writer.write(b"0\r\n\r\n" * chunked + request("/jmap/download/a/"))
        uploaded = await read_response(reader)
        assert uploaded is not None
        assert uploaded.body == str(size).encode()
        downloaded = await read_response(reader)
        assert downloaded is not None
        assert downloaded.body == b"x" * size
        writer.close()


async def test_an_event_source_comes_event_by_event_and_ends_with_its_client() -> None:
    ended = asyncio.Event()

    async def until_gone(asked: Request) -> None:
        asked.writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: a\n\n"
        )
        await asked.reader.read()
        ended.set()

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/eventsource/"] = until_gone
        reader, writer = await hall.connect()
        writer.write(request("/jmap/eventsource/?types=*"))
        assert b"event: a\n\n" in await reader.readuntil(b"event: a\n\n")
        assert not ended.is_set()
        writer.close()
        async with asyncio.timeout(5):
            await ended.wait()


async def test_a_client_that_expects_it_is_told_to_go_on_once_it_has_proven_who_it_is() -> None:
    async with open_hall() as hall:
        reader, writer = await hall.connect()
        wishes = ("Expect: 100-continue", "Content-Length: 3")
        writer.write(request("/jmap/upload/a/", RIGHT, *wishes, method="POST"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        answer = await read_response(reader)
        assert answer is not None
        assert answer.body == b"abc"
        assert "expect" not in hall.server.requests[-1].fields
        writer.write(request("/jmap/upload/a/", WRONG, *wishes, method="POST"))
        refused = await read_response(reader)
        assert refused is not None
        assert refused.status == 401
        writer.close()
        odd = await hall.ask("/jmap/upload/a/", RIGHT, "Expect: cake")
        assert odd is not None
        assert odd.status == 417


async def test_an_answer_before_the_end_of_an_upload_is_heard() -> None:
    async def too_much(asked: Request) -> None:
        asked.answer("413 Too large", b"no")
        asked.writer.write_eof()
        await asked.reader.read(1)

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/upload/a/"] = too_much
        reader, writer = await hall.connect()
        writer.write(request("/jmap/upload/a/", RIGHT, "Content-Length: 100000000", method="POST"))
        writer.write(b"x" * 100_000)
        answer = await read_response(reader)
        assert answer is not None
        assert (answer.status, answer.body, answer.one("connection")) == (413, b"no", "close")
        writer.close()


async def test_a_body_that_is_cut_off_is_not_passed_on_as_a_whole() -> None:
    whole = asyncio.Event()
    gone = asyncio.Event()

    async def listens(asked: Request) -> None:
        try:
            await asked.body()
            whole.set()
        finally:
            gone.set()

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/upload/a/"] = listens
        for framing in ("Content-Length: 10", "Transfer-Encoding: chunked"):
            gone.clear()
            _, writer = await hall.connect()
            writer.write(request("/jmap/upload/a/", RIGHT, framing, method="POST") + b"5\r\nabc")
            await until(
                lambda: bool(hall.server.requests) and hall.server.requests[-1].method == "POST"
            )
            writer.close()
            async with asyncio.timeout(5):
                await gone.wait()
            assert not whole.is_set()
            hall.server.requests.clear()


async def test_a_response_that_is_cut_off_or_framed_twice_is_no_whole_one_either() -> None:
    async def cut_off(asked: Request) -> None:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        asked.writer.close()

    async def twice(asked: Request) -> None:
        asked.answer("200 OK", b"abc", "Transfer-Encoding: chunked")

    async with open_hall() as hall:
        hall.server.behaviours |= {"/jmap/api/": cut_off, "/jmap/twice": twice}
        reader, writer = await hall.connect()
        writer.write(request())
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readuntil(b"abcdefghij")
        writer.close()
        answer = await hall.ask("/jmap/twice")
        assert answer is not None
        assert answer.status == 503
