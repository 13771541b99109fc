"""Dovecot 2.4 and Postfix 3.10: what they say of an outage, and of accounts that may not log in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.attack import Door, Line, Service, Told, guess, plain, sieve_answer
from tests.real.conftest import ACCOUNTS
from tests.real.daemon import Mailward
from tests.real.servers import running
from tests.real.trixie import NewDovecot, NewPostfix
from tests.real.trixie_root import shared_folder, trixie_root

pytestmark = pytest.mark.timeout(1000)  # the root that they run in is made with the first test

OFFICE = "127.0.0.40"
LOCKED = {"locked": "locked-opensesame::::::nologin"}

_NO_ACCOUNTS = """
sql_driver = sqlite
sqlite_path = {folder}/empty.db
passdb sql {{
  query = SELECT password FROM accounts WHERE name = '%{{user}}'
}}
"""
_NO_MAILBOXES = """
sql_driver = sqlite
sqlite_path = {folder}/empty.db
userdb static {{
  driver = sql
  userdb_sql_query = SELECT home FROM accounts WHERE name = '%{{user}}'
}}
"""


def sieve_says(port: int, login: str, password: str) -> bytes:
    with Line(Door(Service.MANAGESIEVE, port)) as line:
        sieve_answer(line)
        line.say(b'AUTHENTICATE "PLAIN" "' + plain(login, password) + b'"\r\n')
        return sieve_answer(line)


def test_an_outage_of_the_accounts_is_told_apart_by_the_second_opinion(folder: Path) -> None:
    root = trixie_root()
    with shared_folder(root) as shared:
        dovecot = NewDovecot(root, shared, ACCOUNTS, more=_NO_ACCOUNTS.format(folder=shared))
        postfix = NewPostfix(root, shared, dovecot.sasl_socket)
        with running(dovecot, postfix):
            ward = Mailward(
                folder / "ward",
                security='fail2ban = "6/1h"',
                dovecot=dovecot.haproxy_port,
                postfix=postfix.haproxy_port,
                pigeonhole=dovecot.sieve_haproxy_port,
            )
            text = ward.configuration.read_text()
            key = '[backend.postfix]\nsecond-opinion = "dovecot"\n'
            ward.configuration.write_text(text.replace("[backend.postfix]\n", key))
            ward.start()
            for number in range(10):
                told = guess(ward.submission, f"user{number}", "x-opensesame", source=OFFICE)
                assert told is Told.LATER
            assert ward.told("why", OFFICE)["count"] == 0
            assert guess(ward.submission, "alice", ACCOUNTS["alice"], source=OFFICE) is Told.OK
            ward.finish()


def test_managesieve_says_no_without_a_code_and_that_counts_only_for_wrong_passwords(
    folder: Path,
) -> None:
    root = trixie_root()
    with shared_folder(root) as shared:
        accounts = {**ACCOUNTS, **LOCKED}
        dovecot = NewDovecot(root, shared, accounts, more=_NO_MAILBOXES.format(folder=shared))
        dovecot.start()
        try:
            said = sieve_says(dovecot.sieve_port, "alice", ACCOUNTS["alice"])
            assert said.startswith(b'NO "Internal error occurred. Refer to server log')
            said = sieve_says(dovecot.sieve_port, "locked", "locked-opensesame")
            assert said == b'NO "Login disabled for this user"\r\n'
            ward = Mailward(
                folder / "ward",
                security='fail2ban = "1/1h"',
                dovecot=dovecot.haproxy_port,
                postfix=dovecot.port,
                pigeonhole=dovecot.sieve_haproxy_port,
            )
            ward.start(knows_backends=False)
            door = ward.managesieve
            assert guess(door, "alice", ACCOUNTS["alice"], source=OFFICE) is Told.LATER
            assert guess(door, "locked", "locked-opensesame", source=OFFICE) is Told.LATER
            assert ward.told("why", OFFICE)["count"] == 0
            assert guess(door, "bob", "wrong-opensesame", source=OFFICE) is Told.WRONG
            assert list(ward.bans()) == [OFFICE, "bob"]
            ward.finish()
        finally:
            dovecot.stop()
