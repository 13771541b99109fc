"""What outlives the process: kill -9 at any moment loses no ban and corrupts nothing."""

from __future__ import annotations

import json
import random
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from http.client import HTTPException
from itertools import count
from pathlib import Path

import pytest

from tests.real.attack import Told, UnexpectedAnswerError, guess, guess_together
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import eventually, let_pass
from tests.real.servers import Dovecot

ATTACKER = "127.0.0.66"
EX_CONFIG = 78


def test_failures_before_a_crash_count_after_it(mailward: StartMailward, dovecot: Dovecot) -> None:
    ward = mailward('fail2ban = "100/1d"')
    make_failures(ward, range(60))
    let_pass(1.1)  # failures are on disk within a second
    ward.crash()
    ward.start()
    make_failures(ward, range(60, 99))
    assert ward.bans() == {}
    make_failures(ward, range(99, 100))
    assert ward.bans()[ATTACKER]["failures"] == 100
    assert guess(ward.imap, "alice", ACCOUNTS["alice"], source=ATTACKER) is Told.DROPPED
    assert sum(str(guess.address) == ATTACKER for guess in dovecot.guesses()) == 100


def make_failures(ward: Mailward, numbers: range) -> None:
    told = guess_together(
        [
            partial(guess, ward.imap, f"login{n}", f"wrong-opensesame-{n}", source=ATTACKER)
            for n in numbers
        ],
        at_once=20,
    )
    assert told == [Told.WRONG] * len(numbers)


def test_the_ban_is_on_disk_before_the_attacker_hears_of_it(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "1/1d"')
    assert guess(ward.imap, "nobody", "wrong-opensesame", source=ATTACKER) is Told.WRONG
    ward.crash()
    ward.start()
    assert set(ward.bans()) == {ATTACKER, "nobody"}
    assert guess(ward.imap, "alice", ACCOUNTS["alice"], source=ATTACKER) is Told.DROPPED


def test_a_crash_right_behind_a_ban_loses_nothing_of_its_story(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "3/1d"')
    for number in range(3):
        told = guess(ward.imap, f"login{number}", "wrong-opensesame", source=ATTACKER)
        assert told is Told.WRONG
    ward.crash()
    ward.start()
    eventually(lambda: ward.bans()[ATTACKER]["services"] == ["imap"], "it knows its services")
    assert ward.bans()[ATTACKER]["counterparts"] == ["login2", "login1", "login0"]


@pytest.mark.timeout(240)
def test_fifty_crashes_under_load_lose_no_ban_that_was_ever_shown(
    mailward: StartMailward,
) -> None:
    ward = mailward('fail2ban = "2/1d"')
    attack = Attack(ward)
    dice = random.Random(50)
    with attack:
        for _ in range(50):
            attack.watch_for(dice.uniform(0.02, 0.4))
            ward.crash()
            assert is_intact(ward.database, ward.folder / "copy")
            ward.start(knows_backends=False)
            assert attack.shown <= shown_now(ward)
    assert attack.shown <= set(ward.bans())
    assert len(attack.shown) > 200
    for name in dice.sample(sorted(attack.shown), 5):
        assert name in ward.cli("why", name)


class Attack:
    """Failures from ever new addresses at ever new logins, going on whatever happens.

    Most are reported, because a guess at a door takes Dovecot half a second.
    """

    def __init__(self, ward: Mailward) -> None:
        self.shown: set[str] = set()
        self._ward = ward
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=(partial(fail, ward), numbers))
            for fail, numbers in (
                (guess_at_a_door, count(1)),
                (guess_at_a_door, count(20_001)),
                (report_a_failure, count(40_001)),
                (report_a_failure, count(60_001)),
            )
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def watch_for(self, seconds: float) -> None:
        """Take down the bans that the daemon shows until *seconds* have passed."""
        over = threading.Event()
        timer = threading.Timer(seconds, over.set)
        timer.start()
        while not over.is_set():
            self.shown |= shown_now(self._ward)
        timer.join()

    def _go_on(self, fail: Callable[[str, str], None], numbers: Iterator[int]) -> None:
        for number in numbers:
            address = f"127.{number // 65_536 + 1}.{number // 256 % 256}.{number % 256}"
            for _ in range(2):
                if self._over.wait(0.02):
                    return
                # Killed in the middle of an answer, or away at the moment.
                with suppress(OSError, HTTPException, UnexpectedAnswerError):
                    fail(address, f"login{number}")


def guess_at_a_door(ward: Mailward, address: str, login: str) -> None:
    guess(ward.imap, login, "wrong-opensesame", source=address)


def report_a_failure(ward: Mailward, address: str, login: str) -> None:
    ward.ask("POST", "/api/failures", {"address": address, "login": login, "service": "webmail"})


def shown_now(ward: Mailward) -> set[str]:
    """What ``mailward bans`` would show, without the start of a program for each look."""
    _, body = ward.ask("GET", "/api/bans")
    return {ban["subject"] for ban in json.loads(body)["bans"]}


def is_intact(database: Path, copies: Path) -> bool:
    """Looks at copies, so that recovering the files themselves is left to the daemon."""
    copies.mkdir(exist_ok=True)
    for file in database.parent.glob(f"{database.name}*"):
        shutil.copy(file, copies)
    with closing(sqlite3.connect(copies / database.name)) as copy:
        verdict = copy.execute("PRAGMA integrity_check").fetchone()
    shutil.rmtree(copies)
    return bool(verdict == ("ok",))


def test_a_socket_left_by_a_crash_stops_no_start(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "2/1d"')
    ward.crash()
    assert ward.socket.is_socket()
    ward.start()
    assert ward.bans() == {}


def test_a_second_daemon_on_the_same_data_is_refused_and_the_first_lives_on(
    mailward: StartMailward,
) -> None:
    ward = mailward('fail2ban = "2/1d"')
    second = ward.serve_in_vain()
    assert second.returncode not in (0, 2)
    assert len(second.stderr.strip().splitlines()) <= 3
    assert ward.told("bans") is not None
    assert guess(ward.imap, "alice", ACCOUNTS["alice"]) is Told.OK


def test_a_port_in_use_is_named_and_nothing_is_left_running(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "2/1d"', running=False)
    with socket.create_server(("127.0.0.1", ward.imap.port)):
        refused = ward.serve_in_vain()
    assert refused.returncode not in (0, 2)
    assert str(ward.imap.port) in refused.stderr
    assert "Traceback" not in refused.stderr
    ward.start()


def test_a_wrong_configuration_is_told_whole_and_nothing_starts(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "100"\nblocked-networks = { "10.0.0.0/33" }', running=False)
    refused = ward.serve_in_vain()
    assert refused.returncode == EX_CONFIG
    faults = refused.stderr.splitlines()
    assert f"{ward.configuration}:5: server.security.fail2ban: " in faults[0]
    assert f"{ward.configuration}:6: server.security.blocked-networks" in faults[1]
    assert not ward.socket.exists()
