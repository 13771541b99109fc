"""Operators who call from afar: a house with a manage listener, and what they say to it."""

from __future__ import annotations

import http.client
import json
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from argon2 import PasswordHasher

from tests.admin.house import House, Told, open_house

RIGHT = ("admin", "right horse")
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(RIGHT[1])
OTHER_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("another")
CONFIGURATION = f"""\
[server.security]
fail2ban = "3/1h"
allowed-networks = {{ "127.0.1.0/24" }}
[server.listener.far]
protocol = "manage"
bind = ["127.0.0.1:0"]
[management]
admin.secret = "{HASH}"
"""


@contextmanager
def open_far_house(folder: Path, security: str = "") -> Iterator[Far]:
    """A house whose table of security has some lines more."""
    begin = "[server.security]\n"
    with open_house(folder, CONFIGURATION.replace(begin, begin + security)) as house:
        yield Far(house)


@dataclass
class Far:
    """The house, seen from elsewhere."""

    house: House

    @property
    def port(self) -> int:
        return self.house.ports[0]

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(
            ("127.0.0.1", self.port), timeout=20, source_address=(source, 0)
        )

    def line(self, source: str = "127.0.0.1") -> Line:
        return Line(self.port, source)

    def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        who: tuple[str, str] | None = RIGHT,
        source: str = "127.0.0.1",
        headers: Mapping[str, str] | None = None,
    ) -> Told:
        """One request on a connection of its own."""
        with closing(self.line(source)) as line:
            return line.ask(method, target, body, who=who, headers=headers)

    def guess(self, password: str, source: str, user: str = "admin") -> int:
        """The status of one guess, or 0 where the connection just ended."""
        try:
            return self.ask("GET", "/healthz", who=(user, password), source=source).status
        except ConnectionError:
            return 0


@dataclass
class Line:
    """One connection, kept open."""

    port: int
    source: str
    headers: dict[str, str] = field(default_factory=dict)
    """Of the last answer."""

    def __post_init__(self) -> None:
        self._line = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=20, source_address=(self.source, 0)
        )
        self._line.auto_open = 1
        self._line.connect()
        self._line.auto_open = 0

    def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        who: tuple[str, str] | None = RIGHT,
        headers: Mapping[str, str] | None = None,
    ) -> Told:
        octets = body if isinstance(body, bytes) else None
        if octets is None and body is not None:
            octets = json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if octets is not None else {}
        if who is not None:
            sent["Authorization"] = basic(*who)
        self._line.request(method, target, body=octets, headers=sent | dict(headers or {}))
        answer = self._line.getresponse()
        text = answer.read()
        self.headers = dict(answer.headers)
        kind = answer.headers.get_content_type()
        return Told(answer.status, kind, json.loads(text) if "json" in kind else text)

    def is_over(self) -> bool:
        """Whether the other side closes it."""
        return heard(self._line.sock) == b""

    def close(self) -> None:
        self._line.close()


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def heard(connection: socket.socket) -> bytes:
    """Everything until the other side ends, however it does."""
    octets = b""
    try:
        while more := connection.recv(65_536):
            octets += more
    except ConnectionError:
        pass
    return octets
