"""The file that the accounts are in: read once, written by a thread of its own."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from mailward.backends.port import AccountStorageError
from mailward_mailbox.accounts.scram import ScramKeys

BUSY_SECONDS = 2.0
SECRET_OCTETS = 32


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in. Frozen: a change makes another one of the same *id*."""

    id: str
    name: str
    password: str = field(repr=False)
    """A hash: argon2id, or as it was imported, with its scheme in braces."""
    scram: ScramKeys | None
    is_enabled: bool = True
    changed: int = 0
    """How often the password was another since the start."""


def check_account_file(path: Path) -> None:
    """See whether the file at *path* can be read, if there is one.

    Raises:
        AccountStorageError: it cannot.
    """
    with _trouble_with(path):
        if not path.exists():
            return
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, timeout=BUSY_SECONDS, uri=True)) as database:
            tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if tables != (0,):
                database.execute("SELECT count(*) FROM account").fetchone()


@contextmanager
def _trouble_with(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise AccountStorageError(f"{path}: {error}") from None
    except OSError as error:
        raise AccountStorageError(f"{path}: {error.strerror}") from None


class AccountFile:
    """The file at *path*, made with mode 0600, in a folder that is made with 0700.

    Raises:
        AccountStorageError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _trouble_with(self._path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            # One thread at a time uses it: the first that opens it, then the one that writes.
            self._database = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def close(self) -> None:
        self._database.close()

    def load(self) -> tuple[bytes, list[Account]]:
        """The secret, and all accounts."""
        with _trouble_with(self._path):
            (secret,) = self._database.execute("SELECT octets FROM secret").fetchone()
            rows = self._database.execute(
                "SELECT id, name, password, is_enabled, salt, iterations, stored_key, server_key"
                " FROM account"
            ).fetchall()
        return bytes(secret), [
            Account(
                *(identity, name, password),
                None if keys[0] is None else ScramKeys(*keys),
                bool(is_enabled),
            )
            for identity, name, password, is_enabled, *keys in rows
        ]

    def put(self, accounts: Sequence[Account]) -> None:
        """Store them, each in the place of the one of its id: all or none."""
        with _trouble_with(self._path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for one in accounts:
                    keys = one.scram
                    self._database.execute(
                        "REPLACE INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            *(one.id, one.name, one.password),
                            *(
                                (keys.salt, keys.iterations, keys.stored_key, keys.server_key)
                                if keys is not None
                                else (None, None, None, None)
                            ),
                            one.is_enabled,
                        ),
                    )
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def remove(self, identity: str) -> None:
        with _trouble_with(self._path):
            self._database.execute("DELETE FROM account WHERE id = ?", (identity,))

    def _prepare(self) -> None:
        # What is deleted is overwritten: a removed password's hash stays nowhere.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            self._database.execute(f"PRAGMA {pragma}")
        known = self._database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'account'")
        if known.fetchone() is None:
            schema = files("mailward_mailbox.accounts").joinpath("schema.sql")
            self._database.executescript(f"BEGIN IMMEDIATE; {schema.read_text()}")
            self._database.execute(
                "INSERT INTO secret VALUES (?)", (secrets.token_bytes(SECRET_OCTETS),)
            )
            self._database.execute("COMMIT")
