"""Cyrus behind the doors: it gives no codes and takes no PROXY header; the guard is the same."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from ipaddress import ip_address

import pytest

from tests.real.attack import (
    Door,
    ImapFrom,
    Line,
    Service,
    Told,
    guess,
    guess_together,
    offer,
    plain,
    sieve_answer,
)
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.cyrus import Cyrus
from tests.real.daemon import Mailward
from tests.real.processes import free_port
from tests.real.servers import running

pytestmark = pytest.mark.timeout(1000)  # the root that Cyrus runs in is made with the first test

WRONG = "wrong-opensesame"
DOOR_ADDRESS = ip_address("127.0.0.1")  # Cyrus sees no other

_TABLES = """
[server.listener.cyrus]
protocol = "imap"
bind = ["127.0.0.1:{imap}"]
backend = "cyrus"

[server.listener.timsieved]
protocol = "managesieve"
bind = ["127.0.0.1:{managesieve}"]
backend = "timsieved"

[backend.cyrus]
address = "127.0.0.1:{cyrus_imap}"

[backend.timsieved]
address = "127.0.0.1:{cyrus_sieve}"
second-opinion = "{opinion}"
"""


class Guarded:
    """A mailward with doors before Cyrus, beside those before Dovecot and Postfix."""

    def __init__(
        self, mailward: StartMailward, cyrus: Cyrus, limit: str, opinion: str = "none"
    ) -> None:
        self.imap = Door(Service.IMAP, free_port())
        self.managesieve = Door(Service.MANAGESIEVE, free_port())
        tables = _TABLES.format(
            imap=self.imap.port,
            managesieve=self.managesieve.port,
            cyrus_imap=cyrus.port,
            cyrus_sieve=cyrus.sieve_port,
            opinion=opinion,
        )
        self.ward: Mailward = mailward(f'fail2ban = "{limit}"', more=tables)
        cyrus.forget_log()


def test_only_the_owner_logs_in(mailward: StartMailward, cyrus: Cyrus) -> None:
    guarded = Guarded(mailward, cyrus, "50/1h")
    for door in (guarded.imap, guarded.managesieve):
        told = [
            guess(door, "alice", password)
            for password in (WRONG, ACCOUNTS["alice"], ACCOUNTS["bob"])
        ]
        assert told == [Told.WRONG, Told.OK, Told.WRONG]
    assert [one.login for one in cyrus.guesses()] == ["alice"] * 3 + ["", "alice", ""]
    assert {one.address for one in cyrus.guesses()} == {DOOR_ADDRESS}
    assert guarded.ward.told("why", "127.0.0.1")["count"] == 4


@pytest.mark.parametrize(
    "said",
    [
        b"a LOGIN alice alice-opensesame\r\n",
        b'a LOGIN {5+}\r\nalice "alice-opensesame"\r\n',
        b"a AUTHENTICATE PLAIN " + plain("alice", ACCOUNTS["alice"]) + b"\r\n",
        b"a AUTHENTICATE LOGIN\r\nYWxpY2U=\r\nYWxpY2Utb3BlbnNlc2FtZQ==\r\n",
    ],
)
def test_every_mechanism_of_cyrus_works_through_the_door(
    mailward: StartMailward, cyrus: Cyrus, said: bytes
) -> None:
    guarded = Guarded(mailward, cyrus, "50/1h")
    with Line(guarded.imap) as line:
        assert line.hear().startswith(b"* OK ")
        line.say(said + b"b STATUS INBOX (MESSAGES)\r\n")
        told = line.hear(b"a OK ") + line.hear()
        assert b" IDLE " in told
        assert not re.search(b"COMPRESS|UNAUTHENTICATE", told)
        assert line.hear() == b"* STATUS INBOX (MESSAGES 0)\r\n"
    assert [one.login for one in cyrus.guesses()] == ["alice"]


def test_the_nth_failure_bans_and_not_one_guess_more_reaches_cyrus(
    mailward: StartMailward, cyrus: Cyrus
) -> None:
    guarded = Guarded(mailward, cyrus, "5/1h")
    doors = (guarded.imap, guarded.managesieve)
    attack = [
        partial(guess, doors[number % 2], f"user{number}", WRONG, source="127.0.0.66")
        for number in range(20)
    ]
    told = Counter(guess_together(attack, at_once=10))
    assert told[Told.WRONG] <= 5
    assert set(told) <= {Told.WRONG, Told.BYE, Told.DROPPED}
    assert len(cyrus.guesses()) == 5
    assert list(guarded.ward.bans()) == ["127.0.0.66"]
    for door in (*doors, guarded.ward.imap):
        assert guess(door, "alice", ACCOUNTS["alice"], source="127.0.0.66") is Told.DROPPED
        assert guess(door, "alice", ACCOUNTS["alice"], source="127.0.0.67") is Told.OK


def test_failures_before_cyrus_and_before_dovecot_are_one_count(
    mailward: StartMailward, cyrus: Cyrus
) -> None:
    guarded = Guarded(mailward, cyrus, "4/1h")
    doors = (guarded.imap, guarded.managesieve, guarded.ward.imap)
    for number in range(4):
        door = doors[number % 3]
        assert guess(door, "bob", WRONG, source=f"127.0.0.{10 + number}") is Told.WRONG
    assert list(guarded.ward.bans()) == ["bob"]
    for door in doors:
        assert guess(door, "bob", ACCOUNTS["bob"], source="127.0.0.20") is Told.LATER


def test_a_cyrus_that_cannot_look_passwords_up_counts_for_nobody(
    mailward: StartMailward, cyrus: Cyrus
) -> None:
    settings = {"sasl_pwcheck_method": "saslauthd", "sasl_saslauthd_path": "/nowhere"}
    lost = Cyrus(cyrus.root, {}, **settings)
    with running(lost):
        guarded = Guarded(mailward, lost, "2/1h", opinion="cyrus")
        doors = (guarded.imap, guarded.managesieve) * 2
        told = [guess(door, "alice", ACCOUNTS["alice"]) for door in doors]
        with Line(guarded.imap) as line:
            line.hear()
            line.say(b"a AUTHENTICATE PLAIN " + plain("alice", ACCOUNTS["alice"]) + b"\r\n")
            assert line.hear().startswith(b"a NO [UNAVAILABLE]")
        assert "SASL(-1): generic failure" in lost.log()
    assert told == [Told.LATER] * 4
    assert guarded.ward.bans() == {}
    assert guarded.ward.told("why", "127.0.0.1")["count"] == 0


def test_idle_works_as_if_nobody_stood_in_between_and_compression_is_refused(
    mailward: StartMailward, cyrus: Cyrus
) -> None:
    guarded = Guarded(mailward, cyrus, "50/1h")
    with Line(guarded.imap) as idler, ImapFrom(guarded.imap) as sender:
        idler.hear()
        idler.say(b"a LOGIN bob bob-opensesame\r\n")
        assert b"COMPRESS" not in idler.hear(b"a OK ")
        idler.hear()
        idler.say(b"b COMPRESS DEFLATE\r\n")
        assert idler.hear().startswith(b"b NO ")
        idler.say(b"c SELECT INBOX\r\nd IDLE\r\n")
        idler.hear(b"+ idling\r\n")
        sender.login("bob", ACCOUNTS["bob"])
        sender.append("INBOX", "", "", b"Subject: hello\r\n\r\nhello\r\n")
        idler.hear(b" EXISTS\r\n")
        idler.say(b"DONE\r\ne LOGOUT\r\n")
        idler.hear(b"e OK Completed\r\n")


def test_of_60_guesses_from_one_session_none_reaches_cyrus(
    mailward: StartMailward, cyrus: Cyrus
) -> None:
    """Cyrus lists UNAUTHENTICATE to those who are logged in alone."""
    guarded = Guarded(mailward, cyrus, "5/1h")
    with Line(guarded.imap) as line:
        line.hear()
        line.say(b"a LOGIN alice " + ACCOUNTS["alice"].encode() + b"\r\n")
        line.hear(b"a OK ")
        line.hear()
        for number in range(60):
            line.say(b"u UNAUTHENTICATE\r\n")
            assert line.hear().startswith(b"u BAD ")
            line.say(b"v LOGIN bob wrong-%d\r\n" % number)
            assert line.hear().startswith(b"v BAD ")
        line.say(b"w SELECT INBOX\r\n")
        line.hear(b"w OK ")
    assert [guess.login for guess in cyrus.guesses()] == ["alice"]
    assert guarded.ward.bans() == {}


def test_nobody_becomes_somebody_else_inside_a_managesieve_session(
    mailward: StartMailward, cyrus: Cyrus
) -> None:
    guarded = Guarded(mailward, cyrus, "50/1h")
    with Line(guarded.managesieve) as line:
        sieve_answer(line)
        line.say(offer(guarded.managesieve, "alice", ACCOUNTS["alice"]))
        assert sieve_answer(line).startswith(b"OK")
        for command in (
            b"UNAUTHENTICATE",
            b"STARTTLS",
            b'AUTHENTICATE "PLAIN" "' + plain("bob", ACCOUNTS["bob"]) + b'"',
            b'AUTHENTICATE "PLAIN" "' + plain("bob", WRONG) + b'"',
        ):
            line.say(command + b"\r\n")
            assert sieve_answer(line).startswith(b"NO "), command
        line.say(b"CAPABILITY\r\n")
        assert b"UNAUTHENTICATE" not in line.hear(b"\r\nOK")
        line.hear()
        line.say(b"LISTSCRIPTS\r\n")
        assert sieve_answer(line).startswith(b"OK")
    assert [one.login for one in cyrus.guesses()] == ["alice"]
