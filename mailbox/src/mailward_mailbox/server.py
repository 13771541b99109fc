"""The embedded mail server: its accounts, their mail, and a backend for each protocol."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from pathlib import Path

from mailward.settings.configuration import EmbeddedSettings
from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.errors import AccountsInUseError, AccountStorageError
from mailward_mailbox.accounts.file import check_account_file
from mailward_mailbox.accounts.hashes import Strength
from mailward_mailbox.accounts.naming import AccountNaming
from mailward_mailbox.delivery.delivery import Delivery
from mailward_mailbox.delivery.directory import Directory
from mailward_mailbox.imap.backend import EmbeddedImap
from mailward_mailbox.inside import Inside
from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.backend import EmbeddedJmap
from mailward_mailbox.lock import FolderLock, InUseError
from mailward_mailbox.mail.store import MailStore
from mailward_mailbox.managesieve.backend import EmbeddedManageSieve
from mailward_mailbox.submission.backend import EmbeddedSubmission

ACCOUNTS = "accounts.db"
MAIL = "mail"


class Embedded:
    """All of it, below *data*; its sessions are tasks of *tasks*.

    *settings* may change while it runs, its path aside.

    Raises:
        AccountError: the accounts cannot be read.
    """

    def __init__(
        self,
        data: Path,
        settings: EmbeddedSettings,
        naming: Callable[[], AccountNaming],
        clock: Callable[[], Instant],
        tasks: asyncio.TaskGroup,
        strength: Strength | None = None,
        hostname: Callable[[], str] = platform.node,
    ) -> None:
        self.settings = settings
        folder = data / settings.path
        self._lock = locked(folder)
        mail = folder / MAIL
        try:
            self.accounts = Accounts(folder / ACCOUNTS, naming, clock, strength or Strength(), mail)
        except BaseException:
            self._lock.release()
            raise
        self.mail = MailStore(mail, clock, self.accounts.name_of, lambda: self.settings.quota)
        self._inside = Inside(tasks)
        self.delivery = Delivery(
            Directory(self.accounts, naming, hostname),
            self.mail,
            hostname,
            clock,
            lambda: self.settings.relay,
        )
        self.imap = EmbeddedImap(self.accounts, self.mail, self._inside)
        self.jmap = EmbeddedJmap(self.accounts, self.mail, self._inside, self.delivery, clock)
        self.managesieve = EmbeddedManageSieve(self.accounts, self.mail, self._inside)
        self.submission = EmbeddedSubmission(self.accounts, self.mail, self._inside, self.delivery)

    @staticmethod
    def look_at(data: Path, settings: EmbeddedSettings) -> None:
        """See whether the accounts can be read, and change nothing.

        Raises:
            AccountError: they are there, but cannot.
        """
        check_account_file(data / settings.path / ACCOUNTS)

    def faults(self) -> list[str]:
        """What is wrong with its files now, a line each."""
        return [*self.accounts.faults(), *self.mail.faults()]

    async def close(self) -> None:
        """End what is left of the sessions, and let go of the files."""
        await self._inside.close()
        self.imap.close()
        await self.accounts.close()
        await self.mail.close()
        self._lock.release()


def locked(folder: Path) -> FolderLock:
    """The lock of *folder*: two processes would not know of each other's changes.

    Raises:
        AccountsInUseError: another process has it.
        AccountStorageError: the folder cannot be made or written.
    """
    lock = FolderLock(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.take()
    except InUseError as error:
        raise AccountsInUseError(str(error)) from None
    except OSError as error:
        raise AccountStorageError(f"{folder}: {error.strerror}") from None
    return lock
