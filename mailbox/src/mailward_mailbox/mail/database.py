"""A SQLite file that is safe to lose power with: what is committed is on the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mailward_mailbox.mail.model import BrokenError, DamagedError, NoRoomError, OverQuotaError
from mailward_mailbox.storage import (
    UnusableFileError,
    describe,
    is_damage,
    is_full,
    make_file,
)

BUSY_SECONDS = 2.0


class Database:
    """The file at *path*, made with mode 0600 where there is none; *quota* is in octets.

    Raises:
        BrokenError: it cannot be opened.
    """

    def __init__(self, path: Path, quota: Callable[[], int | None]) -> None:
        self._path = path
        self._quota = quota
        self.used = 0
        """Octets of messages, uploads and scripts, as of the last transaction."""
        with self._trouble():
            make_file(path)
            self._identity = path.stat()
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
            # What is written to a file that a restart would not find is lost.
            if not os.path.samestat(self._path.stat(), self._identity):
                raise DamagedError(f"{self._path}: another file is in its place; restart")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                used = self._number("SELECT used FROM account")
                self._check_quota(used)
                self._database.execute("COMMIT")
                self.used = used
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _check_quota(self, used: int) -> None:
        quota = self._quota()
        if quota is not None and used > max(quota, self.used):
            raise OverQuotaError(is_too_large=used - self.used > quota)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            kind: type[NoRoomError | BrokenError] = BrokenError
            if is_full(error):
                kind = NoRoomError
            elif isinstance(error, FileNotFoundError) or (
                isinstance(error, sqlite3.Error) and is_damage(error)
            ):
                kind = DamagedError
            raise kind(describe(self._path, error)) from None
        except UnusableFileError as error:
            raise DamagedError(str(error)) from None
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            # A row is missing, or a value in it is none that was ever written.
            raise DamagedError(
                f"{self._path}: it is damaged; restore a backup of it ({error!r})"
            ) from error

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
