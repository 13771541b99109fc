"""Servers as child processes: started in the foreground, ended by their id, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

Seen = TypeVar("Seen")

# Below the range from which clients get their ports: none of them takes a server's.
_PORTS = range(20_000, 32_000)
_MOST_TRIED_PORTS = 1_000
_taken: set[int] = set()
_POLL_SECONDS = 0.02


class ServerError(Exception):
    """A server did not start, or did not stop; the message holds the end of what it said."""


def eventually(look: Callable[[], Seen], what: str, *, within_seconds: float = 10.0) -> Seen:
    """What *look* gives, as soon as it is true.

    Raises:
        TimeoutError: it was never true.
    """
    deadline = time.monotonic() + within_seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_seconds} s: {what}; last seen: {seen!r}")
        time.sleep(_POLL_SECONDS)
    return seen


def let_pass(seconds: float) -> None:
    """Wait where the claim is about time itself; for all else there is :func:`eventually`."""
    time.sleep(seconds)


def free_port() -> int:
    """A port that nobody listens on, neither on 127.0.0.1 nor on ::1, and that nobody else got."""
    for port in random.sample([port for port in _PORTS if port not in _taken], _MOST_TRIED_PORTS):
        with (
            contextlib.suppress(OSError),
            socket.create_server(("127.0.0.1", port)),
            socket.create_server(("::1", port), family=socket.AF_INET6),
        ):
            _taken.add(port)
            return port
    raise ServerError("no port is free")


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens on *port*."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5):
        return True
    return False


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that is gone afterwards.

    Servers give up root and must still get in; the paths of their sockets have to be short.
    """
    folder = Path(tempfile.mkdtemp(prefix="mailward-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def disk_of(megabytes: int, folder: Path) -> Iterator[Path]:
    """*folder*, made as a disk of its own that is so large, and not one more."""
    folder.mkdir(parents=True)
    size = f"size={megabytes}m"
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", size, "none", folder], check=True)
    yield folder
    subprocess.run(["/bin/umount", folder], check=True)


class Child:
    """One process and all it starts, in a process group of its own.

    What it says goes through a pipe to a file, so limits on the files it may write spare its log.
    """

    def __init__(self, command: Sequence[str | Path], *, output: Path, folder: Path) -> None:
        """Start *command* in *folder*; all it says is added to *output*."""
        self._output = output
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
        self._copying = threading.Thread(target=self._copy, daemon=True)
        self._copying.start()

    def _copy(self) -> None:
        said = self._process.stdout
        assert said is not None
        with said, self._output.open("ab", buffering=0) as output:
            while chunk := os.read(said.fileno(), 65_536):
                output.write(chunk)

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_status(self) -> int | None:
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], *, within_seconds: float = 20.0) -> None:
        """Return once *ready*; a child that ends first or takes too long is ended.

        Raises:
            ServerError: it ended, or was not ready in time.
        """

        def ready_or_ended() -> bool:
            return self.exit_status() is not None or ready()

        try:
            eventually(ready_or_ended, "ready", within_seconds=within_seconds)
        except TimeoutError:
            self.kill()
            raise ServerError(f"not ready in time; it said:\n{self.said()[-4000:]}") from None
        if self.exit_status() is not None:
            self.kill()
            raise ServerError(f"ended at start; it said:\n{self.said()[-4000:]}")

    def terminate(self, *, within_seconds: float = 10.0) -> int:
        """Ask it to end; give its exit status. What is left of its group is killed.

        Raises:
            ServerError: it did not end in time.
        """
        self._process.terminate()
        try:
            return self._process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            raise ServerError(f"did not stop; it said:\n{self.said()[-4000:]}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """End the whole group at once and wait until it is gone."""
        self.signal_group(signal.SIGKILL)
        self._process.wait()
        eventually(lambda: not self.members(), f"group {self.pid} is gone")
        self._copying.join()

    def signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def members(self) -> list[int]:
        """The living processes of the group."""
        return [pid for pid in _processes() if _group_and_state(pid) == (self.pid, True)]

    def said(self) -> str:
        return self._output.read_text(errors="replace")


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _group_and_state(pid: int) -> tuple[int, bool]:
    """The process group, and whether the process lives (a zombie has ended)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return (0, False)
    # The name in parentheses may hold anything; behind it: state, parent, group.
    state, _, group = stat.rpartition(")")[2].split()[:3]
    return (int(group), state not in "ZX")
