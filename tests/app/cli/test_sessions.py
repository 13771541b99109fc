"""``sessions``, ``sessions close`` and ``ban --close``, as an operator types them."""

from __future__ import annotations

import json

import pytest

from tests.admin.house import House
from tests.admin.sessions import log_in
from tests.app.cli.typing_in import Shell


def test_sessions_are_listed_in_a_table(house: House, shell: Shell) -> None:
    assert shell("sessions").out == "No session is open.\n"
    log_in(house, "ada@example.org")
    log_in(house, "boss", "2001:db8::7", mailbox="bob")
    log_in(house, None)
    printed = shell("sessions")
    assert printed.status == 0
    assert [line.split() for line in printed.lines] == [
        [*("LOGIN", "ADDRESS", "DOOR", "SERVICE", "SINCE", "IN", "OUT", "MAILBOX")],
        [
            *("ada@example.org", "192.0.2.1", "imaps", "imap", "2026-09-21", "14:13"),
            *("1234", "56789"),
        ],
        [*("boss", "2001:db8::7", "imaps", "imap", "2026-09-21", "14:13", "1234", "56789", "bob")],
        [*("(token)", "192.0.2.1", "imaps", "imap", "2026-09-21", "14:13", "1234", "56789")],
        [],
        [*("3", "sessions;", "octets", "in", "and", "out;", "times", "are", "UTC")],
    ]
    assert shell("sessions", "BOB").lines[-1].startswith("1 session;")
    assert shell("sessions", "eve").out == "No session of eve is open.\n"
    assert shell("sessions", "--limit", "2").lines[-1].startswith("the first 2 of 3 sessions;")
    rows = json.loads(shell("sessions", "192.0.2.1", "--json").out)
    assert [row["login"] for row in rows] == ["ada@example.org", None]


def test_sessions_are_closed_and_one_that_has_just_left_is_told_so(
    house: House, shell: Shell
) -> None:
    line = log_in(house, "ada")
    printed = shell("sessions", "close", "ada")
    assert printed.out.startswith("1 session of login ada is closed; mail programs log in again")
    assert (printed.status, line.is_cut) == (0, True)
    gone = shell("sessions", "close", "ada")
    assert gone.out == "No session of login ada is open: it has ended already, or there was none.\n"
    assert gone.status == 0  # none is open, as was wished
    assert json.loads(shell("sessions", "close", "ada", "--json").out)["closed"] == 0


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("close",), 2, "a subject is missing; a login of that name is login:close"),
        (("ada", "bob"), 2, "one subject at most can be listed"),
        (("close", "10.0.0.0/99"), 2, "is no address"),
        (("close", ""), 2, "a subject is empty"),
        (("close", "operator:admin"), 2, "operator:admin has no session"),
        (("close", "::/0"), 1, "repeat it with --yes"),
        (("--limit", "0"), 2, "no number from 1"),
    ],
)
def test_what_makes_no_sense_is_refused(
    house: House, shell: Shell, words: tuple[str, ...], status: int, why: str
) -> None:
    line = log_in(house, "ada", "2001:db8::7")
    printed = shell("sessions", *words)
    assert printed.status == status
    assert why in printed.err
    assert not line.is_cut
    assert shell("sessions", "close", "::/0", "--yes").status == 0
    assert line.is_cut


def test_a_login_called_close_is_listed_and_closed_by_its_kind(house: House, shell: Shell) -> None:
    line = log_in(house, "close")
    assert shell("sessions", "login:close").lines[1].startswith("close ")
    assert shell("sessions", "close", "close").status == 0
    assert line.is_cut


def test_a_ban_says_how_many_sessions_it_closed(house: House, shell: Shell) -> None:
    log_in(house, "ada")
    log_in(house, "ada", "192.0.2.2")
    log_in(house, "bob", "203.0.113.9")
    assert shell("ban", "ada").out == (
        "Login ada is banned until it is lifted.\n2 sessions are closed.\n"
    )
    assert shell("ban", "203.0.113.9").out == "Address 203.0.113.9 is banned until it is lifted.\n"
    assert shell("ban", "203.0.113.9", "--close").lines[-1] == "1 session is closed."
    assert shell("ban", "eve", "--close").lines[-1] == "0 sessions are closed."
