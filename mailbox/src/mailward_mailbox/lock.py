"""One process for each data folder: a lock that the kernel releases when its process ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_MAX_PID_OCTETS = 32


class InUseError(Exception):
    """Another process has the folder; the message says which one."""


class FolderLock:
    """The lock of the data in *folder*: a file beside the accounts, locked by flock(2)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "accounts.db.lock"
        self._opened: int | None = None

    def take(self) -> None:
        """Have it until :meth:`release`, or the end of the process.

        Raises:
            InUseError: another process has it.
            OSError: the file cannot be made.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        opened = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.pread(opened, _MAX_PID_OCTETS, 0).strip()
            os.close(opened)
            which = f" (process {int(said)})" if said.isdigit() else ""
            raise InUseError(f"{self._folder}: another process{which} uses it") from None
        with suppress(OSError):  # on a full disk the lock holds without its process's number
            os.ftruncate(opened, 0)
            os.pwrite(opened, b"%d\n" % os.getpid(), 0)
        self._opened = opened

    def release(self) -> None:
        """Give it back; once more is harmless."""
        if self._opened is not None:
            with suppress(OSError):
                os.ftruncate(self._opened, 0)
            os.close(self._opened)
            self._opened = None
