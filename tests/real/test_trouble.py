"""Disks that fail and clients that misbehave: the guard goes on, and gives back all it took."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from socket import SHUT_RDWR, create_server, socket
from sqlite3 import connect
from threading import Thread

import pytest

from tests.real.attack import Door, Line, Service, Told, guess, offer
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import disk_of, eventually, free_port

Trouble = Callable[[Mailward], AbstractContextManager[None]]


@contextmanager
def a_full_disk(ward: Mailward) -> Iterator[None]:
    """Nothing more fits on the file system that holds the data."""
    filler = ward.data / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 512, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
    yield
    filler.unlink()


@contextmanager
def a_database_that_cannot_be_written(ward: Mailward) -> Iterator[None]:
    """Every write to a file fails, whatever was open before."""
    limits = resource.prlimit(ward.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(ward.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    yield
    resource.prlimit(ward.pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def a_database_that_somebody_locks(ward: Mailward) -> Iterator[None]:
    """Another program holds the database and does not let go."""
    with closing(connect(ward.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    with disk_of(2, folder / "mailward-0" / "data") as disk:
        yield disk


@pytest.mark.parametrize(
    "trouble",
    [a_full_disk, a_database_that_cannot_be_written, a_database_that_somebody_locks],
)
def test_while_nothing_can_be_stored_bans_fall_and_hold_and_are_stored_later(
    small_disk: Path, mailward: StartMailward, trouble: Trouble
) -> None:
    ward = mailward('fail2ban = "3/1d"')
    assert ward.data == small_disk
    with trouble(ward):
        doors = cycle(ward.doors)
        for number in range(3):
            login = f"login{number}"
            told = guess(next(doors), login, "wrong-opensesame", source="127.0.0.66")
            assert told is Told.WRONG
        assert guess(ward.imap, "alice", ACCOUNTS["alice"], source="127.0.0.66") is Told.DROPPED
        assert guess(ward.imap, "alice", ACCOUNTS["alice"], source="127.0.0.67") is Told.OK
        eventually(lambda: "store.degraded" in ward.log(), "the log says so")
        assert "degraded" in ward.cli("status").lower()
    eventually(lambda: "store.recovered" in ward.log(), "it recovers", within_seconds=30)
    ward.crash()
    ward.start()
    assert guess(ward.imap, "alice", ACCOUNTS["alice"], source="127.0.0.66") is Told.DROPPED
    assert ward.bans()["127.0.0.66"]["failures"] == 3


SPEECHES = {
    Service.IMAP: (
        b"",
        b"a",
        b"a CAPABILITY\r\n",
        b"a LOGIN alice ",
        b"a LOGIN {5}\r\nali",
        b"a LOGIN alice {4294967296}\r\n",
        b"a LOGIN alice {4294967296+}\r\nxx",
        b"a AUTHENTICATE PLAIN\r\n",
        b"a AUTHENTICATE PLAIN\r\n@@@@\r\n",
        b"a AUTHENTICATE PLAIN\r\n*\r\n",
        b"a LOGIN nobody wrong-opensesame\r\n",
        b"a LOGIN alice " + ACCOUNTS["alice"].encode() + b"\r\n",
        b"\0\0\0\0\r\n",
        b"a LOGIN \xff\xfe \xc3\x28\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    Service.SUBMISSION: (
        b"",
        b"EHLO",
        b"EHLO client.test\r\n",
        b"AUTH PLAIN\r\n",
        b"EHLO client.test\r\nAUTH PLAIN\r\n",
        b"EHLO client.test\r\nAUTH LOGIN\r\n",
        b"EHLO client.test\r\nAUTH PLAIN @@@@\r\n",
        b"EHLO client.test\r\nAUTH PLAIN\r\n*\r\n",
        b"EHLO client.test\r\nMAIL FROM:<a@b>\r\n",
        offer(Door(Service.SUBMISSION, 0), "nobody", "wrong-opensesame"),
        offer(Door(Service.SUBMISSION, 0), "alice", ACCOUNTS["alice"]),
        b"\0\0\0\0\r\n",
        b"EHLO \xff\xfe\r\nAUTH PLAIN \xff\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    Service.MANAGESIEVE: (
        b"",
        b"AUTHENTICATE",
        b'AUTHENTICATE "PLAIN"\r\n',
        b'AUTHENTICATE "LOGIN"\r\n{8+}\r\nbm9i',
        b'AUTHENTICATE "PLAIN" {4294967295+}\r\n',
        b'AUTHENTICATE "PLAIN" "\0"\r\n',
        b'NOOP "' + b"x" * 100_000,
        b'NOOP "((\\"((\r\n',
        offer(Door(Service.MANAGESIEVE, 0), "nobody", "wrong-opensesame"),
        offer(Door(Service.MANAGESIEVE, 0), "alice", ACCOUNTS["alice"]),
        b'PUTSCRIPT "x" {10+}\r\nkeep;',
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
}
MANY = 'fail2ban = "10000/1d"\nmax-waiting-per-address = 1000'


def test_clients_that_vanish_in_every_state_leave_nothing_behind(
    mailward: StartMailward,
) -> None:
    ward = mailward(MANY)
    before = ward.descriptors()
    for door in ward.doors:
        for speech in SPEECHES[door.service]:
            for _ in range(10):
                with Line(door) as line:
                    line.say(speech)
            with Line(door) as line:
                line.hear()
                line.say(speech)
    settle(ward, before)


def test_three_hundred_silent_clients_are_sent_away_and_leave_nothing(
    mailward: StartMailward,
) -> None:
    ward = mailward(f'{MANY}\nlogin-timeout = "3s"')
    before = ward.descriptors()
    doors = cycle(ward.doors)
    with ExitStack() as stack:
        lines = [stack.enter_context(Line(next(doors), timeout=20)) for _ in range(300)]
        eventually(lambda: ward.descriptors() >= before + 300, "all are served")
        assert guess(ward.imap, "alice", ACCOUNTS["alice"]) is Told.OK
        for line in lines:
            assert line.hear_all().splitlines()[-1][:5] in (b"* BYE", b"421 4", b'BYE "')
    settle(ward, before)


def test_clients_that_read_nothing_cost_no_memory(mailward: StartMailward) -> None:
    ward = mailward(MANY)
    before, memory = ward.descriptors(), ward.memory_octets()
    with ExitStack() as stack:
        for door in ward.doors:
            for _ in range(2):
                line = stack.enter_context(Line(door, timeout=0.5))
                talk_without_listening(line)
        assert ward.memory_octets() < memory + 30_000_000
        assert guess(ward.imap, "alice", ACCOUNTS["alice"]) is Told.OK
    settle(ward, before)


def talk_without_listening(line: Line) -> None:
    """Ask for answers until nothing more is taken, or too much has been."""
    try:
        for _ in range(300):
            line.say(b"a NOOP\r\n" * 4_000)
    except OSError:
        return


def test_sessions_that_read_nothing_are_held_back_not_stored(mailward: StartMailward) -> None:
    ward = mailward(MANY)
    before, memory = ward.descriptors(), ward.memory_octets()
    with ExitStack() as stack:
        for _ in range(5):
            line = stack.enter_context(Line(ward.imap, timeout=0.5))
            line.hear()
            line.say(offer(ward.imap, "alice", ACCOUNTS["alice"]))
            line.hear(b"a OK")
            talk_without_listening(line)
        assert ward.memory_octets() < memory + 30_000_000
    settle(ward, before)


def test_a_daemon_full_of_clients_in_every_state_stops_in_time(mailward: StartMailward) -> None:
    ward = mailward(MANY)
    with ExitStack() as stack:
        for door in ward.doors:
            for speech in SPEECHES[door.service]:
                line = stack.enter_context(Line(door))
                line.hear()
                line.say(speech)
        ward.stop()


def test_an_address_with_too_many_waiting_is_told_so_and_others_are_served(
    mailward: StartMailward,
) -> None:
    ward = mailward('fail2ban = "10/1d"\nmax-waiting-per-address = 5')
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(Line(ward.imap, source="127.0.0.66")).hear()
        crowd = "127.0.0.66"
        assert guess(ward.imap, "alice", ACCOUNTS["alice"], source=crowd) is Told.BYE
        assert guess(ward.submission, "alice", ACCOUNTS["alice"], source=crowd) is Told.BYE
        assert guess(ward.managesieve, "alice", ACCOUNTS["alice"], source=crowd) is Told.BYE
        assert guess(ward.imap, "alice", ACCOUNTS["alice"], source="127.0.0.67") is Told.OK


def settle(ward: Mailward, descriptors: int) -> None:
    """All that was taken is given back, nobody innocent is banned, and logins work."""
    eventually(
        lambda: ward.descriptors() <= descriptors + 2,
        f"back to {descriptors} descriptors",
        within_seconds=20,
    )
    assert ward.bans() == {}
    for door in ward.doors:
        assert guess(door, "alice", ACCOUNTS["alice"]) is Told.OK


def hang_up(client: socket) -> None:
    client.close()


def say_nothing(client: socket) -> None:
    client.recv(65_536)


def talk_nonsense(client: socket) -> None:
    client.sendall(b"\0\xff nonsense\n" * 10)


def greet_as_logged_in(client: socket) -> None:
    client.sendall(b"* PREAUTH welcome\r\n")


def greet_without_end(client: socket) -> None:
    client.sendall(b"* OK " + b"x" * 1_000_000)


@pytest.mark.parametrize(
    "manner", [hang_up, say_nothing, talk_nonsense, greet_as_logged_in, greet_without_end]
)
def test_a_server_behind_that_misbehaves_is_told_as_try_later_and_counts_nothing(
    mailward: StartMailward, manner: Callable[[socket], None]
) -> None:
    with misbehaving_server(manner) as port:
        ward = mailward(
            'fail2ban = "1/1d"',
            imap=port,
            submission=port,
            pigeonhole=port,
            backend='connect-timeout = "1s"',
            has_servers=False,
        )
        for door in ward.doors:
            assert guess(door, "alice", "wrong-opensesame") is Told.LATER
        assert ward.bans() == {}


def test_with_no_server_behind_it_starts_and_everyone_is_told_to_try_later(
    mailward: StartMailward,
) -> None:
    ward = mailward(
        'fail2ban = "1/1d"',
        imap=free_port(),
        submission=free_port(),
        pigeonhole=free_port(),
        has_servers=False,
    )
    for door in ward.doors:
        assert guess(door, "alice", "wrong-opensesame") is Told.LATER
    assert ward.bans() == {}


@contextmanager
def misbehaving_server(manner: Callable[[socket], None]) -> Iterator[int]:
    """Treats everyone who connects in this *manner*."""
    port = free_port()
    clients: list[socket] = []
    with create_server(("127.0.0.1", port)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    clients.append(client)
                    with suppress(OSError):
                        manner(client)

        thread = Thread(target=accept)
        thread.start()
        yield port
        listening.shutdown(SHUT_RDWR)
        for client in clients:
            client.close()
        thread.join()
