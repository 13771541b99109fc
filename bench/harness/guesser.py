"""An attacker: so many connections at once, one wrong password each, until there is no answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

_SECONDS = 20.0
_MOST_SECONDS = 30.0  # an attack ends by itself

_accounts = count()  # no two attacks share one: a login has its own limit


class Attack:
    """Guesses at an IMAP port from *source*, each time for another account.

    *wrong_at*: when each wrong password was said to be wrong. *dropped_at*: when a connection was
    first dropped, ``None`` if none was.
    """

    def __init__(self, port: int, source: str) -> None:
        self.wrong_at: list[float] = []
        self.dropped_at: float | None = None
        self._port = port
        self._source = source
        self._over = threading.Event()

    def run(self, at_once: int, is_over: Callable[[], bool]) -> None:
        """Go on until *is_over*, or until nobody listens to us any more."""
        end = time.monotonic() + _MOST_SECONDS

        def guess_on(_: int) -> None:
            while not self._over.is_set() and time.monotonic() < end:
                self._guess()
                if is_over():
                    self._over.set()

        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(guess_on, range(at_once)))
        self.wrong_at.sort()

    def _guess(self) -> None:
        try:
            with socket.create_connection(
                ("127.0.0.1", self._port), _SECONDS, (self._source, 0)
            ) as line:
                line.recv(4_096)
                line.sendall(b"a LOGIN guess%d wrong\r\n" % next(_accounts))
                answer = line.recv(4_096)
                if b"AUTHENTICATIONFAILED" in answer:
                    self.wrong_at.append(time.monotonic())
                    line.sendall(b"b LOGOUT\r\n")
                    return
        except OSError:
            pass
        if self.dropped_at is None:
            self.dropped_at = time.monotonic()
        self._over.set()
