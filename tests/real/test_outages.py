"""The accounts of a mail server are out of reach: everybody is told to try later, nobody counts.

Dovecot has them in a database that loses its table, and Postfix asks Dovecot: it says that outage
as it says a wrong password.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.real.attack import Door, Line, Told, guess, guess_together, plain, sieve_answer
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import eventually, let_pass, private_folder
from tests.real.servers import Dovecot, Postfix, running
from tests.real.test_mechanisms import Scram, log_in

COLLEAGUES = [f"colleague{number}" for number in range(10)]
PASSWORD = "shared-opensesame"
OFFICE = "127.0.0.40"

_DATABASE = """\
auth_mechanisms = plain login scram-sha-256
passdb {{
  driver = sql
  args = {folder}/sql.conf
}}
"""
_QUERY = """\
driver = sqlite
connect = {folder}/accounts.db
default_pass_scheme = PLAIN
password_query = SELECT login AS user, password FROM accounts WHERE login = '%u'
"""


@dataclass
class Directory:
    """The database of accounts."""

    file: Path

    def come_back(self) -> None:
        with closing(sqlite3.connect(self.file)) as database, database:
            database.execute("CREATE TABLE accounts (login TEXT, password TEXT)")
            rows = [(login, PASSWORD) for login in COLLEAGUES]
            database.executemany("INSERT INTO accounts VALUES (?, ?)", rows)

    def go_away(self) -> None:
        with closing(sqlite3.connect(self.file)) as database, database:
            database.execute("DROP TABLE accounts")

    @contextmanager
    def away(self) -> Iterator[None]:
        self.go_away()
        yield
        self.come_back()


@dataclass
class Office:
    """A Dovecot with that database, and a Postfix that asks it."""

    directory: Directory
    dovecot: Dovecot
    postfix: Postfix

    def guesses_at_postfix(self) -> int:
        return self.postfix.log().count("SASL PLAIN authentication failed")


@pytest.fixture(scope="module")
def the_office() -> Iterator[Office]:
    with private_folder() as folder:
        directory = Directory(folder / "accounts.db")
        directory.come_back()
        directory.file.chmod(0o644)
        (folder / "sql.conf").write_text(_QUERY.format(folder=folder))
        dovecot = Dovecot(folder, ACCOUNTS, more=_DATABASE.format(folder=folder))
        postfix = Postfix(folder, dovecot.sasl_socket)
        with running(dovecot, postfix):
            yield Office(directory, dovecot, postfix)


@pytest.fixture
def office(the_office: Office) -> Office:
    the_office.dovecot.forget_guesses()
    the_office.postfix.forget_log()
    return the_office


Open = Callable[..., Mailward]


@pytest.fixture
def before(mailward: StartMailward, office: Office) -> Open:
    """A mailward before the office; what it refuses over *asked* is asked of its IMAP."""

    def start(
        security: str, *, asked: str | None = "dovecot", imap: int | None = None, backend: str = ""
    ) -> Mailward:
        ward = mailward(
            security,
            imap=imap or office.dovecot.haproxy_port,
            submission=office.postfix.haproxy_port,
            pigeonhole=office.dovecot.sieve_haproxy_port,
            backend=backend,
            running=False,
        )
        if asked is not None:
            text = ward.configuration.read_text()
            key = f'[backend.postfix]\nsecond-opinion = "{asked}"\n'
            ward.configuration.write_text(text.replace("[backend.postfix]\n", key))
        ward.start()
        office.dovecot.forget_guesses()
        office.postfix.forget_log()
        return ward

    return start


def failures(ward: Mailward, subject: str) -> int:
    return len(ward.told("why", subject)["failures"])


def submission_state(ward: Mailward) -> str:
    doors = ward.told("status")["doors"]
    return str(next(door["state"] for door in doors if door["listener"] == "submission"))


def test_without_a_second_opinion_an_outage_behind_postfix_counts_and_that_is_advised(
    before: Open, office: Office
) -> None:
    ward = before('fail2ban = "20/1h"', asked=None)
    with office.directory.away():
        for login in COLLEAGUES[:6]:
            assert guess(ward.submission, login, PASSWORD, source=OFFICE) is Told.WRONG
    assert failures(ward, OFFICE) == 6
    advice = 'set backend.postfix.second-opinion = "dovecot"'
    assert any(advice in warning for warning in ward.told("status")["warnings"])
    assert advice in ward.cli("serve", "--check")


def test_ten_colleagues_with_right_passwords_are_not_banned_by_an_outage_of_their_directory(
    before: Open, office: Office
) -> None:
    ward = before('fail2ban = "6/1h"')
    with office.directory.away():
        for login in COLLEAGUES:
            assert guess(ward.submission, login, PASSWORD, source=OFFICE) is Told.LATER
        assert ward.bans() == {}
        assert failures(ward, OFFICE) == 0
        assert "second opinion, dovecot, gives none" in submission_state(ward)
        eventually(lambda: "backend.unavailable" in ward.log(), "the log says so", within_seconds=1)
        # Only the first of them was tried at Postfix: the others were asked about first.
        assert office.guesses_at_postfix() == 1
        assert guess(ward.imap, "alice", ACCOUNTS["alice"], source=OFFICE) is Told.OK
    for login in COLLEAGUES:
        assert guess(ward.submission, login, PASSWORD, source=OFFICE) is Told.OK
    assert submission_state(ward) == "ok"
    eventually(lambda: "backend.recovered" in ward.log(), "the log says so", within_seconds=2)
    for number in range(6):
        told = guess(ward.submission, f"nobody{number}", "x-opensesame", source="127.0.0.66")
        assert told is Told.WRONG
    assert set(ward.bans()) == {"127.0.0.66"}


def test_while_all_is_well_ten_guesses_are_ten(before: Open, office: Office) -> None:
    ward = before('fail2ban = "10/1h"\nmax-waiting-per-address = 1000')
    wrong = partial(guess, ward.submission, source="127.0.0.66", timeout_seconds=200.0)
    told = Counter(
        guess_together(
            [partial(wrong, f"login{n}", "wrong-opensesame") for n in range(60)], at_once=60
        )
    )
    assert told[Told.WRONG] == 10
    assert office.guesses_at_postfix() == 10
    assert ward.bans()["127.0.0.66"]["failures"] == 10
    assert guess(ward.submission, COLLEAGUES[0], PASSWORD, source=OFFICE) is Told.OK


def test_a_second_opinion_that_hangs_lets_no_more_guesses_through_than_the_limit(
    before: Open, office: Office, folder: Path
) -> None:
    other = Dovecot(folder, {**ACCOUNTS, **dict.fromkeys(COLLEAGUES, PASSWORD)})
    with running(other):
        ward = before(
            'fail2ban = "10/1h"\nmax-waiting-per-address = 1000\nlogin-timeout = "5m"',
            imap=other.haproxy_port,
            backend='connect-timeout = "1s"\nanswer-timeout = "2s"',
        )
        wrong = partial(guess, ward.submission, source="127.0.0.66", timeout_seconds=200.0)
        guesses = [partial(wrong, f"login{n % 40}", f"wrong{n}-opensesame") for n in range(200)]
        with other.frozen():
            told = Counter(guess_together(guesses, at_once=200))
            assert told[Told.WRONG] == 0
            assert told[Told.OK] == 0
            assert office.guesses_at_postfix() <= 10
            assert ward.bans() == {}
            assert failures(ward, "127.0.0.66") == 0
            assert "second opinion, dovecot, gives none" in submission_state(ward)
        # It goes on as it began: while there was a doubt the second is asked first.
        assert guess(ward.submission, COLLEAGUES[0], PASSWORD, source=OFFICE) is Told.OK
        assert wrong("alice", "wrong-opensesame") is Told.WRONG
        assert failures(ward, "127.0.0.66") == 1


def test_scram_shows_an_outage_at_its_first_message_and_counts_wrong_proofs_and_unknown_names(
    before: Open, office: Office
) -> None:
    ward = before('fail2ban = "20/1h"')

    def scram(login: str, password: str) -> Told:
        says = Scram("SCRAM-SHA-256", login, password)
        return log_in(ward.submission, "SCRAM-SHA-256", says, OFFICE)

    assert scram(COLLEAGUES[0], PASSWORD) is Told.OK
    assert scram(COLLEAGUES[0], "wrong-opensesame") is Told.WRONG
    assert scram("nobody", "wrong-opensesame") is Told.WRONG
    assert failures(ward, OFFICE) == 2
    with office.directory.away():
        for login in COLLEAGUES:
            assert scram(login, PASSWORD) is Told.LATER
    assert failures(ward, OFFICE) == 2
    assert scram(COLLEAGUES[0], PASSWORD) is Told.OK
    assert scram("nobody", "wrong-opensesame") is Told.WRONG
    assert failures(ward, OFFICE) == 3


def test_what_the_second_accepts_and_the_first_refuses_counts_for_nobody_and_is_said_once(
    before: Open, folder: Path
) -> None:
    other = Dovecot(folder, {**ACCOUNTS, "carol": "carol-opensesame"})
    with running(other):
        ward = before('fail2ban = "2/1h"', imap=other.haproxy_port)
        for _ in range(5):
            told = guess(ward.submission, "carol", "carol-opensesame", source=OFFICE)
            assert told is Told.LATER
        assert failures(ward, OFFICE) == 0
        assert ward.log().count("refuses the login carol, which dovecot accepts") == 1
        assert "do the two share their accounts?" in submission_state(ward)
        assert ward.log().count("auth.unavailable") >= 1
        assert guess(ward.submission, "alice", ACCOUNTS["alice"], source=OFFICE) is Told.OK
        assert submission_state(ward) == "ok"
        assert guess(ward.submission, "carol", "wrong-opensesame", source=OFFICE) is Told.WRONG
        assert failures(ward, OFFICE) == 1


def test_too_many_sessions_are_no_wrong_password_over_managesieve(
    mailward: StartMailward, folder: Path
) -> None:
    busy = Dovecot(folder, ACCOUNTS, more="mail_max_userip_connections = 1\n")
    with running(busy):
        ward = mailward(
            'fail2ban = "1/1h"',
            imap=busy.haproxy_port,
            pigeonhole=busy.sieve_haproxy_port,
            backend='connect-timeout = "5s"',
        )
        with signed_in(ward.managesieve, "alice", ACCOUNTS["alice"], OFFICE):
            told = guess(ward.managesieve, "alice", ACCOUNTS["alice"], source=OFFICE)
            assert told is Told.LATER
        assert failures(ward, OFFICE) == 0


def test_a_mail_server_that_goes_down_and_comes_back_is_said_at_the_first_attempt(
    mailward: StartMailward, folder: Path
) -> None:
    dovecot = Dovecot(folder, ACCOUNTS)
    dovecot.start()
    try:
        ward = mailward('fail2ban = "3/1h"', imap=dovecot.haproxy_port)
        dovecot.stop()
        assert guess(ward.imap, "alice", ACCOUNTS["alice"], source=OFFICE) is Told.LATER
        eventually(lambda: "backend.unavailable" in ward.log(), "it is said", within_seconds=1)
        (line,) = [line for line in ward.log().splitlines() if "backend.unavailable" in line]
        assert "backend=dovecot service=imap" in line
        doors = ward.told("status")["doors"]
        assert "cannot connect" in next(d["state"] for d in doors if d["listener"] == "imap")
        dovecot.start()
        assert guess(ward.imap, "alice", ACCOUNTS["alice"], source=OFFICE) is Told.OK
        eventually(lambda: "backend.recovered" in ward.log(), "it is said", within_seconds=1)
    finally:
        dovecot.stop()


def test_a_directory_that_is_away_is_seen_in_status_though_dovecot_greets(
    before: Open, office: Office
) -> None:
    ward = before('fail2ban = "3/1h"')
    with office.directory.away():
        assert guess(ward.imap, COLLEAGUES[0], PASSWORD, source=OFFICE) is Told.LATER
        let_pass(6.0)  # a probe has seen that it greets
        doors = ward.told("status")["doors"]
        state = next(door["state"] for door in doors if door["listener"] == "imap")
        assert state == "the backend answers NO [UNAVAILABLE]"
        assert ward.log().count("backend.recovered") == 0
    assert guess(ward.imap, COLLEAGUES[0], PASSWORD, source=OFFICE) is Told.OK
    eventually(lambda: "backend.recovered" in ward.log(), "it is said", within_seconds=1)


@contextmanager
def signed_in(door: Door, login: str, password: str, source: str) -> Iterator[None]:
    """A ManageSieve session, for as long as it is needed."""
    with Line(door, source=source) as line:
        sieve_answer(line)
        line.say(b'AUTHENTICATE "PLAIN" "' + plain(login, password) + b'"\r\n')
        assert sieve_answer(line).startswith(b"OK")
        yield
