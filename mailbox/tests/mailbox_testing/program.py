"""The program as a child process, supervised as by the front door, and clients of its sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from mailward_mailbox.client import Client

from mailward.wire.proxyline import TlsFacts, proxy_v2_header

PASSWORD = "opensesame"
SECONDS = 20.0
COMMAND = (sys.executable, "-m", "mailward_mailbox", "serve")
HERE = (IPv4Address("192.0.2.1"), 143)
CLIENT = Client((IPv4Address("192.0.2.7"), 40_000), HERE)


def client_at(address: str, *, tls: bool = False) -> Client:
    return Client((IPv4Address(address), 40_000), HERE, TlsFacts("TLSv1.3", "") if tls else None)


class Talk:
    """A client of one connection."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(SECONDS)
        self.socket = connected
        self._lines: BinaryIO = connected.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self.socket.close()

    def say(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> bytes:
        """The next line; empty at the end."""
        return self._lines.readline()

    def up_to(self, *starts: bytes) -> bytes:
        """All lines up to the first that begins with one of *starts*, or the end."""
        lines = b""
        while line := self._lines.readline():
            lines += line
            if line.startswith(starts):
                break
        return lines

    def ask(self, octets: bytes, *starts: bytes) -> bytes:
        self.say(octets)
        return self.up_to(*starts)

    def command(self, text: bytes) -> bytes:
        """An IMAP command, and all that it is answered."""
        return self.ask(b"t " + text + b"\r\n", b"t ", b"* BYE")

    def rest(self) -> bytes:
        """All until the end; a connection that is reset has ended, too."""
        try:
            return self._lines.read()
        except ConnectionError:
            return b""


class Program:
    """One process, which listens in *data*."""

    def __init__(
        self,
        data: Path,
        settings: Mapping[str, Any] | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [*COMMAND, "--data", str(data), "--supervised", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        self.tell(settings or {"hostname": "mail.test"})

    def tell(self, settings: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(settings).encode() + b"\n")
        self.process.stdin.flush()

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line != b'{"ready": true}\n':
            raise AssertionError((line, *self.end()))

    def end(self, number: int | None = None) -> tuple[int, list[dict[str, str]]]:
        """End it by a signal, or by the end of its pipe: its exit status and its log lines."""
        assert self.process.stdin is not None
        if number is not None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, [json.loads(line) for line in said.splitlines()]

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The answer of the control socket."""
        with self.connect("control", None) as talk:
            return json.loads(talk.ask(json.dumps(request).encode() + b"\n", b"{"))

    def add(self, *names: str) -> None:
        for name in names:
            answer = self.ask({"do": "accounts.add", "name": name, "password": PASSWORD})
            assert answer["account"]["name"] == name, answer

    def connect(self, service: str, client: Client | None = CLIENT) -> Talk:
        """A connection, which begins with a PROXY header for *client* where there is one."""
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Before it has a time-out: it would not wait for a place in the backlog.
        connected.connect(str(self.data / f"{service}.sock"))
        talk = Talk(connected)
        if client is not None:
            talk.say(proxy_v2_header(client.source, client.destination, client.tls))
        return talk

    def imap(self, name: str = "alice") -> Talk:
        """A session of IMAP."""
        talk = self.connect("imap")
        assert b" OK " in talk.line()
        assert b"t OK" in talk.command(f"LOGIN {name} {PASSWORD}".encode())
        return talk


@contextmanager
def program(
    data: Path,
    settings: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """A process that is ready, and is ended whatever happens."""
    started = Program(data, settings, options, environment)
    try:
        started.wait_ready()
        yield started
    finally:
        if started.process.poll() is None:
            started.process.send_signal(signal.SIGCONT)
            started.process.kill()
        started.process.communicate()


def plain(name: str, password: str = PASSWORD) -> bytes:
    """The message of SASL PLAIN (RFC 4616)."""
    return b64encode(f"\0{name}\0{password}".encode())
