"""The mail server without its sockets: accounts, their mail, and a service for each protocol."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.errors import AccountsInUseError, AccountStorageError
from mailward_mailbox.accounts.hashes import Strength
from mailward_mailbox.delivery.delivery import Delivery
from mailward_mailbox.delivery.directory import Directory
from mailward_mailbox.imap.service import ImapService
from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.http.serving import Premises
from mailward_mailbox.lock import FolderLock, InUseError
from mailward_mailbox.mail.store import MailStore
from mailward_mailbox.managesieve.service import ManageSieveService
from mailward_mailbox.settings import Settings
from mailward_mailbox.storage import describe, make_folder
from mailward_mailbox.submission.service import SubmissionService

ACCOUNTS = "accounts.db"
MAIL = "mail"


class MailServer:
    """All of it, with its data in *folder*. *settings* may change while it runs.

    Raises:
        AccountError: the accounts cannot be read, or another process has them.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        clock: Callable[[], Instant],
        strength: Strength | None = None,
    ) -> None:
        self.settings = settings
        self._lock = locked(folder)
        mail = folder / MAIL
        try:
            self.accounts = Accounts(
                folder / ACCOUNTS,
                lambda: self.settings.naming,
                clock,
                strength or Strength(),
                mail,
            )
        except BaseException:
            self._lock.release()
            raise
        self.mail = MailStore(mail, clock, self.accounts.name_of, lambda: self.settings.quota)
        directory = Directory(self.accounts, lambda: self.settings.naming, self.hostname)
        self.delivery = Delivery(
            directory, self.mail, self.hostname, clock, lambda: self.settings.relay
        )
        self.imap = ImapService(self.accounts)
        self.submission = SubmissionService(self.accounts, self.delivery)
        self.managesieve = ManageSieveService(self.accounts)
        self.jmap = Premises(self.accounts, self.mail, self.delivery, clock)

    def hostname(self) -> str:
        """The name that the server gives itself."""
        return self.settings.hostname or platform.node()

    def faults(self) -> list[str]:
        """What is wrong with its files now, a line each."""
        return [*self.accounts.faults(), *self.mail.faults()]

    async def close(self) -> None:
        """Let go of the files; no session is left."""
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
        make_folder(folder)
        lock.take()
    except InUseError as error:
        raise AccountsInUseError(str(error)) from None
    except OSError as error:
        raise AccountStorageError(describe(folder, error)) from None
    return lock
