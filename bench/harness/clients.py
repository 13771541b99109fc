"""Good users: they connect, say who they are, and stay or leave. Blocking sockets and threads.

What is measured is never these: latencies are taken with one user at a time, rates from the
*server's* processor time, so it does not matter how fast these can be. They acknowledge every
segment at once: nginx sends its greeting behind the tickets of TLS 1.3 and waits for the first of
these to be acknowledged, which a client that does not hurry takes 40 ms for.
"""

from __future__ import annotations

import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, unique
from itertools import count

_SECONDS = 60.0
_sources = count()


class RefusedError(Exception):
    """A good user could not log in."""


@unique
class Speaks(Enum):
    """What a port speaks."""

    IMAP = "IMAP"
    SUBMISSION = "submission"


@dataclass(frozen=True, slots=True)
class Place:
    """A port where good users log in."""

    port: int
    speaks: Speaks = Speaks.IMAP
    tls: ssl.SSLContext | None = None
    login: str = "alice"
    password: str = "secret"  # noqa: S105 -- made up

    def log_in(self, source: str | None = None) -> socket.socket:
        """A connection that is logged in.

        Raises:
            OSError, RefusedError: there is none.
        """
        line = socket.create_connection(("127.0.0.1", self.port), _SECONDS, (source or "", 0))
        try:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            if self.tls is not None:
                line = self.tls.wrap_socket(line, server_hostname="localhost")
            self._say_who(line)
        except BaseException:
            line.close()
            raise
        return line

    def _say_who(self, line: socket.socket) -> None:
        match self.speaks:
            case Speaks.IMAP:
                _hear(line, b"* OK")
                line.sendall(f"a LOGIN {self.login} {self.password}\r\n".encode())
                _hear(line, b"a OK")
            case Speaks.SUBMISSION:
                _hear(line, b"220 ")
                line.sendall(b"EHLO client.test\r\n")
                _hear(line, b"250 ")
                secret = b64encode(f"\0{self.login}\0{self.password}".encode())
                line.sendall(b"AUTH PLAIN " + secret + b"\r\n")
                _hear(line, b"235 ")

    def leave(self, line: socket.socket) -> None:
        """Say goodbye, and wait until the other side has closed."""
        with closing(line):
            line.sendall(b"b LOGOUT\r\n" if self.speaks is Speaks.IMAP else b"QUIT\r\n")
            while line.recv(4_096):
                pass


def _hear(line: socket.socket, wanted: bytes) -> None:
    """Read until a whole line begins with *wanted*."""
    heard = b""
    while not heard.endswith(b"\r\n") or not any(
        part.startswith(wanted) for part in heard.split(b"\r\n")
    ):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        more = line.recv(4_096)
        heard += more
        if not more or b" NO " in heard or heard.startswith((b"4", b"5")):
            raise RefusedError(f"wanted {wanted!r}, heard {heard!r}")


def sources() -> Iterator[str]:
    """Addresses of loopback, no two alike."""
    for number in _sources:
        yield f"127.{100 + (number >> 16) % 100}.{number >> 8 & 255}.{number & 255}"


def log_in_once(place: Place, source: str | None = None) -> float:
    """How many seconds a login took, from the connection to the answer."""
    began = time.perf_counter()
    line = place.log_in(source)
    took = time.perf_counter() - began
    place.leave(line)
    return took


def log_in_often(place: Place, times: int, at_once: int = 1) -> Sequence[float]:
    """The seconds of each of so many logins."""
    if at_once == 1:
        return [log_in_once(place) for _ in range(times)]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda _: log_in_once(place), range(times)))
