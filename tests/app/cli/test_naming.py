"""What is banned is what was meant: ranges are networks, and no address becomes a login."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.admin.house import House, open_house
from tests.app.cli.typing_in import Shell

RANGE = "203.0.113.0-203.0.113.254"
BLOCKED = "server.security.blocked-networks."
MISTYPED = ["203.0.113.*", "203.0.113.0-255", "AS64500", "DE", "203.0.113.9:25", "10.0.0.0/8/8"]


def logins(shell: Shell) -> list[str]:
    return [ban["name"] for ban in shell.told("bans") if ban["kind"] == "login"]


def test_a_range_is_banned_as_its_networks_and_lifted_as_them(house: House, shell: Shell) -> None:
    printed = shell("ban", RANGE)
    assert printed.lines[0] == "Network 203.0.113.0/25 is banned until it is lifted."
    assert len(printed.lines) == 8
    assert printed.lines[-1] == "Address 203.0.113.254 is banned until it is lifted."
    assert not house.admits("203.0.113.254")
    assert house.admits("203.0.113.255")
    assert logins(shell) == ["root@example.org"]
    assert shell("lift", RANGE).status == 0
    assert house.admits("203.0.113.1")


def test_a_range_in_a_file_may_have_blanks(house: House, shell: Shell, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text(f"{RANGE.replace('-', ' - ')}  # one line\n")
    assert len(shell.told("ban", "--file", str(names))) == 8
    assert not house.admits("203.0.113.254")


def test_a_range_is_a_key_and_its_networks_are_listed(house: House, shell: Shell) -> None:
    key = f"{BLOCKED}203.0.113.0-203.0.113.3"
    printed = shell("server", "add-config", key)
    assert printed.out == (
        f"Successfully added key {key}. (as {BLOCKED}203.0.113.0/30) It is in force at once.\n"
    )
    assert not house.admits("203.0.113.3")
    assert f"{BLOCKED}203.0.113.0/30" in shell("server", "list-config").lines
    assert shell("server", "delete-config", key).status == 0
    assert house.admits("203.0.113.3")


def test_a_range_in_the_configuration_is_its_networks(tmp_path: Path, shell: Shell) -> None:
    text = f'[server.security]\nblocked-networks = {{ "{RANGE}" }}\n'
    with open_house(tmp_path, text) as house:
        assert not house.admits("203.0.113.254")
        assert house.admits("203.0.113.255")
        listed = shell("server", "list-config", BLOCKED).lines
        assert sorted(listed) == sorted(ban["key"] for ban in shell.told("bans"))
        printed = shell("server", "delete-config", f"{BLOCKED}203.0.113.0/25")
        assert (printed.status, f"{house.file}:2" in printed.err) == (1, True)
        house.file.write_text("")
        assert shell("server", "reload-config").status == 0
        assert house.admits("203.0.113.254")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("203.0.113.9-203.0.113.1", "runs backwards"),
        ("203.0.113.1-2001:db8::", "one range for each family"),
        ("::1-ffff::", "more than 64 networks"),
        ("0.0.0.0-255.255.255.255", "everybody"),
        ("192.0.2.0-192.0.2.3", "allowed network"),
    ],
)
def test_a_range_that_cannot_be_banned_is_refused_in_every_way(
    house: House, shell: Shell, tmp_path: Path, text: str, word: str
) -> None:
    names = tmp_path / "names"
    names.write_text(f"{text}\n")
    for words in (
        ("ban", text),
        ("ban", "--file", str(names)),
        ("server", "add-config", f"{BLOCKED}{text}"),
    ):
        printed = shell(*words)
        is_wrong = word not in {"everybody", "allowed network"} and "--file" not in words
        assert (printed.status, word in printed.err) == (2 if is_wrong else 1, True), words
    told = house.ask("POST", "/api/bans", {"subjects": [text, "203.0.113.77"]})
    assert (told.status in {409, 422}, word in json.dumps(told.body)) == (True, True)
    house.file.write_text(
        f'server.security.allowed-networks = {{ "192.0.2.0/28" }}\n'
        f'server.security.blocked-networks = {{ "{text}" }}\n'
    )
    printed = shell("server", "reload-config")
    assert (printed.status, word in printed.err, ":2: " in printed.err) == (1, True, True)
    assert len(shell.told("bans")) == 2


@pytest.mark.parametrize("text", MISTYPED)
def test_what_looks_like_an_address_never_becomes_a_login(
    house: House, shell: Shell, tmp_path: Path, text: str
) -> None:
    names = tmp_path / "names"
    names.write_text(f"{text}\n")
    for words in (("ban", text), ("ban", "--file", str(names)), ("lift", text), ("why", text)):
        printed = shell(*words)
        assert printed.status == (1 if "--file" in words else 2)
        assert f"login:{text}" in printed.err
    told = house.ask("POST", "/api/bans", {"subject": text})
    assert (told.status, f"login:{text}" in told.detail) == (422, True)
    assert logins(shell) == ["root@example.org"]
    assert shell("ban", f"login:{text}").out.startswith("Login ")


@pytest.mark.parametrize("text", ["12345", "de", "jean-luc", "as64500"])
def test_logins_of_digits_or_two_letters_are_logins(house: House, shell: Shell, text: str) -> None:
    assert shell("ban", text).out.startswith(f"Login {text} is banned until it is lifted.")
    assert not house.fail("203.0.113.9", text)


def test_every_answer_says_of_which_kind_it_is(house: House, shell: Shell, tmp_path: Path) -> None:
    for subject, told in (
        ("203.0.113.9", "Address 203.0.113.9"),
        ("203.0.113.9/24", "Network 203.0.113.0/24"),
        ("ada", "Login ada"),
        ("operator:admin", "Operator operator:admin"),
    ):
        for words in (("ban", subject), ("why", subject), ("lift", subject)):
            assert shell(*words).out.startswith(f"{told} "), words
    names = tmp_path / "names"
    names.write_text("".join(f"10.0.0.{n}\nuser{n}\n" for n in range(100)))
    assert shell("ban", "--file", str(names)).lines == [
        "100 addresses or networks and 100 logins are banned.",
        "No attempt is on record for 100 logins of them.",
    ]
    assert house.ask("POST", "/api/lifts", {"subjects": ["ada", "10.0.0.1"]}).body["kinds"] == {
        "address": 1,
        "login": 1,
        "operator": 0,
    }


def test_a_login_that_was_never_seen_is_told(house: House, shell: Shell) -> None:
    told = "No login attempt under that name is on record; check the spelling."
    assert told in shell("ban", "jdeo").out
    assert told not in shell("ban", "jdeo", "--for", "1d").out, "it is banned, so it is known"
    house.fail("203.0.113.9", "jdoe")
    assert told not in shell("ban", "jdoe").out
    assert told not in shell("ban", "203.0.113.77").out


# -- the bans inside a network ---------------------------------------------------------------------


def test_lifting_a_network_says_what_stands_inside_it(house: House, shell: Shell) -> None:
    shell("ban", "203.0.113.0/24", "203.0.113.9", "203.0.113.128/25", "203.0.114.1")
    printed = shell("lift", "203.0.113.0/24")
    assert printed.status == 0
    assert printed.out == (
        "Network 203.0.113.0/24 is not banned as a whole: its ban is lifted."
        " 2 bans inside it stand; to lift those, too: mailward lift --inside 203.0.113.0/24\n"
    )
    assert not house.admits("203.0.113.9")
    assert shell("lift", "203.0.113.0/24").out.startswith(
        "Network 203.0.113.0/24 was not banned itself. 2 bans inside it stand;"
    )
    out = shell("why", "203.0.113.0/24").out
    assert "Network 203.0.113.0/24 is not banned." in out
    assert "Inside it 2 bans stand" in out
    assert "mailward lift --inside 203.0.113.0/24" in out
    printed = shell("lift", "--inside", "203.0.113.0/24")
    assert printed.out == (
        "Network 203.0.113.0/24 was not banned itself. 2 bans inside it are lifted.\n"
    )
    assert house.admits("203.0.113.9")
    assert house.admits("203.0.113.200")
    assert not house.admits("203.0.114.1")


def test_bans_of_the_file_inside_a_network_are_told_apart(house: House, shell: Shell) -> None:
    shell("ban", "198.51.100.9", "198.51.0.9")
    printed = shell("lift", "--inside", "198.51.0.0/16")
    assert printed.out == (
        "Network 198.51.0.0/16 was not banned itself. 2 bans inside it are lifted."
        " 1 ban inside it stands in the configuration file.\n"
    )
    assert not house.admits("198.51.100.9"), "198.51.100.0/24 is blocked in the file"
    assert shell.told("why", "198.51.0.0/16")["inside"] == 1
