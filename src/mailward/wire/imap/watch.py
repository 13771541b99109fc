"""Watches an IMAP session after login: nobody logs in again inside it (RFC 8437).

The client's stream is cut into commands and literals. A command that would end the login, begin
another one or hide what follows (COMPRESS, RFC 4978) reaches the backend under a name that it
refuses, so that its refusal comes in the right place; nothing else of it does.

Where the backend lists UNAUTHENTICATE, and where nothing is known of it, its lines are read, too:
the stream is cut as the backend cuts it, and where the two could differ the session ends. Elsewhere
they are looked at only while a literal waits for its go-ahead.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto, unique
from types import MappingProxyType

from mailward.wire.dialogue import SecondLoginError, Watch
from mailward.wire.imap.door import can_unauthenticate
from mailward.wire.lines import CRLF, Literal, literal_at_end

MAX_HEAD_OCTETS = 1_024  # tag and name of a command
MAX_HELD_OCTETS = 1 << 20  # what one read brings is a quarter of it; reading stops then
TAIL_OCTETS = 32  # the longest literal that makes sense, and its line end

# To some servers every white space parts a tag from a name.
_NAME_KNOWN = re.compile(rb"\s*(\S+)[ \t\v\f]+([^ \t\v\f\r\n]+)[ \t\v\f\r\n]")
# To a server written in C a NUL may end the name, and to another one any control character.
_NO_LETTER = re.compile(rb"\W")
_CUT_LITERAL = re.compile(rb"[0-9]{%d}\+?\}\Z" % (TAIL_OCTETS // 2))
_QUOTE_OR_ESCAPE = re.compile(rb'["\\]')
_STATUS = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)
_INSTEAD: Mapping[bytes, bytes] = MappingProxyType(
    {
        **dict.fromkeys((b"UNAUTHENTICATE", b"AUTHENTICATE", b"LOGIN"), b"X-REFUSED"),
        b"COMPRESS": b"COMPRESS X-NONE",
    }
)
"""What a backend is told instead: unknown to each, and answered BAD or NO."""


def imap_watch(capabilities: Sequence[str]) -> Watch:
    """The watch that a session with these *capabilities* needs; none are not known."""
    is_strict = not capabilities or can_unauthenticate(capabilities)
    return _StrictWatch() if is_strict else _LightWatch()


@unique
class _State(Enum):
    """Where the client's stream stands."""

    HEAD = auto()
    REST = auto()
    WAITING = auto()
    LITERAL = auto()


class _ImapWatch(ABC):
    """Stands between a logged-in client and an IMAP backend."""

    def __init__(self) -> None:
        self._state = _State.HEAD
        self._head = b""
        self._line = _Line()
        self._literal_left = 0
        self._is_refused = False
        """The command under way is kept back."""
        self._held = b""
        """What must wait until the backend has replied."""

    def from_client(self, data: bytes) -> bytes:
        passed = bytearray()
        at = 0
        while at < len(data):
            match self._state:
                case _State.LITERAL:
                    piece = data[at : at + self._literal_left]
                    self._literal_left -= len(piece)
                    passed += b"" if self._is_refused else piece
                    if not self._literal_left:
                        self._state = _State.REST
                case _State.WAITING:
                    self._hold(data[at:])
                    break
                case _State.HEAD:
                    piece = _up_to_line_end(data, at)
                    passed += self._begin(piece)
                case _State.REST:
                    piece = _up_to_line_end(data, at)
                    passed += b"" if self._is_refused else piece
                    self._go_on(piece)
            at += len(piece)
        return bytes(passed)

    def answers(self) -> bytes:
        return b""  # all answers are the backend's

    def released(self) -> bytes:
        if not self._held or self._state is _State.WAITING:
            return b""
        held, self._held = self._held, b""
        return self.from_client(held)

    def pass_unread(self) -> int:
        if self._state is not _State.LITERAL or self._is_refused:
            return 0
        octets, self._literal_left = self._literal_left, 0
        self._state = _State.REST
        return octets

    @property
    def octets_at_once(self) -> int:
        return 0

    @property
    def is_waiting(self) -> bool:
        return bool(self._held)

    @abstractmethod
    def from_backend(self, data: bytes) -> bytes: ...

    @abstractmethod
    def _hold(self, octets: bytes) -> None:
        """Keep what comes before the go-ahead for its literal.

        Raises:
            SecondLoginError: it is not to be kept.
        """

    @abstractmethod
    def _may_begin(self, line: bytes) -> bool:
        """Whether *line* begins a command; else it goes on with another one.

        Raises:
            SecondLoginError: it does neither.
        """

    @abstractmethod
    def _note(self, tag: bytes, name: bytes) -> None:
        """A command called *name* begins."""

    @abstractmethod
    def _await(self, literal: Literal) -> None:
        """The client waits for a go-ahead for *literal*."""

    def _begin(self, piece: bytes) -> bytes:
        """Hold the start of a line until it is known which command it is."""
        self._head += piece
        named = _NAME_KNOWN.match(self._head)
        if named is None and not self._head.endswith(b"\n"):
            if len(self._head) > MAX_HEAD_OCTETS:
                raise SecondLoginError("a command without a name", failed=False)
            return b""
        head, self._head = self._head, b""
        self._state = _State.REST
        if self._may_begin(head) and named is not None:
            name = _NO_LETTER.split(named[2].upper(), 1)[0]
            self._note(named[1], name)
            if instead := _INSTEAD.get(name):
                self._is_refused = True
                self._go_on(head)
                return named[1] + b" " + instead + CRLF
        self._go_on(head)
        return head

    def _go_on(self, piece: bytes) -> None:
        self._line.add(piece)
        if not piece.endswith(b"\n"):
            return
        literal = self._line.announced()
        self._line = _Line()
        # The backend refuses what it is told instead at once, so that no literal is asked for.
        if literal is None or (literal.waits and self._is_refused):
            self._state = _State.HEAD
            self._is_refused = False
            return
        self._literal_left = literal.size
        if literal.waits:
            self._await(literal)
            self._state = _State.WAITING
        else:
            self._read_literal()

    def _read_literal(self) -> None:
        self._state = _State.LITERAL if self._literal_left else _State.REST


class _LightWatch(_ImapWatch):
    """Before a backend that does not list UNAUTHENTICATE: its lines pass unread."""

    def __init__(self) -> None:
        super().__init__()
        self._tag = b""
        self._is_at_line_start = True
        self._seen = b""
        """The start of the backend's line under way, while a literal waits."""

    def from_backend(self, data: bytes) -> bytes:
        if self._state is _State.WAITING:
            self._look(data)
        self._is_at_line_start = data.endswith(b"\n")
        return data

    def _look(self, data: bytes) -> None:
        text = b"\n" + self._seen + data
        begins = {
            at: is_go_ahead
            for at, is_go_ahead in (
                (text.find(b"\n+"), True),
                (text.find(b"\n" + self._tag + b" "), False),
            )
            if at >= 0
        }
        if not begins:
            self._seen = text[text.rfind(b"\n") + 1 :][: len(self._tag) + 1]
        elif begins[min(begins)]:
            self._read_literal()
        else:
            self._state = _State.HEAD

    def _hold(self, octets: bytes) -> None:
        if len(self._held) > MAX_HELD_OCTETS:
            raise SecondLoginError("too much sent ahead", failed=False)
        self._held += octets

    def _may_begin(self, line: bytes) -> bool:
        return True

    def _note(self, tag: bytes, name: bytes) -> None:
        self._tag = tag

    def _await(self, literal: Literal) -> None:
        self._seen = b"" if self._is_at_line_start else b"\0"  # that no tag begins with


class _StrictWatch(_ImapWatch):
    """Before a backend that lists UNAUTHENTICATE: both streams are read."""

    def __init__(self) -> None:
        super().__init__()
        self._replies = _Answers()
        self._unanswered = 0
        self._is_idle = False
        self._idle_unconfirmed = False

    def from_backend(self, data: bytes) -> bytes:
        for is_go_ahead in self._replies.read(data):
            if is_go_ahead:
                self._told_to_go_on()
            else:
                self._answered()
        return data

    def _hold(self, octets: bytes) -> None:
        raise SecondLoginError("a literal before the go-ahead", failed=False)

    def _may_begin(self, line: bytes) -> bool:
        if not self._is_idle:
            return True
        if line.strip().upper() != b"DONE":
            raise SecondLoginError("a command inside IDLE", failed=False)
        self._is_idle = False
        return False

    def _note(self, tag: bytes, name: bytes) -> None:
        self._unanswered += 1
        if name == b"IDLE":
            self._is_idle = self._idle_unconfirmed = True

    def _await(self, literal: Literal) -> None:
        if self._idle_unconfirmed:
            raise SecondLoginError("a literal before IDLE is answered", failed=False)

    def _told_to_go_on(self) -> None:
        if self._idle_unconfirmed:
            self._idle_unconfirmed = False
        elif self._state is _State.WAITING:
            self._read_literal()
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
