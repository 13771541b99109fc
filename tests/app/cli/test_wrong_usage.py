"""What is typed wrongly: each time it is said what was wrong, and what to type instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from mailbox_testing.program import program

from mailward.backends.accounts import MailboxAccounts
from tests.admin.house import House
from tests.app.cli.typing_in import Shell

ADD = ("server", "add-config")
SECURITY = "server.security"


@pytest.mark.parametrize(
    ("words", "usage", "said"),
    [
        (("bans", "--foo"), "bans", "--foo is no option of this command"),
        (("bans", "--adress", "x"), "bans", "--address is the nearest"),
        (("bans", "extra"), "bans", '"extra" is one word too many'),
        (("ban", "--all"), "ban", "write login:--all"),
        (("why", "a", "b"), "why", '"b" is one word too many'),
        (("why", ""), "why", "the subject is empty"),
        (("ban", ""), "ban", "a subject is empty"),
        (("lift", "ada", ""), "lift", "a subject is empty"),
        (("serve", "--json"), "serve", "--json is no option"),
        (("server", "reload-config", "x"), "server reload-config", "one word too many"),
        ((*ADD, ""), "server add-config", "the key is empty"),
        (("server", "delete-config", ""), "server delete-config", "the key is empty"),
        (("status", "-c", "admin:x"), "status", "--credentials is for a daemon elsewhere"),
        (("status", "--ca", "x"), "status", "--ca is for a daemon elsewhere"),
        (("status", "--data", ""), "status", "--data is empty"),
        (("status", "--config", ""), "status", "--config is empty"),
        (("top", "--count", "x"), "top", '"x" is no number from 1 to 100'),
        (("top", "--count", "101"), "top", '"101" is no number from 1 to 100'),
        (("top", "--count", "-1"), "top", '"-1" is no number from 1 to 100'),
        (("bans", "--limit", "-5"), "bans", '"-5" is no number from 1'),
        (("report",), "report", "failure|success"),
        (("completion",), "completion", "bash|zsh|fish"),
    ],
)
@pytest.mark.usefixtures("house")
def test_wrong_usage_prints_the_usage_of_its_command(
    shell: Shell, words: tuple[str, ...], usage: str, said: str
) -> None:
    printed = shell(*words)
    assert (printed.status, printed.out) == (2, "")
    assert printed.err.startswith(f"usage: mailward {usage} [-h]")
    assert said in printed.err.splitlines()[-1]
    assert len(shell.told("bans")) == 2, "nobody was banned"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ban", "203.0.113.9", "--for", "-1h"), '"-1h" is no period'),
        (("ban", "203.0.113.9", "--for", "1x"), "use s, m, h, d or w"),
        (("ban", "203.0.113.9", "--for", ""), 'like "1d"'),
        (("ban", "10.0.0.0/33"), "write login:10.0.0.0/33"),
        (("ban", "10.0.0.0/33", "203.0.113.9"), "nothing was changed"),
        (("ban", "203.0.113.9", "--note", "a\x07b"), "one line"),
        (("bans", "--address", "here"), '"here" is no IP address or network like 192.0.2.1'),
        (("bans", "--login", ""), "is no login name"),
        (("why", "operator:"), "is no name of an operator"),
        (("why", "encoded:x"), "encoded:login:"),
        (("status", "--url", "ftp://x"), "https://HOST:PORT"),
        (("status", "--url", "http://u:p@x"), "--credentials"),
        ((*ADD, "nope"), "nope: is no key; every key is in docs/reference/keys.md"),
        ((*ADD, "authentication.fail2ban", "5/1h"), f"{SECURITY}.fail2ban is meant here"),
        ((*ADD, "server.fail2ban.authentication"), f"{SECURITY}.fail2ban is meant here"),
        ((*ADD, "server.blocked-ip.192.0.2.1"), f"{SECURITY}.blocked-networks.192.0.2.1 is meant"),
        ((*ADD, "server.allowed-ip.192.0.2.1"), f"{SECURITY}.allowed-networks.192.0.2.1 is meant"),
        ((*ADD, "fail2ban", "5/1h"), f"{SECURITY}.fail2ban is meant here"),
        ((*ADD, "security.fail2ban", "5/1h"), f"{SECURITY}.fail2ban is meant here"),
        ((*ADD, "blocked-logins.ada"), f"{SECURITY}.blocked-logins.ada is meant here"),
        ((*ADD, "bantime", "5"), f"{SECURITY}.ban-period is meant here"),
        ((*ADD, f"{SECURITY}.blocked-networks.foo"), "like 192.0.2.1, 192.0.2.0/24"),
        ((*ADD, f"{SECURITY}.allowed-networks.foo"), "like 192.0.2.1, 192.0.2.0/24"),
        ((*ADD, f"{SECURITY}.ban-period", "-1h"), '"-1h" is no period'),
        ((*ADD, "server.listener.imap.bind.localhost:143"), '"127.0.0.1:143"'),
        (
            ("report", "failure", "--address", "203.0.113.9", "--service", "X Y"),
            "1 to 32 of a-z",
        ),
    ],
)
def test_a_wrong_value_is_status_2_and_one_line_that_says_what_is_taken(
    house: House, shell: Shell, words: tuple[str, ...], said: str
) -> None:
    printed = shell(*words)
    assert (printed.status, printed.out) == (2, "")
    assert said in printed.err
    assert printed.err.splitlines()[-1].startswith("mailward: ")
    assert house.admits("203.0.113.9")


@pytest.mark.parametrize(
    "words",
    [
        ("ban", "192.0.2.1"),
        ("ban", "192.0.2.1", "192.0.2.2"),
        ("ban", "0.0.0.0/0"),
        ("server", "delete-config", "server.security.observe"),
        (*ADD, "store.path", "x"),
        ("ban", "--file", "/nonexistent"),
        ("accounts", "remove", "carl"),
    ],
)
@pytest.mark.usefixtures("house")
def test_what_the_state_forbids_is_status_1(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell(*words).status == 1


@pytest.mark.usefixtures("house")
def test_a_prefix_that_no_key_has_is_said(shell: Shell) -> None:
    printed = shell("server", "list-config", "nope")
    assert (printed.status, printed.out) == (1, "")
    assert 'no key in force begins with "nope"' in printed.err
    assert shell.told("server", "list-config", "nope") == []


def test_a_password_is_asked_for_only_where_it_can_be_set(
    house: House, shell: Shell, tmp_path: Path
) -> None:
    for words in (("add", "alice"), ("passwd", "alice")):
        assert "no accounts are kept here" in shell("accounts", *words, typed=[]).err
    accounts = MailboxAccounts(str(tmp_path / "control.sock"))
    house.control.accounts = lambda: accounts
    with program(tmp_path):
        printed = shell("accounts", "passwd", "alice", typed=[])
        assert (printed.status, "no account alice" in printed.err) == (1, True), printed.err
        assert shell("accounts", "add", "alice", typed=["opensesame"] * 2).status == 0
        assert "is an account alice already" in shell("accounts", "add", "alice", typed=[]).err
        assert shell("accounts", "passwd", "ALICE", typed=["other-sesame"] * 2).status == 0
