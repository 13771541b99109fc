"""The commands of the seed: ``server add-config`` and its sisters."""

from __future__ import annotations

import pytest

from tests.admin.house import House
from tests.app.cli.typing_in import Shell

NETWORKS = "server.security.blocked-networks."


@pytest.mark.parametrize(
    ("network", "inside"),
    [("192.168.1.1", "192.168.1.1"), ("10.0.0.0/8", "10.1.2.3"), ("2001:db8::/32", "2001:db8::9")],
)
def test_the_words_of_the_seed_ban_and_free(
    house: House, shell: Shell, network: str, inside: str
) -> None:
    key = NETWORKS + network
    printed = shell("server", "add-config", key)
    assert (printed.status, printed.err) == (0, "")
    assert printed.out.startswith(f"Successfully added key {key}. ")
    assert not house.admits(inside)
    assert shell("server", "reload-config").out.startswith("Success.")
    assert not house.admits(inside)
    printed = shell("server", "delete-config", key)
    assert printed.out.startswith(f"Successfully deleted key {key}. ")
    assert shell("server", "reload-config").status == 0
    assert house.admits(inside)


def test_the_answer_says_when_a_key_is_felt(house: House, shell: Shell) -> None:
    printed = shell("server", "add-config", f"{NETWORKS}10.1.2.3/8", "a note")
    assert printed.out == (
        f"Successfully added key {NETWORKS}10.1.2.3/8. (as {NETWORKS}10.0.0.0/8)"
        " It is in force at once.\n"
    )
    printed = shell("server", "add-config", "server.security.fail2ban", "5/1h")
    assert printed.out.endswith("It is in force at reload-config.\n")
    assert "Waiting for reload-config: server.security.fail2ban" in shell("status").out
    assert house.admits("203.0.113.9")


def test_everybody_needs_yes(house: House, shell: Shell) -> None:
    printed = shell("server", "add-config", f"{NETWORKS}0.0.0.0/0")
    assert (printed.status, "--yes" in printed.err) == (1, True)
    assert shell("server", "add-config", f"{NETWORKS}0.0.0.0/0", "--yes").status == 0
    assert not house.admits("203.0.113.9")


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("add-config", f"{NETWORKS}10.0.0.0/33"), "10.0.0.0/33"),
        (("add-config", "server.security.fail2ban", "100/1y"), "100/1y"),
        (("add-config", "server.security.fail2bann", "100/1d"), "server.security.fail2ban is"),
        (("delete-config", f"{NETWORKS}203.0.113.9"), "there was no key"),
        (("delete-config", f"{NETWORKS}198.51.100.0/24"), "config.toml:3"),
        (("delete-config", "nonsense"), "there was no key nonsense"),
    ],
)
def test_what_is_refused_is_one_line_and_no_success(
    house: House, shell: Shell, words: tuple[str, ...], word: str
) -> None:
    before = shell.told("server", "list-config")
    printed = shell("server", *words)
    assert (printed.status, printed.out) == (2 if words[0] == "add-config" else 1, "")
    assert printed.err.count("\n") == 1
    assert word in printed.err
    assert shell.told("server", "list-config") == before
    assert house.admits("203.0.113.9")


def test_in_a_pipe_the_list_has_one_full_key_a_line(house: House, shell: Shell) -> None:
    shell("server", "add-config", f"{NETWORKS}203.0.113.9", "x" * 200)
    assert shell("server", "list-config", "server.security.").lines == [
        "server.security.allowed-networks.192.0.2.0/28",
        "server.security.blocked-logins.root@example.org",
        "server.security.blocked-networks.198.51.100.0/24",
        f"server.security.blocked-networks.203.0.113.9 = {'x' * 200}",
        "server.security.fail2ban = 3/1h",
    ]
    assert not house.admits("203.0.113.9")


def test_on_a_terminal_the_list_is_a_table(house: House, shell: Shell) -> None:
    shell.sit_down()
    lines = shell("server", "list-config", "server.security.f").lines
    assert lines[0].split() == ["KEY", "VALUE", "ORIGIN"]
    assert lines[1].split()[:2] == ["server.security.fail2ban", "3/1h"]
    assert lines[-1] == "1 key found"
    assert shell("server", "list-config", "nothing").status == 1
    assert house.admits("203.0.113.9")


def test_a_refused_reload_lists_every_fault(house: House, shell: Shell) -> None:
    house.file.write_text('server.security.fail2ban = ""\nserver.hostnam = "x"\n')
    printed = shell("server", "reload-config")
    assert printed.status == 1
    first, second, last = printed.err.splitlines()
    assert first.startswith(f"{house.file}:1: server.security.fail2ban: ")
    assert second.startswith(f"{house.file}:2: server.hostnam: ")
    assert "what was in force still is" in last


def test_there_are_no_certificates_to_reload(house: House, shell: Shell) -> None:
    printed = shell("server", "reload-certificates")
    assert (printed.status, printed.out) == (0, "There are no certificates to reload.\n")
    assert house.admits("203.0.113.9")


def test_json_says_whether_a_change_is_stored(house: House, shell: Shell) -> None:
    assert shell.told("server", "add-config", f"{NETWORKS}203.0.113.9")["stored"] is True
    (known,) = shell.told("server", "list-config", f"{NETWORKS}2")
    assert known == {"key": f"{NETWORKS}203.0.113.9", "value": "", "origin": "store"}
    assert not house.admits("203.0.113.9")
