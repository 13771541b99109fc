"""The embedded mail server with the programs people have: what is sent is read, filed, relayed."""

from __future__ import annotations

import resource
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.attack import Told, guess_together
from tests.real.conftest import ACCOUNTS
from tests.real.embedded import EmbeddedWard
from tests.real.sieve import sieve_connect, sievelib
from tests.real.town import Town

MESSAGE = b"From: alice@localhost\r\nSubject: hello\r\n\r\nHow are you?\r\n"
SCRIPT = 'require "fileinto";\nif header :contains "subject" "invoice" { fileinto "Bills"; }\n'
ALICE = "alice", ACCOUNTS["alice"]


@pytest.fixture
def ward(folder: Path) -> Iterator[EmbeddedWard]:
    ward = EmbeddedWard(folder / "mailward")
    ward.start()
    ward.add_accounts()
    yield ward
    ward.finish()


def test_what_smtplib_sends_imaplib_reads(ward: EmbeddedWard) -> None:
    with ward.sender("alice") as client:
        client.sendmail("alice@localhost", ["bob@localhost", "alice@door.test"], MESSAGE)
    for name in ACCOUNTS:
        (received,) = ward.mailbox(name)
        assert received.startswith(b"Return-Path: <alice@localhost>\r\n")
        assert received.endswith(MESSAGE)


def test_sieve_connect_keeps_a_script_and_the_next_message_is_filed(
    ward: EmbeddedWard, folder: Path
) -> None:
    door, local = ward.sieve_door, folder / "local"
    local.write_text(SCRIPT)
    sieve_connect(door, *ALICE, "--upload", f"--localsieve={local}", "--remotesieve=bills")
    sieve_connect(door, *ALICE, "--activate", "--remotesieve=bills")
    assert '"bills" ACTIVE' in sieve_connect(door, *ALICE, "--list")
    with ward.sender("bob") as client:
        for subject in (b"Your invoice", b"Hello"):
            client.sendmail("bob", "alice", b"Subject: %b\r\n\r\n" % subject)
    (filed,), (kept,) = ward.mailbox("alice", "Bills"), ward.mailbox("alice")
    assert b"Subject: Your invoice" in filed
    assert b"Subject: Hello" in kept


def test_sievelib_keeps_scripts(ward: EmbeddedWard) -> None:
    assert sievelib(ward.sieve_door, *ALICE, SCRIPT) == "in"
    wrong = sievelib(ward.sieve_door, "alice", "wrong-opensesame", SCRIPT)
    assert wrong == "refused () Authentication failed"


def test_what_was_answered_survives_a_crash(ward: EmbeddedWard) -> None:
    with ward.sender("alice") as client:
        sent = 0
        for number in range(50):
            client.sendmail("alice", "bob", b"Subject: %d\r\n\r\n" % number)
            sent += 1
        ward.crash()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail("alice", "bob", MESSAGE)
        client.close()
    ward.start()
    found = ward.mailbox("bob")
    assert len(found) == sent
    assert b"Subject: 49" in found[-1]


def test_a_full_disk_is_told_and_leaves_nothing_half_written(ward: EmbeddedWard) -> None:
    with ward.sender("alice") as client:
        client.sendmail("alice", "bob", MESSAGE)
        limits = resource.prlimit(ward.mailbox_pid, resource.RLIMIT_FSIZE)
        resource.prlimit(ward.mailbox_pid, resource.RLIMIT_FSIZE, (4_000_000, limits[1]))
        with pytest.raises(smtplib.SMTPDataError) as error:
            client.sendmail("alice", "bob", MESSAGE + b"x" * 70 * 100_000)
        assert error.value.smtp_code == 451
        resource.prlimit(ward.mailbox_pid, resource.RLIMIT_FSIZE, limits)
        client.sendmail("alice", "bob", MESSAGE)
    assert len(ward.mailbox("bob")) == 2


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"no header\r\n",
        b"Subject: caf\xe9 \xff\r\n\r\n8 bits: \xfe\r\n",
        b"Subject: long\r\n\r\n" + b"x" * 1_000_000 + b"\r\n",
        b"Subject: deep\r\n"
        + b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
            for level in range(1_000)
        ),
    ],
    ids=["empty", "no header", "8 bits", "a line of 1 MB", "1,000 nested parts"],
)
def test_strange_messages_are_kept_as_they_are(ward: EmbeddedWard, message: bytes) -> None:
    with ward.sender("alice") as client:
        client.sendmail("alice", "bob", message)
    with ward.reader("bob") as client:
        client.select()
        status, _ = client.fetch("1", "(ENVELOPE BODYSTRUCTURE FLAGS)")
        assert status == "OK"
    (received,) = ward.mailbox("bob")
    assert received.endswith(message)


def test_who_waits_hears_of_a_delivery_within_a_second(ward: EmbeddedWard) -> None:
    with ward.reader("bob") as waiting, ward.sender("alice") as client:
        waiting.select()
        waiting.send(b"i IDLE\r\n")
        assert waiting.readline().startswith(b"+ ")
        client.sendmail("alice", "bob", MESSAGE)
        sent = time.monotonic()
        assert waiting.readline() == b"* 1 EXISTS\r\n"
        assert time.monotonic() - sent < 1.0
        waiting.send(b"DONE\r\n")
        while not waiting.readline().startswith(b"i "):
            pass


def test_five_megabytes_in_chunks_arrive_whole(ward: EmbeddedWard) -> None:
    message = b"Subject: big\r\n\r\n" + (b"y" * 998 + b"\r\n") * 5_000
    with ward.sender("alice") as client:
        client.mail("alice")
        client.rcpt("bob")
        for at in range(0, len(message), 1_000_000):
            chunk = message[at : at + 1_000_000]
            last = b" LAST" if at + len(chunk) == len(message) else b""
            client.send(b"BDAT %d%b\r\n%b" % (len(chunk), last, chunk))
            assert client.getreply()[0] == 250
    (received,) = ward.mailbox("bob")
    assert received.endswith(message)


@pytest.mark.timeout(600)  # a hundred times the work that a password is
def test_a_hundred_failures_over_all_doors_ban_the_address(ward: EmbeddedWard) -> None:
    town = Town(ward, ward.jmap)
    guesses = [town.guess(number, f"login{number}", "127.0.0.66") for number in range(100)]
    assert set(guess_together(guesses[:99], at_once=4)) == {Told.WRONG}
    assert town.told_everywhere("alice", "127.0.0.66") == [Told.OK] * 4
    assert guesses[99]() is Told.WRONG
    assert town.told_everywhere("alice", "127.0.0.66") == [Told.DROPPED] * 4
    assert town.told_everywhere("alice", "127.0.0.67") == [Told.OK] * 4
    assert ward.bans()["127.0.0.66"]["failures"] == 100


@pytest.mark.timeout(600)  # a hundred times the work that a password is
def test_a_hundred_failures_from_everywhere_ban_the_login(ward: EmbeddedWard) -> None:
    town = Town(ward, ward.jmap)
    guesses = [town.guess(number, "alice", f"127.0.1.{number}") for number in range(100)]
    assert set(guess_together(guesses, at_once=4)) == {Told.WRONG}
    assert town.told_everywhere("alice", "127.0.2.1") == [Told.LATER] * 4
    assert town.told_everywhere("bob", "127.0.1.1") == [Told.OK] * 4
    assert list(ward.bans()) == ["alice"]
