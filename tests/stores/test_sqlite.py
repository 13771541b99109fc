"""What only a store in a file has: it outlives the process, and the world around it breaks."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from mailward.rules.model import Ban, Failure, Instant, Reason, Subject, SubjectKind
from mailward.stores.port import (
    BanPut,
    Change,
    Contents,
    FailureAdded,
    SettingPut,
    StoreError,
)
from mailward.stores.sqlite import SqliteStore

CHILD = Path(__file__).with_name("child.py")
ADDRESS = Subject(SubjectKind.ADDRESS, "192.0.2.1")
LOGIN = Subject(SubjectKind.LOGIN, "ada")
BAN = Ban(ADDRESS, Reason.AUTHENTICATION, Instant(1.0), None, 100)
NO_PATIENCE = timedelta(milliseconds=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mailward.db"


def failed(at: float, subject: Subject = LOGIN) -> Change:
    return FailureAdded(subject, Failure(Instant(at), "imap", "192.0.2.1"))


def write(path: Path, octets: bytes) -> None:
    path.write_bytes(octets)


def read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def sql(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)


async def kept(path: Path) -> list[float]:
    """The instants of the login's failures, as a new start reads them."""
    store = SqliteStore(path)
    contents = await store.load()
    await store.close()
    return instants_of(contents, LOGIN)


def instants_of(contents: Contents, subject: Subject) -> list[float]:
    return list(contents.failures.get(subject, ()))


async def refusal(store: SqliteStore) -> str:
    """Why *store* cannot be loaded."""
    with pytest.raises(StoreError) as caught:
        await store.load()
    await store.close()
    return str(caught.value)


def run_child(what: str, path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, CHILD, what, path], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.splitlines()


# The file.


async def test_nobody_else_may_read_the_file_or_its_log(path: Path) -> None:
    store = SqliteStore(path)
    await store.commit([failed(1)], durable=True)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
    await store.close()
    assert modes == dict.fromkeys(
        ["mailward.db", "mailward.db-wal", "mailward.db-shm", "mailward.db.lock"],
        0o600,
    )


async def test_closing_leaves_one_file_that_holds_everything(path: Path) -> None:
    store = SqliteStore(path)
    await store.commit([failed(1)], durable=False)
    await store.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["mailward.db"]
    assert await kept(path) == [1]


async def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%41ü.db"
    store = SqliteStore(path)
    await store.commit([failed(1)], durable=True)
    await store.close()
    assert path.is_file()
    assert await kept(path) == [1]


async def test_a_start_that_broke_off_before_the_schema_is_made_good(path: Path) -> None:
    write(path, b"")
    assert await kept(path) == []


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    told = await refusal(SqliteStore(tmp_path / "nowhere" / "mailward.db"))
    assert f"there is no folder {tmp_path / 'nowhere'}" in told


async def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    assert "it is a folder" in await refusal(SqliteStore(tmp_path))


@pytest.mark.parametrize("garbage", [b"xy", b"# not a database\n" * 1_000])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(
    path: Path, garbage: bytes
) -> None:
    write(path, garbage)
    assert "no database" in await refusal(SqliteStore(path))
    assert read(path) == garbage


@pytest.mark.parametrize(
    "script",
    ["CREATE TABLE mail (id)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"],
)
async def test_the_database_of_another_program_is_refused(path: Path, script: str) -> None:
    sql(path, script)
    assert "another program" in await refusal(SqliteStore(path))


async def test_a_database_of_a_newer_mailward_is_refused(path: Path) -> None:
    await SqliteStore(path).close()
    assert await kept(path) == []
    sql(path, "PRAGMA user_version = 4711")
    assert "a newer mailward wrote it (schema 4711" in await refusal(SqliteStore(path))


async def test_the_schema_has_the_version_of_its_last_change(path: Path) -> None:
    await kept(path)
    folder = Path(sys.modules[SqliteStore.__module__].__file__ or "").parent / "schema"
    numbers = sorted(int(entry.name.partition("_")[0]) for entry in folder.glob("*.sql"))
    with closing(sqlite3.connect(path)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
    assert numbers == list(range(1, version + 1))


async def test_a_damaged_file_is_told_with_what_can_be_done(path: Path) -> None:
    store = SqliteStore(path)
    await store.commit([failed(n) for n in range(5_000)], durable=True)
    await store.close()
    content = read(path)
    write(path, content[:4096] + b"\xff" * (len(content) - 4096))
    assert "restore a backup" in await refusal(SqliteStore(path))


@pytest.mark.parametrize(
    "script",
    [
        "INSERT INTO failure VALUES (1, 'planet:mars', 1.0, 'imap', '')",
        "INSERT INTO failure VALUES (1, 'login:ada', 'noon', 'imap', '')",
        "INSERT INTO ban VALUES ('login:ada', 'whim', 1, NULL, 0, '[]', '[]', '')",
        "INSERT INTO ban VALUES ('login:ada', 'manual', 1, NULL, 0, '[', '[]', '')",
        "INSERT INTO ban VALUES ('address:1.2.3', 'manual', 1, NULL, 0, '[]', '[]', '')",
        "INSERT INTO ban VALUES ('address:::/129', 'manual', 1, NULL, 0, '[]', '[]', '')",
        "INSERT INTO setting VALUES ('a', CAST(x'ff' AS TEXT))",
    ],
)
async def test_rows_that_no_mailward_wrote_are_a_store_error(path: Path, script: str) -> None:
    await kept(path)
    sql(path, script)
    told = await refusal(SqliteStore(path))
    assert str(path) in told
    assert "owner" not in told  # the rows are wrong, and nothing else


# Others have it open.


async def test_a_file_locked_by_another_process_is_told_and_works_once_it_is_free(
    path: Path,
) -> None:
    store = SqliteStore(path, NO_PATIENCE)
    await store.commit([failed(1)], durable=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process has it locked"):
            await store.commit([failed(2)], durable=True)
        assert len(await store.failures(LOGIN, 9)) == 1
        other.execute("ROLLBACK")
        await store.commit([failed(3)], durable=True)
    await store.close()
    assert await kept(path) == [1, 3]


async def test_a_file_that_is_locked_at_the_start_is_told(path: Path) -> None:
    await kept(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert "another process has it locked" in await refusal(SqliteStore(path, NO_PATIENCE))


async def test_others_may_read_while_it_is_open(path: Path) -> None:
    store = SqliteStore(path)
    await store.commit([failed(1)], durable=False)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT at FROM failure").fetchall() == [(1.0,)]
    await store.close()


# Its thread.


async def test_the_loop_goes_on_while_the_store_waits_for_the_disk(path: Path) -> None:
    store = SqliteStore(path)
    await store.load()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(store.commit([failed(1)], durable=True))
            turns = 0
            while turns < 50 and not waiting.done():
                await asyncio.sleep(0)
                turns += 1
            other.execute("ROLLBACK")
        assert turns == 50
    await store.close()
    assert await kept(path) == [1]


async def test_calls_of_many_tasks_are_all_kept(path: Path) -> None:
    store = SqliteStore(path)
    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(store.commit([failed(number)], durable=number % 10 == 0))
    await store.close()
    assert await kept(path) == list(range(100))


async def test_closing_finishes_what_was_begun_and_ends_the_thread(path: Path) -> None:
    before = set(threading.enumerate())
    store = SqliteStore(path)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store.commit([failed(n) for n in range(1_000)], durable=True))
        await asyncio.sleep(0)
        await store.close()
    assert set(threading.enumerate()) == before
    assert len(await kept(path)) == 1_000


async def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    await store.close()
    assert "closed" in await refusal(store)
    with pytest.raises(StoreError, match="closed"):
        await store.commit([failed(1)], durable=True)
    assert not read(path)


# What is asked of it is odd.


async def test_a_note_that_utf8_cannot_hold_does_not_block_the_store(path: Path) -> None:
    store = SqliteStore(path)
    odd = Ban(ADDRESS, Reason.MANUAL, Instant(1.0), note="a\ud800b", services=("\ud800",))
    await store.commit([BanPut(odd), SettingPut("k", "\udcff")], durable=True)
    contents = await store.load()
    await store.close()
    assert [(ban.note, ban.services) for ban in contents.bans] == [("a?b", ("\ud800",))]
    assert contents.settings == {"k": "?"}


async def test_a_name_that_utf8_cannot_hold_is_refused_with_all_that_came_along(
    path: Path,
) -> None:
    store = SqliteStore(path)
    nobody = Subject(SubjectKind.LOGIN, "\ud800")
    with pytest.raises(StoreError):
        await store.commit([failed(1), failed(2, nobody)], durable=True)
    await store.commit([failed(3)], durable=True)
    await store.close()
    assert await kept(path) == [3]


# The process or the disk goes away.


def last_line(path: Path, after: int) -> int:
    """Let a child commit until it has told *after* commits, kill it, return the last one told."""
    with subprocess.Popen(
        [sys.executable, CHILD, "keep", path], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(after):
            child.stdout.readline()
        child.kill()
        told = child.stdout.read().splitlines(keepends=True)
    whole = [int(line) for line in told if line.endswith("\n")]
    return whole[-1] if whole else after


def torn_copy(path: Path, torn: int) -> Path:
    """The database and its log as they stand, the log cut short and its end overwritten."""
    copy = path.with_name("copy.db")
    write(copy, read(path))
    log = read(path.with_name(path.name + "-wal"))
    write(copy.with_name("copy.db-wal"), log[: -2 * torn] + b"\xa5" * torn)
    return copy


@pytest.mark.parametrize("after", [1, 2, 7, 40, 333])
async def test_what_was_kept_before_a_kill_is_there_and_nothing_is_half(
    path: Path, after: int
) -> None:
    told = last_line(path, after)
    store = SqliteStore(path)
    contents = await store.load()
    await store.close()
    instants = instants_of(contents, LOGIN)
    assert instants == list(range(1, len(instants) + 1))
    assert len(instants) in {told, told + 1}  # one more may have been kept and not told
    assert instants_of(contents, ADDRESS) == instants
    assert [ban.failures for ban in contents.bans] == [len(instants)]


@pytest.mark.parametrize("torn", [1, 24, 700, 4_000])
async def test_a_log_that_ends_in_the_middle_loses_the_last_commits_only(
    path: Path, torn: int
) -> None:
    last_line(path, 20)
    before = torn_copy(path, torn)
    store = SqliteStore(before)
    contents = await store.load()
    await store.commit([failed(1_000)], durable=True)
    await store.close()
    instants = instants_of(contents, LOGIN)
    assert instants == list(range(1, len(instants) + 1))
    assert len(instants) >= 10
    assert [ban.failures for ban in contents.bans] == [len(instants)]
    assert await kept(before) == [*instants, 1_000]


def test_a_full_disk_keeps_nothing_of_a_commit_and_all_is_well_when_there_is_room(
    path: Path,
) -> None:
    refused_durable, refused, kept_then = run_child("full", path)
    assert refused_durable.startswith(f"refused: {path}: ")
    assert refused.startswith(f"refused: {path}: ")
    assert kept_then == "kept: [1.0, 500.0]"


def test_a_file_that_vanished_is_not_replaced_by_an_empty_one(path: Path) -> None:
    full, gone, made_again = run_child("lost", path)
    assert full.startswith(f"refused: {path}: ")
    assert gone == f"refused: {path}: it is gone; put it back, or restart to begin with none"
    assert made_again == "made again: False"


def test_a_file_or_folder_that_cannot_be_written_is_told_and_works_once_it_can(path: Path) -> None:
    read_only, kept_then, no_folder = run_child("leave", path)
    assert read_only.startswith(f"refused: {path}: it cannot be written;")
    assert kept_then == "kept: [1.0]"
    assert f"nothing can be written in {path.parent};" in no_folder


async def test_what_the_system_refuses_is_a_store_error_too(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / ("x" * 300))
    with pytest.raises(StoreError, match="File name too long"):
        await store.load()
    await store.close()


# The lock.


async def test_a_store_belongs_to_one_at_a_time_by_whatever_name(path: Path) -> None:
    first = SqliteStore(path)
    await first.commit([failed(1)], durable=True)
    (path.parent / "link.db").symlink_to(path)
    for name in (path, path.parent / "link.db"):
        told = await refusal(SqliteStore(name))
        assert f"another mailward (process {os.getpid()}) uses it; stop that one" in told
    await first.close()
    assert await kept(path) == [1]


def test_the_lock_of_one_that_was_killed_is_free(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, CHILD, "keep", path], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        told = asyncio.run(refusal(SqliteStore(path)))
        child.kill()
    assert f"(process {child.pid})" in told
    assert asyncio.run(kept(path))


async def test_others_may_read_while_one_has_it(path: Path) -> None:
    store = SqliteStore(path)
    await store.commit([failed(1)], durable=True)
    with closing(sqlite3.connect(path)) as database, closing(sqlite3.connect(":memory:")) as copy:
        database.backup(copy)
        assert copy.execute("SELECT count(*) FROM failure").fetchone() == (1,)
    await store.commit([failed(2)], durable=True)
    await store.close()
    assert await kept(path) == [1, 2]
