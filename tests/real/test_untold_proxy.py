"""A proxy that nobody told mailward of: twenty users log in through it, then one attacker fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.attack import Door, Service, Told, guess
from tests.real.conftest import StartMailward
from tests.real.daemon import Mailward
from tests.real.proxies import HAPROXY_ADDRESS, HaProxy, Way
from tests.real.servers import Dovecot, running

USERS = {f"user{number}": f"user{number}-opensesame" for number in range(20)}
WRONG = "wrong-opensesame"
LIMIT = 'fail2ban = "10/1h"'


@pytest.fixture
def office(folder: Path) -> Iterator[Dovecot]:
    (folder / "office").mkdir()
    dovecot = Dovecot(folder / "office", USERS)
    with running(dovecot):
        yield dovecot


def through_a_proxy(folder: Path, ward: Mailward) -> tuple[HaProxy, Door]:
    way = Way("imap", ward.imap.port, "OK")
    return HaProxy(folder, [way], header="no-check"), Door(Service.IMAP, way.port)


def log_in(door: Door) -> list[Told]:
    return [guess(door, login, password) for login, password in USERS.items()]


def attack(door: Door, guesses: int) -> list[Told]:
    return [guess(door, f"victim{number}", WRONG) for number in range(guesses)]


def test_an_untold_proxy_is_banned_and_said_to_be_one(
    mailward: StartMailward, office: Dovecot, folder: Path
) -> None:
    ward = mailward(LIMIT, imap=office.haproxy_port)
    proxy, door = through_a_proxy(folder, ward)
    with running(proxy):
        assert log_in(door) == [Told.OK] * len(USERS)
        assert attack(door, 10) == [Told.WRONG] * 10
        assert guess(door, "user0", USERS["user0"]) is Told.DROPPED
    assert set(ward.bans()) == {HAPROXY_ADDRESS}
    (line,) = [line for line in ward.log().splitlines() if " proxy.suspected " in line]
    assert f" error proxy.suspected address={HAPROXY_ADDRESS} failures=10 " in line
    (warning,) = [w for w in ward.told("status")["warnings"] if "container gateway" in w]
    for key in ("server.proxy.trusted-networks", "server.security.allowed-networks"):
        assert f"{key}.{HAPROXY_ADDRESS}" in warning
    assert warning in line
    assert "suspected proxy" in ward.cli("why", HAPROXY_ADDRESS)
    ward.crash()
    ward.start(knows_backends=False)
    assert warning in ward.told("status")["warnings"]
    # What the warning says is what helps.
    key = f"server.security.allowed-networks.{HAPROXY_ADDRESS}"
    assert key in warning
    ward.cli("server", "add-config", key)
    ward.cli("lift", HAPROXY_ADDRESS)
    assert "container gateway" not in ward.cli("status")
    with running(proxy):
        assert log_in(door) == [Told.OK] * len(USERS)


def test_with_the_key_its_ban_is_only_observed_and_each_login_is_still_limited(
    mailward: StartMailward, office: Dovecot, folder: Path
) -> None:
    ward = mailward(f"{LIMIT}\nhold-shared-addresses = true", imap=office.haproxy_port)
    proxy, door = through_a_proxy(folder, ward)
    with running(proxy):
        assert log_in(door) == [Told.OK] * len(USERS)
        assert attack(door, 15) == [Told.WRONG] * 15
        assert log_in(door) == [Told.OK] * len(USERS)
        assert [guess(door, "user0", WRONG) for _ in range(10)] == [Told.WRONG] * 10
        assert guess(door, "user0", USERS["user0"]) is Told.LATER
        assert guess(door, "user1", USERS["user1"]) is Told.OK
        assert {name: ban["observed"] for name, ban in ward.bans().items()} == {
            HAPROXY_ADDRESS: True,
            "user0": False,
        }
        assert "hold-shared-addresses" in ward.cli("why", HAPROXY_ADDRESS)
        # A restart forgets who logged in; the users come back before anything is judged.
        ward.crash()
        ward.start()
        assert attack(door, 1) == [Told.WRONG]
        assert guess(door, "user2", USERS["user2"]) is Told.OK
    assert " proxy.suspected " in ward.log()
    assert "its ban is only observed" in ward.cli("status")
