"""A SQLite file that is safe to lose power with: what is committed is on the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mailward_mailbox.mail.model import BrokenError, NoRoomError

BUSY_SECONDS = 2.0


class Database:
    """The file at *path*, made with mode 0600 where there is none.

    Raises:
        BrokenError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._trouble():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._database.close()

    def _modseq(self) -> int:
        return self._number("SELECT modseq FROM account")

    @contextmanager
    def _change(self) -> Iterator[int]:
        """A transaction that changes what sessions see; its number."""
        with self._transaction():
            self._run("UPDATE account SET modseq = modseq + 1")
            yield self._modseq()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that is done inside is done or not."""
        with self._trouble():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL:
                raise NoRoomError(f"no room for {self._path}: make room on its disk") from None
            raise BrokenError(f"{self._path}: {error}") from None
        except OSError as error:
            raise BrokenError(f"{self._path}: {error.strerror}") from None

    def _run(self, statement: str, *values: object) -> int:
        return self._database.execute(statement, values).rowcount

    def _row(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
        return found

    def _number(self, statement: str) -> int:
        (number,) = self._database.execute(statement).fetchone()
        return int(number)

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._database.execute(statement, values).fetchall()
