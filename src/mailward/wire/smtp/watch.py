"""Watches an SMTP session: no login inside it, no other way to become somebody.

The client's commands are read, and those that begin anew are answered here. The backend's replies
are read as well: should a server have read the client's octets in another way, its reply gives that
away, and the session ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mailward.wire.dialogue import MAX_BACKEND_LINE_OCTETS, SecondLoginError
from mailward.wire.lines import CRLF, LineError, Lines
from mailward.wire.smtp.commands import MAX_HELD_OCTETS, Commands
from mailward.wire.smtp.reply import ReplyLine, keyword, reply_line

_OK = 250
_WRONG = 535
_SECOND_LOGIN = {
    220: "the backend begins anew",  # STARTTLS or XCLIENT
    235: "the backend accepts a second login",
    334: "the backend asks for credentials",
    _WRONG: "the backend refuses a second login",
}
_HIDDEN = frozenset({b"STARTTLS", b"XCLIENT", b"XFORWARD"})
_LOGIN = frozenset({b"AUTH"})

_BEFORE_LOGIN = b"503 5.5.1 That was before the login; begin a new connection\r\n"
AFTER_LOGIN: Mapping[bytes, bytes] = MappingProxyType(
    {
        b"AUTH": b"503 5.5.1 You are logged in already\r\n",
        **dict.fromkeys((b"STARTTLS", b"XCLIENT", b"XFORWARD"), _BEFORE_LOGIN),
    }
)
"""What a client that is logged in is answered."""
NO_AUTH = b"502 5.5.1 There is no AUTH here\r\n"
NOT_BELIEVED = b"550 5.7.0 You are not believed\r\n"
AT_PORT_25: Mapping[bytes, bytes] = MappingProxyType(
    {
        b"AUTH": NO_AUTH,
        b"STARTTLS": b"503 5.5.1 TLS begins before MAIL\r\n",
        **dict.fromkeys((b"XCLIENT", b"XFORWARD"), NOT_BELIEVED),
    }
)
"""What another mail server is answered from its first MAIL on."""


def is_hidden(word: bytes, *, auth: bool) -> bool:
    """Whether the client is not shown this keyword of the backend; *auth*: nor AUTH."""
    return word in _HIDDEN or (auth and word in _LOGIN)


class SubmissionWatch:
    """Stands between a client and its SMTP backend.

    *refusals* are the answers to commands that begin anew, and *hides_auth* says that no AUTH is to
    be offered; for *chunking* and *literal* see :class:`mailward.wire.smtp.commands.Commands`.
    """

    def __init__(
        self,
        *,
        chunking: bool,
        literal: bytes,
        refusals: Mapping[bytes, bytes] = AFTER_LOGIN,
        hides_auth: bool = False,
    ) -> None:
        self._commands = Commands(refusals, chunking=chunking, literal=literal)
        self._hides_auth = hides_auth
        self._lines = Lines(MAX_BACKEND_LINE_OCTETS)
        self._code = 0
        """The code of the reply that is under way; 0 between replies."""
        self._has_chunking = False
        """That reply offers CHUNKING."""
        self._kept = b""
        """Its line that was read last: whether it is the last one to pass shows later."""

    def from_client(self, data: bytes) -> bytes:
        return self._commands.read(data)

    def answers(self) -> bytes:
        return self._commands.answers()

    def released(self) -> bytes:
        return self._commands.go_on()

    def pass_unread(self) -> int:
        return 0

    @property
    def octets_at_once(self) -> int:
        return MAX_HELD_OCTETS  # no loop of ours goes through the lines

    @property
    def is_waiting(self) -> bool:
        return self._commands.is_waiting

    def from_backend(self, data: bytes) -> bytes:
        if (code := self._usual(data)) is not None:
            self._commands.answered(code, chunking=False)
            return data
        self._lines.add(data)
        passed = bytearray()
        try:
            while (line := self._lines.line(MAX_BACKEND_LINE_OCTETS)) is not None:
                passed += self._pass(line)
        except LineError as error:
            raise SecondLoginError(f"the backend talks nonsense: {error}", failed=False) from None
        return bytes(passed)

    def _usual(self, data: bytes) -> int | None:
        """The code of *data* where it is one whole reply of one line that may pass as it is."""
        if self._code or len(self._lines) or not data.endswith(CRLF):
            return None
        found = reply_line(data[: -len(CRLF)])
        is_usual = (
            found is not None
            and found.is_last
            and found.code not in _SECOND_LOGIN
            and not self._is_hidden(found)
        )
        return found.code if found is not None and is_usual else None

    def _pass(self, line: bytes) -> bytes:
        found = reply_line(line)
        if found is None or (self._code and found.code != self._code):
            raise SecondLoginError("the backend talks nonsense: no reply", failed=False)
        if found.code in _SECOND_LOGIN:
            raise SecondLoginError(_SECOND_LOGIN[found.code], failed=found.code == _WRONG)
        is_first = not self._code
        self._code = 0 if found.is_last else found.code
        self._hear(found, is_first=is_first)
        before, self._kept = self._kept, b""
        if self._is_hidden(found):
            if not is_first:
                return self._skip(before, is_last=found.is_last)
            line = line[:4] + b"OK"  # a reply has a first line, whatever it says
        if not found.is_last:
            self._kept = line
            return b"" if is_first else before + CRLF
        return line + CRLF if is_first else before + CRLF + line + CRLF

    def _hear(self, line: ReplyLine, *, is_first: bool) -> None:
        if is_first:
            self._has_chunking = False
        elif line.code == _OK and keyword(line.text) == b"CHUNKING":
            self._has_chunking = True
        if line.is_last:
            self._commands.answered(line.code, chunking=self._has_chunking)

    def _skip(self, before: bytes, *, is_last: bool) -> bytes:
        """Leave a line out; the one *before* it ends the reply then if that was the last."""
        if not is_last:
            self._kept = before
            return b""
        return before[:3] + b" " + before[4:] + CRLF

    def _is_hidden(self, line: ReplyLine) -> bool:
        return line.code == _OK and is_hidden(keyword(line.text), auth=self._hides_auth)
