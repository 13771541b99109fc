"""Under parallel fire: never a guess past the limit, and nobody pays for somebody else's attack.

Over real sockets, all doors mixed, on asyncio and on uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest

from mailward.guard.journal import Event
from mailward.rules.model import Subject, SubjectKind
from mailward.settings.configuration import Protocol
from tests.edges.house import Premises, limits, open_house, policy

both_loops = True  # for conftest
BACKEND_SECONDS = 0.05
SLACK_SECONDS = 2.0  # what a busy machine may add to a time that is promised
ADA = Subject(SubjectKind.LOGIN, "ada")
HERE = Subject(SubjectKind.ADDRESS, "127.0.0.1")

# How far a client comes before it says nothing more; none of it decides a login.
STALLS: list[tuple[Protocol, bytes]] = [
    (Protocol.IMAP, b""),
    (Protocol.IMAP, b"a LOG"),
    (Protocol.IMAP, b"a LOGIN ada"),
    (Protocol.IMAP, b"a LOGIN {3}\r\n"),
    (Protocol.IMAP, b"a LOGIN {3}\r\nada {5}\r\nrig"),
    (Protocol.IMAP, b"a AUTHENTICATE PLAIN\r\n"),
    (Protocol.IMAP, b"a AUTHENTICATE PLAIN AGFkYQBy"),
    (Protocol.IMAP, b"a AUTHENTICATE LOGIN\r\nYWRh\r\n"),
    (Protocol.SUBMISSION, b""),
    (Protocol.SUBMISSION, b"EHLO c"),
    (Protocol.SUBMISSION, b"EHLO c\r\n"),
    (Protocol.SUBMISSION, b"EHLO c\r\nAUTH PLAIN\r\n"),
    (Protocol.SUBMISSION, b"EHLO c\r\nAUTH PLAIN AGFkYQBy"),
    (Protocol.SUBMISSION, b"EHLO c\r\nAUTH LOGIN YWRh\r\nAA"),
    (Protocol.MANAGESIEVE, b""),
    (Protocol.MANAGESIEVE, b'AUTHENTICATE "PL'),
    (Protocol.MANAGESIEVE, b'AUTHENTICATE "PLAIN"\r\n'),
    (Protocol.MANAGESIEVE, b'AUTHENTICATE "PLAIN" {16+}\r\nAGFkYQBy'),
    (Protocol.MANAGESIEVE, b'AUTHENTICATE "LOGIN" "YWRh"\r\n'),
]


@pytest.fixture(params=[1, 5, 100])
def failures(request: pytest.FixtureRequest) -> int:
    limit: int = request.param
    return limit


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- what a user sees sets no event
            await asyncio.sleep(0.005)


def takes_its_time(house: Premises) -> None:
    house.server.before_answer = lambda: asyncio.sleep(BACKEND_SECONDS)


def source(number: int) -> str:
    """One of thousands of addresses of this machine."""
    return f"127.0.{2 + number // 250}.{1 + number % 250}"


def door(house: Premises, number: int) -> Callable[[str, str, str], Awaitable[bytes]]:
    """The doors in turn."""
    return (house.imap_login, house.submission_login, house.managesieve_login)[number % 3]


async def timed(answer: Awaitable[bytes]) -> tuple[bytes, float]:
    begun = monotonic()
    return await answer, monotonic() - begun


def is_wrong(answer: bytes) -> bool:
    return answer.startswith(
        (b"a NO [AUTHENTICATIONFAILED]", b"535", b'NO "Authentication failed"')
    )


def is_later(answer: bytes) -> bool:
    return answer.startswith((b"a NO [UNAVAILABLE]", b"454", b"NO (TRYLATER)"))


def is_in(answer: bytes) -> bool:
    return answer.startswith((b"a OK", b"235", b"OK"))


def nothing_is_left(house: Premises) -> None:
    assert house.guard.reservations.under_way == 0
    assert house.guard.reservations.lines() == []


async def stall(house: Premises, number: int, address: str) -> asyncio.StreamWriter:
    """A connection that says part of what a login needs, and no more."""
    protocol, piece = STALLS[number % len(STALLS)]
    reader, writer = await house.connect(protocol, address)
    await reader.readline()
    writer.write(piece)
    return writer


def vanish(writer: asyncio.StreamWriter) -> None:
    """Leave with a reset. Who only ends its writing may still wait for the answer."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


async def test_200_connections_on_one_login_make_exactly_n_guesses(failures: int) -> None:
    async with open_house(policy(f"{failures}/1h")) as house:
        takes_its_time(house)
        answers = await asyncio.gather(*(door(house, n)("ada", "x", source(n)) for n in range(200)))
        assert house.server.guesses == [b"ada"] * failures
        assert sum(map(is_wrong, answers)) == failures
        assert sum(map(is_later, answers)) == 200 - failures
        assert is_later(await house.imap_login("ada", "right", "127.0.9.9"))
        nothing_is_left(house)


async def test_200_connections_from_one_address_make_exactly_n_guesses(failures: int) -> None:
    async with open_house(policy(f"{failures}/1h")) as house:
        takes_its_time(house)
        answers = await asyncio.gather(
            *(door(house, n)(f"user{n}", "x", "127.0.0.1") for n in range(200))
        )
        assert len(house.server.guesses) == len(set(house.server.guesses)) == failures
        assert sum(map(is_wrong, answers)) == failures
        # Who waited is told that the door shuts, who comes too late is told nothing.
        others = [answer for answer in answers if not is_wrong(answer)]
        shut = (b"421 4.7.0", b'BYE "Too many')
        assert all(answer == b"" or answer.startswith(shut) for answer in others)
        assert await house.imap_login("grace", "right") == b""
        assert is_in(await house.imap_login("grace", "right", "127.0.9.9"))
        nothing_is_left(house)


async def test_pipelined_guesses_of_many_connections_never_pass_the_limit(failures: int) -> None:
    three = b"a LOGIN ada x\r\nb LOGIN ada y\r\nc LOGIN ada z\r\n"
    async with open_house(policy(f"{failures}/1h"), limits(max_attempts=100)) as house:
        takes_its_time(house)

        async def attack(number: int) -> None:
            reader, writer = await house.connect(source=source(number))
            writer.write(three)
            answered = 0
            while answered < 3 and (line := await reader.readline()):
                answered += not line.startswith(b"* ")
            writer.close()

        await asyncio.gather(*(attack(n) for n in range(70)))
        assert house.server.guesses == [b"ada"] * failures
        nothing_is_left(house)


async def test_nobody_waits_longer_than_the_time_for_logging_in() -> None:
    async with open_house(policy("1/1h"), limits(login_timeout=1_000)) as house:
        takes_its_time(house)
        answers = await asyncio.gather(
            *(timed(door(house, n)("ada", "right", source(n))) for n in range(200))
        )
        assert max(seconds for _, seconds in answers) < 1.0 + SLACK_SECONDS
        served = sum(is_in(answer) for answer, _ in answers)
        assert 5 <= served <= 21
        # Whose guess is under way when the time is over is told that, the others to try later.
        in_doubt = 200 - served - sum(is_later(answer) for answer, _ in answers)
        assert 0 <= in_doubt <= 3
        assert served <= len(house.server.guesses) <= served + in_doubt  # one may not be there yet
        await until(lambda: house.guard.reservations.under_way == 0)
        nothing_is_left(house)
        assert is_in(await house.imap_login("ada", "right"))
        assert house.guard.journal.counts[Event.AUTH_FAILED, "imap"] == 0


async def test_many_right_logins_at_once_are_all_served_where_the_limit_is_low() -> None:
    async with open_house(policy("5/1h")) as house:
        takes_its_time(house)
        answers = await asyncio.gather(
            *(door(house, n)("ada", "right", "127.0.0.1") for n in range(100))
        )
        assert all(map(is_in, answers))
        nothing_is_left(house)


async def test_nobody_who_is_over_no_limit_waits_for_an_attack_to_end(failures: int) -> None:
    async with open_house(policy(f"{failures}/1h")) as house:
        released = asyncio.Event()
        house.server.before_answer = released.wait
        on_ada = [
            asyncio.ensure_future(door(house, n)("ada", "x", source(n)))  # noqa: TID251 -- gathered below
            for n in range(100)
        ]
        from_one = [
            asyncio.ensure_future(door(house, n)(f"user{n}", "x", "127.0.0.1"))  # noqa: TID251 -- gathered below
            for n in range(100)
        ]
        # Every place of both is taken by a guess that hangs; the rest stands in line.
        expected = 2 * min(failures, 100)
        await until(lambda: len(house.server.guesses) == expected)
        house.server.before_answer = None
        others = [
            timed(door(house, n)(f"owner{n}", "right", f"127.0.8.{n + 1}")) for n in range(20)
        ]
        answers = await asyncio.gather(*others)
        assert all(is_in(answer) for answer, _ in answers)
        assert max(seconds for _, seconds in answers) < SLACK_SECONDS
        released.set()
        await asyncio.gather(*on_ada, *from_one)
        assert len(house.server.guesses) == expected + 20
        nothing_is_left(house)


async def test_a_backend_that_dies_in_the_middle_counts_for_nobody_and_leaks_no_place(
    failures: int,
) -> None:
    async with open_house(policy(f"{failures}/1h")) as house:
        alive = min(failures - 1, 3)

        async def dies() -> None:
            if len(house.server.guesses) <= alive:
                return
            await asyncio.sleep(BACKEND_SECONDS / 10)
            raise ConnectionResetError("the server is gone")

        house.server.before_answer = dies
        answers = await asyncio.gather(*(door(house, n)("ada", "x", source(n)) for n in range(200)))
        assert sum(map(is_wrong, answers)) == alive
        assert sum(map(is_later, answers)) == 200 - alive
        nothing_is_left(house)
        assert house.guard.mirror.covering(ADA, house.now[0]) is None
        # It is back: exactly what is left of the limit may still be guessed.
        takes_its_time(house)
        house.server.guesses.clear()
        await asyncio.gather(*(door(house, n)("ada", "x", source(n)) for n in range(200)))
        assert house.server.guesses == [b"ada"] * (failures - alive)
        assert house.guard.mirror.covering(ADA, house.now[0]) is not None
        nothing_is_left(house)


async def test_a_backend_that_never_answers_gives_every_place_back_in_time() -> None:
    async with open_house(policy("5/1h"), answer_ms=150) as house:
        silent = asyncio.Event()
        house.server.before_answer = silent.wait
        answers = await asyncio.gather(
            *(timed(door(house, n)("ada", "x", source(n))) for n in range(40))
        )
        assert all(is_later(answer) for answer, _ in answers)
        assert max(seconds for _, seconds in answers) < 40 / 5 * 0.15 + SLACK_SECONDS
        nothing_is_left(house)
        house.server.before_answer = None
        assert is_in(await house.imap_login("ada", "right"))
        silent.set()


async def test_clients_that_stall_at_any_step_hold_no_place(failures: int) -> None:
    async with open_house(policy(f"{failures}/1h")) as house:
        takes_its_time(house)
        stalled = await asyncio.gather(*(stall(house, n, source(n)) for n in range(100)))
        nothing_is_left(house)
        answers = await asyncio.gather(*(door(house, n)("ada", "x", source(n)) for n in range(200)))
        assert house.server.guesses == [b"ada"] * failures
        assert sum(map(is_wrong, answers)) == failures
        for writer in stalled:
            writer.transport.abort()


async def test_the_owner_logs_in_beside_100_stalled_connections_of_two_addresses() -> None:
    async with open_house(policy("5/1h"), limits(max_waiting=100)) as house:
        takes_its_time(house)
        stalled = await asyncio.gather(
            *(stall(house, n, ["127.0.5.1", "127.0.6.1"][n % 2]) for n in range(100))
        )
        for number in range(10):
            answer, seconds = await timed(
                door(house, number)("ada", "right", f"127.0.7.{number + 1}")
            )
            assert is_in(answer)
            assert seconds < SLACK_SECONDS
        for writer in stalled:
            writer.transport.abort()


async def test_clients_that_vanish_from_the_line_leave_the_others_their_turn(failures: int) -> None:
    async with open_house(policy(f"{failures}/1h")) as house:
        released = asyncio.Event()
        house.server.before_answer = released.wait

        async def line_up(number: int) -> asyncio.StreamWriter:
            _, writer = await house.connect(source=source(number))
            writer.write(b"a LOGIN ada right\r\n")
            return writer

        writers = [*(await asyncio.gather(*(line_up(n) for n in range(failures + 60))))]
        await until(lambda: len(house.server.guesses) == failures)
        await until(lambda: house.guard.reservations.waiting(ADA) == 60)
        staying = [
            asyncio.ensure_future(door(house, n)("ada", "right", source(200 + n)))  # noqa: TID251 -- gathered below
            for n in range(20)
        ]
        await until(lambda: house.guard.reservations.waiting(ADA) == 80)
        for writer in writers:
            vanish(writer)
        await until(lambda: house.guard.reservations.waiting(ADA) == 20)
        # Those whose guess is under way have left too: their places stay taken until the answer.
        assert house.guard.reservations.held(ADA) == failures
        released.set()
        assert all(map(is_in, await asyncio.gather(*staying)))
        assert len(house.server.guesses) == failures + 20
        await until(lambda: house.guard.reservations.under_way == 0)
        nothing_is_left(house)


async def test_clients_that_vanish_while_places_come_free_lose_none_of_them() -> None:
    """Leaving and being served meet in the same turns of the loop, hundreds of times."""
    async with open_house(policy("3/1h")) as house:
        house.server.before_answer = lambda: asyncio.sleep(0.002)

        async def come_and_go(number: int) -> None:
            with contextlib.suppress(ConnectionError):
                _, writer = await house.connect(source=source(number))
                writer.write(b"a LOGIN ada right\r\n")
                await asyncio.sleep(number % 20 / 1_000)
                vanish(writer)

        for start in range(0, 400, 100):
            await asyncio.gather(*(come_and_go(start + n) for n in range(100)))
            assert house.guard.reservations.held(ADA) <= 3
        await until(lambda: house.guard.reservations.under_way == 0)
        nothing_is_left(house)
        assert is_in(await house.imap_login("ada", "right"))
