"""The accounts of the embedded mail server, as the API shows and changes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mailbox_testing.program import Program, program

from mailward.admin.accounts import MAX_LINES
from mailward.backends.accounts import MailboxAccounts
from tests.admin.house import House

PASSWORD = "opensesame"


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with program(tmp_path_factory.mktemp("mailbox")) as running:
        yield running


@pytest.fixture
def kept(house: House, mailbox: Program) -> Iterator[House]:
    """A house with a built-in mail server that has no account yet."""
    accounts = MailboxAccounts(str(mailbox.data / "control.sock"))
    house.control.accounts = lambda: accounts
    yield house
    for account in mailbox.ask({"do": "accounts.list"})["accounts"]:
        mailbox.ask({"do": "accounts.remove", "name": account["name"]})


def add(house: House, name: str = "alice") -> int:
    return house.ask("POST", "/api/accounts", {"name": name, "password": PASSWORD}).status


def test_accounts_come_and_go(kept: House) -> None:
    assert add(kept, "Alice") == 200
    assert add(kept, "alice") == 409
    (account,) = kept.ask("GET", "/api/accounts").body["accounts"]
    assert account == {"name": "alice", "enabled": True, "scheme": "ARGON2ID", "scram": True}
    assert kept.ask("POST", "/api/accounts/alice", {"enabled": False}).body["enabled"] is False
    assert kept.ask("POST", "/api/accounts/ALICE", {"password": "other"}).status == 200
    assert kept.ask("DELETE", "/api/accounts/alice").status == 200
    assert kept.ask("DELETE", "/api/accounts/alice").status == 404
    assert kept.ask("GET", "/api/accounts").body == {"accounts": []}


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        ("/api/accounts", {"name": "alice"}, 400),
        ("/api/accounts", {"name": "alice", "password": 7}, 400),
        ("/api/accounts", {"name": "alice", "password": "\ud800"}, 400),
        ("/api/accounts", {"name": "alice", "password": ""}, 422),
        ("/api/accounts", {"name": "../alice", "password": PASSWORD}, 422),
        ("/api/accounts", {"name": "a" * 300, "password": PASSWORD}, 422),
        ("/api/accounts", {"name": "\ud800", "password": PASSWORD}, 400),
        ("/api/accounts/bob", {}, 400),
        ("/api/accounts/bob", {"enabled": True, "password": PASSWORD}, 400),
        ("/api/accounts/bob", {"enabled": "yes"}, 400),
        ("/api/accounts/nobody", {"enabled": True}, 404),
        ("/api/accounts/..%2F..", {"enabled": True}, 404),
        ("/api/account-lists", {"lines": []}, 400),
        ("/api/account-lists", {"lines": ["x"] * (MAX_LINES + 1)}, 400),
        ("/api/account-lists", {"lines": ["bob:{NOPE}x"]}, 422),
    ],
)
def test_a_wrong_request_changes_nothing(
    kept: House, target: str, body: object, status: int
) -> None:
    assert add(kept, "bob") == 200
    told = kept.ask("POST", target, body)
    assert told.status == status, told
    assert PASSWORD not in str(told.body)
    assert [one["name"] for one in kept.ask("GET", "/api/accounts").body["accounts"]] == ["bob"]


def test_lines_of_a_passwd_file_are_taken_in_as_a_whole(kept: House) -> None:
    lines = ["bob:{PLAIN}opensesame", "# more", "carl"]
    told = kept.ask("POST", "/api/account-lists", {"lines": lines})
    assert told.status == 422
    assert [fault["index"] for fault in told.body["faults"]] == [2]
    lines = lines[:2]
    checked = kept.ask("POST", "/api/account-lists", {"lines": lines, "check": True})
    assert checked.body == {"count": 1}
    assert kept.ask("GET", "/api/accounts").body["accounts"] == []
    assert kept.ask("POST", "/api/account-lists", {"lines": lines}).body == {"count": 1}
    assert len(kept.ask("GET", "/api/accounts").body["accounts"]) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_where_no_accounts_are_kept_it_says_so(house: House, method: str) -> None:
    body = {"name": "alice", "password": PASSWORD} if method == "POST" else None
    told = house.ask(method, "/api/accounts", body)
    assert told.status == 409
    assert 'backend = "embedded"' in told.detail
