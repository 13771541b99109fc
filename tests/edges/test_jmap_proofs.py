"""JMAP: what proves credentials to whom. A proof by one site is none at another, and may end."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.edges.house import policy, until
from tests.edges.web import (
    RIGHT,
    SESSION,
    Hall,
    Request,
    Response,
    basic,
    open_hall,
    read_response,
    request,
)

both_loops = True


def of_host(host: str, target: str = "/jmap/api/", authorization: str = RIGHT) -> bytes:
    return request(target, authorization).replace(b"Host: mail.test", f"Host: {host}".encode())


async def told(hall: Hall, octets: bytes) -> int | None:
    answer = await hall.raw(octets)
    return None if answer is None else answer.status


def sites(hall: Hall, *, is_open: bool) -> list[str]:
    """The server has a second site, where every password is right, or none is wanted.

    Return the guesses that the first one gets.
    """
    guesses: list[str] = []

    async def answers(asked: Request) -> None:
        offered = asked.fields.get("authorization", [])
        is_right = hall.server.is_right(asked)
        if asked.one("host") != "mail.test":
            is_right = is_open or bool(offered)
        elif offered:
            guesses.append(offered[0])
        if is_right:
            asked.answer("200 OK", json.dumps(SESSION).encode())
        else:
            asked.answer("401 Unauthorized")

    hall.server.behaviours |= dict.fromkeys(("/jmap/session", "/jmap/api/"), answers)
    return guesses


@pytest.mark.parametrize("is_open", [False, True], ids=["any password", "no password"])
@pytest.mark.parametrize("other", ["other.test", "mail.test:80", "MAIL.TEST", "mail.test."])
async def test_a_proof_by_one_host_is_none_by_another(other: str, *, is_open: bool) -> None:
    async with open_hall(policy("10/1h")) as hall:
        guesses = sites(hall, is_open=is_open)
        for number in range(40):
            offered = basic("joe", f"wrong{number}")
            first = await told(hall, of_host(other, authorization=offered))
            assert first in {503 if is_open else 200, None}
            assert await told(hall, of_host("mail.test", authorization=offered)) in {401, None}
        assert len(guesses) == 10


async def test_a_site_that_wants_no_credentials_makes_no_success() -> None:
    async with open_hall() as hall:
        sites(hall, is_open=True)
        assert await told(hall, of_host("other.test", "/jmap/session")) == 503
        assert await told(hall, of_host("mail.test", "/jmap/session")) == 200
        assert hall.upstream.state == "ok"
        counts = {event.value: n for (event, _), n in hall.guard.journal.counts.items()}
        assert counts == {"auth.unavailable": 1, "auth.succeeded": 1}


async def test_a_host_that_wants_credentials_is_asked_so_once() -> None:
    async with open_hall() as hall:
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            assert await hall.raw(of_host("alias.test"), source) is not None
        without = [asked for asked in hall.server.requests if "authorization" not in asked.fields]
        assert [asked.target for asked in without] == ["/jmap/session"]


async def test_made_up_hosts_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailward.backends.jmap.MAX_HOSTS", 5)
    async with open_hall() as hall:
        for number in range(10):
            assert await told(hall, of_host(f"host{number}.test")) == 200
        assert len(hall.upstream.closed_hosts) == 5


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X-Host", "X-HTTP-Host-Override", "Forwarded"]
)
async def test_no_other_field_names_a_site(name: str) -> None:
    async with open_hall() as hall:
        answer = await hall.ask("/jmap/api/", RIGHT, f"{name}: other.test")
        assert answer is not None
        assert answer.status == 200
        for asked in hall.server.requests:
            assert all("other.test" not in v for values in asked.fields.values() for v in values)


async def test_requests_that_were_under_way_with_an_old_password_count_once() -> None:
    released = asyncio.Event()

    async def hesitates(asked: Request) -> None:
        await released.wait()
        asked.answer("401 Unauthorized")

    async with open_hall(policy("2/1h")) as hall:
        assert await hall.ask() is not None
        hall.server.password = "new"
        hall.server.behaviours["/jmap/api/"] = hesitates
        asking = [await hall.connect() for _ in range(6)]
        for _, writer in asking:
            writer.write(request())
        await until(lambda: len(hall.server.requests) == 2 + 6)
        released.set()
        answers = [await read_response(reader) for reader, _ in asking]
        assert [answer and answer.status for answer in answers] == [401] * 6
        for _, writer in asking:
            writer.close()
        # One failure of two: with the new password the owner is in.
        del hall.server.behaviours["/jmap/api/"]
        answer = await hall.ask(authorization=basic("joe", "new"))
        assert answer is not None
        assert answer.status == 200


async def test_a_proven_login_makes_no_guesses_at_a_path_that_answers_401() -> None:
    async def wants_another(asked: Request) -> None:
        asked.answer("401 Unauthorized")

    async with open_hall(policy("5/1h")) as hall:
        hall.server.behaviours["/jmap/api/"] = wants_another
        statuses = [await _status(hall) for _ in range(10)]
        assert statuses == [401] * 5 + [None] * 5


async def _status(hall: Hall) -> int | None:
    answer: Response | None = await hall.ask()
    return None if answer is None else answer.status


async def test_a_token_that_was_proven_expires_and_does_not_count() -> None:
    async with open_hall(policy("1/1h")) as hall:
        for status in (200, 401, 401):
            answer = await hall.ask(authorization="Bearer t0k3n")
            assert answer is not None
            assert answer.status == status
            hall.server.token = "other"
