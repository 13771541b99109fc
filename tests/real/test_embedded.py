"""The mail server that is built in: a person's first minute with it, and what is never lost."""

from __future__ import annotations

import imaplib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.attack import ImapFrom, Told, guess
from tests.real.conftest import ACCOUNTS
from tests.real.embedded import EmbeddedWard
from tests.real.processes import eventually

LETTER = b"From: alice\r\nSubject: %d\r\n\r\nhow are you?\r\n"
ALICE = ACCOUNTS["alice"]


@pytest.fixture
def ward(folder: Path) -> Iterator[EmbeddedWard]:
    ward = EmbeddedWard(folder / "ward")
    ward.start()
    ward.add("alice", ALICE)
    yield ward
    ward.finish()


def append(client: ImapFrom, octets: bytes) -> bytes:
    """What a message is answered with."""
    _, told = client.append("INBOX", "", "", octets)
    return b"".join(part for part in told if isinstance(part, bytes))


def uids(client: ImapFrom) -> list[bytes]:
    client.select("INBOX")
    _, told = client.uid("SEARCH", "ALL")
    return list(told[0].split())


def test_an_account_is_added_and_mail_is_stored_and_read(ward: EmbeddedWard) -> None:
    with ward.client("alice", ALICE) as client:
        assert b"IDLE" in client.capability()[1][0]
        assert b"APPENDUID" in append(client, LETTER % 1)
        assert uids(client) == [b"1"]
        _, told = client.fetch("1", "(BODY[])")
        assert isinstance(told[0], tuple)
        assert told[0][1] == LETTER % 1


def test_operators_look_after_accounts_from_the_command_line(ward: EmbeddedWard) -> None:
    ward.cli("accounts", "add", "bob", "--password-stdin", given=f"{ACCOUNTS['bob']}\n")
    assert [one["name"] for one in ward.told("accounts", "list")] == ["alice", "bob"]
    assert "already" in ward.cli(
        "accounts", "add", "BOB", "--password-stdin", given="x-opensesame\n", status=1
    )
    assert "slash" in ward.cli("accounts", "add", "../x", "--password-stdin", given="x\n", status=2)
    assert "terminal" in ward.cli("accounts", "add", "carl", status=1)
    ward.cli("accounts", "disable", "bob")
    assert guess(ward.imap, "bob", ACCOUNTS["bob"]) is Told.WRONG
    ward.cli("accounts", "enable", "bob")
    assert guess(ward.imap, "bob", ACCOUNTS["bob"]) is Told.OK
    ward.cli("accounts", "passwd", "bob", "--password-stdin", given="new-opensesame\n")
    assert guess(ward.imap, "bob", ACCOUNTS["bob"]) is Told.WRONG
    assert guess(ward.imap, "bob", "new-opensesame") is Told.OK
    ward.cli("accounts", "remove", "bob")
    assert guess(ward.imap, "bob", "new-opensesame") is Told.WRONG
    assert "no account" in ward.cli("accounts", "remove", "bob", status=1)


def test_a_passwd_file_is_imported_whole_or_not_at_all(ward: EmbeddedWard, folder: Path) -> None:
    file = folder / "passwd"
    file.write_text("bob:{PLAIN}bob-opensesame:1000::::\ndora:{NOPE}x-opensesame\n")
    told = ward.cli("accounts", "import", str(file), status=1)
    assert f"{file}:2: " in told
    assert len(ward.told("accounts", "list")) == 1
    file.write_text("bob:{PLAIN}bob-opensesame:1000::::\n")
    assert "1 account" in ward.cli("accounts", "import", str(file))
    assert guess(ward.imap, "bob", "bob-opensesame") is Told.OK


def crash_the_daemon(ward: EmbeddedWard) -> None:
    ward.crash()
    ward.start()


def kill_the_mailbox(ward: EmbeddedWard) -> None:
    os.kill(ward.mailbox_pid, signal.SIGKILL)
    eventually(lambda: guess(ward.imap, "alice", ALICE) is Told.OK, "it was started again")


@pytest.mark.parametrize("kill", [crash_the_daemon, kill_the_mailbox])
def test_a_message_that_was_answered_for_survives_the_death_of_either_process(
    ward: EmbeddedWard, kill: Callable[[EmbeddedWard], None]
) -> None:
    answered: list[bytes] = []

    def store() -> None:
        client = ward.client("alice", ALICE)
        try:
            while True:
                told = append(client, LETTER % len(answered))
                answered.append(told.partition(b"APPENDUID ")[2].split()[1].rstrip(b"]"))
        except (imaplib.IMAP4.error, OSError):
            client.shutdown()  # its session is dead

    storing = threading.Thread(target=store)
    storing.start()
    eventually(lambda: len(answered) >= 50, "messages are stored")
    kill(ward)
    storing.join()
    with ward.client("alice", ALICE) as client:
        assert set(answered) <= set(uids(client))
        assert len(uids(client)) <= len(answered) + 1
        for number in range(0, len(answered), 10):
            _, told = client.uid("FETCH", answered[number].decode(), "(BODY.PEEK[])")
            assert isinstance(told[0], tuple)
            assert told[0][1] == LETTER % number


def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    small_disk: Path, folder: Path
) -> None:
    ward = EmbeddedWard(folder / "ward")
    assert ward.data == small_disk
    ward.start()
    ward.add("alice", ALICE)
    with ward.client("alice", ALICE) as client:
        stored = 0
        while b"APPENDUID" in append(client, LETTER % stored + b"x" * 500_000):
            stored += 1
        assert 0 < stored < 16
        assert b"OVERQUOTA" in append(client, b"x" * 2_000_000)
        assert len(uids(client)) == stored
    ward.crash()
    ward.start()
    with ward.client("alice", ALICE) as client:
        assert len(uids(client)) == stored
    ward.finish()


@pytest.mark.timeout(400)  # argon2 is slow on purpose
def test_a_hundred_failures_ban_the_address_and_the_login(ward: EmbeddedWard) -> None:
    for number in range(100):
        told = guess(ward.imap, f"name{number}", "wrong-opensesame", source="127.0.0.66")
        assert told is Told.WRONG
    assert guess(ward.imap, "alice", ALICE, source="127.0.0.66") is Told.DROPPED
    for number in range(100):
        told = guess(ward.imap, "ALICE", "wrong-opensesame", source=f"127.0.1.{number + 1}")
        assert told is Told.WRONG
    assert guess(ward.imap, "alice", ALICE, source="127.0.2.1") is Told.LATER
    assert set(ward.bans()) == {"127.0.0.66", "alice"}


def test_without_an_embedded_server_there_are_no_accounts(folder: Path) -> None:
    ward = EmbeddedWard(folder / "ward")
    ward.configuration.write_text("")
    ward.start()
    assert 'backend = "embedded"' in ward.cli("accounts", "list", status=1)
    ward.finish()


def test_who_has_no_account_yet_is_told_how_to_add_one(folder: Path) -> None:
    ward = EmbeddedWard(folder / "ward")
    ward.start()
    eventually(lambda: "accounts add NAME" in ward.log(), "it is told how to add one")
    ward.finish()
