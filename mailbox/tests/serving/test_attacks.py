"""The process under attack: floods, garbage, slow clients, and its end in the middle of work."""

from __future__ import annotations

import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mailbox_testing.program import (
    CLIENT,
    PASSWORD,
    Program,
    Talk,
    client_at,
    plain,
    program,
)
from mailward_mailbox.serving.connections.waiting import MAX_WAITING, MAX_WAITING_OF_ONE
from mailward_mailbox.serving.logs import MAX_A_MINUTE
from mailward_mailbox.serving.supervision import STOP_SECONDS

from mailward.wire.proxyline import proxy_v2_header

NETWORKS = MAX_WAITING // MAX_WAITING_OF_ONE
LINE_SERVICES = ("imap", "submission", "managesieve")
HANGING = """
import asyncio
from mailward_mailbox.serving.supervision import Lines, Stopping, follow

async def main():
    stopping = Stopping()
    stopping.listen()
    follow(Lines(0), print, print, stopping)
    print("hanging", flush=True)
    while True:
        pass

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with program(tmp_path_factory.mktemp("attacked")) as started:
        started.add("alice", "bob")
        yield started


@pytest.fixture
def crowd() -> Iterator[list[Talk]]:
    """Connections that are closed at the end."""
    talks: list[Talk] = []
    yield talks
    for talk in talks:
        talk.close()


def assert_is_well(started: Program) -> None:
    """An owner gets in and lists the mailboxes, in less time than a client waits."""
    began = time.monotonic()
    with started.imap() as talk:
        assert b"INBOX" in talk.command(b'LIST "" *')
    assert time.monotonic() - began < 3


def test_where_all_places_before_login_are_taken_another_network_gets_one(
    attacked: Program, crowd: list[Talk]
) -> None:
    for network in range(NETWORKS):
        hosts = [client_at(f"10.0.{network}.{host}") for host in range(MAX_WAITING_OF_ONE)]
        crowd += [attacked.connect("imap", client) for client in hosts]
    assert all(b"* OK" in talk.line() for talk in crowd)
    assert_is_well(attacked)
    displaced = crowd[0].line()
    assert displaced == b"* BYE [UNAVAILABLE] Too many connections are waiting to log in\r\n"


def test_thousands_of_connections_that_say_nothing_keep_no_owner_out(
    attacked: Program, crowd: list[Talk]
) -> None:
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (8_192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    half = proxy_v2_header(CLIENT.source, CLIENT.destination, None)[:20]
    for number in range(3_000):
        talk = attacked.connect("imap" if number % 2 else "managesieve", None)
        crowd.append(talk)
        with suppress(ConnectionError):  # it was one of too many
            talk.say(half[: number % 20])
    assert_is_well(attacked)


def longest_wait(session: Talk) -> float:
    """Seconds that the slowest of some commands takes."""
    waits = []
    for _ in range(21):
        began = time.monotonic()
        session.command(b"NOOP")
        waits.append(time.monotonic() - began)
    return max(waits)


def test_a_session_waits_for_no_crowd_that_has_not_logged_in(
    attacked: Program, crowd: list[Talk]
) -> None:
    with attacked.imap() as session:
        attacked.process.send_signal(signal.SIGSTOP)  # so that all of it comes at once
        for number in range(100):
            talk = attacked.connect("imap", client_at(f"10.{number}.0.1"))
            talk.say(b"a NOOP\r\n" * 8_000)
            crowd.append(talk)
        attacked.process.send_signal(signal.SIGCONT)
        session.command(b"NOOP")
        assert longest_wait(session) < 0.5


def test_a_session_waits_for_no_crowd_of_another_account(
    attacked: Program, crowd: list[Talk]
) -> None:
    crowd += [attacked.imap("bob") for _ in range(60)]
    with attacked.imap() as session:
        attacked.process.send_signal(signal.SIGSTOP)
        for talk in crowd:
            talk.say(b"a NOOP\r\n" * 8_000)
        attacked.process.send_signal(signal.SIGCONT)
        session.command(b"NOOP")
        assert longest_wait(session) < 0.5


@pytest.mark.parametrize("service", [*LINE_SERVICES, "jmap", "control"])
def test_garbage_ends_the_connection_that_it_came_on_alone(attacked: Program, service: str) -> None:
    dice = random.Random(service)
    header = proxy_v2_header(CLIENT.source, CLIENT.destination, None)
    for size in (1, 15, 16, 40, 1_000, 70_000):
        for start in (b"", header):
            with attacked.connect(service, None) as talk:
                with suppress(OSError):  # it was closed before all was said
                    talk.say(start + dice.randbytes(size))
                    talk.socket.shutdown(socket.SHUT_WR)
                talk.rest()
    assert_is_well(attacked)


def test_a_client_that_reads_nothing_is_answered_nothing_more(attacked: Program) -> None:
    with attacked.connect("imap") as slow:
        slow.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            slow.say(b"a NOOP\r\n" * 1_000_000)
        assert_is_well(attacked)


def test_a_client_that_says_its_login_octet_by_octet_is_in(attacked: Program) -> None:
    with attacked.connect("imap", None) as talk:
        login = f"t LOGIN alice {PASSWORD}\r\n".encode()
        for octet in proxy_v2_header(CLIENT.source, CLIENT.destination, None) + login:
            talk.say(bytes([octet]))
        assert b"t OK" in talk.up_to(b"t ")


def test_full_descriptor_table_is_over_when_connections_end(tmp_path: Path) -> None:
    with program(tmp_path) as started:
        started.add("alice")
        before = len(list(Path(f"/proc/{started.process.pid}/fd").iterdir()))
        resource.prlimit(started.process.pid, resource.RLIMIT_NOFILE, (before + 12, before + 12))
        crowd = [started.connect("imap") for _ in range(40)]
        assert b"* OK" in crowd[0].line()
        assert b"NO [UNAVAILABLE]" in crowd[0].command(f"LOGIN alice {PASSWORD}".encode())
        for talk in crowd:
            talk.close()
        assert_is_well(started)
        _, lines = started.end()
    assert [line["level"] for line in lines].count("error") >= 1


def test_a_process_that_was_stopped_goes_on_with_its_sessions(attacked: Program) -> None:
    with attacked.imap() as talk:
        attacked.process.send_signal(signal.SIGSTOP)
        talk.say(b"t NOOP\r\n")
        with attacked.connect("submission") as waiting:
            attacked.process.send_signal(signal.SIGCONT)
            assert b"t OK" in talk.up_to(b"t ")
            assert waiting.line().startswith(b"220")


def append(talk: Talk, number: int) -> bool:
    """Whether an APPEND was answered with OK."""
    octets = f"Subject: appended {number}.\r\n\r\nhello\r\n".encode()
    talk.say(b"t APPEND INBOX {%d+}\r\n%b\r\n" % (len(octets), octets))
    return b"[APPENDUID" in talk.up_to(b"t ")


def submit(talk: Talk, number: int) -> bool:
    """Whether a message was answered with 250."""
    talk.ask(b"MAIL FROM:<alice@mail.test>\r\nRCPT TO:<alice@mail.test>\r\nDATA\r\n", b"354")
    octets = f"Subject: submitted {number}.\r\n\r\nhello\r\n.\r\n".encode()
    return talk.ask(octets, b"250 ", b"4", b"5").startswith(b"250 ")


def submission(started: Program) -> Talk:
    talk = started.connect("submission")
    talk.ask(b"EHLO me\r\n", b"250 ")
    talk.ask(b"AUTH PLAIN " + plain("alice") + b"\r\n", b"235")
    return talk


@pytest.mark.parametrize(
    ("word", "open_", "send"),
    [("appended", Program.imap, append), ("submitted", submission, submit)],
)
def test_what_was_accepted_outlives_a_kill(
    tmp_path: Path, word: str, open_: Callable[[Program], Talk], send: Callable[[Talk, int], bool]
) -> None:
    with program(tmp_path) as started:
        started.add("alice")
        accepted: list[int] = []
        with (
            open_(started) as talk,
            subprocess.Popen(
                ["/bin/sh", "-c", f"sleep 0.3; kill -9 {started.process.pid}"]
            ) as killer,
        ):
            with suppress(ConnectionError):
                for number in range(100_000):
                    if not send(talk, number):
                        break
                    accepted.append(number)
            killer.wait()
    assert accepted
    with program(tmp_path) as started, started.imap() as talk:
        talk.command(b"SELECT INBOX")
        kept = talk.command(b"FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
    assert [one for one in accepted if f"{word} {one}.".encode() not in kept] == []


@pytest.mark.parametrize("by_signal", [True, False])
def test_a_loop_that_hangs_does_not_keep_the_process_from_ending(*, by_signal: bool) -> None:
    command = [sys.executable, "-c", HANGING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hanging:
        assert hanging.stdin is not None
        assert hanging.stdout is not None
        assert hanging.stdout.readline() == b"hanging\n"
        if by_signal:
            hanging.send_signal(signal.SIGTERM)
        else:
            hanging.stdin.close()
        assert hanging.wait(STOP_SECONDS + 1) == -signal.SIGALRM


def test_the_log_says_how_often_a_client_had_the_same_said(tmp_path: Path) -> None:
    with program(tmp_path) as started:
        for _ in range(100):
            with started.connect("imap", None) as talk:
                talk.say(b"nonsense")
                talk.rest()
        _, lines = started.end()
    assert len(lines) == MAX_A_MINUTE
