"""mailward as a service manager runs it, measured from outside: a process, a socket, its doors."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.real.processes import Child, eventually

PROGRAM = Path(sys.executable).with_name("mailward")
READY_SECONDS = 120.0
STOP_SECONDS = 60.0


class Daemon:
    """One daemon with *configuration*; it keeps its data in *folder*. *command* is what runs it."""

    def __init__(
        self, folder: Path, configuration: str, command: Sequence[str | Path] = (PROGRAM,)
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self._folder = folder
        self._file = folder / "config.toml"
        self._command = command
        self._child: Child | None = None
        self.configure(configuration)

    def configure(self, configuration: str) -> None:
        """Write the configuration anew; a running daemon knows nothing of it yet."""
        self._file.write_text(configuration)

    def launch(self) -> Child:
        """Start the process and do not wait for anything."""
        self._child = Child(
            # Its log goes to a file at once: who reads a pipe slowly would hold its loop up.
            ["/bin/sh", "-c", 'exec "$@" 2>>log', "sh", *self._command, "serve", *self._where],
            output=self._folder / "log",
            folder=self._folder,
        )
        return self._child

    def start(self) -> None:
        """Start it, and wait until all its doors are open and know their backends."""
        self.launch().wait_until(self._is_up, within_seconds=READY_SECONDS)

    def stop(self) -> None:
        if self._child is not None:
            child, self._child = self._child, None
            child.terminate(within_seconds=STOP_SECONDS)

    def wait_for_backends(self) -> None:
        """Return once every door says that its backend answers."""
        eventually(
            lambda: all(
                door["state"] in {"ok", "open"} for door in self.told("/api/status")["doors"]
            ),
            "every backend is known",
        )

    @property
    def _where(self) -> tuple[str | Path, ...]:
        return ("--config", self._file, "--data", self.data)

    @property
    def child(self) -> Child:
        if self._child is None:
            raise ValueError("it does not run")
        return self._child

    @property
    def socket(self) -> Path:
        return self.data / "mailward.sock"

    @property
    def database(self) -> Path:
        return self.data / "mailward.db"

    def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> tuple[int, bytes]:
        """One request over its own socket."""
        line = OverSocket(self.socket)
        try:
            line.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json"},
            )
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()

    def told(self, path: str) -> Any:
        """What it says to a GET of *path*."""
        status, said = self.ask("GET", path)
        if status != http.client.OK:
            raise ValueError(f"{path}: {status} {said!r}")
        return json.loads(said)

    def _is_up(self) -> bool:
        try:
            status, _ = self.ask("GET", "/healthz")
        except OSError:
            return False
        return status == http.client.OK


class OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float = READY_SECONDS) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
