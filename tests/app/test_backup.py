"""``mailward backup`` and ``mailward restore``: beside a daemon, without one, and killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailward.rules.model import Ban, Failure, Instant, Reason, Subject, SubjectKind
from mailward.stores.lock import StoreLock
from mailward.stores.port import BanPut, Change, Contents, FailureAdded, SettingPut
from mailward.stores.sqlite import SqliteStore
from tests.app.cli.conftest import shell as shell  # noqa: PLC0414 -- a fixture
from tests.app.cli.typing_in import Shell
from tests.app.test_daemon import daemon

MAILWARD = [sys.executable, "-m", "mailward.app.cli.main"]


def banned(number: int) -> list[Change]:
    address = Subject(SubjectKind.ADDRESS, f"192.0.2.{number}")
    return [
        BanPut(Ban(address, Reason.AUTHENTICATION, Instant(1.0), None, 100)),
        FailureAdded(address, Failure(Instant(float(number)), "imap", "ada")),
        SettingPut("server.security.max-attempts", str(number)),
    ]


def fill(path: Path, *numbers: int) -> None:
    async def fill() -> None:
        store = SqliteStore(path)
        await store.commit([one for number in numbers for one in banned(number)], durable=True)
        await store.close()

    asyncio.run(fill())


def contents(path: Path) -> Contents:
    async def load() -> Contents:
        store = SqliteStore(path)
        loaded = await store.load()
        await store.close()
        return loaded

    return asyncio.run(load())


def bans(path: Path) -> set[str]:
    return {str(ban.subject.name) for ban in contents(path).bans}


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "mailward.db"


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "saved"
    folder.mkdir()
    yield folder / "b.db"
    assert names(folder) <= {"b.db", "b.db-wal", "b.db-shm"}


def test_a_backup_of_a_running_daemon_is_one_whole_file(
    tmp_path: Path, saved: Path, shell: Shell
) -> None:
    with daemon(tmp_path):
        assert shell("ban", "192.0.2.1").status == 0
        done = shell("backup", str(saved))
        told = f"Saved 1 ban, 0 failures and 0 settings of {tmp_path}/mailward.db in {saved}.\n"
        assert (done.status, done.out, done.err) == (0, told, "")
        assert saved.stat().st_mode & 0o777 == 0o600
        assert shell("ban", "192.0.2.2").status == 0
    assert bans(saved) == {"192.0.2.1"}


def test_a_backup_replaces_nothing_unless_it_is_told_to(
    store: Path, saved: Path, shell: Shell
) -> None:
    fill(store, 1)
    saved.write_text("mine")
    refused = shell("backup", str(saved))
    assert refused.status == 1
    assert "is there already; name another file, or say --overwrite" in refused.err
    assert saved.read_text() == "mine"
    done = shell("backup", str(saved), "--overwrite", "--json")
    assert json.loads(done.out) == {
        "file": str(saved), "bans": 1, "failures": 1, "settings": 1, "warning": None,
    }  # fmt: skip
    assert bans(saved) == {"192.0.2.1"}


def test_the_store_is_never_its_own_backup(store: Path, shell: Shell) -> None:
    fill(store, 1)
    for name in (store, Path(f"{store}-wal"), store.parent / "x" / ".." / store.name):
        refused = shell("backup", str(name), "--overwrite")
        assert (refused.status, "is the store itself" in refused.err) == (1, True)
    assert "is the store itself" in shell("restore", str(store)).err
    assert bans(store) == {"192.0.2.1"}


def test_without_a_store_there_is_nothing_to_save(saved: Path, shell: Shell) -> None:
    refused = shell("backup", str(saved))
    assert (refused.status, "there is no store at" in refused.err) == (1, True)
    assert not saved.exists()


def test_a_restore_keeps_what_was_there_and_brings_all_back(
    store: Path, saved: Path, shell: Shell
) -> None:
    fill(store, 1, 2)
    before = contents(store)
    assert shell("backup", str(saved)).status == 0
    fill(store, 3)
    done = shell("restore", str(saved), "--json")
    told = json.loads(done.out)
    assert (told["bans"], told["failures"], told["settings"]) == (2, 2, 1)
    assert contents(store) == before
    assert store.stat().st_mode & 0o777 == 0o600
    assert bans(Path(told["aside"])) == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    assert names(store.parent) == {
        "mailward.db", Path(told["aside"]).name, "saved", "mailward.lock",
    }  # fmt: skip


def test_a_restore_on_a_new_machine(store: Path, saved: Path, shell: Shell) -> None:
    fill(store, 1)
    shell("backup", str(saved))
    store.unlink()
    done = shell("restore", str(saved))
    assert done.out == f"Restored 1 ban, 1 failure and 1 setting from {saved} to {store}.\n"
    assert bans(store) == {"192.0.2.1"}
    with daemon(store.parent):
        assert "192.0.2.1" in shell("bans").out


def test_a_restore_wants_the_daemon_stopped(tmp_path: Path, saved: Path, shell: Shell) -> None:
    with daemon(tmp_path):
        shell("ban", "192.0.2.1")
        assert shell("backup", str(saved)).status == 0
        refused = shell("restore", str(saved))
        assert refused.status == 1
        assert "another mailward runs on the data directory" in refused.err
        assert "systemctl stop mailward" in refused.err
        assert "192.0.2.1" in shell("bans").out


def test_a_restore_wants_the_store_for_itself(store: Path, saved: Path, shell: Shell) -> None:
    fill(store, 1)
    shell("backup", str(saved))
    lock = StoreLock(store)
    lock.take()
    refused = shell("restore", str(saved))
    lock.release()
    assert refused.status == 1
    assert f"another mailward (process {os.getpid()}) uses it" in refused.err


def test_a_database_that_was_copied_alone_is_refused_everywhere(
    store: Path, saved: Path, shell: Shell
) -> None:
    """It restored as "no bans": the bans were in the log that was not copied."""
    with daemon(store.parent):
        shell("ban", "192.0.2.1")
        shutil.copy(store, saved)
    refused = shell("restore", str(saved))
    assert refused.status == 1
    assert "it was copied without mailward.db-wal, so what came last is missing" in (
        refused.err.replace("b.db-wal", "mailward.db-wal")
    )
    assert "copy a store with `mailward backup`" in refused.err
    assert bans(store) == {"192.0.2.1"}
    # Put where a store is by hand, it keeps a daemon from starting, too.
    shutil.copy(saved, store)
    shutil.rmtree(saved.parent / "data", ignore_errors=True)
    checked = shell("serve", "--check")
    assert (checked.status, "it was copied without mailward.db-wal" in checked.err) == (78, True)
    assert "move it elsewhere, then run `mailward restore --incomplete FILE`" in checked.err
    taken = shell("restore", str(saved), "--incomplete")
    assert taken.out.startswith("Restored 0 bans")
    assert shell("serve", "--check").status == 0


def test_a_database_with_its_log_is_restored_whole(store: Path, saved: Path, shell: Shell) -> None:
    with daemon(store.parent):
        shell("ban", "192.0.2.1")
        shutil.copy(store, saved)
        shutil.copy(f"{store}-wal", f"{saved}-wal")
    store.unlink()
    assert shell("restore", str(saved)).out.startswith("Restored 1 ban")
    assert bans(store) == {"192.0.2.1"}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("cut", "it is damaged"),
        ("newer", "a newer mailward wrote it (schema 99"),
        ("other", "it belongs to another program"),
        ("text", "it is no database"),
        ("empty", "it is empty, and no store"),
        ("none", "there is no such file"),
        ("value", "a value in it is unusable"),
    ],
)
def test_what_no_daemon_could_use_is_refused_and_changes_nothing(
    spoil: str, said: str, store: Path, saved: Path, shell: Shell
) -> None:
    fill(store, 1)
    shell("backup", str(saved))
    whole = saved.read_bytes()
    statement = {
        "newer": "PRAGMA user_version = 99",
        "other": "PRAGMA application_id = 1",
        "value": "UPDATE ban SET reason = 'whim'",
    }.get(spoil)
    if statement is not None:
        with closing(sqlite3.connect(saved)) as database, database:
            database.execute(statement)
    elif spoil == "none":
        saved.unlink()
    else:
        rest = {"cut": whole[: len(whole) // 2], "text": b"my bans, in prose" * 1_000}
        saved.write_bytes(rest.get(spoil, b""))
    refused = shell("restore", str(saved))
    assert (refused.status, refused.out) == (1, "")
    assert said in refused.err
    assert names(store.parent) == {"mailward.db", "saved", "mailward.lock"}
    assert bans(store) == {"192.0.2.1"}


def test_a_damaged_store_is_put_aside_with_its_log(store: Path, saved: Path, shell: Shell) -> None:
    fill(store, 1)
    shell("backup", str(saved))
    store.write_bytes(b"no database" * 1_000)
    Path(f"{store}-wal").write_bytes(b"nor a log")
    aside = Path(json.loads(shell("restore", str(saved), "--json").out)["aside"])
    assert aside.read_bytes() == b"no database" * 1_000
    assert Path(f"{aside}-wal").read_bytes() == b"nor a log"
    assert bans(store) == {"192.0.2.1"}


def killed(moment: float, *words: str) -> None:
    with subprocess.Popen(
        [*MAILWARD, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        try:
            child.wait(moment)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_whole(
    store: Path, tmp_path: Path, shell: Shell
) -> None:
    fill(store, *range(1, 200))
    old = bans(store)
    (tmp_path / "saved").mkdir()
    saved = tmp_path / "saved" / "b.db"
    dice = random.Random(7)
    data = ("--data", str(tmp_path))
    # Where the time goes is the start of Python; what counts is at its end.
    for _ in range(6):
        killed(dice.uniform(0.2, 1.2), "backup", str(saved), "--overwrite", *data)
        assert not saved.exists() or bans(saved) == old
    assert shell("backup", str(saved), "--overwrite").status == 0
    assert names(saved.parent) == {"b.db"}
    fill(store, 201)
    new, seen = bans(store), set()
    for _ in range(6):
        killed(dice.uniform(0.2, 1.2), "restore", str(saved), *data)
        there = frozenset(bans(store))
        assert there in (old, new)
        seen.add(there)
    assert shell("restore", str(saved)).status == 0
    assert bans(store) == old
    assert "mailward.db.restoring" not in names(tmp_path)
