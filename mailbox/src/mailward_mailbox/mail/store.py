"""Everybody's mail: who uses an account's gets the same object as all others who do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.faults import MailFaults
from mailward_mailbox.mail.file import MailFile
from mailward_mailbox.mail.model import BrokenError, NoRoomError
from mailward_mailbox.storage import describe, make_folder

THREADS = 4
"""Each file belongs to one of them, so no two things happen in it at once."""
MAX_IDLE = 32
"""So many stay open though nobody uses them: most are wanted again soon."""


@dataclass(slots=True)
class _Shared:
    """One account's mail while it is open, for *users*."""

    opening: asyncio.Future[tuple[AccountMail, MailFile]]
    users: int = 0


class MailStore:
    """All files in *folder*, which is made where it is missing (mode 0700).

    *name_of* tells an account's name by its id, *quota* how many octets each may use at present.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], Instant],
        name_of: Callable[[str], str] = str,
        quota: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._quota = quota
        self._faults = MailFaults(name_of, clock)
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix="mail") for _ in range(THREADS)]
        self._shared: dict[str, _Shared] = {}
        """The last used is the last."""

    def path(self, account: str) -> Path:
        """Where the mail of an account (its id) is."""
        return self._folder / f"{account}.db"

    @asynccontextmanager
    async def open(self, account: str) -> AsyncIterator[AccountMail]:
        """The mail of an account (its id), for as long as it is used.

        Raises:
            MailError: its file cannot be opened.
        """
        shared = self._shared.pop(account, None) or _Shared(self._begin(account))
        self._shared[account] = shared
        shared.users += 1
        try:
            mail, _ = await asyncio.shield(shared.opening)
            yield mail
        finally:
            shared.users -= 1
            self._tidy()

    def faults(self) -> Sequence[str]:
        """What is wrong with files now, a line each; for ``status``."""
        return self._faults.lines()

    async def close(self) -> None:
        """Close every file; nobody may use one any more."""
        for account in list(self._shared):
            self._drop(account)
        for thread in self._threads:
            await asyncio.to_thread(thread.shutdown)

    # -- inside --------------------------------------------------------------------------------

    def _thread(self, account: str) -> ThreadPoolExecutor:
        return self._threads[crc32(account.encode()) % THREADS]

    def _begin(self, account: str) -> asyncio.Future[tuple[AccountMail, MailFile]]:
        loop, thread = asyncio.get_running_loop(), self._thread(account)
        opening = loop.run_in_executor(thread, partial(self._load, account, thread))

        def opened(done: asyncio.Future[tuple[AccountMail, MailFile]]) -> None:
            if not done.cancelled():
                self._faults.opened(account, done.exception())

        opening.add_done_callback(opened)
        return opening

    def _load(self, account: str, thread: ThreadPoolExecutor) -> tuple[AccountMail, MailFile]:
        now = self._clock()
        try:
            make_folder(self._folder)
        except OSError as error:
            raise BrokenError(describe(self._folder, error)) from None
        file = MailFile(self.path(account), account, now, self._quota)
        try:
            with suppress(NoRoomError):
                file.drop_uploads(now)
            report = partial(self._faults.used, account)
            loaded = file.load()
            mail = AccountMail(account, file, loaded, thread, self._clock, self._quota, report)
        except BaseException:
            file.close()
            raise
        return mail, file

    def _tidy(self) -> None:
        """Close what is damaged or failed to open, and the longest idle of too many."""
        idle = [account for account, shared in self._shared.items() if not shared.users]
        for account in idle:
            opening = self._shared[account].opening
            has_failed = opening.done() and opening.exception() is not None
            if has_failed or self._faults.is_lasting(account):  # it may have been restored
                self._drop(account)
        for account in idle[:-MAX_IDLE]:
            if account in self._shared:
                self._drop(account)

    def _drop(self, account: str) -> None:
        thread = self._thread(account)

        def close(opening: asyncio.Future[tuple[AccountMail, MailFile]]) -> None:
            if not opening.cancelled() and opening.exception() is None:
                thread.submit(opening.result()[1].close)

        opening = self._shared.pop(account).opening
        if opening.done():
            close(opening)
        else:
            opening.add_done_callback(close)
