"""A store in one SQLite file, written by one thread of its own.

The event loop never waits for the disk, and SQLite never sees two callers at once. After a
failure that leaves the connection in doubt it is dropped and made anew at the next call, so a
full disk or a read-only mount needs nobody to restart anything once its cause is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

from mailward.rules.model import Ban, Failure, Instant, Subject
from mailward.stores.contents import read_contents
from mailward.stores.inspection import (
    check_place,
    check_version,
    migrations,
    primary_code,
    store_error,
)
from mailward.stores.lock import StoreLock
from mailward.stores.log import WRITE_BACK_PAGES, LogLength, check_log, write_back
from mailward.stores.port import (
    BanPut,
    BanRemoved,
    Change,
    ClockMoved,
    ClockSetBack,
    Contents,
    FactPut,
    FailureAdded,
    ReportForgotten,
    ReportTaken,
    SettingDeleted,
    SettingPut,
    StoreError,
    TallyCleared,
    TokenAccepted,
    TokenForgotten,
)

BUSY_TIMEOUT = timedelta(seconds=2)
"""How long a backup or an operator's sqlite3 may hold the file before a call fails."""

MAX_VARIABLES = 999  # what every SQLite takes in one statement
# After these the connection is as good as before; after any other it is made anew.
_HARMLESS = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT}

_Row = tuple[str | bytes | float | int | None, ...]
_T = TypeVar("_T")


class _Form(NamedTuple):
    """A statement for any number of rows at once.

    Each call of SQLite gives up the interpreter's lock, and behind a busy event loop it takes
    milliseconds to get it back: one call for each row would let the store fall behind a flood.
    """

    head: str
    row: str
    tail: str = ""

    @property
    def rows_at_once(self) -> int:
        return MAX_VARIABLES // self.row.count("?")

    def statement(self, rows: int) -> str:
        return self.head + ", ".join([self.row] * rows) + self.tail


_FAILURE_ADDED = _Form(
    "INSERT INTO failure (subject, at, service, counterpart) VALUES ", "(?, ?, ?, ?)"
)
_TALLY_CLEARED = _Form("DELETE FROM failure WHERE subject IN (", "?", ")")
_CLOCK_SET_BACK = _Form(
    "WITH said(now) AS (VALUES ",
    "(?)",
    ") UPDATE failure SET at = (SELECT min(now) FROM said) WHERE at > (SELECT min(now) FROM said)",
)
_BANS_SET_BACK = _Form(
    "WITH said(now) AS (VALUES ",
    "(?)",
    ") UPDATE ban SET until = (SELECT min(now) FROM said) + (until - since),"
    " since = (SELECT min(now) FROM said) WHERE since > (SELECT min(now) FROM said)",
)
_SAID = ("WITH said(seconds) AS (VALUES ", "(?)")
_FAILURES_MOVED = _Form(*_SAID, ") UPDATE failure SET at = at + (SELECT sum(seconds) FROM said)")
_BANS_MOVED = _Form(
    *_SAID,
    ") UPDATE ban SET since = since + (SELECT sum(seconds) FROM said),"
    " until = until + (SELECT sum(seconds) FROM said)",
)
_REPORTS_MOVED = _Form(*_SAID, ") UPDATE report SET at = at + (SELECT sum(seconds) FROM said)")
_TOKENS_MOVED = _Form(*_SAID, ") UPDATE token SET at = at + (SELECT sum(seconds) FROM said)")
_BAN_PUT = _Form("REPLACE INTO ban VALUES ", "(?, ?, ?, ?, ?, ?, ?, ?)")
_BAN_REMOVED = _Form("DELETE FROM ban WHERE subject IN (", "?", ")")
_SETTING_PUT = _Form("REPLACE INTO setting VALUES ", "(?, ?)")
_SETTING_DELETED = _Form("DELETE FROM setting WHERE key IN (", "?", ")")
_FACT_PUT = _Form("REPLACE INTO fact VALUES ", "(?, ?)")
_REPORT_TAKEN = _Form("REPLACE INTO report VALUES ", "(?, ?)")
_REPORT_FORGOTTEN = _Form("DELETE FROM report WHERE digest IN (", "?", ")")
_TOKEN_ACCEPTED = _Form("REPLACE INTO token VALUES ", "(?, ?)")
_TOKEN_FORGOTTEN = _Form("DELETE FROM token WHERE digest IN (", "?", ")")


class SqliteStore:
    """One file, opened at the first call. Made with mode 0600; its folder must be there."""

    def __init__(
        self,
        path: Path,
        busy_timeout: timedelta = BUSY_TIMEOUT,
        log_pages: int = WRITE_BACK_PAGES,
    ) -> None:
        self._path = path
        self._busy_seconds = busy_timeout.total_seconds()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._database: sqlite3.Connection | None = None
        self._lock = StoreLock(path)
        self._log_pages = log_pages
        self._length: LogLength | None = None
        self._made = False
        self._closed = False

    async def load(self) -> Contents:
        return await self._in_thread(_load)

    async def commit(self, changes: Sequence[Change], *, durable: bool) -> None:
        changes = tuple(changes)  # the caller may go on filling its list
        if changes:
            await self._in_thread(lambda database: _commit(database, changes, durable))

    async def failures(self, subject: Subject, at_most: int) -> Sequence[Failure]:
        return await self._in_thread(lambda database: _failures(database, subject, at_most))

    async def forget_before(self, at: Instant, at_most: int) -> int:
        return await self._in_thread(lambda database: _forget_before(database, at, at_most))

    async def close(self) -> None:
        """Write the log back into the file and end the thread; whatever was begun is finished."""
        if self._closed:
            return
        self._closed = True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._leave)
        finally:
            self._thread.shutdown()

    async def _in_thread(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    # What follows runs in the store's thread.

    def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            if self._database is None:
                self._database = self._connect()
            done = work(self._database)
            if self._length is not None and self._length.is_due():
                write_back(self._database)
                self._length.begin()
        except sqlite3.Error as error:
            if primary_code(error) not in _HARMLESS:
                self._disconnect()
            raise store_error(self._path, error) from error
        except OSError as error:
            self._disconnect()
            raise StoreError(
                f"{self._path}: {error.strerror or error}; look at its folder's owner and mode"
            ) from error
        except (ValueError, TypeError, OverflowError) as error:
            raise StoreError(
                f"{self._path}: a value in it or for it is unusable: {error}"
            ) from error
        else:
            return done

    def _connect(self) -> sqlite3.Connection:
        check_place(self._path)
        self._lock.take()
        check_log(self._path)
        self._look_at_the_file()
        # mode=rw: a file that vanished under a running mailward is not replaced by an empty one.
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        database = sqlite3.connect(uri, timeout=self._busy_seconds, isolation_level=None, uri=True)
        try:
            _migrate(database, self._path)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA wal_autocheckpoint=0")
            write_back(database)
        except BaseException:
            database.close()
            raise
        self._made = True
        self._length = LogLength(database, self._log_pages)
        return database

    def _look_at_the_file(self) -> None:
        """Make the file if there is none yet."""
        path = self._path
        if path.exists():
            return
        if self._made:
            raise StoreError(f"{path}: it is gone; put it back, or restart to begin with none")
        try:
            # SQLite gives its -wal and -shm files the mode of the database.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise StoreError(f"{path}: it cannot be made: {error.strerror}") from error

    def _leave(self) -> None:
        self._disconnect()
        self._lock.release()

    def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is None:
            return
        # Best effort: what cannot be written back now stays in the log for the next start.
        with suppress(sqlite3.Error):
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with suppress(sqlite3.Error):
            database.close()


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    version = check_version(database, path)
    for number, script in migrations().items():
        if number > version:
            # The version goes up with what it stands for: a crash in between leaves neither.
            steps = f"BEGIN EXCLUSIVE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;"
            database.executescript(steps)


def _commit(database: sqlite3.Connection, changes: Sequence[Change], durable: bool) -> None:
    # FULL waits for the disk at each commit, and takes all earlier commits along; NORMAL only
    # hands over to the kernel. SQLite refuses the switch inside a transaction.
    database.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    database.execute("BEGIN IMMEDIATE")
    try:
        # Who reads sees all of it or nothing: the tables need not be written in one order.
        for form, rows in chain(_failure_rows(changes), _other_rows(changes)):
            while some := tuple(islice(rows, form.rows_at_once)):
                database.execute(form.statement(len(some)), tuple(chain.from_iterable(some)))
        database.execute("COMMIT")
    except BaseException:
        _roll_back(database)
        raise


def _roll_back(database: sqlite3.Connection) -> None:
    if database.in_transaction:  # SQLite may have rolled back by itself: a full disk, a bad sector
        database.execute("ROLLBACK")


def _failure_rows(changes: Sequence[Change]) -> Iterator[tuple[_Form, Iterator[_Row]]]:
    """What *changes* do to the failures, in the order of their subjects.

    The index has pages for each subject. In the order of arrival a flood of many subjects would
    read and write most of them several times in one commit.
    """
    added: dict[str, list[_Row]] = {}
    cleared: set[str] = set()
    for change in changes:
        if isinstance(change, FailureAdded):
            key, failure = change.subject.key, change.failure
            row = (key, failure.at, failure.service, failure.counterpart)
            added.setdefault(key, []).append(row)
        elif isinstance(change, TallyCleared):
            key = change.subject.key
            added.pop(key, None)
            cleared.add(key)
        elif isinstance(change, ClockSetBack):
            yield from _by_subject(cleared, added)
            yield _CLOCK_SET_BACK, iter([(change.now,)])
            added, cleared = {}, set()
        elif isinstance(change, ClockMoved):
            yield from _by_subject(cleared, added)
            yield _FAILURES_MOVED, iter([(change.seconds,)])
            added, cleared = {}, set()
    yield from _by_subject(cleared, added)


def _by_subject(
    cleared: Iterable[str], added: Mapping[str, Sequence[_Row]]
) -> Iterator[tuple[_Form, Iterator[_Row]]]:
    yield _TALLY_CLEARED, ((key,) for key in sorted(cleared))
    yield _FAILURE_ADDED, (row for key in sorted(added) for row in added[key])


def _other_rows(changes: Sequence[Change]) -> Iterator[tuple[_Form, Iterator[_Row]]]:
    """What *changes* do to all other tables, in their order."""
    others = [row for change in changes for row in _rows(change)]
    for form, run in groupby(others, key=itemgetter(0)):
        yield form, (row for _, row in run)


def _rows(change: Change) -> Sequence[tuple[_Form, _Row]]:  # noqa: C901 -- flat: a step for each change
    form: _Form
    row: _Row
    match change:
        case FailureAdded() | TallyCleared():
            return ()
        case ClockMoved(seconds):
            forms = (_BANS_MOVED, _REPORTS_MOVED, _TOKENS_MOVED)
            return [(form, (seconds,)) for form in forms]
        case ClockSetBack(now):
            form, row = _BANS_SET_BACK, (now,)
        case BanPut(ban):
            form, row = _BAN_PUT, _ban_row(ban)
        case BanRemoved(subject):
            form, row = _BAN_REMOVED, (subject.key,)
        case SettingPut(key, value):
            form, row = _SETTING_PUT, (_text(key), _text(value))
        case SettingDeleted(key):
            form, row = _SETTING_DELETED, (_text(key),)
        case FactPut(name, value):
            form, row = _FACT_PUT, (_text(name), _text(value))
        case ReportTaken(digest, at):
            form, row = _REPORT_TAKEN, (digest, at)
        case ReportForgotten(digest):
            form, row = _REPORT_FORGOTTEN, (digest,)
        case TokenAccepted(digest, at):
            form, row = _TOKEN_ACCEPTED, (digest, at)
        case TokenForgotten(digest):
            form, row = _TOKEN_FORGOTTEN, (digest,)
    return ((form, row),)


def _ban_row(ban: Ban) -> _Row:
    return (
        ban.subject.key,
        ban.reason.value,
        ban.since,
        ban.until,
        ban.failures,
        json.dumps(ban.services) if ban.services else "[]",
        json.dumps(ban.counterparts) if ban.counterparts else "[]",
        _text(ban.note),
    )


def _text(text: str) -> str:
    # JSON can spell a lone surrogate, UTF-8 cannot: one such note must not block all that follows.
    return text.encode("utf-8", "replace").decode("utf-8")


def _load(database: sqlite3.Connection) -> Contents:
    database.execute("BEGIN")  # one moment for all tables
    try:
        return read_contents(database)
    finally:
        _roll_back(database)


def _failures(database: sqlite3.Connection, subject: Subject, at_most: int) -> Sequence[Failure]:
    rows = database.execute(
        "SELECT at, service, counterpart FROM failure WHERE subject = ?"
        " ORDER BY at DESC, seq DESC LIMIT ?",
        (subject.key, at_most),
    ).fetchall()
    return [Failure(Instant(at), service, counterpart) for at, service, counterpart in rows[::-1]]


def _forget_before(database: sqlite3.Connection, at: Instant, at_most: int) -> int:
    # Only the *at_most* rows that arrived first are looked at: the cost never depends on how many
    # there are. A report that came late stands behind younger rows and goes when its turn comes.
    return database.execute(
        "DELETE FROM failure WHERE at <= ? AND seq IN"
        " (SELECT seq FROM failure ORDER BY seq LIMIT ?)",
        (at, at_most),
    ).rowcount
