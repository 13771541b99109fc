"""The store's write-ahead log, and how a copy of the file without it is found out.

SQLite keeps what came last in FILE-wal. FILE alone opens as well, and holds what was true when the
log was last written back into it: perhaps no ban at all. So each time that happens the file itself
says that a log goes on from there (``is_apart``), and the first thing in the new log says that it
is there. Both together are a whole store; the file alone tells that it is not.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from mailward.stores.port import UnusableStoreError

WRITE_BACK_PAGES = 4_000
"""How long the log may become, about; the usual 1,000 cost a flood a third of its speed."""
PAGES_A_COMMIT = 3
"""Those that are in the log once more with each commit, besides one for each row."""
LOOKS = 3  # a daemon may write its log back, or end, between two looks


class Mark(NamedTuple):
    """What a store says of its log: the how manieth it is, and whether it is to be read with it."""

    generation: int
    is_apart: bool


class LogLength:
    """How many pages have gone into the log of *database*, as its rows and commits tell.

    SQLite tells it no Python program, and the file keeps its size when the log begins anew.
    """

    def __init__(self, database: sqlite3.Connection, at_most: int) -> None:
        self._database = database
        self._at_most = at_most
        self._rows = database.total_changes
        self._pages = 0

    def is_due(self) -> bool:
        """To be asked after each commit: whether it is time to write the log back."""
        rows = self._database.total_changes - self._rows
        if rows:
            self._rows += rows
            self._pages += rows + PAGES_A_COMMIT
        return self._pages >= self._at_most

    def begin(self) -> None:
        """It begins anew, or is to be tried again after as many pages more."""
        self._rows, self._pages = self._database.total_changes, 0


def write_back(database: sqlite3.Connection) -> bool:
    """Write the log back into the file and begin another; whether nobody was in the way.

    A reader of the old log is one: then the log goes on, and nothing is lost. The log's file keeps
    its length: to make it anew would cost a flood a tenth of its time.
    """
    patience = database.execute("PRAGMA busy_timeout").fetchone()[0]
    database.execute("PRAGMA busy_timeout = 0")
    try:
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("UPDATE log SET generation = generation + 1, is_apart = 1")
        is_held, _, _ = database.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if is_held:
            return False
        # Now the file says "apart". After a crash here the old log beside it says so, too.
        database.execute("UPDATE log SET is_apart = 0")
    except sqlite3.OperationalError:
        return False  # somebody else writes, or the disk is full: the next change finds that out
    finally:
        with suppress(sqlite3.Error):
            database.execute(f"PRAGMA busy_timeout = {patience}")
    return True


def check_log(path: Path) -> None:
    """Refuse a store whose log is missing, or is that of another moment.

    A daemon may be using it. A file that is damaged is for others to complain about.

    Raises:
        UnusableStoreError: it was copied without its log, or the two one after the other.
    """
    why = ""
    if not log_of(path).exists() and _is_cut(path):
        raise UnusableStoreError(
            f"{path}: it is damaged (its end is missing); restore a backup, or move it away to"
            " start with none"
        )
    for _ in range(LOOKS):
        why = _why_not_whole(path)
        if not why:
            return
    raise UnusableStoreError(
        f"{path}: {why}; copy a store with `mailward backup`, or both files while no mailward runs"
        " (to go on with what is in the file move it elsewhere, then run `mailward restore"
        " --incomplete FILE`)"
    )


def log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def open_read(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """A connection that changes nothing and makes no file. With *alone* no log is read.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    # Without a log nobody writes: then SQLite need not make its files to find that out.
    how = "mode=ro" if log_of(path).exists() and not alone else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{how}"
    return sqlite3.connect(uri, timeout=2.0, isolation_level=None, uri=True)


def _is_cut(path: Path) -> bool:
    """Whether the last page is not all there; SQLite would take what is missing for zeros."""
    with suppress(sqlite3.Error, OSError), closing(open_read(path, alone=True)) as database:
        (octets_a_page,) = database.execute("PRAGMA page_size").fetchone()
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        return bool(path.stat().st_size < octets_a_page * pages)
    return False


def _why_not_whole(path: Path) -> str:
    in_file = _mark(path, alone=True)
    if in_file is None or not in_file.is_apart:
        return ""
    log = log_of(path)
    if not log.exists():
        return f"it was copied without {log.name}, so what came last is missing"
    with_log = _mark(path, alone=False)
    if with_log is None or with_log.is_apart or with_log.generation == in_file.generation:
        return ""
    return f"it and {log.name} were not copied at the same moment"


def _mark(path: Path, *, alone: bool) -> Mark | None:
    with suppress(sqlite3.Error), closing(open_read(path, alone=alone)) as database:
        generation, is_apart = database.execute("SELECT generation, is_apart FROM log").fetchone()
        return Mark(generation, bool(is_apart))
    return None
