"""What an SQLite file is, before anybody uses it: whose, of which version. Nothing is changed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path

from mailward.stores.log import check_log, open_read
from mailward.stores.port import StoreError, UnusableStoreError

APPLICATION_ID = int.from_bytes(b"mwrd", "big")

# What the operator can do, by SQLite's primary result code.
ADVICE = {
    sqlite3.SQLITE_BUSY: "another process has it locked; end that process (a second mailward?)",
    sqlite3.SQLITE_FULL: "its disk is full; make room",
    sqlite3.SQLITE_READONLY: "it cannot be written; look at its owner, its mode and its mount",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look at the owner and the mode of its folder",
    sqlite3.SQLITE_IOERR: "its disk does not work; look at mount, quota and kernel log",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a backup, or move it away to start with none",
    sqlite3.SQLITE_NOTADB: "it is no database; move it away, or set store.path to another file",
}
_LASTING = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}


@cache
def migrations() -> Mapping[int, str]:
    """The text of each schema change by the version it leads to."""
    folder = files("mailward.stores") / "schema"
    return {
        int(entry.name.partition("_")[0]): entry.read_text("utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    }


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """*error* in words for the operator of the store at *path*."""
    code = primary_code(error)
    kind = UnusableStoreError if code in _LASTING else StoreError
    return kind(f"{path}: {ADVICE.get(code, 'it failed')} ({error})")


def primary_code(error: sqlite3.Error) -> int:
    """The result code without its extension; an error of the Python module itself has none."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def check_place(path: Path) -> None:
    """Say in plain words what SQLite would not.

    Raises:
        UnusableStoreError: no store can be at *path*.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UnusableStoreError(f"{path}: there is no folder {folder}; make it or set store.path")
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise UnusableStoreError(
            f"{path}: nothing can be written in {folder}; look at owner, mode and mount"
        )
    if path.is_dir():
        raise UnusableStoreError(f"{path}: it is a folder; set store.path to a file")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        raise UnusableStoreError(f"{path}: {ADVICE[sqlite3.SQLITE_READONLY]}")


def check_version(database: sqlite3.Connection, path: Path) -> int:
    """The version of the schema; 0 in an empty file.

    Raises:
        UnusableStoreError: it is another program's, or of a newer mailward.
    """
    version, owner, tables = (
        int(database.execute(query).fetchone()[0])
        for query in (
            "PRAGMA user_version",
            "PRAGMA application_id",
            "SELECT count(*) FROM sqlite_master",
        )
    )
    newest = max(migrations())
    if (version or owner or tables) and owner != APPLICATION_ID:
        raise UnusableStoreError(
            f"{path}: it belongs to another program; set store.path to another file"
        )
    if version > newest:
        raise UnusableStoreError(
            f"{path}: a newer mailward wrote it (schema {version}, this one knows {newest});"
            " run that one, or restore a backup from before"
        )
    return version


def stored_settings(path: Path) -> dict[str, str]:
    """The settings in the store at *path*, which may be in use; none where there is no file.

    Raises:
        StoreError: no mailward could start with it.
    """
    check_place(path)
    if not path.exists():
        return {}
    check_log(path)
    try:
        with closing(open_read(path)) as database:
            if not check_version(database, path):
                return {}
            return dict(database.execute("SELECT key, value FROM setting"))
    except sqlite3.Error as error:
        raise store_error(path, error) from error
