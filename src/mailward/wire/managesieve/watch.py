"""Watches a ManageSieve session after login: no second login (RFC 5804 section 2.14).

A backend may let go of a login (UNAUTHENTICATE) and take the next one. Servers differ in what they
do with a command that they do not understand: some read on in the middle of its line, and none
takes the literals behind it for what they are. So only commands that are whole and spelled by the
book are passed on, with words that no server can misread; all others are answered here. Scripts
pass as they come, and are not held.
"""

from __future__ import annotations

from mailward.wire.dialogue import SecondLoginError
from mailward.wire.door import MAX_COMMAND_OCTETS
from mailward.wire.lines import CRLF, literal_at_end
from mailward.wire.managesieve.commands import Command, Incomplete, read_command
from mailward.wire.managesieve.replies import Awaited, Replies
from mailward.wire.managesieve.words import WordError

MAX_LITERAL_OCTETS = 0xFFFF_FFFF  # RFC 5804 section 4: a number has 32 bits
MAX_REFUSED = 10  # commands in a row, as before login

_NEVER_TWICE = {b"AUTHENTICATE", b"STARTTLS", b"UNAUTHENTICATE", b"XCLIENT"}
_REFUSED = b'NO "That was before the login; begin a new connection"\r\n'
_MALFORMED = b'NO "There is no such command, or not with such arguments"\r\n'


class ManageSieveWatch:
    """Stands between a logged-in client and its ManageSieve backend."""

    def __init__(self) -> None:
        self._replies = Replies()
        self._text = b""
        """The beginning of a command whose end is not here yet, with the names in it."""
        self._literal_left = 0
        self._is_script = False
        """The literal is a script, which the command under way ends with."""
        self._refusal = b""
        """Behind a literal: what the command under way is answered, instead of being passed on."""
        self._refused = 0

    def from_client(self, data: bytes) -> bytes:
        passed = bytearray()
        at = 0
        while at < len(data):
            if self._literal_left:
                piece = data[at : at + self._literal_left]
                self._literal_left -= len(piece)
                passed += self._literal(piece)
            else:
                end = data.find(b"\n", at) + 1
                piece = data[at:end] if end else data[at:]
                self._text += piece
                if len(self._text) > MAX_COMMAND_OCTETS + len(CRLF):
                    raise SecondLoginError("a command that is too long", failed=False)
                if end:
                    text, self._text = self._text, b""
                    passed += self._read(text)
            at += len(piece)
        return bytes(passed)

    def from_backend(self, data: bytes) -> bytes:
        return self._replies.read(data)

    def answers(self) -> bytes:
        return self._replies.due()

    def released(self) -> bytes:
        return b""  # what is held waits for the client alone

    def pass_unread(self) -> int:
        return 0

    @property
    def octets_at_once(self) -> int:
        return 0

    @property
    def is_waiting(self) -> bool:
        return False

    def _literal(self, piece: bytes) -> bytes:
        """What the backend sees of a *piece* of a literal."""
        if self._refusal:
            return b""
        if self._is_script:
            return piece
        self._text += piece
        return b""

    def _read(self, text: bytes) -> bytes:
        """What the backend sees of *text*, up to a line end."""
        if self._refusal:
            self._refuse(self._refusal, text)
            return b""
        if self._is_script:
            return self._end_script(text)
        try:
            return self._pass_on(text)
        except WordError:
            name = text.split(b" ", 1)[0].rstrip(CRLF).upper()
            self._refuse(_REFUSED if name in _NEVER_TWICE else _MALFORMED, text)
            return b""

    def _end_script(self, line: bytes) -> bytes:
        if line != CRLF:
            # The backend has the command already: there is no telling where it reads on.
            raise SecondLoginError("a command that ends in nonsense", failed=False)
        self._is_script = False
        return line

    def _pass_on(self, text: bytes) -> bytes:
        if not text.endswith(CRLF):
            raise WordError("Only CRLF ends a line")
        match read_command(text[: -len(CRLF)]):
            case Incomplete(octets):
                if len(text) + octets > MAX_COMMAND_OCTETS:
                    raise WordError("The name is too long")
                self._text, self._literal_left = text, octets
                return b""
            case Command(name, spelled, script):
                is_list = name == b"CAPABILITY"
                self._replies.await_reply(
                    Awaited.CAPABILITIES if is_list else Awaited.ANYTHING_ELSE
                )
                self._refused = 0
                if script is not None:
                    self._is_script = True
                    self._await_literal(script)
                return spelled + CRLF

    def _refuse(self, refusal: bytes, text: bytes) -> None:
        """Answer the command that *text* ends, or let its literals go by first."""
        literal = literal_at_end(text.rstrip(CRLF))
        if literal is not None:
            self._refusal = refusal
            self._await_literal(literal.size)
            return
        self._refusal = b""
        self._refused += 1
        if self._refused >= MAX_REFUSED:
            raise SecondLoginError("too many commands that are refused", failed=False)
        self._replies.say(refusal)

    def _await_literal(self, octets: int) -> None:
        if octets > MAX_LITERAL_OCTETS:
            raise SecondLoginError("a literal that is too large", failed=False)
        self._literal_left = octets
