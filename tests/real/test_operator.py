"""The commands, against a running daemon, word for word as they are documented."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.attack import Door, Line, Service, Told, guess
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import eventually

KEY = "server.security.blocked-networks"


def is_dropped(ward: Mailward, source: str) -> bool:
    """Both doors agree on it."""
    answers = []
    for door in ward.doors:
        with Line(door, source=source) as line:
            answers.append(line.hear())
    assert len({answer == b"" for answer in answers}) == 1, answers
    return answers[0] == b""


def test_the_documented_examples_block_what_they_say(mailward: StartMailward) -> None:
    ward = mailward(
        """fail2ban = "100/1d"
blocked-networks = { "192.168.0.20", "10.0.0.0/8" }"""
    )
    assert set(ward.bans()) == {"192.168.0.20", "10.0.0.0/8"}
    assert {ban["reason"] for ban in ward.bans().values()} == {"manual"}
    assert "10.0.0.0/8" in ward.cli("why", "10.1.2.3")
    covering = ward.told("bans", "--address", "10.255.255.255")
    assert [ban["subject"] for ban in covering] == ["10.0.0.0/8"]


def test_a_network_of_the_file_is_dropped(mailward: StartMailward) -> None:
    ward = mailward('blocked-networks = { "127.0.0.20", "127.10.0.0/16" }')
    assert is_dropped(ward, "127.0.0.20")
    assert is_dropped(ward, "127.10.255.1")
    assert not is_dropped(ward, "127.0.0.21")
    assert not is_dropped(ward, "127.11.0.1")


@pytest.mark.parametrize(
    ("member", "inside", "outside"),
    [
        ("127.0.0.5", "127.0.0.5", "127.0.0.6"),
        ("127.5.0.0/16", "127.5.9.9", "127.6.0.1"),
    ],
)
def test_the_documented_commands_block_and_unblock(
    mailward: StartMailward, member: str, inside: str, outside: str
) -> None:
    ward = mailward('fail2ban = "100/1d"')
    assert f"Successfully added key {KEY}.{member}." in ward.cli(
        "server", "add-config", f"{KEY}.{member}"
    )
    ward.cli("server", "reload-config")
    assert is_dropped(ward, inside)
    assert not is_dropped(ward, outside)
    assert f"{KEY}.{member}" in ward.cli("server", "list-config", KEY)
    assert list(ward.bans()) == [member]

    ward.cli("server", "delete-config", f"{KEY}.{member}")
    ward.cli("server", "reload-config")
    assert not is_dropped(ward, inside)
    assert ward.bans() == {}
    ward.cli("server", "delete-config", f"{KEY}.{member}", status=1)


@pytest.mark.parametrize("member", ["192.168.1.1", "2001:db8::1", "2001:db8:1::/48", "10.0.0.0/8"])
def test_keys_come_back_as_they_were_given(mailward: StartMailward, member: str) -> None:
    ward = mailward('fail2ban = "100/1d"')
    ward.cli("server", "add-config", f"{KEY}.{member}")
    ward.cli("server", "reload-config")
    assert list(ward.bans()) == [member]
    assert f"{KEY}.{member}" in ward.cli("server", "list-config")
    ward.crash()
    ward.start()
    assert list(ward.bans()) == [member]
    ward.cli("server", "delete-config", f"{KEY}.{member}")
    ward.cli("server", "reload-config")
    assert ward.bans() == {}


def test_a_blocked_ipv6_address_is_dropped_and_ipv4_is_not(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "100/1d"')
    ward.cli("server", "add-config", f"{KEY}.::1")
    with Line(Door(Service.IMAP, ward.imap.port, "::1")) as line:
        assert line.hear() == b""
    assert not is_dropped(ward, "127.0.0.1")


def test_an_ipv6_attacker_is_banned_by_network_and_lifted_by_address(
    mailward: StartMailward,
) -> None:
    ward = mailward('fail2ban = "2/1h"')
    by_v6 = Door(Service.SUBMISSION, ward.submission.port, "::1")
    for number in range(2):
        assert guess(by_v6, f"login{number}", "wrong-opensesame") is Told.WRONG
    assert guess(by_v6, "alice", ACCOUNTS["alice"]) is Told.DROPPED
    assert list(ward.bans()) == ["::/64"]
    assert "::/64" in ward.cli("why", "::1")
    ward.cli("lift", "::1")
    assert guess(by_v6, "alice", ACCOUNTS["alice"]) is Told.OK


@pytest.mark.parametrize("member", ["10.0.0.0/33", "300.1.1.1", "fe80::1%eth0", "0.0.0.0/0"])
def test_a_wrong_network_is_refused_and_changes_nothing(
    mailward: StartMailward, member: str
) -> None:
    ward = mailward('fail2ban = "100/1d"')
    status = 1 if member == "0.0.0.0/0" else 2  # that can be confirmed
    told = ward.cli("server", "add-config", f"{KEY}.{member}", status=status)
    assert len(told.splitlines()) == 1
    ward.cli("ban", member, status=status)
    assert ward.bans() == {}


def test_a_whole_table_is_deleted_by_its_trailing_dot(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "100/1d"')
    for member in ("192.168.1.1", "192.168.1.10", "10.0.0.0/8"):
        ward.cli("server", "add-config", f"{KEY}.{member}")
    ward.cli("server", "delete-config", f"{KEY}.")
    assert ward.bans() == {}


def test_an_automatic_ban_is_a_key_and_deleting_it_lifts_it(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "1/1h"')
    assert guess(ward.imap, "nobody", "wrong-opensesame", source="127.0.0.5") is Told.WRONG
    assert is_dropped(ward, "127.0.0.5")
    assert f"{KEY}.127.0.0.5" in ward.cli("server", "list-config")
    ward.cli("server", "delete-config", f"{KEY}.127.0.0.5")
    ward.cli("server", "reload-config")
    assert not is_dropped(ward, "127.0.0.5")


def test_bans_by_hand_act_at_once_and_end_by_themselves_or_by_lift(
    mailward: StartMailward,
) -> None:
    ward = mailward('fail2ban = "100/1d"')
    ward.cli("ban", "127.0.0.5", "--for", "1d", "--note", "seen in the news")
    assert is_dropped(ward, "127.0.0.5")
    assert ward.bans()["127.0.0.5"]["note"] == "seen in the news"
    ward.cli("ban", "bob")
    assert guess(ward.imap, "bob", ACCOUNTS["bob"]) is Told.LATER
    ward.cli("lift", "127.0.0.5", "bob")
    assert not is_dropped(ward, "127.0.0.5")
    assert guess(ward.imap, "bob", ACCOUNTS["bob"]) is Told.OK


def test_what_is_allowed_is_never_dropped_and_cannot_be_banned(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "2/1h"\nallowed-networks = { "127.0.0.5" }')
    for number in range(4):
        login, source = f"login{number}", "127.0.0.5"
        assert guess(ward.imap, login, "wrong-opensesame", source=source) is Told.WRONG
    assert not is_dropped(ward, "127.0.0.5")
    assert "127.0.0.5" in ward.cli("ban", "127.0.0.5", status=1)


def reload_by_command(ward: Mailward) -> None:
    ward.cli("server", "reload-config")


def reload_by_signal(ward: Mailward) -> None:
    ward.hang_up()
    eventually(lambda: "config.reloaded" in ward.log(), "the configuration is reloaded")


@pytest.mark.parametrize("reload", [reload_by_command, reload_by_signal])
def test_a_new_limit_holds_from_the_reload_on_and_a_wrong_one_changes_nothing(
    mailward: StartMailward, reload: Callable[[Mailward], None]
) -> None:
    ward = mailward('fail2ban = "100/1d"')
    for number in range(3):
        guess(ward.imap, f"login{number}", "wrong-opensesame", source="127.0.0.5")
    ward.configure('fail2ban = "3"')
    assert "fail2ban" in ward.cli("server", "reload-config", status=1)
    assert not is_dropped(ward, "127.0.0.5")
    ward.configure('fail2ban = "4/1d"')
    reload(ward)
    assert guess(ward.imap, "login9", "wrong-opensesame", source="127.0.0.5") is Told.WRONG
    assert is_dropped(ward, "127.0.0.5")


def test_another_program_reports_what_it_saw(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "2/1h"')
    for _ in range(2):
        ward.cli(
            *["report", "failure", "--address", "127.0.0.5"],
            *["--login", "bob", "--service", "webmail"],
        )
    assert is_dropped(ward, "127.0.0.5")
    assert "webmail" in ward.cli("why", "bob")


def test_status_names_the_doors_and_the_limit(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "7/1h"')
    status = ward.cli("status")
    for part in ("7/1h", str(ward.imap.port), str(ward.submission.port)):
        assert part in status


def test_a_command_without_a_daemon_says_so(mailward: StartMailward, folder: Path) -> None:
    ward = mailward('fail2ban = "7/1h"', running=False)
    told = ward.cli("bans", status=1)
    assert len(told.splitlines()) == 1
    assert "mailward serve" in told or str(folder) in told


def test_the_example_configuration_is_right(mailward: StartMailward, folder: Path) -> None:
    ward = mailward('fail2ban = "7/1h"', running=False)
    example = Path(__file__).parents[2] / "examples" / "loopback.toml"
    (folder / "example.toml").write_text(re.sub(r':[0-9]+"', ':0"', example.read_text()))
    wanted = "certificate.default: "  # `make run` makes it
    check = ("serve", "--check", "--config", str(folder / "example.toml"))
    assert wanted in ward.cli(*check, status=78)
    make = [sys.executable, "-m", "mailward.app.selfsigned", str(ward.data)]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    ward.cli(*check)
