"""JMAP: what tries to be read in one way by the door and in another by the mail server."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import suppress
from ipaddress import ip_address

import pytest

from tests.edges.house import limits, policy, until
from tests.edges.smuggling import smuggling
from tests.edges.web import (
    RIGHT,
    WRONG,
    Request,
    Response,
    basic,
    open_hall,
    read_response,
    request,
)

both_loops = True

HEAD, HIDDEN, HIDING = smuggling("mail.test", "/jmap/", RIGHT, WRONG)
_LENGTH = f"Content-Length: {len(HIDDEN)}\r\n"
_CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("octets", HIDING.values(), ids=HIDING)
async def test_whatever_could_hide_a_request_is_refused_and_ends_the_connection(
    octets: str,
) -> None:
    async with open_hall(policy("1/1h")) as hall:
        reader, writer = await hall.connect()
        writer.write(octets.encode("latin-1"))
        refused = await read_response(reader)
        assert refused is not None
        assert (refused.status, refused.one("connection")) == (400, "close")
        assert await reader.read() == b""
        writer.close()
        assert all(asked.target != "/jmap/hidden" for asked in hall.server.requests)
        # What was hidden was a wrong guess: nobody made it.
        assert hall.guard.admit(ip_address("127.0.0.1"), hall.now[0]) is None


@pytest.mark.parametrize(
    "body",
    [
        f"{_LENGTH}\r\n{HIDDEN}",
        f'{_CHUNKED}\r\n{len(HIDDEN):x};ext="{"a" * 200}"\r\n{HIDDEN}\r\n0\r\nX: y\r\n\r\n',
        f"Transfer_Encoding: chunked\r\nContent_Length: 0\r\n{_LENGTH}\r\n{HIDDEN}",
        f"Connection: Content-Length, Transfer-Encoding\r\n{_LENGTH}\r\n{HIDDEN}",
        f"Transfer-Encoding-: chunked\r\n{_LENGTH}\r\n{HIDDEN}",
    ],
    ids=["length", "chunks", "underscores", "hop by hop", "a name like it"],
)
async def test_a_body_that_looks_like_a_request_stays_a_body(body: str) -> None:
    async with open_hall() as hall:
        reader, writer = await hall.connect()
        writer.write((HEAD + body).encode() + request("/jmap/next"))
        answer = await read_response(reader)
        assert answer is not None
        assert answer.body == HIDDEN.encode()
        after = await read_response(reader)
        assert after is not None
        assert after.status == 200
        writer.close()
        passed = hall.server.requests[-2:]
        assert [asked.target for asked in passed] == ["/jmap/", "/jmap/next"]
        assert set(passed[0].fields) <= {
            *("host", "authorization", "forwarded", "x-forwarded-for", "x-forwarded-proto"),
            *("content-length", "transfer-encoding", "transfer-encoding-"),
        }


async def test_each_of_several_requests_at_once_is_screened_for_its_own_credentials() -> None:
    async with open_hall(policy("2/1h")) as hall:
        reader, writer = await hall.connect()
        ann = basic("ann", "right")
        told = (RIGHT, WRONG, ann, basic("ann", "x"), ann)
        writer.write(b"".join(request("/jmap/api/", offered) for offered in told))
        statuses = []
        while (answer := await read_response(reader)) is not None:
            statuses.append(answer.status)
        assert statuses == [200, 401, 200, 401]  # the second failure has banned the address
        writer.close()
        passed = [asked for asked in hall.server.requests if asked.target == "/jmap/api/"]
        assert [asked.one("authorization") for asked in passed] == [RIGHT, ann]


async def test_one_empty_line_may_stand_before_a_request() -> None:
    async with open_hall() as hall:
        answer = await hall.raw(b"\r\n" + request())
        assert answer is not None
        assert answer.status == 200
        refused = await hall.raw(b"\r\n\r\n" + request())
        assert refused is not None
        assert refused.status == 400


async def test_a_path_is_the_one_that_was_looked_at() -> None:
    async with open_hall() as hall:
        others = ("X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X_Original_URL: /admin")
        answer = await hall.ask("/jmap/api/", RIGHT, *others)
        assert answer is not None
        assert answer.status == 200
        assert not any("url" in name for name in hall.server.requests[-1].fields)
        for path in ("/jmap/%c0%ae%c0%ae/a", "/jmap/%e0%80%ae./a", "/jmap/%u002e%u002e/a"):
            refused = await hall.ask(path)
            assert refused is not None
            assert refused.status == 400


# -- a mail server that is misled, or misleads -----------------------------------------------------


async def answered(*octets: bytes, method: str = "GET") -> Response | None:
    """What a client gets of a mail server that answers with *octets*."""

    async def says(asked: Request) -> None:
        for some in octets:
            asked.writer.write(some)
            await asked.writer.drain()
        asked.writer.close()

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/api/"] = says
        return await hall.ask(method=method)


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" * 200 + b"HTTP/1.1 200 OK\r\n\r\n",
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_cannot_be_read_is_none(octets: bytes) -> None:
    answer = await answered(octets)
    assert answer is not None
    assert answer.status == 503
    assert "set-cookie" not in answer.fields


async def test_words_before_the_answer_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n"
    answer = await answered(early * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"a")
    assert "link" not in answer.fields


async def test_words_before_the_session_resource_prove_nothing_and_hinder_nothing() -> None:
    async def hints(asked: Request) -> None:
        asked.writer.write(b"HTTP/1.1 103 Early\r\n\r\n")
        asked.answer("200 OK" if hall.server.is_right(asked) else "401 No", b"{}")

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/session"] = hints
        for offered, status in ((RIGHT, 200), (WRONG, 401)):
            answer = await hall.ask(authorization=offered)
            assert answer is not None
            assert answer.status == status


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [
        ("200 OK", "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"),
        ("204 No", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"),
        ("304 No", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"),
        ("200 OK", "GET", b"goodHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"),
    ],
)
async def test_what_a_server_says_too_much_is_no_answer_to_the_next_request(
    status: str, method: str, body: bytes
) -> None:
    async def says_too_much(asked: Request) -> None:
        length = len(b"good") if body.startswith(b"good") else len(body)
        asked.writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode() + body)

    async with open_hall() as hall:
        hall.server.behaviours["/jmap/api/"] = says_too_much
        reader, writer = await hall.connect()
        writer.write(request(method=method))
        first = await read_response(reader, method)
        assert first is not None
        assert first.body in {b"", b"good"}
        writer.write(request("/jmap/next"))
        second = await read_response(reader)
        assert second is not None
        assert (second.body, second.one("x-server")) == (b"", "yes")
        writer.close()


async def test_a_body_that_only_its_client_can_read_is_passed_on_as_it_is() -> None:
    packed = gzip.compress(b"x" * 100_000)
    answer = await answered(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed),
        packed,
    )
    assert answer is not None
    assert (answer.body, answer.one("content-encoding")) == (packed, "gzip")


async def test_a_request_behind_a_refused_upgrade_is_a_request_like_any_other() -> None:
    async def refuses(asked: Request) -> None:
        asked.answer("426 No", b"not now")

    wishes = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a2V5")
    async with open_hall(policy("1/1h")) as hall:
        hall.server.behaviours["/ws"] = refuses
        reader, writer = await hall.connect("127.0.0.8")
        writer.write(request("/ws", RIGHT, *wishes) + HIDDEN.encode())
        first, second = await read_response(reader), await read_response(reader)
        assert first is not None
        assert second is not None
        assert (first.status, second.status) == (426, 401)
        assert await hall.ask(source="127.0.0.8") is None  # and its wrong guess was counted
        writer.close()


async def test_a_websocket_with_a_body_is_none() -> None:
    async def switches(asked: Request) -> None:
        if "upgrade" in asked.fields:
            asked.writer.write(b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
            asked.writer.write(b"Sec-WebSocket-Accept: acoMowsaMs4gzl5sy2uaF1804GA=\r\n\r\n")
        else:
            asked.answer("400 No", await asked.body())

    wishes = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a2V5")
    async with open_hall() as hall:
        hall.server.behaviours["/ws"] = switches
        for framing, body in (("Content-Length: 3", b"abc"), ("Transfer-Encoding: chunked", b"")):
            octets = request("/ws", RIGHT, *wishes, framing) + (body or b"3\r\nabc\r\n0\r\n\r\n")
            answer = await hall.raw(octets)
            assert answer is not None
            assert (answer.status, answer.body) == (400, b"abc")


async def test_an_event_source_outlives_every_time_limit_of_the_door() -> None:
    pinged = asyncio.Event()

    async def waits(asked: Request) -> None:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n\n")
        await pinged.wait()
        asked.writer.write(b"event: ping\n\n")
        await asked.reader.read()

    async with open_hall(doors=limits(login_timeout=100), answer_ms=100) as hall:
        hall.server.behaviours["/jmap/eventsource/"] = waits
        reader, writer = await hall.connect()
        writer.write(request("/jmap/eventsource/"))
        await reader.readuntil(b":\n\n")
        asyncio.get_running_loop().call_later(0.4, pinged.set)
        assert b"event: ping" in await reader.readuntil(b"ping\n\n")
        writer.close()


async def test_whoever_has_proven_nothing_holds_no_connection_to_the_backend_for_long() -> None:
    async def never_ends(asked: Request) -> None:
        asked.writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asked.reader.read()

    async with open_hall(doors=limits(login_timeout=200)) as hall:
        hall.server.behaviours["/jmap/api/"] = never_ends
        reader, writer = await hall.connect()
        writer.write(request("/jmap/api/", None, method="OPTIONS"))
        assert await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            await reader.read()
        await until(lambda: hall.lobby.present == 0)
        writer.close()
