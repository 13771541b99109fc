"""What a client may say to a backend that takes XCLIENT from us.

Such a backend takes it from whoever speaks on our connections: a client that is logged in could
become another one, and go on in the same breath, before the reply gives it away. So a command is
passed on only if it is whole, alone on its line and one that is needed to send mail; message data
pass as they are. Where data end is seen no later than any server sees it.
"""

from __future__ import annotations

import re

from mailward.wire.dialogue import SecondLoginError
from mailward.wire.lines import CRLF

MAX_COMMAND_OCTETS = 2_000  # Postfix reads lines of 2,048 and drops what is longer

# BDAT is missing: its octets would have to be counted just as the server counts them.
_HARMLESS = re.compile(
    rb"(?:MAIL|RCPT|DATA|RSET|NOOP|VRFY|EXPN|ETRN|HELP|EHLO|HELO|QUIT)"
    rb"(?: [^\x00-\x1f\x7f]*)?\Z",
    re.IGNORECASE,
)
_DOT_OCTETS = 4  # of a line that begins with a dot: enough to see whether it is nothing else
_OTHER = b"x"


class Commands:
    """The client's side of a submission session, up to its end."""

    def __init__(self) -> None:
        self._held = b""
        """The beginning of a command whose end is not here yet."""
        self._in_data = False
        self._line = b""
        """How the line of data under way begins: ``x`` where that does not matter."""

    def answered(self, *, wants_data: bool) -> None:
        """The backend has replied: only behind a go-ahead for DATA does it read data.

        Raises:
            SecondLoginError: something that nobody waited for would become data.
        """
        if wants_data and self._held:
            raise SecondLoginError("data ahead of their go-ahead", failed=False)
        self._in_data = wants_data
        self._line = b""

    def read(self, octets: bytes) -> bytes:
        """What of *octets* the backend may see now.

        Raises:
            SecondLoginError: a command that is not for it.
        """
        passed = bytearray()
        at = 0
        while at < len(octets):
            piece = self._data(octets, at) if self._in_data else _up_to(b"\n", octets, at)
            at += len(piece)
            passed += self._read_data(piece) if self._in_data else self._read_command(piece)
        return bytes(passed)

    def _read_command(self, piece: bytes) -> bytes:
        self._held += piece
        if len(self._held) > MAX_COMMAND_OCTETS:
            raise SecondLoginError("a command that is too long", failed=False)
        if not piece.endswith(b"\n"):
            return b""
        line, self._held = self._held, b""
        if not line.endswith(CRLF) or not _HARMLESS.match(line[: -len(CRLF)]):
            raise SecondLoginError("a command that is not for sending mail", failed=False)
        return line

    def _data(self, octets: bytes, at: int) -> bytes:
        """One line, or many where none of them begins with a dot."""
        is_harmless = not self._line and not octets.startswith(b".", at)
        return _up_to(b"\n.", octets, at) if is_harmless else _up_to(b"\n", octets, at)

    def _read_data(self, piece: bytes) -> bytes:
        if not self._line:
            self._line = piece[:_DOT_OCTETS] if piece.startswith(b".") else _OTHER
        elif self._line != _OTHER:
            self._line = (self._line + piece)[:_DOT_OCTETS]
        if piece.endswith(b"\n"):
            # Servers differ in the line ends that they take: any dot alone may be the end.
            self._in_data = self._line.rstrip(CRLF) != b"."
            self._line = b""
        return piece


def _up_to(line_end: bytes, octets: bytes, at: int) -> bytes:
    """What stands from *at* on up to the next *line_end*, with its first octet; or all there is."""
    end = octets.find(line_end, at) + 1
    return octets[at:end] if end else octets[at:]
