"""JMAP: who is believed, and what is refused before anybody is asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from mailward.guard import operations
from mailward.rules.model import Subject, SubjectKind
from tests.edges.house import limits, policy
from tests.edges.proxies import trusted
from tests.edges.web import RIGHT, WRONG, Request, basic, open_hall, request

both_loops = True


async def test_passwords_need_tls_where_they_cross_a_network() -> None:
    async with open_hall(policy("3/1h", trusted=trusted("127.0.0.1"))) as hall:
        told = ("X-Forwarded-For: 198.51.100.1",)
        refused = await hall.ask("/jmap/api/", RIGHT, *told)
        assert refused is not None
        assert refused.status == 403
        served = await hall.ask("/jmap/api/", RIGHT, *told, "X-Forwarded-Proto: https")
        assert served is not None
        assert served.status == 200
        assert hall.server.requests[-1].one("forwarded") == "for=198.51.100.1;proto=https"


async def test_an_explicit_no_to_plaintext_holds_on_loopback_too() -> None:
    async with open_hall(before=lambda usual: replace(usual, allow_plaintext=False)) as hall:
        refused = await hall.ask("/jmap/api/", RIGHT)
        assert refused is not None
        assert refused.status == 403
        assert hall.server.guesses == 0


async def test_a_problem_says_whether_the_password_is_wrong_or_the_login_is_locked() -> None:
    async with open_hall(policy("2/1h")) as hall:

        async def told(authorization: str | None, source: str) -> str:
            answer = await hall.ask("/jmap/api/", authorization, source=source)
            assert answer is not None
            return str(json.loads(answer.body)["detail"])

        assert await told(None, "127.0.0.6") == "You have to authenticate first."
        for number in range(2):
            assert await told(WRONG, f"127.0.0.{7 + number}") == "Wrong login or password"
        assert await told(RIGHT, "127.0.0.6") == (
            "Too many wrong passwords for this account; it is locked for a while, try again later"
        )
        joe, now = Subject(SubjectKind.LOGIN, "joe"), hall.now[0]
        await operations.lift(hall.guard, joe, now)
        await operations.ban(hall.guard, joe, None, "", now)
        assert await told(RIGHT, "127.0.0.6") == "This account is locked; ask your administrator"
        await operations.lift(hall.guard, joe, now)

        async def fails(asked: Request) -> None:
            asked.answer("500 No", b"")

        hall.server.behaviours["/jmap/session"] = fails
        assert await told(WRONG, "127.0.0.6") == "The mail server is not available, try again later"


async def test_a_trusted_proxy_names_its_clients_and_is_never_counted_itself() -> None:
    rules = policy("2/1h", trusted=trusted("127.0.0.1"))
    async with open_hall(rules, before=lambda usual: replace(usual, allow_plaintext=True)) as hall:
        elements = ("198.51.100.1", "9.9.9.9, 198.51.100.1", "198.51.100.1:50000, 127.0.0.1")
        for told in elements:
            answer = await hall.ask("/jmap/api/", WRONG, f"X-Forwarded-For: {told}")
        assert answer is not None
        assert (answer.status, answer.one("connection")) == (403, "close")
        other = await hall.ask("/jmap/api/", basic("ann", "right"), "X-Forwarded-For: 198.51.100.2")
        assert other is not None
        assert other.status == 200
        garbled = await hall.ask("/jmap/api/", RIGHT, "X-Forwarded-For: nobody")
        assert garbled is not None
        assert garbled.status == 400
        itself = await hall.ask("/jmap/api/", basic("bob", "right"))
        assert itself is not None
        assert itself.status == 200


async def test_a_connection_of_a_proxy_is_never_cut_off_in_the_middle_of_a_request() -> None:
    async def hesitates(asked: Request) -> None:
        await asyncio.sleep(0.3)
        asked.answer("401 No", b"")

    rules = policy("100/1h", trusted=trusted("127.0.0.1"))
    async with open_hall(rules, limits(login_timeout=100)) as hall:
        hall.server.behaviours["/jmap/session"] = hesitates
        told = ("X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https")
        brought = await hall.ask("/jmap/api/", WRONG, *told)
        assert brought is not None
        assert brought.status == 401
        assert await hall.ask("/jmap/api/", WRONG, source="127.0.0.2") is None  # it came by itself


async def test_nobody_else_is_believed_who_its_client_is() -> None:
    async with open_hall(policy("2/1h")) as hall:
        for number in range(2):
            told = f"X-Forwarded-For: 198.51.100.{number}"
            assert await hall.ask("/jmap/api/", basic(f"u{number}", "x"), told, source="127.0.0.6")
        assert await hall.ask(source="127.0.0.6") is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /jmap/api/ HTTP/1.1\nHost: a\n\n", 400),
        ("GET /jmap/api/ HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        (
            "GET /jmap/api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("GET http://other/jmap/api/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("PRI * HTTP/2.0\r\n\r\n", 505),
        ("GET /jmap/../admin HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /jmap/%2e%2E/admin HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /jmap/ HTTP/1.1\r\nHost: a\r\nAuthorization: a b\r\nAuthorization: a b\r\n\r\n", 400),
        ("GET /jmap/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %%\r\n\r\n", 400),
        ("GET /jmap/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic bm9jb2xvbg==\r\n\r\n", 400),
        ("GET /jmap/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YQBiOmM=\r\n\r\n", 400),
        ("GET /jmap/ HTTP/1.1\r\nHost: a\r\nAuthorization: Digest x=y\r\n\r\n", 401),
        ("GET /jmap/ HTTP/1.1\r\nHost: a\r\nAuthorization: Negotiate abc\r\n\r\n", 401),
        (f"GET /jmap/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {'QUFB' * 25_000}\r\n\r\n", 431),
        (f"GET /jmap/ HTTP/1.1\r\nHost: a\r\nX: {'a' * 1_000_000}\r\n\r\n", 431),
        ("\x16\x03\x01\x02\r\n\r\n", 400),
    ],
)
async def test_what_can_be_read_in_two_ways_is_refused_and_closed(head: str, status: int) -> None:
    async with open_hall(policy("1/1h")) as hall:
        answer = await hall.raw(head.encode("latin-1"))
        assert answer is not None
        assert answer.status == status
        assert hall.server.connections == 0
        served = await hall.ask()  # and nobody was counted
        assert served is not None
        assert served.status == 200


async def test_bad_chunks_are_told_and_never_reach_the_backend_as_a_body() -> None:
    async with open_hall() as hall:
        for chunks in (
            b"3\nabc",
            b"zz\r\n",
            b"3\r\nabcd\r\n",
            b"-1\r\n",
            b"0x3\r\nabc\r\n0\r\n\r\n",
        ):
            octets = request("/jmap/api/", RIGHT, "Transfer-Encoding: chunked", method="POST")
            answer = await hall.raw(octets + chunks)
            assert answer is not None
            assert (answer.status, answer.one("connection")) == (400, "close")


async def test_no_password_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    async with open_hall() as hall:
        assert await hall.ask(authorization=basic("joe", "opensesame")) is not None
        assert await hall.ask(authorization="Bearer opensesame") is not None
    assert "opensesame" not in caplog.text
    assert basic("joe", "opensesame")[6:] not in caplog.text


@pytest.mark.parametrize("mode", ["navigate", "nested-navigate", "no-cors"])
@pytest.mark.parametrize("offered", [RIGHT, WRONG])
async def test_no_page_of_another_site_has_its_visitor_counted(mode: str, offered: str) -> None:
    forced = ("Sec-Fetch-Site: cross-site", f"Sec-Fetch-Mode: {mode}")
    async with open_hall(policy("1/1h")) as hall:
        for _ in range(3):
            answer = await hall.ask("/jmap/session", offered, *forced)
            assert answer is not None
            assert answer.status == 403
        assert hall.server.requests == []
        assert not hall.guard.journal.counts
        own = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate")
        assert (answer := await hall.ask("/jmap/session", RIGHT, *own)) is not None
        assert answer.status == 200


async def test_what_a_page_asks_for_by_its_own_script_is_judged_as_ever() -> None:
    asked = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors", "Origin: https://webmail.test")
    async with open_hall(policy("1/1h")) as hall:
        for offered, status in ((RIGHT, 200), (WRONG, 401)):
            answer = await hall.ask("/jmap/session", offered, *asked)
            assert answer is not None
            assert answer.status == status
        assert await hall.ask() is None
