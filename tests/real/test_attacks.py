"""What attackers achieve, with Dovecot's log as the witness of every guess that got through."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path

import pytest

from tests.real.attack import Door, Line, Service, Told, guess, guess_together, hydra, offer
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import eventually
from tests.real.servers import Dovecot, Postfix, running

OWNER = "alice"
OWNERS_PASSWORD = ACCOUNTS[OWNER]
OTHER = "bob"


@pytest.mark.parametrize("at_once", [1, 16])
@pytest.mark.parametrize("service", [Service.IMAP, Service.SUBMISSION])
def test_exactly_n_guesses_of_hydra_get_past_the_guard(
    service: Service, at_once: int, mailward: StartMailward, dovecot: Dovecot, folder: Path
) -> None:
    ward = mailward('fail2ban = "10/1h"')
    door = ward.imap if service is Service.IMAP else ward.submission
    words = [f"wrong-opensesame-{number}" for number in range(500)]
    words[400] = OWNERS_PASSWORD
    attack = hydra(door, OWNER, words, at_once=at_once, folder=folder)
    assert OWNERS_PASSWORD not in attack.stdout
    assert len(dovecot.guesses()) == 10
    assert ward.bans()["127.0.0.1"]["failures"] == 10
    assert ward.bans()["127.0.0.1"]["services"] == [service.value]
    assert {guess(door, OTHER, "x") for door in ward.doors} == {Told.DROPPED}


def test_failures_of_all_services_count_together(mailward: StartMailward, dovecot: Dovecot) -> None:
    ward = mailward('fail2ban = "6/1h"')
    attacker, another = "127.0.0.66", "127.0.0.67"
    doors = cycle(ward.doors)
    for number in range(6):
        told = guess(next(doors), f"login{number}", "wrong-opensesame", source=attacker)
        assert told is Told.WRONG
    for door in ward.doors:
        assert guess(door, OWNER, OWNERS_PASSWORD, source=attacker) is Told.DROPPED
        assert guess(door, OWNER, OWNERS_PASSWORD, source=another) is Told.OK
    assert set(ward.bans()[attacker]["services"]) == {"imap", "submission", "managesieve"}
    assert len([g for g in dovecot.guesses() if g.address == ip_address(attacker)]) == 6


def test_a_banned_address_is_closed_without_a_byte(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "1/1h"')
    with Line(ward.imap, source="127.0.0.66") as waiting:
        assert waiting.hear().startswith(b"* OK")
        told = guess(ward.submission, OWNER, "wrong-opensesame", source="127.0.0.66")
        assert told is Told.WRONG
        # It was connected and not logged in when the ban fell.
        assert waiting.hear_all().startswith(b"* BYE")
    for door in ward.doors:
        with Line(door, source="127.0.0.66") as line:
            assert line.hear_all() == b""


def test_parallel_guesses_cannot_overrun_the_limit(
    mailward: StartMailward, dovecot: Dovecot
) -> None:
    ward = mailward('fail2ban = "10/1h"')
    doors = cycle(ward.doors)
    told = guess_together(
        [
            partial(guess, next(doors), OWNER, f"wrong-opensesame-{n}", source="127.0.0.66")
            for n in range(60)
        ],
        at_once=30,
    )
    assert told.count(Told.WRONG) == 10
    assert Told.OK not in told
    assert len(dovecot.guesses()) == 10


def test_an_attack_from_everywhere_on_one_login_bans_the_login_alone(
    mailward: StartMailward, dovecot: Dovecot
) -> None:
    ward = mailward('fail2ban = "10/1h"')
    guess_the_owners_password(ward, times=10)

    for door in ward.doors:
        assert guess(door, OWNER, OWNERS_PASSWORD, source="127.0.2.1") is Told.LATER
        assert guess(door, OWNER, OWNERS_PASSWORD, source="127.0.1.1") is Told.LATER
        assert guess(door, "ALICE", OWNERS_PASSWORD, source="127.0.2.3") is Told.LATER
    assert len(dovecot.guesses()) == 10

    for door in ward.doors:
        assert guess(door, OTHER, ACCOUNTS[OTHER], source="127.0.1.1") is Told.OK
    assert list(ward.bans()) == [OWNER]

    story = ward.cli("why", OWNER)
    for part in ("127.0.1.0", "127.0.1.9", "imap", "submission", "managesieve"):
        assert part in story

    ward.cli("lift", OWNER)
    for door in ward.doors:
        assert guess(door, OWNER, OWNERS_PASSWORD, source="127.0.2.1") is Told.OK
    # The tally is gone with the ban: the next failure is the first.
    assert guess(ward.imap, OWNER, "wrong-opensesame", source="127.0.2.2") is Told.WRONG
    assert guess(ward.imap, OWNER, OWNERS_PASSWORD, source="127.0.2.1") is Told.OK


def test_the_owner_gets_in_when_the_window_has_emptied(
    mailward: StartMailward, dovecot: Dovecot
) -> None:
    ward = mailward('fail2ban = "4/4s"')
    guess_the_owners_password(ward, times=4)
    assert guess(ward.imap, OWNER, OWNERS_PASSWORD) is Told.LATER
    eventually(partial(lets_in, ward.imap, OWNER), "the window has emptied")
    assert guess(ward.submission, OWNER, OWNERS_PASSWORD) is Told.OK
    assert ward.bans() == {}
    assert len(dovecot.guesses()) == 6


def guess_the_owners_password(ward: Mailward, *, times: int) -> None:
    """Over all doors at once, each time from a new address."""
    doors = cycle(ward.doors)
    told = guess_together(
        [
            partial(guess, next(doors), OWNER, f"wrong-opensesame-{n}", source=f"127.0.1.{n}")
            for n in range(times)
        ],
        at_once=times,
    )
    assert told == [Told.WRONG] * times


def test_the_servers_behind_see_the_true_address(
    mailward: StartMailward, dovecot: Dovecot, postfix: Postfix
) -> None:
    ward = mailward('fail2ban = "100/1d"')
    guess(ward.imap, OWNER, "wrong-opensesame", source="127.7.7.7")
    guess(ward.submission, OWNER, "wrong-opensesame", source="127.8.8.8")
    guess(ward.managesieve, OWNER, "wrong-opensesame", source="127.9.9.9")
    by_v6 = [Door(door.service, door.port, "::1") for door in ward.doors]
    assert [guess(door, OWNER, OWNERS_PASSWORD) for door in by_v6] == [Told.OK] * 3
    seen = [str(guess.address) for guess in dovecot.guesses()]
    assert seen == ["127.7.7.7", "127.8.8.8", "127.9.9.9", "::1", "::1", "::1"]
    eventually(lambda: "connect from unknown[127.8.8.8]" in postfix.log(), "Postfix logs it")
    eventually(lambda: "connect from unknown[::1]" in postfix.log(), "Postfix logs it")


@pytest.mark.parametrize("patient", [True, False])
def test_the_stock_penalty_of_dovecot_hides_no_guess(
    mailward: StartMailward, folder: Path, *, patient: bool
) -> None:
    slow = Dovecot(folder, ACCOUNTS, penalty=True)
    with running(slow):
        ward = mailward('fail2ban = "3/1h"', imap=slow.haproxy_port)
        slow.forget_guesses()
        for number in range(3):
            password = f"wrong-opensesame-{number}"
            if patient:
                assert guess(ward.imap, OWNER, password, source="127.0.0.66") is Told.WRONG
            else:
                hang_up_after_guessing(ward.imap, password)
        eventually(lambda: "127.0.0.66" in ward.bans(), "the ban has fallen", within_seconds=40)
        assert guess(ward.imap, OWNER, OWNERS_PASSWORD, source="127.0.0.66") is Told.DROPPED
        assert len(slow.guesses()) == 3


def hang_up_after_guessing(door: Door, password: str) -> None:
    with Line(door, source="127.0.0.66") as line:
        line.hear()
        line.say(offer(door, OWNER, password))


def test_an_outage_of_the_servers_behind_bans_nobody(mailward: StartMailward, folder: Path) -> None:
    dovecot = Dovecot(folder, ACCOUNTS)
    postfix = Postfix(folder, dovecot.sasl_socket)
    with running(dovecot, postfix):
        ward = mailward(
            'fail2ban = "5/1h"',
            imap=dovecot.haproxy_port,
            submission=postfix.haproxy_port,
            pigeonhole=dovecot.sieve_haproxy_port,
        )
        guess_at(ward, times=4, expected=Told.WRONG)
        dovecot.stop()
        guess_at(ward, times=12, expected=Told.LATER)
        assert guess(ward.imap, OTHER, ACCOUNTS[OTHER]) is Told.LATER
        assert ward.bans() == {}

        dovecot.start()
        for door in ward.doors:
            eventually(partial(lets_in, door, OTHER), "the servers are back")
        guess_at(ward, times=1, expected=Told.WRONG)
        assert set(ward.bans()) == {OWNER, "127.0.0.66"}


def lets_in(door: Door, login: str) -> bool:
    return guess(door, login, ACCOUNTS[login]) is Told.OK


def guess_at(ward: Mailward, *, times: int, expected: Told) -> None:
    doors = cycle(ward.doors)
    for number in range(times):
        told = guess(next(doors), OWNER, f"wrong-opensesame-{number}", source="127.0.0.66")
        assert told is expected
