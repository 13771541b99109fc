"""Lists of bans: written down by ``bans``, and read again by ``ban --file``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.admin.house import House, open_house
from tests.app.cli.typing_in import Shell

NAMES = ["ada", "--all", "#a", "a #b", "a  b", "[x", "e" + "\u0301" * 9, "10.1.1.1", "ada\ue000"]
KEPT = ("subject", "kind", "name", "until", "reason", "note")


def bans(shell: Shell) -> list[dict[str, Any]]:
    return [{name: ban[name] for name in KEPT} for ban in shell.told("bans", "--sort", "subject")]


@pytest.mark.parametrize("words", [("--format", "list"), ("--json",)])
def test_what_bans_prints_is_banned_again_as_it_was(
    tmp_path: Path, shell: Shell, words: tuple[str, ...]
) -> None:
    file = tmp_path / "bans"
    with open_house(tmp_path, 'server.security.fail2ban = "3/1h"') as house:
        while house.fail("203.0.113.9", "eve"):
            pass
        for number, name in enumerate(NAMES):
            house.ask("POST", "/api/bans", {"subject": f"login:{name}", "note": f"; # {number}"})
        shell("ban", "10.0.0.0/8", "2001:db8::1", "--for", "4w", "--note", "a scanner")
        before = bans(shell)
        file.write_text(shell("bans", *words).out)
        assert len({ban["reason"] for ban in before}) == 2
        assert len({ban["until"] for ban in before}) >= 3
    (tmp_path / "mailward.sock").unlink(missing_ok=True)
    with open_house(tmp_path, 'server.security.fail2ban = "3/1h"'):
        assert bans(shell) == []
        assert shell("ban", "--file", str(file)).status == 0
        assert bans(shell) == before
        assert shell("lift", "--file", str(file)).status == 0
        assert bans(shell) == []


def test_what_the_api_lists_is_read_as_well(house: House, shell: Shell, tmp_path: Path) -> None:
    shell("ban", "203.0.113.9", "--note", "noisy")
    file = tmp_path / "bans.json"
    file.write_bytes(
        json.dumps(house.ask("GET", "/api/bans?login=x&address=203.0.113.9").body).encode()
    )
    shell("lift", "203.0.113.9")
    assert shell("ban", "--file", str(file)).out == (
        "Address 203.0.113.9 is banned until it is lifted.\n"
    )
    assert shell.told("why", "203.0.113.9")["ban"]["note"] == "noisy"


def test_a_ban_that_has_ended_meanwhile_is_left_out(house: House, shell: Shell) -> None:
    shell("ban", "203.0.113.9", "--for", "1h")
    shell("ban", "203.0.113.10")
    text = shell("bans", "--format", "list", "--reason", "manual").out
    house.later(3_600)
    shell("lift", "203.0.113.10")
    printed = shell("ban", "--file", "-", given=text.encode())
    assert "1 ban had ended already: nothing was changed for them." in printed.lines
    assert house.admits("203.0.113.9")
    assert not house.admits("203.0.113.10")


def test_an_automatic_ban_that_is_read_again_takes_no_manual_one_away(
    house: House, shell: Shell
) -> None:
    shell("ban", "203.0.113.9", "--note", "mine")
    shell("ban", "--file", "-", given=b"203.0.113.9\tnever\tauthentication\n")
    assert shell.told("why", "203.0.113.9")["ban"]["reason"] == "manual"
    shell("ban", "--file", "-", given=b"203.0.113.10\tnever\tauthentication\n")
    assert shell("lift", "--all").out == "Lifted 1 automatic ban.\n"
    assert house.admits("203.0.113.10")


def test_what_a_list_says_wins_over_the_command(house: House, shell: Shell) -> None:
    text = b"203.0.113.9\t2026-09-21T15:00:00Z\t\tits own\n203.0.113.10\n203.0.113.11\tnever\n"
    shell("ban", "--file", "-", "--for", "1d", "--note", "all", given=text)
    found = {ban["subject"]: (ban["until"], ban["note"]) for ban in shell.told("bans")}
    assert found["203.0.113.9"] == ("2026-09-21T15:00:00.000000Z", "its own")
    assert found["203.0.113.10"] == ("2026-09-22T14:13:20.000000Z", "all")
    assert found["203.0.113.11"] == (None, "all")
    assert not house.admits("203.0.113.9")


@pytest.mark.parametrize(
    "line",
    [
        "203.0.113.9 ; a scanner",
        "203.0.113.9\t; a scanner",
        "203.0.113.9\t\t# a scanner",
        ";x\n203.0.113.9",
        "203.0.113.9;x",
        "[2001:db8::1]",
    ],
)
def test_a_semicolon_begins_a_comment(house: House, shell: Shell, line: str) -> None:
    printed = shell("ban", "--file", "-", given=f"; comment\n{line}\n".encode())
    if line in {"203.0.113.9;x", "[2001:db8::1]"}:
        assert printed.status == 1
        return
    assert printed.status == 0, printed.err
    assert not house.admits("203.0.113.9")
    (ban,) = [ban for ban in shell.told("bans") if ban["subject"] == "203.0.113.9"]
    assert ban["note"] == ""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("203.0.113.9\tsoon\n", '-:1: "until"'),
        ("203.0.113.8\n203.0.113.9\tnever\twhim\n", '-:2: "reason" must be'),
        ("203.0.113.9\t\t\ta\u202eb\n", "-:1: a note is one line"),
        ("[1]\n", "-: ban 1: this is no ban"),
        ("[\n{\n", "no JSON that can be read"),
        ('{"bans": 1}\n', "this is no ban"),
        ('[{"subject": "203.0.113.9", "until": 7e99}]\n', "-: ban 1: "),
        ('[{"subject": "203.0.113.9", "until": "2026-01-01"}]\n', "needs a zone"),
    ],
)
def test_a_list_with_a_fault_bans_nobody(house: House, shell: Shell, text: str, word: str) -> None:
    printed = shell("ban", "--file", "-", given=text.encode())
    assert (printed.status, word in printed.err) == (1, True), printed.err
    assert house.admits("203.0.113.9")
    assert house.admits("203.0.113.8")


@pytest.mark.parametrize(
    "body",
    [
        {"bans": []},
        {"bans": [{"subject": "a"}], "subject": "b"},
        {"bans": [{"subject": "a"}], "subjects": ["b"]},
        {"bans": "a"},
    ],
)
def test_a_request_with_bans_has_no_other_subjects(house: House, body: object) -> None:
    assert house.ask("POST", "/api/bans", body).status == 400


def test_an_unknown_field_of_a_ban_is_refused(house: House) -> None:
    told = house.ask("POST", "/api/bans", {"bans": [{"subject": "a"}, {"subject": "b", "x": 1}]})
    assert told.status == 422
    assert told.body["faults"] == [{"message": 'unknown field "x"', "index": 1}]
