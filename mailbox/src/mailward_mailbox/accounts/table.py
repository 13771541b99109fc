"""All accounts in memory, equal to their file, and who is to hear of a change."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mailward_mailbox.accounts.errors import AccountStorageError
from mailward_mailbox.accounts.file import Account, AccountFile, LostAccountsError
from mailward_mailbox.accounts.naming import AccountNaming

_log = logging.getLogger("mailbox.accounts")


class AccountTable:
    """The accounts in the file at *path*; *naming* gives how names are folded at present.

    If the file is lost, but the folder *mail* holds mail of accounts, there is an :attr:`outage`.

    Raises:
        AccountStorageError: the file cannot be opened.
    """

    def __init__(self, path: Path, naming: Callable[[], AccountNaming], mail: Path) -> None:
        self._naming = naming
        self._file: AccountFile | None = None
        self.outage = ""
        """Why nothing is known of any account, empty if that is not so."""
        try:
            self._file = AccountFile(path, mail)
            self.secret, accounts = self._file.load()
        except LostAccountsError as error:
            self.outage = str(error)
            _log.error("%s", error)
            self.secret, accounts = secrets.token_bytes(32), []
        self.by_id = {account.id: account for account in accounts}
        self._folded: tuple[AccountNaming, dict[str, str]] | None = None
        self._domains: set[str] = set()
        self._has_scram: bool | None = None
        self._sessions: list[tuple[Account, Callable[[], object]]] = []
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="accounts")
        self._write_fault = ""

    def find(self, name: bytes) -> Account | None:
        """The account of that name however it is spelled, whether enabled or not."""
        login = self._naming().login(name)
        found = None if login is None else self._by_login().get(login)
        return None if found is None else self.by_id[found]

    def has(self, login: str) -> bool:
        """Whether there is an account of that name, which is folded already."""
        return login in self._by_login()

    @property
    def domains(self) -> AbstractSet[str]:
        """The domains in the names of accounts."""
        if not self._domains:
            names = (account.name for account in self.by_id.values())
            self._domains = {name.rpartition("@")[2] for name in names if "@" in name}
        return self._domains

    @property
    def has_scram(self) -> bool:
        """Whether every enabled account has keys that all clients take."""
        if self._has_scram is None:
            self._has_scram = all(
                account.scram is not None and not account.scram.is_outdated
                for account in self.by_id.values()
                if account.is_enabled
            )
        return self._has_scram

    def is_current(self, account: Account) -> bool:
        """Whether *account* may still log in, with the password it had."""
        known = self.by_id.get(account.id)
        return known is not None and known.is_enabled and known.changed == account.changed

    @contextmanager
    def while_current(self, account: Account, end: Callable[[], object]) -> Iterator[None]:
        """Call *end* as soon as *account* may not log in any more with what it had."""
        session = (account, end)
        self._sessions.append(session)
        try:
            yield
        finally:
            self._sessions.remove(session)

    def check_known(self) -> None:
        """Raises:
        AccountStorageError: nothing is known of any account.
        """
        if self.outage:
            raise AccountStorageError(self.outage)

    def faults(self) -> Sequence[str]:
        """What is wrong with the file, a line each."""
        if self._file is None:
            return [self.outage]
        return [one for one in (self._file.fault, self._write_fault) if one]

    async def put(self, accounts: Sequence[Account], apply: Callable[[Account], object]) -> None:
        """Store them, each in the place of the one of its id, and *apply* each when it is stored.

        Raises:
            AccountStorageError: they are not stored, and nothing has changed.
        """

        def replace() -> None:
            for account in accounts:
                if account.id not in self.by_id:
                    self._know_name(account)
                self.by_id[account.id] = account
                apply(account)

        await self._write(partial(self._stored.put, accounts), replace)

    async def remove(self, account: Account, apply: Callable[[str], object]) -> None:
        """Raises:
        AccountStorageError: it is there still.
        """

        def forget() -> None:
            del self.by_id[account.id]
            self._folded = None
            self._domains.clear()
            apply(account.id)

        await self._write(partial(self._stored.remove, account.id), forget)

    async def close(self) -> None:
        await asyncio.to_thread(self._writer.shutdown)
        if self._file is not None:
            self._file.close()

    # -- inside --------------------------------------------------------------------------------

    @property
    def _stored(self) -> AccountFile:
        if self._file is None:
            raise AccountStorageError(self.outage)
        return self._file

    def _know_name(self, account: Account) -> None:
        """Put a new account's name to those that are folded already: all of them take a while."""
        self._domains.clear()
        if self._folded is not None:
            naming, ids = self._folded
            login = naming.login(account.name.encode())
            if login is not None:
                ids.setdefault(login, account.id)

    def _by_login(self) -> dict[str, str]:
        """Ids by the names as they are folded at present."""
        naming = self._naming()
        if self._folded is None or self._folded[0] != naming:
            ids: dict[str, str] = {}
            for account in self.by_id.values():
                login = naming.login(account.name.encode())
                if login is not None:
                    ids.setdefault(login, account.id)
            self._folded = naming, ids
        return self._folded[1]

    async def _write(self, job: Callable[[], None], apply: Callable[[], object]) -> None:
        """Do *job*, and *apply* it here when the disk has it, even if the caller was cancelled."""

        def written(done: asyncio.Future[None]) -> None:
            if done.cancelled():
                return
            error = done.exception()
            self._write_fault = str(error) if isinstance(error, AccountStorageError) else ""
            if error is None:
                apply()
                self._has_scram = None
                for account, end in list(self._sessions):
                    if not self.is_current(account):
                        end()

        doing = asyncio.get_running_loop().run_in_executor(self._writer, job)
        doing.add_done_callback(written)
        await asyncio.shield(doing)
