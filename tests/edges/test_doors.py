"""What people at the doors notice, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mailward.edges.listener import BindError, open_socket
from mailward.guard import operations
from mailward.guard.journal import Event
from mailward.rules.model import Subject, SubjectKind
from mailward.settings.configuration import Bind, Protocol
from tests.edges.house import Behaviour, Premises, limits, open_house, policy, until

both_loops = True
ADA = Subject(SubjectKind.LOGIN, "ada")
HERE = Subject(SubjectKind.ADDRESS, "127.0.0.1")


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_failures_on_both_doors_count_together_and_then_both_are_shut() -> None:
    async with open_house(policy("4/1h")) as house:
        assert (await house.imap_login("a", "x")).startswith(b"a NO [AUTHENTICATIONFAILED]")
        assert (await house.submission_login("b", "x")).startswith(b"535 5.7.8")
        assert (await house.imap_login("c", "x")).startswith(b"a NO [AUTHENTICATIONFAILED]")
        assert (await house.submission_login("d", "x")).startswith(b"535 5.7.8")
        assert await house.imap_login("e", "right") == b""
        assert await house.submission_login("e", "right") == b""
        assert house.server.guesses == [b"a", b"b", b"c", b"d"]
        assert house.guard.drops.total == 2


async def test_a_banned_login_is_told_to_try_later_and_the_server_is_not_asked() -> None:
    async with open_house() as house:
        for host in range(1, 4):
            await house.imap_login("ada", "x", f"127.0.1.{host}")
        assert (await house.imap_login("ADA", "right")).startswith(b"a NO [UNAVAILABLE]")
        assert (await house.submission_login("ada", "right")).startswith(b"454 4.7.0")
        assert len(house.server.guesses) == 3
        assert (await house.imap_login("grace", "right")).startswith(b"a OK")
        await operations.lift(house.guard, ADA, house.now[0])
        assert (await house.imap_login("ada", "right")).startswith(b"a OK")


@pytest.mark.parametrize("login", ["ada", "nobody-has-this-name"])
async def test_what_people_read_says_why_their_login_is_refused(login: str) -> None:
    async with open_house() as house:

        async def told() -> list[bytes]:
            return [
                await house.imap_login(login, "right", "127.0.1.9"),
                await house.submission_login(login, "right", "127.0.1.9"),
                await house.managesieve_login(login, "right", "127.0.1.9"),
            ]

        def in_their_words(text: str) -> list[bytes]:
            return [
                f"a NO [UNAVAILABLE] {text}\r\n".encode(),
                f"454 4.7.0 {text}\r\n".encode(),
                f'NO (TRYLATER) "{text}"\r\n'.encode(),
            ]

        for host in range(1, 4):
            await house.imap_login(login, "x", f"127.0.1.{host}")
        assert await told() == in_their_words(
            "Too many wrong passwords for this account; it is locked for a while, try again later"
        )
        subject, now = Subject(SubjectKind.LOGIN, login), house.now[0]
        await operations.lift(house.guard, subject, now)
        await operations.ban(house.guard, subject, None, "", now)
        assert await told() == in_their_words("This account is locked; ask your administrator")
        await operations.lift(house.guard, subject, now)
        house.server.behaviour = _hang_up
        assert await told() == in_their_words("The mail server is not available, try again later")


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_bare_line_feed_is_told_its_remedy(protocol: Protocol) -> None:
    async with open_house() as house:
        reader, writer = await house.connect(protocol)
        writer.write(b"a LOGIN ada right\n")
        answer = (await reader.read()).splitlines()[-1]
        assert b"Lines must end in CRLF, not in LF alone" in answer
        assert b"openssl s_client -crlf" in answer
        writer.close()


async def test_a_listener_told_to_take_no_password_in_plaintext_takes_none_on_loopback() -> None:
    for allowed, answer in ((None, b"a OK"), (True, b"a OK"), (False, b"a NO [PRIVACYREQUIRED]")):
        plainly = partial(replace, allow_plaintext=allowed)
        async with open_house(before=plainly) as house:
            assert (await house.imap_login("ada", "right")).startswith(answer)


@pytest.mark.parametrize("failures", [1, 5, 50])
async def test_200_connections_at_once_make_exactly_as_many_guesses_as_the_limit(
    failures: int,
) -> None:
    async with open_house(policy(f"{failures}/1h")) as house:
        house.server.before_answer = lambda: asyncio.sleep(0.02)
        answers = await asyncio.gather(
            *(house.imap_login("ada", "x", f"127.0.2.{n + 1}") for n in range(100)),
            *(house.submission_login("ada", "x", f"127.0.3.{n + 1}") for n in range(100)),
        )
        assert len(house.server.guesses) == failures
        wrong = [a for a in answers if a.startswith((b"a NO [AUTHENTICATIONFAILED]", b"535"))]
        later = [a for a in answers if a.startswith((b"a NO [UNAVAILABLE]", b"454"))]
        assert (len(wrong), len(later)) == (failures, 200 - failures)


async def test_after_login_the_bytes_flow_both_ways_from_the_first_one() -> None:
    async with open_house() as house:
        reader, writer = await house.connect()
        writer.write(b"a LOGIN ada right\r\nb APPEND x {3+}\r\nabc\r\n")
        greeting, answer = await reader.readline(), await reader.readline()
        assert greeting.startswith(b"* OK [CAPABILITY IMAP4rev1")
        assert answer == b"a OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n"
        assert await reader.readline() == b"b APPEND x {3+}\r\n"
        assert await reader.readline() == b"abc\r\n"
        big = b"c APPEND x {3000000+}\r\n" + os.urandom(3_000_000) + b"\r\n"
        sending = asyncio.gather(_send(writer, big))
        assert await reader.readexactly(len(big)) == big
        await sending
        writer.write_eof()  # half a close: the server's last words still come
        assert await reader.read() == b"the end\r\n"
        writer.close()


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_a_client_that_reads_nothing_stops_the_server_and_costs_no_memory() -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] x\r\n")
        line = await reader.readline()
        writer.write(line.split()[0] + b" OK in\r\n")
        async with asyncio.timeout(1):
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
                sent += 65_536

    async with open_house() as house:
        house.server.behaviour = _ignoring_timeout(pour)
        reader, writer = await house.connect()
        writer.write(b"a LOGIN ada right\r\n")
        await reader.readline()
        await asyncio.sleep(1.2)  # as long as the server pours
        assert sent < 40_000_000  # what the kernel's buffers take, not what a second could carry
        writer.transport.abort()


def _ignoring_timeout(behaviour: Behaviour) -> Behaviour:
    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behaviour(reader, writer)
        except TimeoutError:
            return

    return patient


async def test_three_failures_end_a_connection() -> None:
    async with open_house(policy("100/1d")) as house:
        reader, writer = await house.connect()
        writer.write(b"a LOGIN a x\r\nb LOGIN b x\r\nc LOGIN c x\r\nd LOGIN d x\r\n")
        said = await reader.read()
        assert said.count(b"[AUTHENTICATIONFAILED]") == 3
        assert said.endswith(b"* BYE Too many failed logins\r\n")
        assert house.server.guesses == [b"a", b"b", b"c"]
        writer.close()


async def test_who_hangs_up_early_is_counted_all_the_same() -> None:
    async with open_house(policy("1/1h")) as house:
        answered = asyncio.Event()
        house.server.before_answer = answered.wait
        reader, writer = await house.connect()
        await reader.readline()
        writer.write(b"a LOGIN ada x\r\n")
        await until(lambda: house.server.guesses == [b"ada"])
        writer.transport.abort()
        answered.set()
        await until(lambda: house.guard.journal.counts[Event.AUTH_FAILED, "imap"] == 1)
        assert await house.imap_login("grace", "right") == b""


async def test_a_slow_login_is_ended_in_time_and_settled_without_the_client() -> None:
    async with open_house(policy("1/1h"), limits(login_timeout=100)) as house:
        answered = asyncio.Event()
        house.server.before_answer = answered.wait
        reader, writer = await house.connect()
        writer.write(b"a LOGIN ada x\r\n")
        assert (await reader.read()).endswith(b"* BYE The time for logging in is over\r\n")
        assert house.guard.reservations.under_way == 2
        answered.set()
        await until(lambda: house.guard.journal.counts[Event.AUTH_FAILED, "imap"] == 1)
        writer.close()


async def test_who_waits_too_long_for_a_place_is_told_to_try_later_and_not_counted() -> None:
    async with open_house(policy("1/1h"), limits(login_timeout=200)) as house:
        answered = asyncio.Event()
        house.server.before_answer = answered.wait
        _, first = await house.connect(source="127.0.4.1")
        first.write(b"a LOGIN ada x\r\n")
        await until(lambda: house.server.guesses == [b"ada"])
        assert (await house.imap_login("ada", "right", "127.0.4.2")).startswith(
            b"a NO [UNAVAILABLE]"
        )
        first.close()
        answered.set()
        await until(lambda: house.guard.reservations.under_way == 0)
        assert house.guard.journal.counts[Event.AUTH_FAILED, "imap"] == 1


async def test_a_ban_closes_waiting_connections_of_the_address_and_leaves_sessions() -> None:
    async with open_house() as house:
        session_reader, session = await house.connect()
        session.write(b"a LOGIN ada right\r\n")
        await session_reader.readline()
        await session_reader.readline()
        idle_reader, idle = await house.connect(Protocol.SUBMISSION)
        await idle_reader.readline()
        await operations.ban(house.guard, HERE, None, "", house.now[0])
        assert (await idle_reader.read()).startswith(b"421 4.7.0")
        session.write(b"still here\r\n")
        assert await session_reader.readline() == b"still here\r\n"
        idle.close()
        session.close()


async def test_a_ban_closes_sessions_too_where_that_is_wanted() -> None:
    async with open_house(policy("3/1h", ban_closes_sessions=True)) as house:
        reader, writer = await house.connect()
        writer.write(b"a LOGIN ada right\r\n")
        await reader.readline()
        await reader.readline()
        wide = Subject(SubjectKind.ADDRESS, "127.0.0.0/8")
        await operations.ban(house.guard, wide, None, "", house.now[0])
        assert await reader.read() == b""
        writer.close()


async def test_one_address_cannot_fill_the_lobby() -> None:
    async with open_house(doors=limits(max_waiting_per_address=2)) as house:
        kept = [await house.connect() for _ in range(2)]
        for reader, _ in kept:
            await reader.readline()
        reader, refused = await house.connect()
        assert (await reader.read()).startswith(b"* BYE [UNAVAILABLE]")
        other_reader, other = await house.connect(source="127.0.0.2")
        assert (await other_reader.readline()).startswith(b"* OK")
        for writer in (refused, other, *(writer for _, writer in kept)):
            writer.close()


async def test_a_burst_of_one_address_gets_no_more_places_than_it_may_have() -> None:
    async with open_house(doors=limits(max_waiting_per_address=2)) as house:
        connections = await asyncio.gather(*(house.connect() for _ in range(30)))
        greetings = [await reader.readline() for reader, _ in connections]
        assert sum(greeting.startswith(b"* OK") for greeting in greetings) == 2
        for _, writer in connections:
            writer.close()


async def test_refusals_end_a_connection_as_failures_do() -> None:
    async with open_house(policy("1/1h")) as house:
        await house.imap_login("ada", "x", "127.0.1.1")
        reader, writer = await house.connect()
        writer.write(b"a LOGIN ada x\r\n" * 10)
        assert (await reader.read()).count(b"[UNAVAILABLE]") == 3
        writer.close()


async def test_a_full_lobby_lets_the_oldest_of_the_largest_crowd_go() -> None:
    async with open_house(doors=limits(max_waiting=3)) as house:
        lonely_reader, lonely = await house.connect(source="127.0.9.1")
        await lonely_reader.readline()
        crowd = [await house.connect(source=f"127.0.8.{n}") for n in (1, 2)]
        for reader, _ in crowd:
            await reader.readline()
        reader, new = await house.connect(source="127.0.7.1")
        assert (await reader.readline()).startswith(b"* OK")
        assert (await crowd[0][0].read()).startswith(b"* BYE [UNAVAILABLE]")
        lonely.write(b"a NOOP\r\n")
        assert await lonely_reader.readline() == b"a OK NOOP completed\r\n"
        for writer in (lonely, new, *(writer for _, writer in crowd)):
            writer.close()


async def _refuses(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _says_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _closes_at_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] x\r\n")
    await reader.readline()


async def _talks_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(os.urandom(200_000))


async def _greets_preauth(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* PREAUTH [CAPABILITY IMAP4rev1] come in\r\n")
    await reader.read()


async def _is_silent_after_the_guess(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] x\r\n")
    await reader.read()


@pytest.mark.parametrize(
    "behaviour",
    [
        _refuses,
        _says_nothing,
        _closes_at_the_answer,
        _talks_nonsense,
        _greets_preauth,
        _is_silent_after_the_guess,
    ],
)
async def test_a_broken_backend_bans_nobody(behaviour: Behaviour) -> None:
    async with open_house(policy("1/1h"), connect_ms=100, answer_ms=100) as house:
        house.server.behaviour = behaviour
        for _ in range(3):
            assert (await house.imap_login("ada", "right")).startswith(b"a NO [UNAVAILABLE]")
        house.server.behaviour = None
        assert (await house.imap_login("ada", "right")).startswith(b"a OK")
        assert house.guard.journal.counts[Event.AUTH_UNAVAILABLE, "imap"] == 3


async def test_a_client_that_asks_and_reads_nothing_is_read_no_further() -> None:
    async with open_house() as house:
        reader, writer = await house.connect()
        await reader.readline()
        writer.transport.pause_reading()  # type: ignore[attr-defined] # how a client is deaf
        for _ in range(200):
            writer.write(b"a CAPABILITY\r\n" * 5_000)
            await asyncio.sleep(0)
        sent = 200 * 5_000 * len(b"a CAPABILITY\r\n")
        assert writer.transport.get_write_buffer_size() > sent // 4
        writer.transport.abort()


async def submitting(
    house: Premises, name: bytes = b"c"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that is logged in to submission."""
    reader, writer = await house.connect(Protocol.SUBMISSION)
    writer.write(b"EHLO " + name + b"\r\nAUTH PLAIN AGFkYQByaWdodA==\r\n")
    async with asyncio.timeout(5):
        while not (await reader.readline()).startswith(b"235"):
            pass
    return reader, writer


async def test_a_second_login_inside_a_submission_session_is_refused_and_it_goes_on() -> None:
    async with open_house(policy("1/1h")) as house:
        reader, writer = await submitting(house)
        for command in (b"AUTH PLAIN AGFkYQB3cm9uZw==", b"STARTTLS", b"XCLIENT ADDR=192.0.2.1"):
            writer.write(command + b"\r\n")
            async with asyncio.timeout(5):
                assert (await reader.readline()).startswith(b"503 5.5.1 ")
        assert house.server.guesses == [b"ada"]
        writer.close()


@pytest.mark.parametrize("name", [b"my phone", b"M\xfcller-PC"])
async def test_a_client_whose_name_no_server_could_read_may_send(name: bytes) -> None:
    async with open_house() as house:
        _, writer = await submitting(house, name)
        assert house.server.names == [b"[127.0.0.1]"]
        writer.close()


async def test_no_password_is_in_any_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_house() as house:
        await house.imap_login("ada", "hunter2")
        await house.submission_login("ada", "hunter2")
        reader, writer = await house.connect()
        writer.write(b"a LOGIN {4}\r\n")
        await reader.readline()
        writer.write(b"hunter2 hunter2 hunter2\r\n")
        await reader.readline()
        writer.transport.abort()
    assert "auth.failed" in caplog.text
    assert "hunter2" not in caplog.text


async def test_no_descriptor_left_is_a_fault_that_changes_nothing() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(BindError, match="Too many open files"):
            open_socket(Bind("127.0.0.1", 0))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_clients_that_vanish_in_every_state_leave_nothing_behind() -> None:
    pieces = [
        b"",
        b"a LOGIN",
        b"a LOGIN {3}\r\n",
        b"a AUTHENTICATE PLAIN\r\n",
        b"a LOGIN ada x\r\n",
    ]
    async with open_house(policy("100/1d")) as house:
        before = open_descriptors()
        for piece in pieces * 10:
            _, writer = await house.connect()
            writer.write(piece)
            writer.transport.abort()
        await until(lambda: house.lobby.present == 0)
        await until(lambda: house.guard.reservations.under_way == 0)
        await until(lambda: open_descriptors() <= before)


async def test_nobody_logs_in_again_where_unauthenticate_is_listed_only_after_the_login() -> None:
    guesses = []

    async def lists_it_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
        listed = b""
        while line := await reader.readline():
            tag, command, *_ = line.split()
            if command == b"CAPABILITY":
                writer.write(b"* OK [ALERT] Hi\r\n* CAPABILITY IMAP4rev1" + listed + b"\r\n")
            if command == b"LOGIN":
                listed = b" UNAUTHENTICATE COMPRESS=DEFLATE"
                guesses.append(line)
            known = command in {b"CAPABILITY", b"UNAUTHENTICATE", b"LOGIN"}
            writer.write(tag + (b" OK done\r\n" if known else b" BAD what?\r\n"))

    async with open_house(policy("5/1h")) as house:
        house.server.behaviour = lists_it_late
        reader, writer = await house.connect()
        await reader.readline()
        writer.write(b"a LOGIN ada right\r\n")
        async with asyncio.timeout(10):
            assert await reader.readline() == b"a OK [CAPABILITY IMAP4rev1] Logged in\r\n"
            assert await reader.readline() == b"* OK [ALERT] Hi\r\n"
            for number in range(60):
                writer.write(b"b UNAUTHENTICATE\r\nc LOGIN ada %d\r\n" % number)
                assert await reader.readline() == b"b BAD what?\r\n"
                assert await reader.readline() == b"c BAD what?\r\n"
        writer.close()
        assert len(guesses) == 1
