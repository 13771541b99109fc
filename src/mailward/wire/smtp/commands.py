"""What an SMTP client may say to a backend, in a session and at port 25 from the first MAIL on.

A command is forwarded only if it is whole, alone on its line, and needed to send mail; any other
is answered by the listener, once the backend owes no reply. What follows DATA is held until the
backend's reply tells whether it is a message. A message ends at CRLF.CRLF, a chunk at its count,
and neither is read as commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto, unique
from typing import NoReturn

from mailward.wire.dialogue import SecondLoginError
from mailward.wire.door import MAX_COMMAND_OCTETS
from mailward.wire.linedoor import MAX_MISTAKES
from mailward.wire.lines import CRLF
from mailward.wire.smtp.reply import greeting

MAX_PASSED_OCTETS = 2_000  # Postfix reads lines of 2,048 and drops what is longer
MAX_HELD_OCTETS = 1 << 20  # what one read brings is a quarter of it; reading stops then
MAX_OWED = 100  # replies outstanding behind which no further BDAT is sent
MAX_CHUNK_OCTETS = 0x7FFF_FFFF  # some servers read the count into 32 bits

_GO_AHEAD = 354
_REFUSED = 400  # and above
_CLOSING = 421  # may be said at any time (RFC 5321 section 3.8)

# Commands that are forwarded as they are and need no reply before the next one is read.
_AT_ONCE = re.compile(
    rb"(?:(?:MAIL|RCPT|RSET|NOOP|VRFY|EXPN|ETRN|HELP|BURL|QUIT)"
    rb"(?: [^\x00-\x1f\x7f]{0,1900}+)?\r\n)++",
    re.IGNORECASE,
)
_KNOWN = frozenset(b"MAIL RCPT RSET NOOP VRFY EXPN ETRN HELP BURL QUIT".split())
_GREETINGS = frozenset({b"EHLO", b"HELO"})
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")  # 8 bits may stand in a line: RFC 6531
_CHUNK = re.compile(rb"BDAT (0|[1-9][0-9]{0,9})( LAST)?\Z", re.IGNORECASE)
# Searched for in C: lines that begin with a dot can be a third of a message's octets.
_DOT_LINE = re.compile(rb"\.(?<=\n\.)(?:\n|\r[\x00-\xff])")
_DOT_BEHIND_CR = re.compile(rb"\.(?<=\r\.)[\r\n]")
_TAIL_OCTETS = 4  # of a message: the most of CRLF.CRLF that can be here without its end

_UNKNOWN = b"500 5.5.2 Unknown command\r\n"
_TOO_LONG = b"500 5.5.6 The line is too long\r\n"
_NO_CHUNKING = b"502 5.5.1 There is no BDAT here\r\n"
_BARE_LINE_FEED = b"521 5.5.2 Lines must end in CRLF, not in LF alone\r\n"
_BARE_DOT = b"521 5.5.2 A line of one dot must stand between two CRLF\r\n"
_BAD_CHUNK = b"521 5.5.4 BDAT takes a count, and LAST\r\n"
_ENDLESS = b"521 5.5.6 The line is too long\r\n"
_TOO_MANY = b"421 4.7.0 Too many mistakes\r\n"


@unique
class _State(Enum):
    """Where the client's stream stands."""

    COMMAND = auto()
    ASKED = auto()
    """DATA or a greeting was forwarded: its reply tells how to read what follows."""
    MESSAGE = auto()
    CHUNK = auto()
    REFUSED_CHUNK = auto()
    """The octets of a BDAT that was not forwarded."""


class Commands:
    """The client's side of a session, up to its end.

    *refusals* are the listener's own replies, by the verb; *chunking* says that the backend takes
    BDAT; *literal* greets the backend for a client whose own name no server could read.
    """

    def __init__(self, refusals: Mapping[bytes, bytes], *, chunking: bool, literal: bytes) -> None:
        self._refusals = refusals
        self._has_chunking = chunking
        self._literal = literal
        self._state = _State.COMMAND
        self._asked = b""
        self._owed = 0
        """Replies that the backend owes; within a message one of them is for the message."""
        self._held = b""
        """The start of a command, or what must wait until the backend has replied."""
        self._chunk_left = 0
        self._tail = b""
        """The last octets of the message under way."""
        self._answers = bytearray()
        self._mistakes = 0
        self.is_waiting = False
        """Octets are held until the backend has replied."""

    def read(self, octets: bytes) -> bytes:
        """What the backend may see now, *octets* included.

        Raises:
            SecondLoginError: the session has to end.
        """
        if self.is_waiting and len(self._held) > MAX_HELD_OCTETS:
            raise SecondLoginError("too much sent ahead", failed=False)
        self._held += octets
        return b"" if self.is_waiting else self.go_on()

    def answers(self) -> bytes:
        """What the client is told by the listener itself, behind all replies of the backend."""
        answers, self._answers = bytes(self._answers), bytearray()
        return answers

    def answered(self, code: int, *, chunking: bool) -> None:
        """The backend has replied; *chunking*: its reply offers that.

        Raises:
            SecondLoginError: it replies to something that was no command here.
        """
        if not self._owed:
            if code != _CLOSING:
                raise SecondLoginError("the backend answers what nobody asked", failed=False)
            return
        if self._state is _State.ASKED and self._owed == 1:
            if code == _GO_AHEAD and self._asked == b"DATA":
                self._state = _State.MESSAGE
                self._tail = CRLF
                return
            if self._asked != b"DATA":
                self._has_chunking = chunking
            self._state = _State.COMMAND
        elif self._state is _State.MESSAGE and code < _REFUSED:
            raise SecondLoginError("the backend ends a message that goes on", failed=False)
        if code == _GO_AHEAD:
            raise SecondLoginError("a go-ahead that nobody waits for", failed=False)
        self._owed -= 1

    def go_on(self) -> bytes:
        """What of the held octets the backend may see now."""
        passed: list[bytes] = []
        held, at = self._held, 0
        self.is_waiting = False
        while at < len(held) and not self.is_waiting:
            match self._state:
                case _State.ASKED:
                    self.is_waiting = True
                case _State.MESSAGE:
                    end = self._end_of_message(held, at)
                    passed.append(held[at:end])
                    at = end
                case _State.CHUNK | _State.REFUSED_CHUNK:
                    piece = held[at : at + self._chunk_left]
                    passed += [piece] if self._state is _State.CHUNK else []
                    at += len(piece)
                    self._read_chunk(len(piece))
                case _State.COMMAND:
                    end = self._read_commands(held, at, passed)
                    if end == at:
                        break
                    at = end
        self._held = held[at:]
        return b"".join(passed)

    # -- commands ------------------------------------------------------------------------------

    def _read_commands(self, held: bytes, at: int, passed: list[bytes]) -> int:
        """Read one command, or many that are forwarded at once: where the next one begins."""
        if found := _AT_ONCE.match(held, at):
            self._owed += held.count(b"\n", at, found.end())
            self._mistakes = 0
            passed.append(found[0])
            return found.end()
        end = held.find(b"\n", at, at + MAX_COMMAND_OCTETS + len(CRLF)) + 1
        if not end:
            if len(held) - at >= MAX_COMMAND_OCTETS + len(CRLF):
                self._stop("a command that is too long", _ENDLESS)
            return at
        command = self._read_command(held[at:end])
        if command is None:
            self.is_waiting = True
            return at
        passed.append(command)
        return end

    def _read_command(self, line: bytes) -> bytes | None:
        """What the backend sees of *line*; ``None``: nothing before it has replied."""
        name, _, argument = line.rstrip(b" \t\r\n").partition(b" ")
        name = name.upper()
        if refusal := self._refusal(name, line):
            return self._refuse(refusal)
        if name == b"BDAT":
            return self._chunk(line)
        if name in _GREETINGS:
            line = greeting(line[: len(name)], argument, self._literal)
        return self._ask(name, line)

    def _refusal(self, name: bytes, line: bytes) -> bytes:
        """Why *line* is not for the backend; empty where it is."""
        if not line.endswith(CRLF):
            return _BARE_LINE_FEED
        if name in self._refusals:
            return self._refusals[name]
        if name in _GREETINGS:
            return b""  # any octets are taken for a name
        if name not in _KNOWN | {b"DATA", b"BDAT"} or _CONTROL.search(line[: -len(CRLF)]):
            return _UNKNOWN
        return _TOO_LONG if len(line) > MAX_PASSED_OCTETS else b""

    def _ask(self, name: bytes, command: bytes) -> bytes:
        self._mistakes = 0
        self._owed += 1
        self._asked = name
        self._state = _State.ASKED
        return command

    def _refuse(self, reply: bytes) -> bytes | None:
        if self._owed:
            return None  # the client takes replies in turn
        if reply is _BARE_LINE_FEED:
            self._stop("a bare line feed", reply)
        self._mistakes += 1
        if self._mistakes >= MAX_MISTAKES:
            self._stop("too many commands that are refused", reply + _TOO_MANY)
        self._answers += reply
        return b""

    def _chunk(self, line: bytes) -> bytes | None:
        found = _CHUNK.match(line.rstrip(b" \t\r\n"))
        is_known = found is not None and int(found[1]) <= MAX_CHUNK_OCTETS
        if self._owed >= (MAX_OWED if is_known and self._has_chunking else 1):
            return None
        if found is None or not is_known:
            # There is no telling where its octets end.
            self._stop("BDAT without a count", _BAD_CHUNK)
        self._chunk_left = int(found[1])
        if not self._has_chunking:
            # A server that offers no CHUNKING would take the octets for commands.
            self._state = _State.REFUSED_CHUNK if self._chunk_left else _State.COMMAND
            return self._refuse(_NO_CHUNKING)
        self._state = _State.CHUNK if self._chunk_left else _State.COMMAND
        self._mistakes = 0
        self._owed += 1
        return found[0] + CRLF

    # -- messages ------------------------------------------------------------------------------

    def _read_chunk(self, octets: int) -> None:
        self._chunk_left -= octets
        if not self._chunk_left:
            self._state = _State.COMMAND

    def _end_of_message(self, held: bytes, at: int) -> int:
        """Where the message under way ends, or what is here of it.

        A line of one dot between any other line ends is the end to some servers alone: what follows
        it could be a command to them, so it goes to none.
        """
        text = self._tail + (held[at:] if at else held)
        before = len(self._tail)
        end = _lone_dot(text)
        if end < 0:
            self._stop("a line of one dot without CRLF", _BARE_DOT)
        if not end:
            self._tail = text[-_TAIL_OCTETS:]
            return len(held)
        self._state = _State.COMMAND
        return at + end - before

    def _stop(self, why: str, last_words: bytes) -> NoReturn:
        raise SecondLoginError(why, failed=False, last_words=last_words)


def _lone_dot(text: bytes) -> int:
    """Where CRLF.CRLF ends in *text*; 0: nowhere; -1: another line end would be misread first.

    >>> _lone_dot(b"a\\r\\n..b\\r\\n.\\r\\nQUIT"), _lone_dot(b"a\\r\\n."), _lone_dot(b"a\\n.\\r\\n")
    (11, 0, -1)
    """
    dot = text.find(b".")  # fifty times as fast as a pattern; an attachment in base64 has none
    if dot < 0:
        return 0
    found = _DOT_LINE.search(text, dot)
    end = len(text) if found is None else found.end()
    if _DOT_BEHIND_CR.search(text, dot, end):
        return -1
    if found is None:
        return 0
    is_end = found[0].endswith(CRLF) and text[: found.start()].endswith(CRLF)
    return end if is_end else -1
