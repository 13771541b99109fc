"""One mailward for each store: a lock beside its file, which the kernel lets go of when it ends.

It is none of SQLite's locks: others may read the file at any time, or make a backup of it.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from mailward.stores.port import StoreError

TRIES = 10
TRY_AGAIN_SECONDS = 0.05  # somebody may just be looking whether it is taken


class StoreLock:
    """The lock of the store at *path*, by whatever name that file is reached."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None

    def take(self) -> None:
        """Have it from now on; once more is harmless.

        Raises:
            StoreError: another process has it.
        """
        for attempt in range(TRIES if self._held is None else 0):
            if attempt:
                time.sleep(TRY_AGAIN_SECONDS)
            self._held = self._taken()
            if self._held is not None:
                return
        if self._held is None:
            raise StoreError(why_held(self._path, holder(self._path)))

    def release(self) -> None:
        if self._held is None:
            return
        # Whoever opened the file a moment ago sees that it is no longer the one at this path.
        with suppress(OSError):
            _place(self._path).unlink()
        os.close(self._held)
        self._held = None

    def _taken(self) -> int | None:
        place = _place(self._path)
        try:
            opened = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(f"{self._path}: {place} cannot be made: {error.strerror}") from error
        if _is_locked(opened, fcntl.LOCK_EX) and _is_at(place, opened):
            own_as(opened, self._path)
            with suppress(
                OSError
            ):  # on a full disk nobody reads whose it is; it is ours all the same
                os.ftruncate(opened, 0)
                os.pwrite(opened, b"%d\n" % os.getpid(), 0)
            return opened
        os.close(opened)
        return None


def _is_locked(opened: int, how: int) -> bool:
    """Whether the lock was free, and is ours now."""
    try:
        fcntl.flock(opened, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(path: Path) -> int | None:
    """The process that has the lock of the store at *path*; 0 if it is not known which."""
    try:
        opened = os.open(_place(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if _is_locked(opened, fcntl.LOCK_SH):
            return None
        said = os.pread(opened, 32, 0).strip()
        return int(said) if said.isdigit() else 0
    finally:
        os.close(opened)


def why_held(path: Path, process: int | None) -> str:
    which = f" (process {process})" if process else ""
    return f"{path}: another mailward{which} uses it; stop that one, or set store.path"


def own_as(opened: int, path: Path) -> None:
    """Give the *opened* file to the owner of *path*, or of its folder, where root made it.

    The service has a user of its own, and could not open what belongs to root.
    """
    if os.geteuid() == 0:
        model = path if path.exists() else path.absolute().parent
        owner = model.stat()
        os.fchown(opened, owner.st_uid, owner.st_gid)


def _place(path: Path) -> Path:
    return Path(f"{os.path.realpath(path)}.lock")


def _is_at(place: Path, opened: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(place.stat(), os.fstat(opened))
    return False
