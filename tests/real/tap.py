"""Stands between a door and the server behind it, passes every byte on, and keeps a copy."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tests.real.processes import eventually


@dataclass(eq=False)
class Conversation:
    """All that one connection carried, and whether it is over."""

    heard: bytearray = field(default_factory=bytearray)
    """What the server was told."""
    said: bytearray = field(default_factory=bytearray)
    """What the server answered."""
    over: threading.Event = field(default_factory=threading.Event)


class Tap:
    """Listens on :attr:`port` on loopback, for the server at *behind* there."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.conversations: list[Conversation] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._run(self._accept)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listening, *self._sockets):
            one.close()

    def conversation(self, mark: bytes) -> Conversation:
        """The one in which the server was told *mark*, from its beginning to its end."""

        def find() -> Conversation | None:
            told = (one for one in self.conversations if mark in one.heard)
            return next((one for one in told if one.over.is_set()), None)

        found = eventually(find, f"a conversation with {mark!r} is over")
        assert found is not None
        return found

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._behind))
                self._sockets += [near, far]
                conversation = Conversation()
                self.conversations.append(conversation)
                self._run(partial(_carry, near, far, conversation.heard))
                self._run(partial(_carry, far, near, conversation.said, conversation.over))


def _carry(
    source: socket.socket,
    target: socket.socket,
    copy: bytearray,
    over: threading.Event | None = None,
) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(65_536):
            copy += octets
            target.sendall(octets)
        target.shutdown(socket.SHUT_WR)
    if over is not None:
        over.set()
