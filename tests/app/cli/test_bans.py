"""``bans``, ``ban``, ``lift`` and ``why``, as an operator types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailward.app.cli.output import columns, table
from tests.admin.house import House, open_house
from tests.app.cli.typing_in import Shell


def test_a_ban_is_answered_listed_and_lifted(house: House, shell: Shell) -> None:
    assert shell("ban", "203.0.113.9").out == "Address 203.0.113.9 is banned until it is lifted.\n"
    assert not house.admits("203.0.113.9")
    assert shell("lift", "203.0.113.9").out == "Address 203.0.113.9 is free: its ban is lifted.\n"
    assert house.admits("203.0.113.9")


def test_a_ban_may_have_an_end_and_a_note(house: House, shell: Shell) -> None:
    printed = shell("ban", "10.0.0.0/8", "--for", "4w", "--note", "a scanner")
    assert printed.out == "Network 10.0.0.0/8 is banned until 2026-10-19 14:13:20 UTC.\n"
    (row,) = [line for line in shell("bans").lines if line.startswith("10.0.0.0/8")]
    assert row.split() == [
        *("10.0.0.0/8", "manual", "2026-09-21", "14:13", "2026-10-19", "14:13", "0"),
        *("a", "scanner"),
    ]
    assert not house.admits("10.9.9.9")


def test_the_table_of_bans_says_until_lifted_where_there_is_no_end(
    house: House, shell: Shell
) -> None:
    while house.fail("203.0.113.9", "ada", "imap"):
        pass
    printed = shell("bans", "--address", "203.0.113.9")
    assert printed.lines[0].split() == [
        *("SUBJECT", "REASON", "SINCE", "UNTIL", "FAILURES", "SERVICES", "NOTE")
    ]
    assert printed.lines[1].split() == [
        *("203.0.113.9", "authentication", "2026-09-21", "14:13", "until", "lifted", "3", "imap")
    ]
    assert printed.lines[-1] == "1 ban; times are UTC"


def test_wide_characters_are_given_their_columns(shell: Shell) -> None:
    shell.sit_down()
    row = ("\u754c" * 20, "\U0001f600" * 60, "e\u0301" * 8, "end")
    first, second = list(table(("A", "B", "C", "D"), [row, ("a", "b", "c", "end")], (1,)))[1:3]
    assert columns(first) <= 100
    assert columns(first.partition("end")[0]) == columns(second.partition("end")[0])


@pytest.mark.parametrize("login", ["x" * 60, "x" * 200, "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"])
def test_the_table_fits_100_columns_and_never_cuts_a_subject(
    house: House, shell: Shell, login: str
) -> None:
    shell("ban", f"login:{login}", "--note", "a long story " * 20)
    shell("ban", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff")
    while house.fail("203.0.113.9", "ada", "a-rather-long-name-of-a-service"):
        pass
    assert f"  {'a long story ' * 19}a long story" in shell("bans").out, "in a pipe nothing is cut"
    shell.sit_down()
    printed = shell("bans")
    subject = shell.told("bans", "--login", login.removeprefix("login:"))[0]["subject"]
    assert subject in printed.out
    for line in printed.lines:
        assert len(line) <= 100 or line == subject


def test_no_bans_are_no_table(tmp_path: Path, shell: Shell) -> None:
    with open_house(tmp_path, ""):
        assert shell("bans").out == "There are no bans.\n"
        assert shell("bans", "--reason", "manual").out == "There are no such bans.\n"
        assert shell.told("bans") == []


def test_names_of_strangers_never_reach_the_terminal_raw(house: House, shell: Shell) -> None:
    while house.fail("203.0.113.9", "\u202eada\x1b[2Jn", "imap"):
        pass
    for words in (("bans",), ("why", "203.0.113.9"), ("top",), ("server", "list-config")):
        out = shell(*words).out
        assert out.replace("\n", "").isprintable()


def test_names_with_piles_of_marks_are_cut_or_encoded(house: House, shell: Shell) -> None:
    pile = "e" + "\u0301" * 100
    while house.fail("203.0.113.9", pile, "imap"):
        pass
    house.ask("POST", "/api/bans", {"subject": "203.0.113.8", "note": pile})
    for words in (
        ("bans",),
        ("why", "203.0.113.9"),
        ("top",),
        ("server", "list-config"),
        ("events",),
    ):
        out = shell(*words).out
        assert "\u0301" * 5 not in out, words
    (entry,) = [entry for entry in house.guard.journal.kept if entry.number == 1]
    assert "\u0301" not in str(entry)


def test_json_is_what_the_api_says(house: House, shell: Shell) -> None:
    (ban,) = shell.told("ban", "203.0.113.9")
    assert (ban["subject"], ban["key"]) == (
        "203.0.113.9",
        "server.security.blocked-networks.203.0.113.9",
    )
    assert "203.0.113.9" in {ban["subject"] for ban in shell.told("bans")}
    (lifted,) = shell.told("lift", "203.0.113.9")
    assert lifted["bans"][0]["subject"] == "203.0.113.9"
    assert shell.told("why", "203.0.113.9")["ban"] is None
    assert house.admits("203.0.113.9")


def test_options_may_stand_before_the_command(house: House, shell: Shell) -> None:
    printed = shell("--json", "--data", str(house.socket.parent), "bans")
    assert printed.out.startswith("[")


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("ban", "10.0.0.0/33"), "10.0.0.0/33"),
        (("ban", "300.1.1.1"), "300.1.1.1"),
        (("ban", "203.0.113.9", "--for", "1x"), '"1x"'),
        (("ban", "192.0.2.1"), "192.0.2.0/28"),
        (("ban", "0.0.0.0/0"), "--yes"),
        (("lift", "10.0.0.0/33"), "10.0.0.0/33"),
        (("why", "10.0.0.0/33"), "10.0.0.0/33"),
        (("bans", "--address", "here"), '"here"'),
        (("ban", "203.0.113.9", "--for", "1\x1b[2Jd"), "1\\x1b[2Jd"),
    ],
)
def test_what_is_refused_is_one_line_and_no_success(
    house: House, shell: Shell, words: tuple[str, ...], word: str
) -> None:
    printed = shell(*words)
    is_forbidden = words[-1] in {"192.0.2.1", "0.0.0.0/0"}
    assert (printed.status, printed.out) == (1 if is_forbidden else 2, "")
    assert printed.err.startswith("mailward: ")
    assert printed.err.count("\n") == 1
    assert word in printed.err
    assert house.admits("203.0.113.9")


def test_yes_bans_everybody_but_the_allowed(house: House, shell: Shell) -> None:
    assert shell("ban", "0.0.0.0/0", "--yes").status == 0
    assert not house.admits("203.0.113.9")
    assert house.admits("192.0.2.1")


# -- files -----------------------------------------------------------------------------------------


def test_a_file_names_one_subject_a_line(house: House, shell: Shell, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_bytes(
        b"\xef\xbb\xbf# scanners\r\n203.0.113.9\r\n\n"
        b"  10.0.0.0/8  # a whole network\nada#1@example.org\n"
    )
    assert len(shell("ban", "--file", str(names)).lines) == 3
    assert not house.admits("203.0.113.9")
    assert not house.admits("10.1.1.1")
    assert not house.fail("203.0.113.1", "ada#1@example.org")
    assert len(shell("lift", "--file", str(names)).lines) == 3
    assert house.admits("203.0.113.9")


def test_a_file_may_come_through_a_pipe(house: House, shell: Shell) -> None:
    assert shell("ban", "--file", "-", given=b"203.0.113.9\n").status == 0
    assert not house.admits("203.0.113.9")


def test_every_fault_of_a_file_is_told_with_its_line_and_nobody_is_banned(
    house: House, shell: Shell, tmp_path: Path
) -> None:
    names = tmp_path / "names"
    names.write_text("203.0.113.9\n# none\n300.1.1.1\n192.0.2.1\n203.0.113.10\n")
    printed = shell("ban", "--file", str(names))
    assert printed.status == 1
    assert printed.err.splitlines()[0].startswith(f'{names}:3: "300.1.1.1"')
    assert printed.err.splitlines()[1].startswith(f"{names}:4: 192.0.2.1 is inside")
    assert printed.err.splitlines()[-1].endswith("nothing was changed")
    assert house.admits("203.0.113.9")


def test_a_long_file_is_checked_to_its_end_before_anybody_is_banned(
    house: House, shell: Shell, tmp_path: Path
) -> None:
    names = tmp_path / "names"
    many = [f"10.0.{number // 250}.{number % 250}" for number in range(1_200)]
    names.write_text("\n".join([*many, "nonsense/1"]))
    printed = shell("ban", "--file", str(names))
    assert printed.status == 1
    assert printed.err.startswith(f"{names}:1201: ")
    assert house.admits("10.0.0.0")
    names.write_text("\n".join(many))
    assert len(shell.told("ban", "--file", str(names))) == 1_200
    assert not any(house.admits(address) for address in many)


@pytest.mark.parametrize(
    ("octets", "word"), [(b"ada\nb\xff\n", ":2: this is no UTF-8"), (b"x" * 1_001, ":1: no subj")]
)
def test_a_file_of_junk_is_refused(
    house: House, shell: Shell, tmp_path: Path, octets: bytes, word: str
) -> None:
    names = tmp_path / "names"
    names.write_bytes(octets)
    printed = shell("ban", "--file", str(names))
    assert (printed.status, word in printed.err) == (1, True)
    assert len(shell.told("bans")) == 2
    assert house.admits("203.0.113.9")


def test_a_file_that_is_not_there_is_told(house: House, shell: Shell, tmp_path: Path) -> None:
    printed = shell("ban", "--file", str(tmp_path / "none"))
    assert (printed.status, "cannot be read" in printed.err) == (1, True)
    assert house.admits("203.0.113.9")


# -- lifting ---------------------------------------------------------------------------------------


def test_lifting_what_is_free_is_no_failure(house: House, shell: Shell) -> None:
    printed = shell("lift", "203.0.113.9")
    assert (printed.status, printed.out) == (0, "Address 203.0.113.9 was not banned.\n")
    house.fail("203.0.113.9")
    printed = shell("lift", "203.0.113.9")
    assert printed.out == "Address 203.0.113.9 was not banned; its failures are forgotten.\n"
    assert shell.told("why", "203.0.113.9")["count"] == 0


def test_lifting_what_stays_blocked_is_a_failure(house: House, shell: Shell) -> None:
    shell("ban", "203.0.113.0/24", "203.0.113.9")
    printed = shell("lift", "203.0.113.9")
    assert printed.status == 1
    assert (
        printed.out == "Address 203.0.113.9 is still banned by the ban on network 203.0.113.0/24.\n"
    )
    assert not house.admits("203.0.113.9")
    printed = shell("lift", "198.51.100.0/24")
    assert (printed.status, "the configuration file" in printed.out) == (1, True)


def test_lift_all_leaves_bans_by_hand(house: House, shell: Shell) -> None:
    shell("ban", "203.0.113.200")
    while house.fail("203.0.113.9", "ada"):
        pass
    assert shell("lift", "--all").out == "Lifted 2 automatic bans.\n"
    assert not house.admits("203.0.113.200")
    assert shell("lift", "--all", "--reason", "manual").out == "Lifted 1 manual ban.\n"
    assert house.admits("203.0.113.200")


@pytest.mark.parametrize(
    "words",
    [
        ("ban",),
        ("lift",),
        ("lift", "--all", "ada"),
        ("lift", "--all", "--file", "-"),
        ("lift", "ada", "--reason", "manual"),
        ("bans", "--reason", "whim"),
        ("why",),
        ("report", "failure", "--address", "203.0.113.9"),
        ("report", "maybe", "--address", "203.0.113.9", "--service", "x"),
        ("server",),
        ("server", "add-config"),
        ("nonsense",),
        ("bans", "--dat", "x"),
        ("ban", "b\udcffb"),
    ],
)
def test_wrong_usage_is_status_2(house: House, shell: Shell, words: tuple[str, ...]) -> None:
    printed = shell(*words)
    assert printed.status == 2
    assert "usage: mailward" in printed.err
    assert house.admits("203.0.113.9")


# -- why -------------------------------------------------------------------------------------------


def test_why_tells_a_story(house: House, shell: Shell) -> None:
    house.fail("203.0.113.9", "ada", "imap")
    house.later(61)
    house.fail("203.0.113.9", "bob", "submission")
    house.fail("203.0.113.9", None, "submission")
    assert shell("why", "203.0.113.9").out == (
        "Address 203.0.113.9 is banned since 2026-09-21 14:14:21 UTC, until it is lifted,"
        " because 3 logins failed (imap, submission).\n"
        "Its connections are closed before a word is said.\n"
        "\n"
        "It has 3 of 3 failures in the last 1h:\n"
        "  2026-09-21 14:13:20  imap        ada\n"
        "  2026-09-21 14:14:21  submission  bob\n"
        "  2026-09-21 14:14:21  submission\n"
        "\n"
        "To lift it: mailward lift 203.0.113.9\n"
    )


def test_why_of_a_login_says_when_it_ends_and_how_to_lift_it(house: House, shell: Shell) -> None:
    for number in range(3):
        house.fail(f"203.0.113.{number}", "10.1.1.1")
    out = shell("why", "login:10.1.1.1").out
    assert "banned since 2026-09-21 14:13:20 UTC, until 2026-09-21 15:13:20 UTC" in out
    assert "Attempts with it are refused from any address, right password or not." in out
    assert "203.0.113.2" in out
    assert out.endswith("To lift it: mailward lift login:10.1.1.1\n")


def test_why_of_an_address_in_a_banned_prefix_names_the_prefix(house: House, shell: Shell) -> None:
    while house.fail("2001:db8:5::1"):
        pass
    out = shell("why", "2001:DB8:5::2").out
    assert out.startswith(
        "Address 2001:db8:5::2 is inside network 2001:db8:5::/64, which is banned since"
    )
    assert "It is counted as 2001:db8:5::/64." in out
    assert "To lift it: mailward lift 2001:db8:5::2" in out
    assert shell("lift", "2001:db8:5::2").status == 0
    assert house.admits("2001:db8:5::1")


def test_why_says_how_to_undo_each_kind_of_block(house: House, shell: Shell) -> None:
    shell("ban", "203.0.113.0/24", "--note", "noisy")
    out = shell("why", "203.0.113.9").out
    assert "by hand (noisy)" in out
    assert "To lift it: mailward lift 203.0.113.0/24" in out
    out = shell("why", "198.51.100.7").out
    assert "because the configuration file blocks it" in out
    assert "delete server.security.blocked-networks.198.51.100.0/24 in the configuration" in out
    assert "mailward server reload-config" in out
    assert not house.admits("198.51.100.7")


def test_why_of_somebody_free_says_so(house: House, shell: Shell) -> None:
    out = shell("why", "ada").out
    assert "Login ada is not banned." in out
    assert "no failures in the last 1h; the limit is 3" in out
    house.fail("203.0.113.9", "ada")
    assert "To forget the failures: mailward lift ada" in shell("why", "ada").out
    assert (
        "not banned: it is inside the allowed network 192.0.2.0/28,"
        in shell("why", "192.0.2.1").out
    )
    shell("server", "add-config", "server.proxy.trusted-networks.203.0.113.9")
    shell("server", "reload-config")
    assert "trusted network 203.0.113.9: what it connects" in shell("why", "203.0.113.9").out


# -- the store -------------------------------------------------------------------------------------


def test_while_the_store_is_away_every_change_says_so(house: House, shell: Shell) -> None:
    house.store.full = True
    for words in (
        ("ban", "203.0.113.9"),
        ("lift", "203.0.113.9"),
        ("lift", "--all"),
        ("report", "failure", "--address", "203.0.113.9", "--service", "www"),
        ("server", "add-config", "server.security.ban-period", "4w"),
        ("server", "delete-config", "server.security.ban-period"),
    ):
        printed = shell(*words)
        assert printed.status == 0, printed.err
        assert "kept in memory until it is back" in printed.out, words
    assert "DEGRADED: the disk is full" in shell("status").out
