"""One whole copy of a store in one file, as it was at one moment, though it is in use meanwhile."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from mailward.stores.contents import read_contents
from mailward.stores.inspection import check_version, store_error
from mailward.stores.log import check_log, open_read
from mailward.stores.port import UnusableStoreError

PAGES_A_STEP = 1_024  # 4 MB; between two steps it can be interrupted
VERSION_WITH_LOG = 3


class Held(NamedTuple):
    """How much there is in a store."""

    bans: int
    failures: int
    settings: int


def copy_store(source: Path, target: Path, *, alone: bool = False) -> Held:
    """Make *target*, which is an empty file or none, a copy of *source*, and see that it is whole.

    It is on the disk then. With *alone* a log beside *source* is not read, nor missed.

    Raises:
        StoreError: *source* is damaged, not whole, another program's, or of a newer mailward.
    """
    if not source.is_file():
        raise UnusableStoreError(f"{source}: there is no such file")
    if not alone:
        check_log(source)
    try:
        with closing(open_read(source, alone=alone)) as original:
            version = check_version(original, source)
            if not version:
                raise UnusableStoreError(f"{source}: it is empty, and no store")
            with closing(sqlite3.connect(target, isolation_level=None)) as copy:
                _copy(original, copy)
                if version >= VERSION_WITH_LOG:
                    copy.execute("UPDATE log SET is_apart = 0")
                held = _looked_through(copy, source)
    except sqlite3.Error as error:
        raise store_error(source, error) from error
    sync(target)
    return held


def sync(path: Path) -> None:
    """See to it that what is in the file or the folder at *path* is on the disk."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def usable_contents(path: Path) -> None:
    """Read all that is in the store at *path*, as a start does.

    Raises:
        StoreError: no mailward could start with it.
    """
    _read(path, read_contents)


def _read(path: Path, read: Callable[[sqlite3.Connection], object], *, alone: bool = False) -> None:
    try:
        with closing(open_read(path, alone=alone)) as database:
            read(database)
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    except (ValueError, TypeError, OverflowError) as error:
        raise UnusableStoreError(f"{path}: a value in it is unusable: {error}") from error


def _copy(original: sqlite3.Connection, copy: sqlite3.Connection) -> None:
    # It is written anew if it breaks off: it needs no journal, and is synced at its end.
    copy.execute("PRAGMA journal_mode = OFF")
    copy.execute("PRAGMA synchronous = OFF")
    original.execute("BEGIN")  # one moment for all steps, whatever is written meanwhile
    original.execute("SELECT count(*) FROM sqlite_master").fetchone()
    original.backup(copy, pages=PAGES_A_STEP)
    original.execute("ROLLBACK")
    # The copy of a file with a log would want one, too: now it is one file.
    copy.execute("PRAGMA journal_mode = DELETE")


def _looked_through(copy: sqlite3.Connection, source: Path) -> Held:
    found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise UnusableStoreError(f"{source}: it is damaged ({found}); take an older backup")
    bans, failures, settings = (
        copy.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 -- our own names
        for table in ("ban", "failure", "setting")
    )
    return Held(bans, failures, settings)


def written_back(path: Path) -> None:
    """Write the log of the store at *path*, which nobody uses, back into it; then it is one file.

    Raises:
        StoreError: it cannot be read.
    """
    if not path.exists():
        return
    check_log(path)
    # SQLite deletes a log that stands beside junk: look at the file alone first.
    _read(path, lambda database: check_version(database, path), alone=True)
    uri = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, isolation_level=None, uri=True)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise store_error(path, error) from error
