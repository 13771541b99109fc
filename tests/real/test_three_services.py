"""IMAP, submission and ManageSieve: one count for all, and each refuses in its own words."""

from __future__ import annotations

from functools import partial

import pytest

from tests.real.attack import (
    LOCKED_FOR_A_WHILE,
    Service,
    Told,
    guess,
    guess_together,
    refusal,
)
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.servers import Dovecot

WRONG = "wrong-opensesame"
ATTACKER = "127.0.0.66"


@pytest.fixture
def ward(mailward: StartMailward) -> Mailward:
    return mailward('fail2ban = "6/1h"')


def test_two_failures_in_each_service_ban_the_address_in_all(
    ward: Mailward, dovecot: Dovecot
) -> None:
    for number in range(6):
        assert ward.bans() == {}
        door = ward.doors[number % 3]
        assert guess(door, f"user{number}", WRONG, source=ATTACKER) is Told.WRONG
    assert list(ward.bans()) == [ATTACKER]
    for door in ward.doors:
        assert guess(door, "alice", ACCOUNTS["alice"], source=ATTACKER) is Told.DROPPED
        assert guess(door, "alice", ACCOUNTS["alice"], source="127.0.0.67") is Told.OK
    assert [one.login for one in dovecot.guesses()] == [
        *(f"user{number}" for number in range(6)),
        *["alice"] * 3,
    ]


def test_one_login_from_six_addresses_is_refused_in_each_protocol_s_own_words(
    ward: Mailward, dovecot: Dovecot
) -> None:
    for number in range(6):
        door, source = ward.doors[number % 3], f"127.0.0.{70 + number}"
        assert guess(door, "bob", WRONG, source=source) is Told.WRONG
    assert list(ward.bans()) == ["bob"]
    dovecot.forget_guesses()
    assert {door.service: refusal(door, "bob", ACCOUNTS["bob"]) for door in ward.doors} == {
        Service.IMAP: b"a NO [UNAVAILABLE] %b\r\n" % LOCKED_FOR_A_WHILE,
        Service.SUBMISSION: b"454 4.7.0 %b\r\n" % LOCKED_FOR_A_WHILE,
        Service.MANAGESIEVE: b'NO (TRYLATER) "%b"\r\n' % LOCKED_FOR_A_WHILE,
    }
    assert dovecot.guesses() == []
    assert all(guess(door, "alice", ACCOUNTS["alice"]) is Told.OK for door in ward.doors)


def test_whoever_tries_all_doors_at_once_gets_no_guess_more(
    ward: Mailward, dovecot: Dovecot
) -> None:
    told = guess_together(
        (
            partial(guess, ward.doors[number % 3], f"user{number}", WRONG, source=ATTACKER)
            for number in range(30)
        ),
        at_once=15,
    )
    assert set(told) <= {Told.WRONG, Told.BYE, Told.DROPPED}
    assert len(dovecot.guesses()) == 6
    assert list(ward.bans()) == [ATTACKER]
