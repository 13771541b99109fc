"""A webmail that is trusted says who its user is; all others say it in vain."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tests.real.attack import Door, Line, Service, Told, guess, offer
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.servers import Dovecot, Guess, Postfix

WEBMAIL, STRANGER = "127.0.9.7", "127.0.9.6"
BAD, GOOD = "127.0.1.1", "127.0.1.2"
WRONG = "wrong-opensesame"

_TRUST = f"""
[server.proxy]
trusted-networks = {{ "{WEBMAIL}" }}
"""


@pytest.fixture
def ward(mailward: StartMailward) -> Mailward:
    return mailward('fail2ban = "6/1h"', more=_TRUST)


# What is said before the credentials, and what ends the session behind them.
_WORDS = {
    Service.IMAP: ('i ID ("name" "Webmail" "x-originating-ip" "{user}")\r\n', "z LOGOUT\r\n"),
    Service.SUBMISSION: ("EHLO webmail.test\r\nXCLIENT ADDR={user} PORT=4000\r\n", "QUIT\r\n"),
    Service.MANAGESIEVE: ("XCLIENT ADDR={user} PORT=4000\r\n", "LOGOUT\r\n"),
}
ANSWERS = {
    b"a OK ": Told.OK,
    b"235 ": Told.OK,
    b'OK "Logged in"': Told.OK,
    b"a NO [AUTHENTICATIONFAILED]": Told.WRONG,
    b"535 5.7.8 ": Told.WRONG,
    b'NO "Authentication failed"': Told.WRONG,
    b"* BYE ": Told.BYE,
    b"421 4.7.0 ": Told.BYE,
    b"BYE ": Told.BYE,
}


def log_in(door: Door, user: str, login: str, password: str, *, webmail: str = WEBMAIL) -> Told:
    """What becomes of a login that *webmail* makes, as it says for *user*."""
    before, behind = _WORDS[door.service]
    with Line(door, source=webmail) as line:
        line.say(before.format(user=user).encode() + offer(door, login, password))
        line.say(behind.encode())
        heard = line.hear_all()
    lines = heard.splitlines()
    return next(told for words, told in ANSWERS.items() if any(x.startswith(words) for x in lines))


def test_the_user_of_a_trusted_webmail_is_banned_and_not_the_webmail(
    ward: Mailward, dovecot: Dovecot, postfix: Postfix
) -> None:
    for number in range(6):
        door = ward.doors[number % 3]
        assert log_in(door, BAD, f"user{number}", WRONG) is Told.WRONG
    assert list(ward.bans()) == [BAD]
    for door in ward.doors:
        assert log_in(door, BAD, "alice", ACCOUNTS["alice"]) is Told.BYE
        assert log_in(door, GOOD, "alice", ACCOUNTS["alice"]) is Told.OK
        assert guess(door, "alice", ACCOUNTS["alice"], source=BAD) is Told.DROPPED
    assert dovecot.guesses() == [
        *(Guess(f"user{number}", ip_address(BAD)) for number in range(6)),
        *[Guess("alice", ip_address(GOOD))] * 3,
    ]
    assert f"connect from unknown[{GOOD}]" in postfix.log()
    assert ward.told("why", WEBMAIL)["count"] == 0


def test_nobody_else_is_believed(ward: Mailward, dovecot: Dovecot) -> None:
    for number in range(6):
        door = ward.doors[number % 3]
        told = log_in(door, GOOD, f"user{number}", WRONG, webmail=STRANGER)
        assert told is Told.WRONG
    assert list(ward.bans()) == [STRANGER]
    assert {one.address for one in dovecot.guesses()} == {ip_address(STRANGER)}
    assert ward.told("why", GOOD)["count"] == 0
    assert all(guess(door, "bob", ACCOUNTS["bob"], source=GOOD) is Told.OK for door in ward.doors)
