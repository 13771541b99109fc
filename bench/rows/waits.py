"""Row 14: what a session of the built-in mail server waits while another one is hostile.

The server is a process of its own, without mailward before it. One client asks for what once kept
everybody waiting, one thing after the other; another one says NOOP all the while.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.harness.figures import Goal, Line, Of
from bench.harness.script import Extent, run
from bench.harness.usage import peak_octets
from tests.real.processes import Child, free_port, private_folder

PASSWORD = "open sesame"  # noqa: S105 -- of an account made for this
MAX_WAIT_MS, MAX_MEMORY_MB = 100.0, 200.0
MESSAGE_OCTETS = 25_000_000
_PING_SECONDS = 0.001
_MULTIPART = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n"
_FORWARDED = (
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\nTo: "
    + b"a," * 10_000
    + b"\r\n%b--c\r\n\r\nhi\r\n--c--\r\n" % (_MULTIPART % b"c")
)


def many_parts() -> bytes:
    return _MULTIPART % b"b" + b"--b\r\n\r\nx\r\n" * 100_000


def nested() -> bytes:
    levels = (_MULTIPART % b"b%d" % n + b"--b%d\r\n" % n for n in range(2_000))
    return b"".join(levels).ljust(MESSAGE_OCTETS, b"x")


def forwarded() -> bytes:
    return _MULTIPART % b"b" + _FORWARDED * (MESSAGE_OCTETS // len(_FORWARDED))


MESSAGES = (many_parts, nested, forwarded)
"""By their numbers in the mailbox, from 1 on."""
ATTACKS = {
    "LIST with 20 stars": [b'LIST "" ' + b"*a" * 20 + b"*"],
    "256 kB of literals": [b"ID (" + b"{1+}\r\na " * 32_768 + b")"],
    "SEARCH with 3,000 brackets": [b"SEARCH " + b"(" * 3_000],
    "SEARCH of 8,000 keys": [b"SEARCH" + b" TEXT a" * 8_000],
    "FETCH of 3,000 items": [b"FETCH 1 (" + b" ".join([b"BODY[]"] * 3_000) + b")"],
    "100,000 parts": [b"FETCH 1 BODYSTRUCTURE", b"SEARCH 1 TEXT nothing"],
    "25 MB, nested 2,000 deep": [b"FETCH 2 BODYSTRUCTURE", b"SEARCH 2 TEXT nothing"],
    "25 MB of forwarded mail": [b"FETCH 3 BODYSTRUCTURE", b"SEARCH 3 TEXT nothing"],
    "25 MB, read as a whole": [b"FETCH 2 (BODY.PEEK[] BINARY.PEEK[1])"],
}


class BareClient:
    """A client that keeps nothing of what it reads."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._count = 0
        self._socket.recv(1_000)
        self.ask(b'LOGIN alice "%b"' % PASSWORD.encode())

    def close(self) -> None:
        self._socket.close()

    def ask(self, command: bytes) -> None:
        """Send a command and read to its answer; a server may also end the session."""
        self._count += 1
        tag = b"\r\nq%dq " % self._count
        self._socket.sendall(tag[2:] + command + b"\r\n")
        end = b"\r\n"
        while tag not in end:
            octets = self._socket.recv(262_144)
            if not octets:
                return
            end = (end + octets)[-max(len(octets) + len(tag), 1_000) :]

    def ask_all(self, commands: list[bytes]) -> None:
        for command in commands:
            self.ask(command)

    def append(self, message: bytes) -> None:
        self.ask(b"APPEND INBOX {%d+}\r\n%b" % (len(message), message))


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server, with the mail of alice in *folder*."""

    folder: Path
    port: int

    def start(self) -> Child:
        command = [sys.executable, "-m", "mailward_mailbox"]
        data = ["--data", str(self.folder / "data")]
        subprocess.run(
            [*command, "accounts", "add", "alice", "--password-stdin", *data],
            input=PASSWORD,
            text=True,
            check=True,
            capture_output=True,
        )
        listen = ["--listen-imap", f"127.0.0.1:{self.port}"]
        output = self.folder / "output"
        output.touch()
        child = Child([*command, "serve", *data, *listen], output=output, folder=self.folder)
        child.wait_until(lambda: "ready" in child.said())
        return child


def worst_wait_ms(port: int, commands: list[bytes]) -> float:
    """The longest that NOOP took while another session said *commands*, in milliseconds."""
    with closing(BareClient(port)) as attacker, closing(BareClient(port)) as other:
        attacker.ask(b"SELECT INBOX")
        other.ask(b"SELECT INBOX")
        attack = threading.Thread(target=attacker.ask_all, args=(commands,))
        attack.start()
        worst = 0.0
        while True:
            is_last = not attack.is_alive()
            began = time.perf_counter()
            other.ask(b"NOOP")
            worst = max(worst, time.perf_counter() - began)
            if is_last:
                return worst * 1_000
            time.sleep(_PING_SECONDS)


def measure(extent: Extent) -> Iterator[Line]:
    found: dict[str, list[float]] = {attack: [] for attack in ATTACKS}
    peaks = []
    for _ in range(extent.runs):
        with private_folder() as folder:
            server = MailServer(folder, free_port())
            child = server.start()
            try:
                with closing(BareClient(server.port)) as client:
                    for message in MESSAGES:
                        client.append(message())
                for attack, commands in ATTACKS.items():
                    found[attack].append(worst_wait_ms(server.port, commands))
                peaks.append(peak_octets(child.pid) / 1e6)
            finally:
                child.terminate()
    wait, memory = Goal(Of.OURS, MAX_WAIT_MS), Goal(Of.OURS, MAX_MEMORY_MB)
    for attack, waits in found.items():
        note = f"the worst of all runs {max(waits):.0f} ms"
        yield Line("14", f"wait: {attack}", "ms", tuple(waits), goals=(wait,), note=note)
    yield Line("14", "memory of the server at most", "MB", tuple(peaks), goals=(memory,))


if __name__ == "__main__":
    sys.exit(run("rows.waits", __doc__.splitlines()[0], measure))
