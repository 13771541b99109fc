"""What the dialogues of all line protocols share: reading in turn, sending in steps, the end.

The words that are sent and understood belong to each protocol's own dialogue.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from enum import Enum, auto, unique

from mailward.wire.dialogue import (
    MAX_BACKEND_LINE_OCTETS,
    Accepted,
    Answer,
    DialogueEvent,
    Probed,
    Send,
    Unavailable,
)
from mailward.wire.door import Credentials
from mailward.wire.lines import CRLF, LineError, Lines

MAX_CODE_OCTETS = 32
_CODE = re.compile(rb"[\x21-\x7e]+")
_TOKEN = re.compile(rb"[\x20-\x7e]+\Z")


@unique
class State(Enum):
    """Where a dialogue stands."""

    GREETING = auto()
    CAPABILITIES = auto()
    LOGIN = auto()
    OVER = auto()


class LoginDialogue(ABC):
    """A dialogue of lines. Without credentials it ends when the capabilities are known."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials
        self._lines = Lines(MAX_BACKEND_LINE_OCTETS + len(CRLF))
        self._state = State.GREETING
        self._events: deque[DialogueEvent] = deque()
        self._steps: deque[bytes] = deque()
        self._steps_sent = 0

    def receive_data(self, data: bytes) -> None:
        self._lines.add(data)

    def next_event(self) -> DialogueEvent | None:
        while not self._events and self._state is not State.OVER:
            try:
                line = self._lines.line(MAX_BACKEND_LINE_OCTETS)
            except LineError as error:
                self._finish(Unavailable(f"the backend talks nonsense: {error}"))
                break
            if line is None:
                return None
            self._read(line)
        return self._events.popleft() if self._events else None

    def closed(self) -> Unavailable:
        match self._state:
            case State.GREETING:
                return Unavailable("the backend closed the connection without a greeting")
            case State.CAPABILITIES:
                return Unavailable("the backend closed the connection before the login")
            case State.LOGIN | State.OVER:
                return Unavailable("the backend closed the connection without an answer")

    @property
    def _is_decided(self) -> bool:
        """Whether the deciding message has been sent."""
        return self._state is State.LOGIN and not self._steps

    @property
    def _has_begun(self) -> bool:
        """Whether the backend has seen any of the credentials and could call them wrong."""
        return self._is_decided or self._steps_sent > 1

    def _send(self, line: bytes) -> None:
        self._events.append(Send(line + CRLF))

    def _send_steps(self, steps: Sequence[bytes]) -> None:
        """Send the first of *steps* now and each other one when the backend asks for it."""
        self._state = State.LOGIN
        self._steps.extend(steps)
        self._send_step()

    def _send_step(self) -> None:
        if not self._steps:
            self._finish(Unavailable("the backend asks for more than the credentials"))
            return
        self._steps_sent += 1
        octets = self._steps.popleft() + CRLF
        self._events.append(Send(octets, deciding=not self._steps))

    def _finish(self, answer: Answer) -> None:
        self._state = State.OVER
        self._steps.clear()
        self._events.append(answer)

    def _accept(self, capabilities: Sequence[str]) -> None:
        self._finish(Accepted(tuple(capabilities), self._lines.rest()))

    def _end_probe(self, farewell: bytes, capabilities: Sequence[str]) -> None:
        self._send(farewell)
        self._finish(Probed(tuple(capabilities)))

    def _nonsense(self) -> None:
        self._finish(Unavailable("the backend talks nonsense"))

    @abstractmethod
    def _read(self, line: bytes) -> None:
        """Take one line of the backend in any state but OVER."""


def printable(code: bytes) -> str:
    """The first word of *code* as it may be shown to an operator, capped.

    >>> printable(b"LIMIT\\x1b[31m 5")
    'LIMIT'
    """
    found = _CODE.match(code)
    return found[0][:MAX_CODE_OCTETS].decode("ascii") if found else "?"


def tokens(octets: Sequence[bytes]) -> tuple[str, ...]:
    """Those of *octets* that are printable: capabilities never are anything else."""
    return tuple(token.decode("ascii") for token in octets if _TOKEN.match(token))
