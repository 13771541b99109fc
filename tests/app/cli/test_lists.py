"""``ban --file`` and ``lift --file`` with long lists."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mailward.guard.journal import Event
from tests.admin.house import House
from tests.app.cli.typing_in import Shell


def a_list(folder: Path, count: int) -> str:
    file = folder / "list"
    file.write_text("".join(f"10.{n >> 8}.{n & 255}.0/24\n" for n in range(count)))
    return str(file)


def test_a_long_list_is_banned_and_lifted_as_one(
    house: House, shell: Shell, tmp_path: Path
) -> None:
    file = a_list(tmp_path, 2_000)
    assert shell("ban", "--file", file).out == "2000 addresses or networks are banned.\n"
    assert not house.admits("10.7.207.1")
    assert house.guard.journal.counts[Event.BAN_ADDED, ""] == 2_000
    printed = shell("lift", "--file", file)
    assert printed.out == "2000 addresses or networks are lifted, but for what is said above.\n"
    assert house.admits("10.7.207.1")
    assert house.guard.journal.counts[Event.BAN_LIFTED, ""] == 2_000


def test_of_a_long_list_only_what_is_special_is_told_one_by_one(
    house: House, shell: Shell, tmp_path: Path
) -> None:
    file = Path(a_list(tmp_path, 200))
    shell("ban", "10.0.3.0/24")
    with file.open("a") as lines:
        lines.write("192.0.0.0/16\n")
    printed = shell("ban", "--file", str(file), "--for", "1d")
    longer, exempt, last = printed.lines
    assert longer.startswith("Network 10.0.3.0/24 is banned until it is lifted already")
    assert "192.0.2.0/28" in exempt
    assert last == "201 addresses or networks are banned."
    assert house.admits("192.0.2.1")


def test_nobody_of_a_long_list_is_banned_if_one_is_wrong(
    house: House, shell: Shell, tmp_path: Path
) -> None:
    file = Path(a_list(tmp_path, 1_000))
    with file.open("a") as lines:
        lines.write("192.0.2.1\n")
    printed = shell("ban", "--file", str(file))
    assert printed.status == 1
    assert f"{file}:1001: 192.0.2.1 is inside the allowed network" in printed.err
    assert "nothing was changed" in printed.err
    assert house.admits("10.0.0.1")


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("192.0.2.1\n".encode("utf-16-le"), "no text"),
        (b"ada\n\x1b[31mgrace\n", ":2: this is no text"),
        (b"\x7fELF\x02\n", ":1: this is no text"),
    ],
)
def test_a_file_that_is_no_text_bans_nobody(
    house: House, shell: Shell, tmp_path: Path, octets: bytes, why: str
) -> None:
    file = tmp_path / "list"
    file.write_bytes(octets)
    before = house.ask("GET", "/api/bans").body
    printed = shell("ban", "--file", str(file))
    assert (printed.status, why in printed.err, "nothing was changed" in printed.err) == (
        1,
        True,
        True,
    )
    assert house.ask("GET", "/api/bans").body == before


def test_lines_may_end_as_anywhere_and_begin_with_a_mark(
    house: House, shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"\xef\xbb\xbf198.51.100.1\r\n198.51.100.2\r198.51.100.3 # last")
    assert shell("ban", "--file", str(file)).status == 0
    assert [house.admits(f"198.51.100.{n}") for n in (1, 2, 3)] == [False] * 3


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("command", [["ban"], ["lift"], ["report", "failure"]])
def test_a_device_without_an_end_is_no_list(shell: Shell, command: list[str]) -> None:
    printed = shell(*command, "--file", "/dev/zero")
    assert (printed.status, "this is no list of" in printed.err) == (1, True)


def test_json_tells_every_one_of_a_long_list(house: House, shell: Shell, tmp_path: Path) -> None:
    file = a_list(tmp_path, 300)
    assert len(shell.told("ban", "--file", file)) == 300
    assert not house.admits("10.0.0.1")


def test_how_far_it_is_can_be_seen_on_a_terminal_and_nowhere_else(
    house: House, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_list(tmp_path, 300)
    assert shell("ban", "--file", file).err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    printed = shell("lift", "--file", file)
    assert "300 of 300" in printed.err
    assert printed.err.endswith("\r")
    assert house.admits("10.0.0.1")


def test_two_of_a_list_inside_one_banned_network_are_both_free(house: House, shell: Shell) -> None:
    while house.fail("2001:db8::1", "ada"):
        pass
    printed = shell("lift", "2001:db8::1", "2001:db8::2")
    assert (printed.status, len(printed.lines)) == (0, 2)
    assert house.admits("2001:db8::2")


@pytest.mark.parametrize("order", ["subject", "since", "until", "failures"])
def test_bans_are_in_the_same_order_with_a_limit_and_without(
    house: House, shell: Shell, order: str
) -> None:
    for number in range(5):
        house.later(1)
        shell("ban", f"10.0.0.{number}", "--for", f"{9 - number}d")
    while house.fail("203.0.113.9", "ada"):
        pass
    all_of_them = shell.told("bans", "--sort", order)
    assert shell.told("bans", "--sort", order, "--limit", "100") == all_of_them
    assert shell.told("bans", "--sort", order, "--limit", "3") == all_of_them[:3]


def test_a_table_that_is_cut_says_so(house: House, shell: Shell) -> None:
    printed = shell("bans", "--limit", "2")
    assert printed.lines[-1] == "2 bans; times are UTC"
    assert house.ask("POST", "/api/bans", {"subject": "10.0.0.1"}).status == 200
    assert shell("bans", "--limit", "2").lines[-1] == "the first 2 of 3 bans; times are UTC"
    assert shell("bans", "--limit", "0").status == 2
