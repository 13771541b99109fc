"""SQLite files: how one is made, of which version it is, and what to do about its faults."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

_IOERR_SHMSIZE = sqlite3.SQLITE_IOERR | (19 << 8)
"""No room for the index of the log, which is made when a file is opened. No name in 3.11."""
_ADVICE = {
    sqlite3.SQLITE_BUSY: "another program has it locked; end that program",
    sqlite3.SQLITE_FULL: "its disk is full; make room",
    sqlite3.SQLITE_READONLY: "it cannot be written; look at its owner, its mode and its mount",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look at the owner and the mode of its folder",
    sqlite3.SQLITE_IOERR: "its disk does not work; look at mount, quota and kernel log",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a backup of it",
    sqlite3.SQLITE_NOTADB: "it is damaged or no database; restore a backup of it",
}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class UnusableFileError(Exception):
    """A file that is damaged, another program's, or a newer version's; the message says which."""


def make_folder(path: Path) -> None:
    """Make the folder, mode 0700, where it is missing.

    Raises:
        OSError: it cannot be made.
    """
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _own_as_parent(path)


def make_file(path: Path) -> None:
    """Make an empty file, mode 0600, where it is missing; see that it can be written.

    Raises:
        OSError: it cannot be made or written.
    """
    is_new = not path.exists()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if is_new:
        _own_as_parent(path)


def describe(path: Path, error: sqlite3.Error | OSError) -> str:
    """*error* in words for the operator of the file at *path*."""
    if isinstance(error, OSError):
        advice = {
            errno.ENOSPC: _ADVICE[sqlite3.SQLITE_FULL],
            errno.EACCES: "look at its owner and mode, and those of its folder",
            errno.EROFS: "look at its mount",
        }.get(error.errno or 0)
        return f"{path}: {error.strerror}" + (f"; {advice}" if advice else "")
    return f"{path}: {_ADVICE.get(_primary_code(error), 'it failed')} ({error})"


def is_full(error: sqlite3.Error | OSError) -> bool:
    """Whether there was no room on the disk."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    extended = getattr(error, "sqlite_errorcode", 0)
    return _primary_code(error) == sqlite3.SQLITE_FULL or extended == _IOERR_SHMSIZE


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, and stays so."""
    return _primary_code(error) in _DAMAGE


@cache
def migrations(package: str) -> Mapping[int, str]:
    """The text of each change of the schema below *package* by the version it leads to."""
    entries = (files(package) / "schema").iterdir()
    return {
        int(entry.name.partition("_")[0]): entry.read_text("utf-8")
        for entry in sorted(entries, key=lambda entry: int(entry.name.partition("_")[0]))
        if entry.name.endswith(".sql")
    }


def check_version(database: sqlite3.Connection, path: Path, package: str) -> int:
    """The version of the schema; 0 in an empty file.

    Raises:
        UnusableFileError: a newer program wrote it, or another one.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    newest = max(migrations(package))
    if tables and not version:
        raise UnusableFileError(f"{path}: it belongs to another program; move it away")
    if version > newest:
        raise UnusableFileError(
            f"{path}: a newer mailward wrote it (schema {version}, this one knows {newest});"
            " run that one, or restore a backup from before"
        )
    return int(version)


def bring_up_to_date(
    database: sqlite3.Connection, path: Path, package: str, fill: Callable[[], None]
) -> None:
    """Take every missing step to the newest schema, and *fill* a file that was empty: all or none.

    Raises:
        UnusableFileError: a newer program wrote it.
        sqlite3.Error: it cannot be changed.
    """
    version = check_version(database, path, package)
    missing = [text for number, text in migrations(package).items() if number > version]
    if not missing:
        return
    newest = max(migrations(package))
    # The version goes up with what it stands for: a crash in between leaves neither.
    try:
        database.executescript(
            "\n".join(("BEGIN IMMEDIATE;", *missing, f"PRAGMA user_version = {newest};"))
        )
        if version == 0:
            fill()
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _primary_code(error: sqlite3.Error) -> int:
    """The result code without its extension; an error of the Python module itself has none."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _own_as_parent(path: Path) -> None:
    """Give what root has made to the owner of the folder: the service has a user of its own."""
    if os.geteuid() == 0:
        owner = path.absolute().parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
