"""A copy of the file without its log is found out, and nothing else is taken for one."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mailward.rules.model import Instant
from mailward.stores.copying import copy_store
from mailward.stores.inspection import stored_settings
from mailward.stores.log import log_of, open_read
from mailward.stores.port import Change, UnusableStoreError
from mailward.stores.sqlite import SqliteStore
from tests.stores.test_sqlite import LOGIN, failed, kept, refusal, run_child, sql

SHORT = 200  # pages: a log that is written back often


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mailward.db"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    (tmp_path / "other").mkdir()
    return tmp_path / "other" / "mailward.db"


def many(first: int, count: int = 50) -> list[Change]:
    return [failed(at) for at in range(first, first + count)]


@pytest.mark.parametrize("rounds", [1, 40])
async def test_a_copy_of_the_file_alone_is_refused(rounds: int, path: Path, other: Path) -> None:
    store = SqliteStore(path, log_pages=SHORT)
    for number in range(rounds):
        await store.commit(many(50 * number), durable=True)
        shutil.copy(path, other)
        for refused in (
            await refusal(SqliteStore(other)),
            why_not_inspected(other),
            why_not_copied(other, other.with_name("copy.db")),
        ):
            assert refused.startswith(
                f"{other}: it was copied without mailward.db-wal, so what came last is missing;"
                " copy a store with `mailward backup`"
            )
        assert not log_of(other).exists()
    await store.close()


def why_not_inspected(path: Path) -> str:
    with pytest.raises(UnusableStoreError) as caught:
        stored_settings(path)
    return str(caught.value)


def why_not_copied(path: Path, target: Path) -> str:
    with pytest.raises(UnusableStoreError) as caught:
        copy_store(path, target)
    return str(caught.value)


async def test_a_copy_with_the_log_is_whole(path: Path, other: Path) -> None:
    store = SqliteStore(path, log_pages=SHORT)
    for number in range(40):
        await store.commit(many(50 * number), durable=False)
    shutil.copy(path, other)
    shutil.copy(log_of(path), log_of(other))
    assert len(await kept(other)) == 2_000
    await store.close()
    shutil.copy(path, other)  # of a daemon that has ended
    assert len(await kept(other)) == 2_000


async def test_a_file_and_a_log_of_different_moments_are_refused(path: Path, other: Path) -> None:
    store = SqliteStore(path, log_pages=SHORT)
    await store.commit(many(0), durable=True)
    shutil.copy(path, other)
    for number in range(1, 40):
        await store.commit(many(50 * number), durable=True)
    shutil.copy(log_of(path), log_of(other))
    told = await refusal(SqliteStore(other))
    assert f"{other}: it and mailward.db-wal were not copied at the same moment" in told
    await store.close()


def written_back_to(path: Path) -> int:
    """The generation that the file itself has."""
    with closing(open_read(path, alone=True)) as database:
        generation: int = database.execute("SELECT generation FROM log").fetchone()[0]
        return generation


async def test_a_reader_in_the_way_keeps_nothing_from_being_kept(path: Path, other: Path) -> None:
    store = SqliteStore(path, log_pages=SHORT)
    await store.commit(many(0), durable=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM failure").fetchone() == (50,)
        for number in range(1, 40):
            await store.commit(many(50 * number), durable=True)
        shutil.copy(path, other)
        assert "it was copied without" in await refusal(SqliteStore(other))
        shutil.copy(log_of(path), log_of(other))
        assert len(await kept(other)) == 2_000
    before = written_back_to(path)
    for number in range(40, 200):
        await store.commit(many(50 * number), durable=True)
    assert written_back_to(path) > before
    long = log_of(path).stat().st_size
    for number in range(200, 400):
        await store.commit(many(50 * number), durable=True)
    assert log_of(path).stat().st_size == long
    await store.close()
    assert len(await kept(path)) == 20_000


def test_an_end_between_file_and_log_is_no_copy_without_it(path: Path) -> None:
    """A kill -9 in that moment leaves a file that waits for a log, and an empty log."""
    run_child("die", path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE log SET is_apart = 1")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        copied = path.read_bytes()
        assert log_of(path).stat().st_size == 0
    path.write_bytes(copied)
    log_of(path).write_bytes(b"")
    assert len(asyncio.run(kept(path))) == 1


def test_another_program_may_write_the_log_of_one_that_was_killed_back(path: Path) -> None:
    run_child("die", path)
    assert log_of(path).exists()
    sql(path, "SELECT count(*) FROM failure")  # the last that closes it writes back and tidies up
    assert not log_of(path).exists()
    assert stored_settings(path) == {}


def test_a_file_that_was_cut_is_refused(path: Path) -> None:
    async def fill() -> None:
        store = SqliteStore(path)
        await store.commit(many(0, 500), durable=True)
        await store.close()

    asyncio.run(fill())
    whole = path.read_bytes()
    for octets in (len(whole) - 1, len(whole) // 2, 4_096, 100):
        path.write_bytes(whole[:octets])
        told = asyncio.run(refusal(SqliteStore(path)))
        assert "it is damaged" in told or "it is no database" in told
        assert why_not_inspected(path) == told


async def test_a_store_from_before_there_was_a_mark_is_taken(path: Path) -> None:
    store = SqliteStore(path)
    await store.commit(many(0), durable=True)
    await store.close()
    sql(path, "DROP TABLE log; DROP TABLE token; PRAGMA user_version = 2")
    assert len(await kept(path)) == 50


async def test_looking_does_not_disturb_a_store_in_use(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path, log_pages=SHORT)
    for number in range(40):
        await store.commit(many(50 * number), durable=False)
        assert stored_settings(path) == {}
        held = copy_store(path, tmp_path / f"{number}.db")
        assert held == (0, 50 * (number + 1), 0)
    assert (await store.failures(LOGIN, 1))[0].at == Instant(1_999.0)
    await store.close()
