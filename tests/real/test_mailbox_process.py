"""The process of the built-in mail server is killed, hangs, or is left alone: the guard goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.attack import ImapFrom, Line, Told, guess
from tests.real.conftest import ACCOUNTS
from tests.real.embedded import EmbeddedWard
from tests.real.processes import eventually

ALICE = ("alice", ACCOUNTS["alice"])
WRONG = "wrong-opensesame"
AT_ONCE_SECONDS = 1.0  # a program is started for it


@pytest.fixture
def ward(folder: Path) -> Iterator[EmbeddedWard]:
    ward = EmbeddedWard(folder / "ward", 'fail2ban = "2/1h"')
    ward.start()
    ward.add(*ALICE)
    yield ward
    ward.finish()


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def status_at_once(ward: EmbeddedWard) -> str:
    began = time.monotonic()
    said = ward.cli("status")
    assert time.monotonic() - began < AT_ONCE_SECONDS
    return said


def test_killed_it_is_an_outage_that_counts_for_nobody_and_comes_back(ward: EmbeddedWard) -> None:
    first = ward.mailbox_pid
    os.kill(first, signal.SIGSTOP)  # so that it is seen dead before it is started again
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not is_there(first), "it is dead")
    told = [guess(ward.imap, "alice", WRONG, source="127.0.0.9") for _ in range(5)]
    assert set(told) <= {Told.LATER, Told.WRONG}
    status_at_once(ward)
    eventually(lambda: guess(ward.imap, *ALICE) is Told.OK, "logins are right again")
    assert ward.mailbox_pid != first
    assert "the built-in mail server was ended by signal 9 (Killed)" in ward.log()


def test_hung_it_is_an_outage_that_counts_for_nobody(ward: EmbeddedWard) -> None:
    pid = ward.mailbox_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        told = [guess(ward.imap, "alice", WRONG, source="127.0.0.9") for _ in range(3)]
        assert told == [Told.LATER] * 3
        said = status_at_once(ward)
        assert "did not say a word in time" in said
        assert "backend.embedded.tls" not in said  # there is no such key
        assert ward.bans() == {}
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: guess(ward.imap, *ALICE) is Told.OK, "logins are right again")
    assert ward.bans() == {}


@pytest.mark.parametrize("is_hung", [False, True])
def test_a_stop_of_the_daemon_ends_it(ward: EmbeddedWard, *, is_hung: bool) -> None:
    pid = ward.mailbox_pid
    if is_hung:
        os.kill(pid, signal.SIGSTOP)
    ward.stop()
    assert not is_there(pid)


def test_kill_9_of_the_daemon_leaves_none(ward: EmbeddedWard) -> None:
    pid = ward.mailbox_pid
    client = ward.client(*ALICE)
    ward.crash()
    eventually(lambda: not is_there(pid), "it has ended", within_seconds=6)
    client.shutdown()
    ward.start()


def test_it_has_nothing_of_the_daemon_and_limits_of_its_own(ward: EmbeddedWard) -> None:
    process = Path(f"/proc/{ward.mailbox_pid}")
    environment = process.joinpath("environ").read_bytes()
    assert b"MAILWARD" not in environment
    assert b"NOTIFY_SOCKET" not in environment
    assert int(process.joinpath("oom_score_adj").read_text()) == 500
    limits = process.joinpath("limits").read_text()
    (address_space,) = [line for line in limits.splitlines() if line.startswith("Max address")]
    assert "unlimited" not in address_space.split()[3:4]
    opened = {os.readlink(one) for one in process.joinpath("fd").iterdir()}  # noqa: PTH115 -- no path
    assert not any("mailward.db" in name or "mailward.sock" in name for name in opened)


def test_a_reload_tells_it_its_new_settings(ward: EmbeddedWard) -> None:
    text = ward.configuration.read_text()
    assert guess(ward.imap, "alice@example.org", ALICE[1]) is not Told.OK
    changed = text.replace("[server.security]", '[server.security]\ndefault-domain = "example.org"')
    ward.configuration.write_text(changed)
    ward.cli("server", "reload-config")
    eventually(lambda: guess(ward.imap, "alice@example.org", ALICE[1]) is Told.OK, "it is one name")


def test_an_account_without_keys_for_scram_takes_scram_from_the_doors(ward: EmbeddedWard) -> None:
    def offers_scram() -> bool:
        with ImapFrom(ward.imap) as client:
            return "AUTH=SCRAM-SHA-256" in client.capabilities

    eventually(offers_scram, "SCRAM is offered")
    lines = ward.folder / "passwd"
    lines.write_text("bob:{SHA256}4jmcFBnwjaDpL/3XbJR5pOx+SA5eGlz3ri1t7ACn5Ps=\n")
    ward.cli("accounts", "import", str(lines))
    eventually(lambda: not offers_scram(), "it is offered no more")


def test_lost_accounts_are_an_outage_that_status_tells_and_nobody_is_counted(
    ward: EmbeddedWard,
) -> None:
    with ward.client(*ALICE) as client:
        client.append("INBOX", "", "", b"Subject: kept\r\n\r\n")
    ward.stop()
    (ward.data / "embedded" / "accounts.db").unlink()
    ward.start()
    told = [guess(ward.imap, *ALICE, source="127.0.0.9") for _ in range(3)]
    assert told == [Told.LATER] * 3
    assert "accounts.db" in status_at_once(ward)
    assert ward.bans() == {}


def test_a_damaged_mailbox_is_named_in_status(ward: EmbeddedWard) -> None:
    with ward.client(*ALICE) as client:
        client.append("INBOX", "", "", b"Subject: kept\r\n\r\n")
    ward.stop()
    (file,) = (ward.data / "embedded" / "mail").glob("*.db")
    file.write_bytes(b"no database" * 1_000)
    ward.start()
    assert guess(ward.imap, *ALICE) is Told.LATER
    eventually(lambda: file.name in ward.cli("status"), "it is named", within_seconds=20)
    assert ward.bans() == {}


def test_whatever_a_session_asks_of_it_the_guard_answers_status_at_once(ward: EmbeddedWard) -> None:
    hostile = [
        b'LIST "" "' + b"*a" * 20 + b'*"',
        b"ID (" + b"{1+}\r\na " * 32_768 + b")",
        b"SEARCH " + b"(" * 3_000,
        b"SEARCH" + b" TEXT a" * 8_000,
        b"FETCH 1 (" + b" ".join([b"BODY[]"] * 3_000) + b")",
        b"FETCH 1 BODYSTRUCTURE",
    ]
    parts = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000

    def attack() -> None:
        for command in hostile:
            with Line(ward.imap, timeout=30) as line:
                line.hear()
                line.say(b"a LOGIN %s %s\r\nb SELECT INBOX\r\n" % tuple(map(str.encode, ALICE)))
                line.hear(b"\nb OK")
                line.say(b"c " + command + b"\r\nd LOGOUT\r\n")
                line.hear_all()

    with ward.client(*ALICE) as client:
        client.append("INBOX", "", "", parts)
    attacking = threading.Thread(target=attack)
    attacking.start()
    waits = []
    while attacking.is_alive():
        began = time.monotonic()
        ward.ask("GET", "/api/status")
        waits.append(time.monotonic() - began)
    assert max(waits) < AT_ONCE_SECONDS
