"""The data directory and the management socket: taken by one daemon, never by two.

A daemon that was killed leaves a socket behind that nobody answers on; a lock tells it from one
that is alive, and the kernel lets go of the lock whatever ends the daemon.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

LOCK_NAME = "mailward.lock"


class PremisesError(Exception):
    """The data directory or the socket cannot be used; the message says what to do."""


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
        except OSError as error:
            raise PremisesError(
                f"cannot use the data directory {data}: {error.strerror}; "
                "choose another with --data or make it writable"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise PremisesError(
                f"another mailward runs on the data directory {data}; stop it or use --data"
            ) from None

    def open_socket(self, path: str) -> socket.socket:
        """The listening management socket at *path* (relative to the data directory), mode 0600.

        Raises:
            PremisesError: a living daemon answers there, or it cannot be made.
        """
        where = self.data / path
        if where.exists() and not where.is_socket():
            raise PremisesError(
                f"{where} is there and is no socket; move it away or set management.socket"
            )
        if _is_answered(where):
            raise PremisesError(
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
            raise PremisesError(
                f"cannot make the management socket {where}: {error.strerror or error}; "
                "set management.socket to a path that can be written"
            ) from None
        listening.setblocking(False)
        return listening

    def remove_socket(self, path: str) -> None:
        """Nobody answers on it any more."""
        (self.data / path).unlink(missing_ok=True)

    def leave(self) -> None:
        """Let go of the data directory."""
        os.close(self._lock)


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
