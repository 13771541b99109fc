"""A trial of a limit, as an operator sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin.house import CONFIGURATION, House, open_house
from tests.app.cli.typing_in import Shell


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[House]:
    observing = CONFIGURATION.replace("[server.security]", "[server.security]\nobserve = true")
    with open_house(tmp_path, observing) as house:
        for _ in range(5):
            assert house.fail("203.0.113.9", "ada")
        yield house


def test_bans_that_only_are_observed_are_marked_wherever_they_are_shown(
    trial: House, shell: Shell
) -> None:
    (row,) = [line for line in shell("bans").lines if line.startswith("203.0.113.9")]
    assert "only observed" in row
    assert [ban["observed"] for ban in shell.told("bans", "--address", "203.0.113.9")] == [True]
    why = shell("why", "203.0.113.9").out
    assert "203.0.113.9 would be banned since" in why
    assert "nobody is stopped" in why
    assert trial.admits("203.0.113.9")
    (busy,) = [line for line in shell("top").lines if line.startswith("203.0.113.9")]
    assert "would be" in busy
    assert "4 bans would be in force" not in shell("status").out
    assert "2 bans would be in force" in shell("status").out


def test_a_held_address_is_told_apart_from_a_trial(tmp_path: Path, shell: Shell) -> None:
    holding = "[server.security]\nhold-shared-addresses = true"
    with open_house(tmp_path, CONFIGURATION.replace("[server.security]", holding)) as house:
        for number in range(10):
            success = {"address": "203.0.113.9", "login": f"user{number}", "service": "webmail"}
            assert house.ask("POST", "/api/successes", success).status == 200
        for number in range(5):
            assert house.fail("203.0.113.9", f"guess{number}")
        assert house.admits("203.0.113.9")
        why = shell("why", "203.0.113.9").out
        assert "203.0.113.9 would be banned since" in why
        assert "(suspected proxy: 10 or more different logins" in why
        assert "server.security.hold-shared-addresses says" in why
        assert "observe is on" not in why
        assert "1 ban only observed: the address is shared" in shell("status").out
        (lifted,) = shell.told("lift", "203.0.113.9")
        assert [ban["observed"] for ban in lifted["bans"]] == [True]


def test_what_is_blocked_by_hand_or_by_the_file_is_not_marked(trial: House, shell: Shell) -> None:
    shell("ban", "198.51.100.9")
    assert {ban["subject"] for ban in shell.told("bans") if not ban["observed"]} == {
        "198.51.100.0/24",
        "198.51.100.9",
        "root@example.org",
    }
    assert not trial.admits("198.51.100.9")
    assert trial.admits("203.0.113.9")


def test_a_reload_ends_the_trial_and_judges_anew(trial: House, shell: Shell) -> None:
    trial.file.write_text(CONFIGURATION)
    shell("server", "reload-config")
    trial.sweep()
    assert not trial.admits("203.0.113.9")
    assert not any(ban["observed"] for ban in shell.told("bans"))


def test_an_observed_ban_is_lifted_as_any_other(trial: House, shell: Shell) -> None:
    assert shell("lift", "203.0.113.9").out.startswith("Address 203.0.113.9 is free")
    assert shell.told("why", "203.0.113.9")["ban"] is None
    assert len(trial.guard.observed) == 1
