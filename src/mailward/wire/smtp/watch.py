"""Watches a submission session after login: no second login, no other way to become somebody.

Whatever the client does to log in again, the backend's reply gives it away; so it is enough to
read the replies. Only a backend that takes XCLIENT from us is too late to be watched: there the
client's commands are read as well.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from mailward.wire.dialogue import MAX_BACKEND_LINE_OCTETS, SecondLoginError
from mailward.wire.lines import CRLF, LineError, Lines
from mailward.wire.smtp.commands import Commands
from mailward.wire.smtp.reply import ReplyLine, keyword, reply_line

_OK = 250
_WRONG = 535
_SECOND_LOGIN = {
    220: "the backend begins anew",  # STARTTLS or XCLIENT
    235: "the backend accepts a second login",
    334: "the backend asks for credentials",
    _WRONG: "the backend refuses a second login",
}
_GO_AHEAD = 354
_REFUSED = 500  # and above
_BEGINNINGS = (b"AUTH ", b"STARTTLS", b"XCLIENT ")
_BEGINNING_OCTETS = max(map(len, _BEGINNINGS))
_HIDDEN = {b"STARTTLS", b"XCLIENT", b"XFORWARD"}
_NEED_BDAT = {b"CHUNKING", b"BINARYMIME"}


def hidden_keywords(*, reads_commands: bool, hides_auth: bool) -> AbstractSet[bytes]:
    """What the backend's EHLO loses; where commands are read there is no BDAT."""
    hidden = _HIDDEN | {b"AUTH"} if hides_auth else _HIDDEN
    return hidden | _NEED_BDAT if reads_commands else hidden


class SubmissionWatch:
    """Stands between a logged-in client and its submission backend.

    *takes_xclient* says that the backend would believe an XCLIENT on this connection (or an AUTH,
    where nobody is logged in); *hides_auth* that none is to be offered.
    """

    def __init__(self, *, takes_xclient: bool = False, hides_auth: bool = False) -> None:
        self._commands = Commands() if takes_xclient else None
        self._hidden = hidden_keywords(reads_commands=takes_xclient, hides_auth=hides_auth)
        self._lines = Lines(MAX_BACKEND_LINE_OCTETS)
        self._code = 0
        """The code of the reply that is under way; 0 between replies."""
        self._kept = b""
        """Its line that was read last: whether it is the last one to pass shows later."""
        self._has_spoken = False
        """The client has said something since the last reply."""
        self._tries_anew = False
        """That began as a second login does. It may be message data: the reply tells."""

    def from_client(self, data: bytes) -> bytes:
        if not self._has_spoken:
            self._has_spoken = True
            self._tries_anew = data[:_BEGINNING_OCTETS].upper().startswith(_BEGINNINGS)
        return data if self._commands is None else self._commands.read(data)

    def answers(self) -> bytes:
        return b""  # the backend sees all, or the session ends

    def from_backend(self, data: bytes) -> bytes:
        if self._is_usual(data):
            self._hear_client_anew(data.startswith(b"354"))
            return data
        self._lines.add(data)
        passed = bytearray()
        try:
            while (line := self._lines.line(MAX_BACKEND_LINE_OCTETS)) is not None:
                passed += self._pass(line)
        except LineError as error:
            raise SecondLoginError(f"the backend talks nonsense: {error}", failed=False) from None
        return bytes(passed)

    def _hear_client_anew(self, wants_data: bool) -> None:
        self._has_spoken = wants_data  # what follows a go-ahead is a message, however it begins
        self._tries_anew = False

    def _is_usual(self, data: bytes) -> bool:
        """Whether *data* is one whole reply of one line that may pass as it is."""
        if self._commands is not None or self._tries_anew:
            return False
        if self._code or len(self._lines) or not data.endswith(CRLF):
            return False
        found = reply_line(data[: -len(CRLF)])
        return (
            found is not None
            and found.is_last
            and found.code not in _SECOND_LOGIN
            and not self._is_hidden(found)
        )

    def _pass(self, line: bytes) -> bytes:
        found = reply_line(line)
        if found is None or (self._code and found.code != self._code):
            raise SecondLoginError("the backend talks nonsense: no reply", failed=False)
        if found.code in _SECOND_LOGIN:
            raise SecondLoginError(_SECOND_LOGIN[found.code], failed=found.code == _WRONG)
        if self._tries_anew and found.code >= _REFUSED:
            raise SecondLoginError("the backend refuses a second login by itself", failed=False)
        self._hear_client_anew(found.code == _GO_AHEAD)
        is_first = not self._code
        self._code = 0 if found.is_last else found.code
        if self._commands is not None:
            self._commands.answered(wants_data=found.code == _GO_AHEAD)
        before, self._kept = self._kept, b""
        if self._is_hidden(found):
            if not is_first:
                return self._skip(before, is_last=found.is_last)
            line = line[:4] + b"OK"  # a reply has a first line, whatever it says
        if not found.is_last:
            self._kept = line
            return b"" if is_first else before + CRLF
        return line + CRLF if is_first else before + CRLF + line + CRLF

    def _skip(self, before: bytes, *, is_last: bool) -> bytes:
        """Leave a line out; the one *before* it ends the reply then if that was the last."""
        if not is_last:
            self._kept = before
            return b""
        return before[:3] + b" " + before[4:] + CRLF

    def _is_hidden(self, line: ReplyLine) -> bool:
        return line.code == _OK and keyword(line.text) in self._hidden
