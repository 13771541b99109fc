"""The backend's responses after login and our own, in the order of the commands they answer."""

from __future__ import annotations

import re
from collections import deque
from enum import Enum, auto, unique

from mailward.wire.dialogue import MAX_BACKEND_LINE_OCTETS, SecondLoginError
from mailward.wire.lines import literal_at_end

MAX_UNANSWERED = 1_000  # whoever sends so many commands ahead does not wait for answers

_STATUS = re.compile(rb"(?:OK|NO|BYE)\b", re.IGNORECASE)
# All of them invite to begin anew.
_HIDDEN = re.compile(rb'"(?:STARTTLS|SASL|UNAUTHENTICATE|XCLIENT)"', re.IGNORECASE)


@unique
class Awaited(Enum):
    """What the backend is to answer."""

    CAPABILITIES = auto()
    ANYTHING_ELSE = auto()


class Replies:
    """Passes responses on, each behind all that answers the commands before."""

    def __init__(self) -> None:
        self._queue: deque[Awaited | bytes] = deque()
        """What is still to be answered; octets are answers of ours that wait for their turn."""
        self._due = b""
        """Answers of ours whose turn has come."""
        self._line = b""
        self._literal_left = 0
        self._is_inside = False
        """A response goes on behind a literal."""
        self._is_status = False
        self._is_hidden = False

    def await_reply(self, awaited: Awaited) -> None:
        """A command has been passed on."""
        self._add(awaited)

    def say(self, reply: bytes) -> None:
        """A command is answered by us."""
        self._add(reply)
        self._say_what_is_due()

    def due(self) -> bytes:
        """Our own answers that the client may see at once."""
        due, self._due = self._due, b""
        return due

    def read(self, data: bytes) -> bytes:
        """What of the backend's *data* the client may see now, with our answers among it.

        Raises:
            SecondLoginError: the backend talks nonsense.
        """
        passed = bytearray()
        at = 0
        while at < len(data):
            if self._literal_left:
                piece = data[at : at + self._literal_left]
                self._literal_left -= len(piece)
                passed += b"" if self._is_hidden else piece
            else:
                end = data.find(b"\n", at) + 1
                piece = data[at:end] if end else data[at:]
                self._line += piece
                if len(self._line) > MAX_BACKEND_LINE_OCTETS:
                    raise SecondLoginError(
                        "the backend talks nonsense: line too long", failed=False
                    )
                if end:
                    line, self._line = self._line, b""
                    passed += self._read_line(line)
            at += len(piece)
        return bytes(passed)

    def _read_line(self, line: bytes) -> bytes:
        if not self._is_inside:
            self._is_status = _STATUS.match(line) is not None
            is_list = not self._queue or self._queue[0] is Awaited.CAPABILITIES
            self._is_hidden = is_list and _HIDDEN.match(line) is not None
        literal = literal_at_end(line.rstrip(b"\r\n"))
        self._is_inside = literal is not None
        if literal is not None:
            self._literal_left = literal.size
        elif self._is_status:
            return line + self._answered()
        return b"" if self._is_hidden else line

    def _answered(self) -> bytes:
        """The backend has answered a command: what of ours comes behind that."""
        if self._queue:
            self._queue.popleft()
        self._say_what_is_due()
        return self.due()

    def _say_what_is_due(self) -> None:
        while self._queue and isinstance(reply := self._queue[0], bytes):
            self._queue.popleft()
            self._due += reply

    def _add(self, item: Awaited | bytes) -> None:
        if len(self._queue) >= MAX_UNANSWERED:
            raise SecondLoginError("too many commands ahead of their answers", failed=False)
        self._queue.append(item)
