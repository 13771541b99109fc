"""The file that the accounts are in: read once, written by a thread of its own."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mailward_mailbox.accounts.errors import AccountStorageError
from mailward_mailbox.accounts.scram import ScramKeys
from mailward_mailbox.storage import (
    UnusableFileError,
    bring_up_to_date,
    check_version,
    describe,
    make_file,
    make_folder,
)

BUSY_SECONDS = 2.0
SECRET_OCTETS = 32
_PACKAGE = "mailward_mailbox.accounts"


class LostAccountsError(AccountStorageError):
    """There are no accounts where there is mail of some: their file is lost, or was made anew."""

    def __init__(self, path: Path, mail: Path) -> None:
        super().__init__(
            f"{path}: it is lost or empty, but {mail} holds mail of accounts; put {path.name} back"
            f" from a backup, or move {mail} away to begin without accounts, and restart"
        )


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
            if check_version(database, path, _PACKAGE):
                database.execute("SELECT count(*) FROM account").fetchone()


@contextmanager
def _trouble_with(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise AccountStorageError(describe(path, error)) from None
    except UnusableFileError as error:
        raise AccountStorageError(str(error)) from None
    except (TypeError, ValueError) as error:  # a row is missing, or a value was never written so
        raise AccountStorageError(
            f"{path}: it is damaged; restore a backup of it ({error!r})"
        ) from error


class AccountFile:
    """The file at *path*, made with mode 0600, in a folder that is made with 0700.

    It is not made where the folder *mail* holds mail of accounts already.

    Raises:
        LostAccountsError: there is mail, but no account.
        AccountStorageError: the file cannot be opened, or a newer version wrote it.
    """

    def __init__(self, path: Path, mail: Path | None = None) -> None:
        self._path = path
        with _trouble_with(self._path):
            has_mail = mail is not None and any(mail.glob("*.db"))
            if mail is not None and has_mail and (not path.exists() or path.stat().st_size == 0):
                raise LostAccountsError(path, mail)
            make_folder(path.parent)
            make_file(path)
            # One thread at a time uses it: the first that opens it, then the one that writes.
            self._database = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
                if mail is not None and has_mail:
                    self._check_not_lost(mail)
                self._place = path.stat()
            except BaseException:
                self._database.close()
                raise

    def close(self) -> None:
        self._database.close()

    @property
    def fault(self) -> str:
        """What is wrong with the file now, empty if nothing is."""
        try:
            self.check_in_place()
        except AccountStorageError as error:
            return str(error)
        return ""

    def check_in_place(self) -> None:
        """See that the file is the one that a restart would find.

        Raises:
            AccountStorageError: it was removed, or another one is in its place.
        """
        with _trouble_with(self._path):
            if not os.path.samestat(self._path.stat(), self._place):
                raise AccountStorageError(f"{self._path}: another file is in its place; restart")

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
        with self._change():
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

    def remove(self, identity: str) -> None:
        with self._change():
            self._database.execute("DELETE FROM account WHERE id = ?", (identity,))
            self._database.execute("UPDATE secret SET is_begun = 1")

    @contextmanager
    def _change(self) -> Iterator[None]:
        """A transaction: all that is done inside is on the disk then, or nothing is."""
        with _trouble_with(self._path):
            self.check_in_place()
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        check_version(self._database, self._path, _PACKAGE)
        # What is deleted is overwritten: a removed password's hash stays nowhere.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            self._database.execute(f"PRAGMA {pragma}")
        bring_up_to_date(self._database, self._path, _PACKAGE, self._fill)
        (found,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise UnusableFileError(f"{self._path}: it is damaged; restore a backup ({found})")

    def _fill(self) -> None:
        secret = secrets.token_bytes(SECRET_OCTETS)
        self._database.execute("INSERT INTO secret (octets) VALUES (?)", (secret,))

    def _check_not_lost(self, mail: Path) -> None:
        """Raises:
        LostAccountsError: there are no accounts, and no operator has removed them.
        """
        (accounts,) = self._database.execute("SELECT count(*) FROM account").fetchone()
        (is_begun,) = self._database.execute("SELECT is_begun FROM secret").fetchone()
        if not accounts and not is_begun:
            raise LostAccountsError(self._path, mail)
