"""The files of accounts and mail: what is damaged, lost or a newer version's harms nothing else."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from mailbox_testing.doors import NOON, PASSWORD, Premises, premises
from mailward_mailbox.accounts.errors import AccountStorageError
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.mail.file import MailFile
from mailward_mailbox.mail.model import BrokenError, Fresh, MailError

from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import ScramMechanism, ScramOpening
from mailward.wire.secret import Secret

HERE = Path(__file__).parent
LETTER = Fresh(b"Subject: hello\r\n\r\nhow are you?\r\n")
NEWER = 1_000


def accounts_file(folder: Path) -> Path:
    return folder / "embedded" / "accounts.db"


def mail_files(folder: Path) -> list[Path]:
    return sorted((folder / "embedded" / "mail").glob("*.db"))


def put_version_1(folder: Path) -> None:
    """The files as the first version wrote them: alice with mail, and bob, who is disabled."""
    (folder / "embedded" / "mail").mkdir(parents=True)
    for dump, path in (
        ("accounts.sql", accounts_file(folder)),
        ("mail.sql", folder / "embedded" / "mail" / "ca115254ae40f87a1234e959.db"),
    ):
        with closing(sqlite3.connect(path)) as database:
            database.executescript((HERE / "version_1" / dump).read_text())


def set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")


async def verify(house: Premises, name: bytes, password: bytes = PASSWORD) -> object:
    return await house.server.accounts.verify(name, Secret(password))


async def stock(folder: Path) -> None:
    """Alice and bob, with a message each."""
    async with premises(folder) as house:
        for name in ("alice", "bob"):
            await house.add(name)
            async with house.mail(name.encode()) as mail:
                await mail.append(mail.mailbox("INBOX").id, LETTER)


async def test_files_of_the_first_version_open_with_all_that_is_in_them(tmp_path: Path) -> None:
    put_version_1(tmp_path)
    for _ in range(2):
        async with premises(tmp_path) as house:
            assert isinstance(await verify(house, b"alice"), Account)
            assert await verify(house, b"bob") == Rejected()
            async with house.mail(b"alice") as mail:
                (message,) = mail.mailbox("INBOX").messages.values()
                assert message.flags == {"\\Seen", "work"}
                assert message.uid == 2
                assert list(mail.mailbox("work/2026").messages) == [1]
                octets = await mail.blob(message.blob)
                assert octets is not None
                assert octets.startswith(b"Message-ID: <2@example>")
                assert await mail.active_script() == b"keep;"
                # Two rows of messages, and two Message-IDs.
                rows = 2 * 512 + 2 * (64 + len("1@example"))
                assert mail.usage() == len(octets) + len(b"keep;" + b"an upload") + rows
            assert not house.server.faults()


async def test_accounts_of_a_newer_version_are_refused_and_left_as_they_are(
    tmp_path: Path,
) -> None:
    await stock(tmp_path)
    set_version(accounts_file(tmp_path), NEWER)
    before = accounts_file(tmp_path).read_bytes()
    with pytest.raises(ExceptionGroup) as raised:
        async with premises(tmp_path):
            pass
    newer = "accounts.db: a newer mailward wrote it \\(schema 1000, this one knows 2\\)"
    assert raised.group_contains(AccountStorageError, match=newer)
    assert accounts_file(tmp_path).read_bytes() == before


@pytest.mark.parametrize("what", ["newer", "damaged", "another's"])
async def test_a_mailbox_that_cannot_be_opened_is_named_and_others_go_on(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    await stock(tmp_path)
    async with premises(tmp_path) as house:
        alice = house.server.accounts.find(b"alice")
        assert alice is not None
        path = house.server.mail.path(alice.id)
        kept = path.read_bytes()
        if what == "newer":
            set_version(path, NEWER)
        elif what == "damaged":
            path.write_bytes(b"x" * len(kept))
        else:
            path.write_bytes(next(o for o in mail_files(tmp_path) if o != path).read_bytes())
        for _ in range(3):
            with pytest.raises(BrokenError):
                async with house.mail(b"alice"):
                    pass
        await house.session(b"bob")
        (fault,) = house.server.faults()
        assert fault.startswith("the mail of alice: ")
        assert str(path) in fault
        assert caplog.messages == [fault]
        path.write_bytes(kept)
        async with house.mail(b"alice") as mail:
            assert len(mail.mailbox("INBOX").messages) == 1
        assert not house.server.faults()
        assert caplog.messages[1:] == ["the mail of alice can be used again"]


@pytest.mark.parametrize("how", ["gone", "empty", "made anew"])
async def test_lost_accounts_are_an_outage_and_no_wrong_passwords(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    await stock(tmp_path)
    path = accounts_file(tmp_path)
    kept = path.read_bytes()
    path.unlink()
    if how == "empty":
        path.touch()
    elif how == "made anew":  # as the first version did
        with closing(sqlite3.connect(path)) as database:
            database.executescript((HERE / "version_1" / "accounts.sql").read_text())
            database.execute("DELETE FROM account")
            database.commit()
    async with premises(tmp_path) as house:
        accounts = house.server.accounts
        for name in (b"alice", b"nobody"):
            assert isinstance(await verify(house, name), Unavailable)
            opening = ScramOpening(ScramMechanism.SHA_256, name, b"a", b"n,,n=%b,r=a" % name)
            assert isinstance(accounts.open_scram(opening), Unavailable)
        with pytest.raises(AccountStorageError, match="lost or empty"):
            await house.add("carl")
        with pytest.raises(AccountStorageError, match="lost or empty"):
            accounts.everybody()
        with pytest.raises(AccountStorageError, match="lost or empty"):
            accounts.one("alice")
        (fault,) = house.server.faults()
        assert "accounts.db: it is lost or empty" in fault
        assert caplog.messages == [fault]
    assert path.exists() == (how != "gone")
    path.write_bytes(kept)
    async with premises(tmp_path) as house:
        assert isinstance(await verify(house, b"alice"), Account)
        assert not house.server.faults()


async def test_without_the_old_mail_lost_accounts_begin_anew(tmp_path: Path) -> None:
    await stock(tmp_path)
    accounts_file(tmp_path).unlink()
    (tmp_path / "embedded" / "mail").rename(tmp_path / "mail.before")
    async with premises(tmp_path) as house:
        await house.add("alice", b"other")
        assert isinstance(await verify(house, b"alice", b"other"), Account)


async def test_accounts_that_an_operator_has_removed_are_not_lost(tmp_path: Path) -> None:
    await stock(tmp_path)
    async with premises(tmp_path) as house:
        for name in ("alice", "bob"):
            await house.server.accounts.remove(name)
    async with premises(tmp_path) as house:
        assert await verify(house, b"alice") == Rejected()
        assert not house.server.faults()
        await house.add("alice")


async def test_a_change_of_accounts_is_not_written_to_a_file_that_a_restart_would_not_find(
    tmp_path: Path,
) -> None:
    await stock(tmp_path)
    async with premises(tmp_path) as house:
        accounts_file(tmp_path).unlink()
        with pytest.raises(AccountStorageError, match=r"accounts\.db"):
            await house.add("carl")
        assert await verify(house, b"carl") == Rejected()
        assert isinstance(await verify(house, b"alice"), Account)
        assert any("accounts.db" in fault for fault in house.server.faults())
        accounts_file(tmp_path).write_bytes(b"")
        assert "another file is in its place" in house.server.faults()[0]


async def test_a_message_is_not_accepted_into_a_file_that_a_restart_would_not_find(
    tmp_path: Path,
) -> None:
    await stock(tmp_path)
    async with premises(tmp_path) as house:
        async with house.mail(b"alice") as mail:
            for path in mail_files(tmp_path):
                path.unlink()
            with pytest.raises(BrokenError):
                await mail.append(mail.mailbox("INBOX").id, LETTER)
            assert len(mail.mailbox("INBOX").messages) == 1
        (fault,) = house.server.faults()
        assert fault.startswith("the mail of alice")


async def test_a_damaged_accounts_file_is_named_at_the_start(tmp_path: Path) -> None:
    await stock(tmp_path)
    path = accounts_file(tmp_path)
    octets = bytearray(path.read_bytes())
    octets[4096:4196] = bytes(100)  # the root of a table
    path.write_bytes(octets)
    with pytest.raises(ExceptionGroup) as raised:
        async with premises(tmp_path):
            pass
    assert raised.group_contains(AccountStorageError, match=r"accounts\.db: it is damaged")


def test_no_damage_of_a_mailbox_raises_anything_but_an_error_that_sessions_expect(
    tmp_path: Path,
) -> None:
    path, dice = tmp_path / "mail.db", random.Random(14)
    use_all(path)
    kept = path.read_bytes()
    for _ in range(300):
        octets = bytearray(kept)
        for _ in range(dice.randint(1, 30)):
            octets[dice.randrange(len(octets))] = dice.randrange(256)
        path.write_bytes(octets)
        with suppress(MailError):
            use_all(path)
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)


def use_all(path: Path) -> None:
    """Open a mailbox, and read, add and remove messages."""
    with closing(MailFile(path, "alice", NOON)) as file:
        _, mailboxes = file.load()
        for mailbox in mailboxes:
            file.blobs([message.blob for message in mailbox.messages.values()], None)
            file.append([(mailbox.id, LETTER), (mailbox.id, LETTER)], NOON)
            file.destroy(mailbox.id, [1], NOON)


def run_child(what: str, folder: Path) -> list[str]:
    script = HERE / "mailbox_testing" / "child.py"
    done = subprocess.run(
        [sys.executable, script, what, folder], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (line,) = run_child("read-only", tmp_path)
    assert line.startswith(f"refused: {tmp_path / 'embedded'}")
    assert "Permission denied" in line


def test_files_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    accounts, mail = run_child("read-only-files", tmp_path)
    assert accounts.startswith(f"refused: {tmp_path / 'embedded' / 'accounts.db'}: Permission")
    assert accounts.endswith("look at its owner and mode, and those of its folder")
    assert mail.startswith("the mail of alice: ")


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    script = HERE / "mailbox_testing" / "child.py"
    with subprocess.Popen(
        [sys.executable, script, "keep", tmp_path], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        told = [child.stdout.readline().strip() for _ in range(60)]
        child.kill()
        told += child.stdout.read().split("\n")[:-1]
    accounts = {line.split()[1] for line in told if line.startswith("account")}
    uids = {int(line.split()[1]) for line in told if line.startswith("message")}
    assert accounts
    assert uids
    shown = run_child("show", tmp_path)
    assert accounts <= set(shown[0].split())
    assert uids <= set(map(int, shown[1].split()))
