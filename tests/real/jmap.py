"""JMAP by plain HTTP calls: a door for it, and those who come there."""

from __future__ import annotations

import http.client
import json
import ssl
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.real.conftest import ACCOUNTS

USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
WRONG = "wrong-opensesame"

_DOOR = """
[server.listener.jmap]
protocol = "jmap"
bind = ["127.0.0.1:{port}"]
backend = "jmap"
{more}

[backend.jmap]
address = "http://127.0.0.1:{backend}"
client-address = "forwarded"
"""


def jmap_tables(port: int, backend: int, more: str = "") -> str:
    """A door on *port* before a server on *backend*; *more* are lines of the listener."""
    return _DOOR.format(port=port, backend=backend, more=more)


def basic(login: str, password: str) -> str:
    return "Basic " + b64encode(f"{login}:{password}".encode()).decode()


@dataclass(frozen=True)
class Answer:
    status: int
    fields: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class JmapDoor:
    """The door on *port*, or a proxy before it, over TLS where there is a context for it.

    *path* is what guesses ask for.
    """

    port: int
    tls: ssl.SSLContext | None = None
    path: str = "/jmap/"

    def connect(self, source: str = "127.0.0.1") -> http.client.HTTPConnection:
        if self.tls is not None:
            return http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=30, source_address=(source, 0), context=self.tls
            )
        return http.client.HTTPConnection("127.0.0.1", self.port, 30, (source, 0))

    def ask(
        self,
        path: str,
        login: str = "alice",
        password: str | None = None,
        body: bytes | None = None,
        source: str = "127.0.0.1",
        **fields: str,
    ) -> Answer | None:
        """The answer to one request, ``None`` where there is none."""
        headers = {"Authorization": basic(login, password or ACCOUNTS.get(login, WRONG))}
        headers |= {"Content-Type": "application/json"} if body else {}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        with closing(self.connect(source)) as line:
            try:
                line.request("POST" if body else "GET", path, body, headers)
                answer = line.getresponse()
                return Answer(answer.status, answer.headers, answer.read())
            except (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError):
                return None

    def call(self, *calls: list[Any]) -> Any:
        body = json.dumps({"using": USING, "methodCalls": calls}).encode()
        answer = self.ask("/jmap/", body=body)
        assert answer is not None
        assert answer.status == 200, answer.body
        return answer.json["methodResponses"]

    def told(self, login: str, password: str, source: str) -> int | None:
        answer = self.ask(self.path, login, password, source=source)
        return None if answer is None else answer.status
