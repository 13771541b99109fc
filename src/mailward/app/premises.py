"""The data directory and the management socket: taken by one daemon, never by two.

A daemon that was killed leaves a socket behind that nobody answers on; a lock tells it from one
that is alive, and the kernel lets go of the lock whatever ends the daemon.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from mailward.settings.configuration import MAX_SOCKET_PATH_OCTETS
from mailward.stores.lock import own_as

LOCK_NAME = "mailward.lock"


class PremisesError(Exception):
    """The data directory or the socket cannot be used; the message says what to do."""


class OccupiedError(PremisesError):
    """Another daemon uses it."""


def check_premises(data: Path, socket_path: str) -> Iterator[str]:
    """Why no daemon could use *data* and a socket there at all; nothing is made or changed."""
    folder = data
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        yield _unusable(data, os.strerror(errno.ENOTDIR))
    elif not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        yield _unusable(data, os.strerror(errno.EACCES))
    else:
        where = data / socket_path
        why = _why_no_socket(where)
        if not why and where.parent != data and not where.parent.is_dir():
            why = _cannot_make(where, os.strerror(errno.ENOENT))
        if not why and len(os.fsencode(where)) > MAX_SOCKET_PATH_OCTETS:
            why = _cannot_make(where, "AF_UNIX path too long")
        if why:
            yield why


class Premises:
    """The *data* directory, ours until :meth:`leave`.

    Raises:
        PremisesError: it cannot be made or written, or another daemon uses it.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(data / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            own_as(self._lock, data)
        except OSError as error:
            raise PremisesError(_unusable(data, error.strerror)) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise OccupiedError(
                f"another mailward runs on the data directory {data}; stop it or use --data"
            ) from None

    def open_socket(self, path: str) -> socket.socket:
        """The listening management socket at *path* (relative to the data directory), mode 0600.

        Raises:
            PremisesError: a living daemon answers there, or it cannot be made.
        """
        where = self.data / path
        if why := _why_no_socket(where):
            raise PremisesError(why)
        if is_answered(where):
            raise OccupiedError(
                f"another daemon answers on {where}; stop it or set management.socket"
            )
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            where.unlink(missing_ok=True)
            before = os.umask(0o177)  # the socket is never, not even for a moment, for others
            try:
                listening.bind(str(where))
            finally:
                os.umask(before)
            listening.listen(128)
        except OSError as error:
            listening.close()
            raise PremisesError(_cannot_make(where, error.strerror or str(error))) from None
        listening.setblocking(False)
        return listening

    def remove_socket(self, path: str) -> None:
        """Nobody answers on it any more."""
        (self.data / path).unlink(missing_ok=True)

    def leave(self) -> None:
        """Let go of the data directory."""
        os.close(self._lock)


def is_answered(path: Path) -> bool:
    """Whether a daemon listens on the socket at *path*."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _why_no_socket(where: Path) -> str:
    if where.exists() and not where.is_socket():
        return f"{where} is there and is no socket; move it away or set management.socket"
    return ""


def _unusable(data: Path, why: str | None) -> str:
    return (
        f"cannot use the data directory {data}: {why}; "
        "choose another with --data or make it writable"
    )


def _cannot_make(where: Path, why: str) -> str:
    return (
        f"cannot make the management socket {where}: {why}; "
        "set management.socket to a path that can be written"
    )
