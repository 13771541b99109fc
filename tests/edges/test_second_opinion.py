"""What one backend refuses counts only if another one, with the same accounts, refuses it too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from mailward.backends.second_opinion import DOUBT_SECONDS, MAX_WARNED, Warned
from mailward.rules.model import Instant, Subject, SubjectKind
from mailward.settings.configuration import ClientAddress, Protocol, Upstream
from tests.edges.house import Premises, limits, open_house, parts_of_plain, policy, until
from tests.edges.sasl import (
    OFFERS,
    Directory,
    call,
    is_in,
    is_later,
    is_wrong,
)

both_loops = True

HERE = Subject(SubjectKind.ADDRESS, "127.0.0.1")
ASKED = pytest.mark.parametrize(
    "protocol", [Protocol.SUBMISSION, Protocol.MANAGESIEVE], ids=lambda protocol: protocol.value
)


@dataclass
class Judge:
    """An IMAP server that answers each login with *says*; ``None``: it never answers."""

    says: bytes | None = b"NO [AUTHENTICATIONFAILED] wrong"
    offers: bytes = b"IMAP4rev1 SASL-IR AUTH=PLAIN"
    heard: list[list[bytes]] = field(default_factory=list)
    """The three parts of each PLAIN message."""
    headers: list[bytes] = field(default_factory=list)
    farewells: int = 0
    silence: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.headers.append(await reader.readline())
        writer.write(b"* OK [CAPABILITY %b] ready\r\n" % self.offers)
        while line := await reader.readline():
            tag, command, *words = line.split()
            if command == b"LOGOUT":
                self.farewells += 1
                break
            self.heard.append(parts_of_plain(words[-1]))
            if self.says is None:
                await self.silence.wait()
                break
            writer.write(tag + b" " + self.says + b"\r\n")
        writer.close()


def settings(port: int, answer_ms: int = 5_000) -> Upstream:
    return Upstream(
        "dovecot",
        "127.0.0.1",
        port,
        ClientAddress.PROXY_V1,
        timedelta(seconds=2),
        timedelta(milliseconds=answer_ms),
    )


@asynccontextmanager
async def open_judged(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    limit: str = "3/1h",
    answer_ms: int = 5_000,
    **more: object,
) -> AsyncIterator[Premises]:
    """A house before a first backend that *serve* judges, too."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with open_house(
        policy(limit),
        limits(),
        answer_ms=answer_ms,
        judge=settings(port),
        **more,  # type: ignore[arg-type] # the tests' shorthand
    ) as house:
        yield house
    server.close()


def count(house: Premises, subject: Subject = HERE) -> int:
    limit = house.guard.policy.limit(subject.kind)
    assert limit is not None
    return house.guard.tallies[subject.kind].count(subject.name, limit, house.now[0])


async def log_in(house: Premises, protocol: Protocol, login: str, password: str) -> bytes:
    if protocol is Protocol.SUBMISSION:
        return await house.submission_login(login, password)
    return await house.managesieve_login(login, password)


def state(house: Premises, protocol: Protocol) -> str:
    return next(door.state for door in house.doors.status() if door.protocol == protocol.value)


@ASKED
async def test_a_refusal_counts_only_when_the_other_refuses_too(protocol: Protocol) -> None:
    judge = Judge()
    async with open_judged(judge.serve) as house:
        assert is_wrong(await log_in(house, protocol, "ada", "wrong"))
        assert count(house) == 1
        judge.says = b"NO [UNAVAILABLE] away"
        assert is_later(await log_in(house, protocol, "ada", "wrong"))
        assert count(house) == 1
        assert state(house, protocol) == (
            "its second opinion, dovecot, gives none: the backend answers NO [UNAVAILABLE]"
        )
        # What is right is no refusal: nobody else is asked while there is no doubt.
        house.now[0] = Instant(house.now[0] + DOUBT_SECONDS)
        asked = len(judge.heard)
        assert is_in(await log_in(house, protocol, "ada", "right"))
        assert len(judge.heard) == asked


@ASKED
async def test_while_in_doubt_only_what_the_other_accepts_reaches_the_first(
    protocol: Protocol,
) -> None:
    judge = Judge(b"NO [UNAVAILABLE] away")
    async with open_judged(judge.serve) as house:
        assert is_later(await log_in(house, protocol, "ada", "wrong"))
        assert house.server.guesses == [b"ada"]
        for _ in range(3):
            assert is_later(await log_in(house, protocol, "ada", "right"))
        assert house.server.guesses == [b"ada"]
        judge.says = b"NO [AUTHENTICATIONFAILED] wrong"
        assert is_wrong(await log_in(house, protocol, "ada", "wrong"))
        assert house.server.guesses == [b"ada"]
        assert count(house) == 1
        assert state(house, protocol) == "ok"
        judge.says = b"OK [CAPABILITY IMAP4rev1] in"
        assert is_in(await log_in(house, protocol, "ada", "right"))
        assert house.server.guesses == [b"ada", b"ada"]
        await until(lambda: judge.farewells == 1)
        # Ten minutes after the last outage the first is asked first again.
        house.now[0] = Instant(house.now[0] + DOUBT_SECONDS)
        heard = len(judge.heard)
        assert is_in(await log_in(house, protocol, "ada", "right"))
        assert len(judge.heard) == heard


async def test_one_doubt_is_for_every_login_and_ends_ten_minutes_after_the_last_outage() -> None:
    judge = Judge(b"NO [UNAVAILABLE] away")
    async with open_judged(judge.serve) as house:
        await house.submission_login("ada", "wrong", "127.0.0.2")
        house.now[0] = Instant(house.now[0] + DOUBT_SECONDS - 1)
        assert is_later(await house.submission_login("bob", "wrong", "127.0.0.3"))
        house.now[0] = Instant(house.now[0] + DOUBT_SECONDS - 1)
        assert is_later(await house.submission_login("bob", "wrong", "127.0.0.3"))
        assert house.server.guesses == [b"ada"]
        house.now[0] = Instant(house.now[0] + DOUBT_SECONDS)
        assert is_later(await house.submission_login("bob", "wrong", "127.0.0.3"))
        assert house.server.guesses == [b"ada", b"bob"]


@ASKED
@pytest.mark.parametrize(
    "says", [b"OK [CAPABILITY IMAP4rev1] in", b"NO [LIMIT] too many connections"]
)
async def test_what_the_other_accepts_counts_for_nobody_and_is_said_once_an_hour(
    protocol: Protocol, says: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mailward.backend")
    judge = Judge(says)

    def lines() -> list[str]:
        records = [one for one in caplog.records if one.name == "mailward.backend"]
        return [one.getMessage() for one in records]

    async with open_judged(judge.serve, "1/1h") as house:
        for _ in range(3):
            assert is_later(await log_in(house, protocol, "ada", "other"))
        assert is_later(await log_in(house, protocol, 'b\x1b"ob', "other"))
        assert count(house) == 0
        assert len(lines()) == 2
        assert lines()[0].endswith("so nothing is counted: do the two share their accounts?")
        assert (
            f"backend {protocol.value} refuses the login ada, which dovecot accepts" in lines()[0]
        )
        assert 'b\\x1b"ob' in lines()[1]
        assert "do the two share their accounts?" in state(house, protocol)
        house.now[0] = Instant(house.now[0] + 3_600)
        await log_in(house, protocol, "ada", "other")
        assert len(lines()) == 3
        assert len(house.server.guesses) == 5  # it is no doubt about the other
        assert is_in(await log_in(house, protocol, "ada", "right"))
        assert state(house, protocol) == "ok"


async def test_the_lines_of_many_logins_are_bounded() -> None:
    warned, noon = Warned(), Instant(1_790_000_000.0)
    names = [f"login{n}".encode() for n in range(2 * MAX_WARNED)]
    assert sum(warned.is_due(name, noon) for name in names) == MAX_WARNED
    later = Instant(noon + 3_599)
    assert not any(warned.is_due(name, later) for name in names)
    assert all(warned.is_due(name, Instant(noon + 3_600)) for name in names[:MAX_WARNED])


async def test_it_is_asked_as_the_same_user_from_the_same_address_and_logged_out() -> None:
    judge = Judge(b"OK [CAPABILITY IMAP4rev1] in")
    async with open_judged(judge.serve) as house:
        caller = await call(house, Protocol.SUBMISSION, "127.0.0.7")
        assert is_later(await caller.begin("PLAIN", "whom\0ada\0other"))
        await until(lambda: judge.farewells == 1)
        assert judge.heard == [[b"whom", b"ada", b"other"]]
        assert judge.headers[0].startswith(b"PROXY TCP4 127.0.0.7 127.0.0.2 ")
        caller.writer.close()


async def test_both_share_one_answer_timeout_and_silence_is_a_doubt() -> None:
    judge = Judge(None)
    async with open_judged(judge.serve, answer_ms=1_500) as house:
        house.server.before_answer = lambda: asyncio.sleep(1.2)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert is_later(await house.submission_login("ada", "wrong"))
        assert loop.time() - began < 2.4
        assert count(house) == 0
        assert "did not answer in the time that was left" in state(house, Protocol.SUBMISSION)
        assert is_later(await house.submission_login("ada", "right"))
        assert house.server.guesses == [b"ada"]
        judge.silence.set()


async def test_guesses_before_one_that_is_silent_are_at_most_the_limit() -> None:
    judge = Judge(None)
    async with open_judged(judge.serve, "10/1h", answer_ms=800) as house:
        asked = [house.submission_login(f"login{n % 20}", f"wrong{n}") for n in range(60)]
        answers = await asyncio.gather(*asked)
        assert all(map(is_later, answers))
        assert len(house.server.guesses) <= 10
        assert len(house.guard.mirror) == 0
        assert count(house) == 0
        judge.silence.set()


async def test_sixty_guesses_that_both_refuse_are_exactly_the_limit() -> None:
    judge = Judge()
    async with open_judged(judge.serve, "10/1h") as house:
        asked = [house.submission_login(f"login{n}", "wrong") for n in range(60)]
        answers = await asyncio.gather(*asked)
        assert sum(map(is_wrong, answers)) == 10
        assert len(house.server.guesses) == len(judge.heard) == 10


async def test_the_refusal_counts_where_the_other_has_no_way_to_ask() -> None:
    """An authorization identity fits into PLAIN alone."""
    judge = Judge(offers=b"IMAP4rev1 AUTH=LOGIN")
    async with open_judged(judge.serve) as house:
        caller = await call(house, Protocol.SUBMISSION)
        assert is_wrong(await caller.begin("PLAIN", "whom\0ada\0wrong"))
        caller.writer.close()
        assert count(house) == 1
        assert state(house, Protocol.SUBMISSION) == "ok"
        assert judge.heard == []


@dataclass
class Pair:
    """A first and a second backend that know SCRAM and tokens; the second can be *away*."""

    house: Premises
    first: Directory = field(default_factory=Directory)
    second: Directory = field(default_factory=Directory)
    away: bool = False

    async def judge(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()  # the PROXY header
        try:
            if self.away:
                writer.write(f"* OK [CAPABILITY {' '.join(OFFERS[Protocol.IMAP])}]\r\n".encode())
                tag, *_ = (await reader.readline()).split()
                writer.write(tag + b" NO [UNAVAILABLE] away\r\n")
            else:
                await self.second.imap(reader, writer)
        finally:
            writer.close()


@asynccontextmanager
async def two_directories(protocol: Protocol, limit: str = "3/1h") -> AsyncIterator[Pair]:
    made: list[Pair] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await made[0].judge(reader, writer)

    async with open_judged(serve, limit, offers=OFFERS) as house:
        pair = Pair(house)
        made.append(pair)
        house.server.behaviour = (
            pair.first.submission if protocol is Protocol.SUBMISSION else pair.first.managesieve
        )
        yield pair


@ASKED
async def test_scram_a_refusal_of_the_name_is_weighed_and_one_of_the_proof_counts(
    protocol: Protocol,
) -> None:
    async with two_directories(protocol) as pair:
        house, first, second = pair.house, pair.first, pair.second
        caller = await call(house, protocol)
        assert is_wrong(await caller.scram("ada", "wrong"))
        assert (count(house), second.openings) == (1, 0)
        caller.writer.close()
        caller = await call(house, protocol)
        assert is_wrong(await caller.scram("nobody", "x"))
        assert (count(house), second.openings) == (2, 1)
        caller.writer.close()
        # The accounts of the first are away: it refuses the name, and the second knows it.
        first.passwords = {}
        caller = await call(house, protocol)
        assert is_later(await caller.scram("ada", "right"))
        assert (count(house), second.openings) == (2, 2)
        assert second.guesses == []
        caller.writer.close()
        await until(lambda: second.connections == 0)


@ASKED
async def test_scram_in_doubt_goes_on_where_the_other_knows_the_name(protocol: Protocol) -> None:
    async with two_directories(protocol) as pair:

        async def scram(login: str, password: str) -> bytes:
            caller = await call(pair.house, protocol)
            answer = await caller.scram(login, password)
            caller.writer.close()
            return answer

        pair.away = True
        assert is_later(await scram("nobody", "x"))
        assert is_later(await scram("ada", "right"))
        assert pair.first.openings == 1
        pair.away = False
        assert is_wrong(await scram("nobody", "x"))
        assert (count(pair.house), pair.first.openings) == (1, 1)
        assert is_in(await scram("ada", "right"))
        assert is_wrong(await scram("ada", "wrong"))
        assert (count(pair.house), pair.first.openings) == (2, 3)
        assert pair.second.guesses == []


@ASKED
async def test_tokens_are_weighed_as_passwords_are(protocol: Protocol) -> None:
    async with two_directories(protocol) as pair:
        house, first, second = pair.house, pair.first, pair.second
        caller = await call(house, protocol)
        assert is_wrong(await caller.bearer("ada", "bad-token"))
        assert count(house) == 1
        caller.writer.close()
        first.tokens = set()
        caller = await call(house, protocol)
        assert is_later(await caller.bearer("ada", "good-token"))
        assert count(house) == 1
        assert second.guesses == ["ada", "ada"]
        caller.writer.close()
