"""The programs people keep their scripts with, through the door: before a ban, and after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.cyrus import Cyrus
from tests.real.daemon import Mailward
from tests.real.processes import free_port
from tests.real.sieve import SCRIPT, SieveDoor, sieve_connect, sievelib

pytestmark = pytest.mark.timeout(1000)  # the root that Cyrus runs in is made with the first test

ALICE = "alice", ACCOUNTS["alice"]
WRONG = "alice", "wrong-opensesame"

_CYRUS = """
[server.listener.timsieved]
protocol = "managesieve"
bind = ["127.0.0.1:{timsieved}"]
backend = "timsieved"

[backend.timsieved]
address = "127.0.0.1:{cyrus_sieve}"
"""
# Programs that see STARTTLS use it: the doors have certificates only where that is wanted.
_TLS = f"""
[certificate.default]
cert = "{CERTIFICATE_NAME}"
private-key = "{KEY_NAME}"

[server.listener.pigeonhole-tls]
protocol = "managesieve"
bind = ["127.0.0.1:{{pigeonhole_tls}}"]
backend = "pigeonhole"
tls.implicit = true

[server.listener.timsieved-tls]
protocol = "managesieve"
bind = ["127.0.0.1:{{timsieved_tls}}"]
backend = "timsieved"
tls.implicit = true
"""
SERVERS = ["pigeonhole", "timsieved"]


class Doors:
    """The doors before both servers, with TLS or without."""

    def __init__(self, ward: Mailward, cyrus: Cyrus, *, has_tls: bool) -> None:
        self.ward = ward
        self._has_tls = has_tls
        self._ports = {"pigeonhole": ward.managesieve.port}
        new = ("timsieved", "pigeonhole_tls", "timsieved_tls")
        self._ports |= {name: free_port() for name in new}
        tables = _CYRUS + (_TLS if has_tls else "")
        tables = tables.format(**self._ports, cyrus_sieve=cyrus.sieve_port)
        make_certificate(ward.data, datetime.fromtimestamp(SteadyClock()(), UTC))
        ward.configuration.write_text(ward.configuration.read_text() + tables)

    def door(self, server: str, *, is_implicit: bool = False) -> SieveDoor:
        if not self._has_tls:
            return SieveDoor(self._ports[server])
        authority = self.ward.data / CERTIFICATE_NAME
        if is_implicit:
            return SieveDoor(self._ports[f"{server}_tls"], "implicit", authority)
        return SieveDoor(self._ports[server], "starttls", authority)


@pytest.fixture
def open_doors(mailward: StartMailward, cyrus: Cyrus) -> Callable[[bool], Doors]:
    def start(has_tls: bool) -> Doors:
        ward = mailward('fail2ban = "4/1h"', running=False)
        doors = Doors(ward, cyrus, has_tls=has_tls)
        ward.start()
        return doors

    return start


@pytest.mark.parametrize("has_tls", [False, True], ids=["plaintext", "STARTTLS"])
@pytest.mark.parametrize("server", SERVERS)
def test_scripts_are_kept_before_a_ban_and_nobody_gets_in_after_it(
    open_doors: Callable[[bool], Doors], server: str, has_tls: bool, folder: Path
) -> None:
    doors = open_doors(has_tls)
    door = doors.door(server)
    assert sievelib(door, *ALICE) == "in"
    assert_keeps_a_script(door, folder)
    for _ in range(2):
        assert sievelib(door, *WRONG) == "refused () Authentication failed"
        assert "Authentication refused by server" in sieve_connect(door, *WRONG, "--list")
    assert list(doors.ward.bans()) == ["127.0.0.1", "alice"]
    assert sievelib(door, *ALICE).startswith("failed: ")
    assert "Authentication" not in sieve_connect(door, *ALICE, "--list")


@pytest.mark.parametrize("server", SERVERS)
def test_tls_may_begin_with_the_first_byte(
    open_doors: Callable[[bool], Doors], server: str
) -> None:
    doors = open_doors(True)
    door = doors.door(server, is_implicit=True)
    assert sievelib(door, *ALICE) == "in"
    for number in range(4):
        assert sievelib(door, f"user{number}", WRONG[1]) == "refused () Authentication failed"
    assert sievelib(door, *ALICE).startswith("failed: ")


def assert_keeps_a_script(door: SieveDoor, folder: Path) -> None:
    """Upload a script, make it active, see it, fetch it, and delete it again."""
    local, fetched, remote = folder / "local", folder / "fetched", "--remotesieve=holidays"
    local.write_text(SCRIPT)
    sieve_connect(door, *ALICE, "--upload", f"--localsieve={local}", remote)
    sieve_connect(door, *ALICE, "--activate", remote)
    assert '"holidays" ACTIVE' in sieve_connect(door, *ALICE, "--list")
    sieve_connect(door, *ALICE, "--download", f"--localsieve={fetched}", remote)
    assert fetched.read_text() == SCRIPT
    sieve_connect(door, *ALICE, "--deactivate")
    sieve_connect(door, *ALICE, "--delete", remote)
    assert "holidays" not in sieve_connect(door, *ALICE, "--list")


def test_a_login_banned_by_hand_is_told_to_ask_the_administrator(
    open_doors: Callable[[bool], Doors],
) -> None:
    doors = open_doors(False)
    doors.ward.cli("ban", "alice")
    for server in SERVERS:
        door = doors.door(server)
        assert sievelib(door, *ALICE).startswith("refused (TRYLATER) ")
        assert "ask your administrator" in sieve_connect(door, *ALICE, "--list")
        assert sievelib(door, "bob", ACCOUNTS["bob"]) == "in"
