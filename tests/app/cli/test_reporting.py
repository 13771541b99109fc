"""``report``, one by one and by the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.admin.house import House
from tests.app.cli.typing_in import Shell


def test_reported_failures_count_and_ban(house: House, shell: Shell) -> None:
    words = ("report", "failure", "--address", "203.0.113.9", "--login", "Ada", "--service", "www")
    assert shell(*words).out == "Counted for 203.0.113.9, ada.\n"
    shell(*words)
    assert shell(*words).lines[1:] == ["203.0.113.9 is banned.", "ada is banned."]
    assert not house.admits("203.0.113.9")


def test_reported_successes_count_for_nobody(house: House, shell: Shell) -> None:
    words = ("report", "success", "--address", "203.0.113.9", "--login", "ada", "--service", "www")
    assert shell(*words).out == "The success is noted.\n"
    assert house.ask("GET", "/api/status").body["services"]["www"]["succeeded"] == 1


def test_a_report_may_be_of_some_time_ago(house: House, shell: Shell) -> None:
    words = ("report", "failure", "--address", "203.0.113.9", "--service", "www", "--time")
    assert shell(*words, "2026-09-21T14:00:00Z").status == 0
    assert shell.told("why", "203.0.113.9")["failures"][0]["at"] == "2026-09-21T14:00:00.000000Z"
    assert shell(*words, "2026-09-20T14:00:00Z").status == 2
    assert house.admits("203.0.113.9")


def test_an_allowed_address_without_a_login_counts_for_nobody(house: House, shell: Shell) -> None:
    printed = shell("report", "failure", "--address", "192.0.2.1", "--service", "www")
    assert printed.out == "Counted for nobody: it is allowed.\n"
    assert house.admits("192.0.2.1")


def test_what_is_reported_again_with_its_id_counts_once(house: House, shell: Shell) -> None:
    words = ("report", "failure", "--address", "203.0.113.9", "--service", "www", "--id", "7")
    assert shell(*words).out == "Counted for 203.0.113.9.\n"
    assert shell(*words).out == "It was reported before: nothing was counted.\n"
    assert house.ask("GET", "/api/why/203.0.113.9").body["count"] == 1


# -- files -----------------------------------------------------------------------------------------

LINES = b"""\
# address, login, service, time and id
203.0.113.9\tada\tvpn\t2026-09-21T14:00:00Z\t1
203.0.113.9\t\t\t1790000000.5\t2
{"address": "203.0.113.9", "login": "ada", "id": "3"}

203.0.113.8
203.0.113.9\tada\tvpn\t\t1\r
"""


def test_a_file_of_tabs_and_json_is_reported(house: House, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "seen").write_bytes(LINES)
    printed = shell("report", "failure", "--file", str(tmp_path / "seen"), "--service", "www")
    assert (printed.status, printed.err) == (0, "")
    assert printed.lines == ["4 accepted, 1 repeated, 0 refused.", "203.0.113.9 is banned."]
    failures = shell.told("why", "203.0.113.9")["failures"]
    assert [failure["service"] for failure in failures] == ["vpn", "www", "www"]
    assert house.ask("GET", "/api/why/203.0.113.8").body["count"] == 1


def test_a_pipe_is_reported_too(house: House, shell: Shell) -> None:
    printed = shell("report", "success", "--file", "-", "--service", "www", given=LINES)
    assert printed.out == "4 accepted, 1 repeated, 0 refused.\n"
    assert house.ask("GET", "/api/why/ada").body["count"] == 0


def test_what_is_wrong_in_a_file_is_listed_and_all_else_is_taken(
    house: House, shell: Shell
) -> None:
    given = b"".join(
        line + b"\n"
        for line in (
            b"here\tada",
            b"203.0.113.9\tada\tvpn\t\t\tmore",
            b"{nonsense",
            b'{"address": NaN}',
            b'{"address": "\\ud800"}',
            b"\xff",
            b"x" * 2_001,
            b'{"address": "203.0.113.9", "passwort": "x"}',
            b"203.0.113.9\tada\tvpn\t2025-01-01T00:00:00Z",
            b"203.0.113.9\tada",
        )
    )
    printed = shell("report", "failure", "--file", "-", "--service", "www", given=given)
    assert (printed.status, printed.out) == (1, "1 accepted, 0 repeated, 9 refused.\n")
    told = printed.err.splitlines()
    assert told[-1] == "mailward: 9 reports refused; all others are taken"
    assert sorted(line.split(":")[1] for line in told[:-1]) == list("123456789")
    assert any("older" in line for line in told)
    assert house.ask("GET", "/api/why/ada").body["count"] == 1


def test_a_file_of_any_length_is_reported(house: House, shell: Shell) -> None:
    given = "".join(
        f"198.18.{n // 250}.{n % 250}\tuser{n}\tvpn\t\t{n}\n" for n in range(2_500)
    ).encode()
    for name in ("accepted", "repeated"):
        told = shell("report", "failure", "--json", "--file", "-", given=given)
        assert json.loads(told.out)[name] == 2_500
    assert shell("report", "failure", "--file", "-").out == "0 accepted, 0 repeated, 0 refused.\n"
    assert house.admits("198.18.0.1")


@pytest.mark.parametrize(
    "words",
    [
        ("--address", "203.0.113.9"),
        ("--service", "www"),
        ("--file", "-", "--address", "203.0.113.9"),
        ("--file", "-", "--id", "1"),
    ],
)
def test_half_a_report_is_wrong_usage(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell("report", "failure", *words).status == 2


def test_a_file_that_cannot_be_read_is_named(shell: Shell, house: House, tmp_path: Path) -> None:
    printed = shell("report", "failure", "--file", str(tmp_path / "none"))
    assert (printed.status, "none cannot be read" in printed.err) == (1, True)
    assert house.admits("203.0.113.9")
