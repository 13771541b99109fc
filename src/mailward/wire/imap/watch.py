"""Watches an IMAP session after login where UNAUTHENTICATE would let it log in again (RFC 8437).

The client's stream is cut into commands and literals as the backend cuts it; where the two could
differ the session ends. Nothing is held but the start of a command until its name is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum, auto, unique

from mailward.wire.dialogue import SecondLoginError, Watch
from mailward.wire.imap.door import can_unauthenticate
from mailward.wire.lines import Literal, literal_at_end

MAX_HEAD_OCTETS = 1_024  # tag and name of a command
TAIL_OCTETS = 32  # the longest literal that makes sense, and its line end

_NAME_KNOWN = re.compile(rb"\s*\S+[ \t]+([^ \t\r\n]+)[ \t\r\n]")
_CUT_LITERAL = re.compile(rb"[0-9]{%d}\+?\}\Z" % (TAIL_OCTETS // 2))
_QUOTE_OR_ESCAPE = re.compile(rb'["\\]')
_STATUS = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)
_FORBIDDEN = {b"UNAUTHENTICATE", b"COMPRESS"}


def imap_watch(capabilities: Sequence[str]) -> Watch | None:
    """The watch that a session with these *capabilities* needs, or ``None`` where it needs none."""
    return _ImapWatch() if can_unauthenticate(capabilities) else None


@unique
class _State(Enum):
    """Where the client's stream stands."""

    HEAD = auto()
    REST = auto()
    WAITING = auto()
    LITERAL = auto()


class _ImapWatch:
    """Stands between a logged-in client and an IMAP backend that lists UNAUTHENTICATE."""

    def __init__(self) -> None:
        self._state = _State.HEAD
        self._head = b""
        self._line = _Line()
        self._literal_left = 0
        self._answers = _Answers()
        self._unanswered = 0
        self._is_idle = False
        self._idle_unconfirmed = False

    def from_client(self, data: bytes) -> bytes:
        passed = bytearray()
        at = 0
        while at < len(data):
            match self._state:
                case _State.LITERAL:
                    piece = data[at : at + self._literal_left]
                    self._literal_left -= len(piece)
                    passed += piece
                    if not self._literal_left:
                        self._state = _State.REST
                case _State.WAITING:
                    raise SecondLoginError("a literal before the go-ahead", failed=False)
                case _State.HEAD:
                    piece = _up_to_line_end(data, at)
                    passed += self._begin(piece)
                case _State.REST:
                    piece = _up_to_line_end(data, at)
                    passed += piece
                    self._go_on(piece)
            at += len(piece)
        return bytes(passed)

    def answers(self) -> bytes:
        return b""  # the backend sees all, or the session ends

    def released(self) -> bytes:
        return b""

    @property
    def is_waiting(self) -> bool:
        return False

    def from_backend(self, data: bytes) -> bytes:
        for is_go_ahead in self._answers.read(data):
            if is_go_ahead:
                self._told_to_go_on()
            else:
                self._answered()
        return data

    def _begin(self, piece: bytes) -> bytes:
        """Hold the start of a line until it is known which command it is."""
        self._head += piece
        named = _NAME_KNOWN.match(self._head)
        if named is None and not self._head.endswith(b"\n"):
            if len(self._head) > MAX_HEAD_OCTETS:
                raise SecondLoginError("a command without a name", failed=False)
            return b""
        head, self._head = self._head, b""
        if self._is_idle:
            if head.strip().upper() != b"DONE":
                raise SecondLoginError("a command inside IDLE", failed=False)
            self._is_idle = False
        elif named is not None:
            self._count(named[1].upper())
        self._state = _State.REST
        self._go_on(head)
        return head

    def _count(self, name: bytes) -> None:
        # To a server written in C a NUL may end the name.
        if name.partition(b"\0")[0] in _FORBIDDEN:
            raise SecondLoginError("a command that ends the login", failed=False)
        self._unanswered += 1
        if name == b"IDLE":
            self._is_idle = self._idle_unconfirmed = True

    def _go_on(self, piece: bytes) -> None:
        self._line.add(piece)
        if not piece.endswith(b"\n"):
            return
        literal = self._line.announced()
        self._line = _Line()
        if literal is None:
            self._state = _State.HEAD
            return
        if literal.waits and self._idle_unconfirmed:
            raise SecondLoginError("a literal before IDLE is answered", failed=False)
        self._literal_left = literal.size
        if literal.waits:
            self._state = _State.WAITING
        else:
            self._state = _State.LITERAL if literal.size else _State.REST

    def _told_to_go_on(self) -> None:
        if self._idle_unconfirmed:
            self._idle_unconfirmed = False
        elif self._state is _State.WAITING:
            self._state = _State.LITERAL if self._literal_left else _State.REST
        else:
            raise SecondLoginError("a go-ahead nobody waits for", failed=False)

    def _answered(self) -> None:
        self._unanswered = max(0, self._unanswered - 1)
        if self._unanswered:
            return
        # All is answered, so the last command is: its literal or its IDLE was refused.
        self._is_idle = self._idle_unconfirmed = False
        if self._state is _State.WAITING:
            self._state = _State.HEAD


class _Line:
    """What must be known of the client's line that streams by: its end, and open quotes."""

    def __init__(self) -> None:
        self._tail = b""
        self._is_quoted = False
        self._length = 0
        self._escaped = -1
        """Where the octet stands that the last backslash took its meaning from."""

    def add(self, piece: bytes) -> None:
        self._tail = (self._tail + piece)[-TAIL_OCTETS:]
        for found in _QUOTE_OR_ESCAPE.finditer(piece):
            at = self._length + found.start()
            if at == self._escaped:
                continue
            if found[0] == b'"':
                self._is_quoted = not self._is_quoted
            elif self._is_quoted:
                self._escaped = at + 1
        self._length += len(piece)

    def announced(self) -> Literal | None:
        """The literal at the end of the line.

        Raises:
            SecondLoginError: some servers would see one there and some would not.
        """
        end = self._tail.rstrip(b"\r\n")
        literal = literal_at_end(end)
        if (literal and (self._is_quoted or b"\r\r" in self._tail)) or _CUT_LITERAL.search(end):
            raise SecondLoginError("a literal that is ambiguous", failed=False)
        return literal


class _Answers:
    """Finds go-aheads and tagged answers in the backend's stream, whatever lies between them."""

    def __init__(self) -> None:
        self._start = b""
        self._tail = b""
        self._literal_left = 0

    def read(self, data: bytes) -> Iterator[bool]:
        """Yield ``True`` for each go-ahead and ``False`` for each tagged answer."""
        at = 0
        while at < len(data):
            if self._literal_left:
                skipped = min(self._literal_left, len(data) - at)
                self._literal_left -= skipped
                at += skipped
                continue
            piece = _up_to_line_end(data, at)
            at += len(piece)
            self._start += piece[: TAIL_OCTETS - len(self._start)]
            self._tail = (self._tail + piece)[-TAIL_OCTETS:]
            if piece.endswith(b"\n"):
                yield from self._end_line()

    def _end_line(self) -> Iterator[bool]:
        start, tail = self._start, self._tail
        self._tail = b""
        literal = literal_at_end(tail.rstrip(b"\r\n"))
        # The text of a status is free, and may quote what the client said: no literal is in it.
        if literal is not None and start.startswith(b"* ") and not _STATUS.match(start):
            self._literal_left = literal.size
            return
        self._start = b""
        if start.startswith(b"+"):
            yield True
        elif start.strip() and not start.startswith(b"*"):
            yield False


def _up_to_line_end(data: bytes, at: int) -> bytes:
    end = data.find(b"\n", at)
    return data[at:] if end < 0 else data[at : end + 1]
