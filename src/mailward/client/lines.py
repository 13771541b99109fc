"""Connections to the daemon: over its Unix socket, or to a manage listener."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAX_ANSWER_OCTETS = 100_000_000  # the longest to 10,000 reports has some 50 MB
_MAX_IDLE = 8  # connections kept for the next request


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class StaleError(Exception):
    """A connection that was kept had ended meanwhile: a new one may do."""


class Lines:
    """The connections to one daemon, shared by all threads of a program.

    *at* is the path of its socket, or the URL of a manage listener, which needs *credentials*
    (``user:secret``); *ca* is a file of authorities to trust instead of the system's.

    Raises:
        ValueError: *at* is no URL, or credentials are missing or useless.
        OSError: *ca* cannot be read.
    """

    def __init__(self, at: str, credentials: str | None, ca: str | None) -> None:
        self.at = at
        self._process = os.getpid()
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._headers = {"Content-Type": "application/json"}
        self._is_url = at.startswith(("http://", "https://"))
        if not self._is_url:
            if credentials is not None:
                raise ValueError(f"{at} is a socket: it needs no credentials")
            return
        parts = urlsplit(at)
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError('this is no URL of a manage listener; write "https://HOST:PORT"')
        if credentials is None or ":" not in credentials:
            raise ValueError(f"{at} needs credentials: user:secret")
        token = b64encode(credentials.encode()).decode()
        self._headers["Authorization"] = f"Basic {token}"
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        is_encrypted = parts.scheme == "https"
        self._tls = ssl.create_default_context(cafile=ca) if is_encrypted else None

    def ask(
        self, method: str, target: str, body: bytes | None, deadline: float
    ) -> tuple[int, bytes]:
        """The status of the answer and what it says; *deadline* is on the monotonic clock.

        Raises:
            StaleError: try once more, at once.
            OSError: there was no answer in time.
            http.client.HTTPException: what came back is no HTTP.
        """
        line, is_new = self._line(_left(deadline))
        try:
            self._request(line, method, target, body)
            line.response_class = partial(_answer, deadline)  # type: ignore[assignment] # it makes one
            answer = line.getresponse()
            said = _read(answer)
        except (ConnectionError, http.client.BadStatusLine) as error:
            line.close()
            if is_new:
                raise
            raise StaleError from error
        except BaseException:
            line.close()
            raise
        if answer.will_close or len(self._idle) >= _MAX_IDLE:
            line.close()
        else:
            self._idle.append(line)
        return answer.status, said

    def close(self) -> None:
        """End the connections that wait for a next request."""
        while self._idle:
            self._idle.pop().close()

    def _request(
        self, line: http.client.HTTPConnection, method: str, target: str, body: bytes | None
    ) -> None:
        headers: Mapping[str, str] = self._headers
        line.request(
            method, f"{self._prefix}{target}" if self._is_url else target, body, dict(headers)
        )

    def _line(self, seconds: float) -> tuple[http.client.HTTPConnection, bool]:
        if self._process != os.getpid():
            # Those that were kept are our parent's, too: each would read the other's answers.
            self.close()
            self._process = os.getpid()
        try:
            kept = self._idle.pop()
        except IndexError:
            return self._new(seconds), True
        if kept.sock is not None:
            kept.sock.settimeout(seconds)
        return kept, False

    def _new(self, seconds: float) -> http.client.HTTPConnection:
        if not self._is_url:
            return UnixConnection(self.at, seconds)
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=seconds, context=self._tls
        )


class _Punctual(io.RawIOBase):
    """What comes out of *connection*, until *deadline*: no trickle makes an answer last longer."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._octets = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, into: WriteableBuffer) -> int | None:
        self._connection.settimeout(_left(self._deadline))
        return self._octets.readinto(into)

    def close(self) -> None:
        self._octets.close()
        super().close()


class _Source:
    """What an answer is read from, in the place of the connection itself."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Punctual(self._connection, self._deadline))


def _answer(
    deadline: float, connection: socket.socket, *, method: str | None
) -> http.client.HTTPResponse:
    source = _Source(connection, deadline)
    return http.client.HTTPResponse(source, method=method)  # type: ignore[arg-type] # it only makes a file of it


def _read(answer: http.client.HTTPResponse) -> bytes:
    said = answer.read(_MAX_ANSWER_OCTETS)
    if len(said) == _MAX_ANSWER_OCTETS:
        raise http.client.HTTPException("the answer has no end")
    return said


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError("there was no answer in time")
    return left
