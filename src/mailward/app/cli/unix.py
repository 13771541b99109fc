"""HTTP over a Unix socket. Apart from the rest because it takes a while to load."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self

_ANSWER_SECONDS = 60.0


class BrokenAnswerError(Exception):
    """What came back is no HTTP, or was cut off."""


class Answer:
    """An answer whose body can be read once; to be used as a context."""

    def __init__(self, line: http.client.HTTPConnection) -> None:
        self._line = line
        self._response = line.getresponse()

    @property
    def is_ok(self) -> bool:
        return self._response.status == http.client.OK

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._line.close()

    def body(self) -> bytes:
        """All of it.

        Raises:
            BrokenAnswerError: it was cut off.
        """
        try:
            return self._response.read()
        except (OSError, http.client.HTTPException) as error:
            raise BrokenAnswerError(str(error)) from None

    def lines(self) -> Iterator[bytes]:
        """Its lines as they come, until it ends or is cut off."""
        try:
            while line := self._response.readline():
                yield line
        except (OSError, http.client.HTTPException):
            return


def send(path: Path, method: str, target: str, body: bytes | None) -> Answer:
    """Make one request on the socket at *path*.

    Raises:
        OSError: nobody can be reached there.
        BrokenAnswerError: what came back is no HTTP.
    """
    line = _UnixConnection(path)
    try:
        line.request(
            method,
            target,
            body=body,
            headers={"Connection": "close", "Content-Type": "application/json"},
        )
        return Answer(line)
    except http.client.HTTPException as error:
        line.close()
        raise BrokenAnswerError(str(error)) from None
    except BaseException:
        line.close()
        raise


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
