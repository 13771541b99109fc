"""A log for programs that know only /dev/log: a socket of ours in its place."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

from tests.real.processes import eventually

_MAX_ENTRY_OCTETS = 65_536


class Syslog:
    """All that is sent to *path*, in its order."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)
        self._entries: list[str] = []
        self._marks = count()
        # Whoever logs faster than we read would wait: it is read all the time.
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def entries(self) -> list[str]:
        """Everything that was logged up to this moment."""
        # All come through one queue: behind a mark of ours nothing is left that was there before.
        mark = f"mark {next(self._marks)}"
        self._send(mark)
        eventually(lambda: mark in self._entries, "the mark is in the log")
        return list(self._entries)

    def close(self) -> None:
        self._send("")
        self._reading.join()
        self._socket.close()
        with suppress(FileNotFoundError):
            self._path.unlink()

    def _send(self, entry: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(entry.encode(), str(self._path))

    def _read(self) -> None:
        while entry := self._socket.recv(_MAX_ENTRY_OCTETS):
            self._entries.append(entry.decode(errors="replace").rstrip("\n\0"))
