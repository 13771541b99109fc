"""A submission session after login, bytes to events (RFC 6409, RFC 5321).

SIZE: RFC 1870. PIPELINING: RFC 2920. CHUNKING: RFC 3030. 8BITMIME: RFC 6152. SMTPUTF8: RFC 6531.
It knows no clock, no file and no account; whose an address is it asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto, unique

from mailward.wire.door import MAX_COMMAND_OCTETS, Closing, Reply
from mailward.wire.lines import LineError, Lines
from mailward.wire.smtp.reply import closing_reply, is_name
from mailward_mailbox.delivery.envelope import (
    Delivered,
    Envelope,
    Outcome,
    Recipient,
    Refused,
)
from mailward_mailbox.room import Room
from mailward_mailbox.submission.content import BareLineEndError, Content, Loss
from mailward_mailbox.submission.path import PathError, read_path

MAX_RECIPIENTS = 100  # RFC 5321 section 4.5.3.1.8
MAX_MISTAKES = 20
MAX_REPLY_LINES = 20
MAX_REPLY_CHARACTERS = 400  # RFC 5321 section 4.5.3.1.5: 512 octets, with all that stands before
MAX_AHEAD_OCTETS = 131_072
_MAX_DIGITS = 20  # RFC 1870 section 4

_MAIL_PARAMETERS = {b"SIZE", b"BODY", b"SMTPUTF8", b"AUTH"}
_BODIES = {b"7BIT", b"8BITMIME"}
_ANSWERED = {
    b"NOOP": b"250 2.0.0 OK\r\n",
    b"VRFY": b"252 2.5.0 Send it, and see\r\n",
    b"EXPN": b"502 5.5.1 There are no lists here\r\n",
    b"HELP": b"214 2.0.0 MAIL, RCPT, DATA or BDAT, RSET, NOOP, QUIT\r\n",
}
_AT_THE_DOOR = {b"AUTH", b"STARTTLS", b"XCLIENT", b"XFORWARD"}


@dataclass(frozen=True, slots=True)
class Submitted:
    """A message is whole: it is to be delivered, and :meth:`SubmissionSession.settled` to be told.

    *client_name* is what its sender said in EHLO.
    """

    envelope: Envelope
    content: Content = field(repr=False)
    client_name: bytes


SubmissionEvent = Reply | Submitted | Closing
Find = Callable[[str], Recipient | Refused]
"""Whose an address is, or why nothing can be sent to it."""


@unique
class _State(Enum):
    COMMAND = auto()
    DATA = auto()
    CHUNK = auto()
    DELIVERING = auto()
    OVER = auto()


class SubmissionSession:
    """Speaks with one client who is logged in. *client_name* is what it said in EHLO before.

    Messages of *max_octets* at most are held in *room*, which is given back by :meth:`close`.
    """

    def __init__(
        self, hostname: str, client_name: bytes, find: Find, max_octets: int, room: Room
    ) -> None:
        self._hostname = hostname.encode("ascii", "replace")
        self._client_name = client_name
        self._find = find
        self._max_octets = max_octets
        self._room = room
        self._content = Content(max_octets, room)
        self._lines = Lines(MAX_AHEAD_OCTETS)
        self._state = _State.COMMAND
        self._mistakes = 0
        self._forget()

    def _forget(self) -> None:
        """End the transaction, if there is one (RFC 5321 section 4.1.1.5)."""
        self._sender: str | None = None
        self._is_utf8 = False
        self._recipients: dict[str, Recipient] = {}
        self._content.close()
        self._content = Content(self._max_octets, self._room)
        self._chunk_left = 0
        self._is_last_chunk = False
        self._chunk_refusal = b""
        """What all chunks of this transaction are answered."""
        self._has_chunks = False

    @property
    def is_over(self) -> bool:
        return self._state is _State.OVER

    def receive_data(self, data: bytes) -> None:
        self._lines.add(data)

    def next_event(self) -> SubmissionEvent | None:
        """What is next; ``None`` when more bytes are needed, or the news of a delivery."""
        try:
            while True:
                event = self._next()
                if event is None or not isinstance(event, Reply) or event.octets:
                    return event
        except BareLineEndError:
            return self._close(b"554 5.6.0 A line ends with CRLF, no other CR or LF is taken\r\n")
        except LineError as error:
            return self._close(b"500 5.5.2 %b\r\n" % error.told.encode("ascii"))

    def settled(self, outcome: Outcome, name: str) -> bytes:
        """The answer to what was Submitted, known to us by *name*."""
        self._state = _State.COMMAND
        self._forget()
        match outcome:
            case Delivered():
                return b"250 2.0.0 OK %b\r\n" % name.encode()
            case Refused(code, status, why):
                return _reply(code, status, why)

    def timed_out(self) -> bytes:
        return self._end(b"4.4.2", b"Nothing was heard for too long")

    def close(self) -> None:
        """Nothing more is going to be said: give back what is held."""
        self._state = _State.OVER
        self._forget()

    def stopping(self) -> bytes:
        return self._end(b"4.3.2", b"The server is stopping")

    def locked_out(self) -> bytes:
        return self._end(b"4.7.0", b"The login holds no longer, log in again")

    # -- reading -------------------------------------------------------------------------------

    def _next(self) -> SubmissionEvent | None:
        match self._state:
            case _State.COMMAND:
                line = self._lines.line(MAX_COMMAND_OCTETS)
                return None if line is None else self._command(line)
            case _State.DATA:
                return self._data(self._lines.rest())
            case _State.CHUNK:
                return self._chunk()
            case _State.DELIVERING | _State.OVER:
                return None

    def _command(self, line: bytes) -> SubmissionEvent:  # noqa: PLR0911 -- one for each command
        # RFC 5321 section 4.1.1: blanks before the line end are to be tolerated.
        name, _, argument = line.rstrip(b" \t").partition(b" ")
        name, argument = name.upper(), argument.strip(b" ")
        match name:
            case b"EHLO" | b"HELO":
                return self._greet(argument, is_extended=name == b"EHLO")
            case b"MAIL":
                return self._mail(argument)
            case b"RCPT":
                return self._rcpt(argument)
            case b"DATA":
                return self._begin_data(argument)
            case b"BDAT":
                return self._begin_chunk(argument)
            case b"RSET":
                self._forget()
                return self._ok(b"250 2.0.0 OK\r\n")
            case b"QUIT":
                return self._close(b"221 2.0.0 Good bye\r\n")
            case _ if name in _ANSWERED:
                return self._ok(_ANSWERED[name])
            case _ if name in _AT_THE_DOOR:
                return self._mistake(b"503 5.5.1 You are logged in already\r\n")
            case _:
                return self._mistake(b"500 5.5.2 Unknown command\r\n")

    def _greet(self, name: bytes, *, is_extended: bool) -> Reply | Closing:
        if not name:
            return self._mistake(b"501 5.5.4 A host name is needed\r\n")
        if is_name(name):  # any other is taken, and the client keeps its first one
            self._client_name = name
        self._forget()
        shown = extensions(self._max_octets) if is_extended else ()
        lines = [self._hostname, *(line.encode("ascii") for line in shown)]
        before = b"".join(b"250-%b\r\n" % line for line in lines[:-1])
        return self._ok(before + b"250 %b\r\n" % lines[-1])

    def _mail(self, argument: bytes) -> Reply | Closing:  # noqa: PLR0911 -- one for each refusal
        if self._sender is not None:
            return self._mistake(b"503 5.5.1 There is a sender already, RSET first\r\n")
        try:
            path = read_path(b"FROM", argument)
        except PathError:
            return self._mistake(b"501 5.5.4 MAIL FROM:<address> is needed\r\n")
        told = path.parameters
        if not told.keys() <= _MAIL_PARAMETERS:
            return self._mistake(b"555 5.5.4 There is no such parameter\r\n")
        size, body = told.get(b"SIZE", b"0"), told.get(b"BODY", b"7BIT")
        if size is None or not size.isdigit() or len(size) > _MAX_DIGITS:
            return self._mistake(b"501 5.5.4 SIZE is a number\r\n")
        if body is None or body.upper() not in _BODIES:
            return self._mistake(b"501 5.5.4 BODY is 7BIT or 8BITMIME\r\n")
        if told.get(b"SMTPUTF8") is not None:
            return self._mistake(b"501 5.5.4 SMTPUTF8 has no value\r\n")
        self._is_utf8 = b"SMTPUTF8" in told
        sender = self._text(path.address)
        if sender is None:
            return self._mistake(b"553 5.6.7 Such an address needs SMTPUTF8\r\n")
        if int(size) > self._max_octets:
            return self._ok(self._too_long)
        self._sender = sender
        return self._ok(b"250 2.1.0 OK\r\n")

    def _rcpt(self, argument: bytes) -> Reply | Closing:  # noqa: PLR0911 -- one for each refusal
        if self._sender is None:
            return self._mistake(b"503 5.5.1 MAIL first\r\n")
        try:
            path = read_path(b"TO", argument)
        except PathError:
            path = None
        if path is None or not path.address:
            return self._mistake(b"501 5.5.4 RCPT TO:<address> is needed\r\n")
        if path.parameters:
            return self._mistake(b"555 5.5.4 There is no such parameter\r\n")
        address = self._text(path.address)
        if address is None:
            return self._mistake(b"553 5.6.7 Such an address needs SMTPUTF8\r\n")
        if address not in self._recipients and len(self._recipients) >= MAX_RECIPIENTS:
            return self._ok(b"452 4.5.3 There are %d recipients already\r\n" % MAX_RECIPIENTS)
        match self._find(address):
            case Refused(code, status, why):
                # Addresses may be typed wrong; whoever tries them out by the thousand is cut off.
                return self._mistake(_reply(code, status, why))
            case recipient:
                self._recipients[address] = recipient
                return self._ok(b"250 2.1.5 OK\r\n")

    def _text(self, address: bytes) -> str | None:
        """*address* as text, ``None`` where it may not be in the octets that it is in."""
        try:
            return address.decode("utf-8" if self._is_utf8 else "ascii")
        except UnicodeDecodeError:
            return None

    # -- the message ---------------------------------------------------------------------------

    def _begin_data(self, argument: bytes) -> Reply | Closing:
        if argument:
            return self._mistake(b"501 5.5.4 DATA stands alone\r\n")
        if self._has_chunks:
            return self._mistake(b"503 5.5.1 A message is begun with BDAT already\r\n")
        if not self._recipients:
            return self._mistake(self._nobody)
        self._state = _State.DATA
        self._content.begin_data()
        return self._ok(b"354 Go ahead, end with a dot alone on its line\r\n")

    def _data(self, octets: bytes) -> SubmissionEvent | None:
        rest = self._content.add_data(octets)
        if rest is None:
            return None
        self._lines.add(rest)
        return self._whole()

    def _begin_chunk(self, argument: bytes) -> Reply | Closing:
        words = argument.split()
        is_last = len(words) == 2 and words[1].upper() == b"LAST"  # noqa: PLR2004 -- size, LAST
        if not words or not words[0].isdigit() or (len(words) > 1 and not is_last):
            # What follows may be a message, and must not be read as commands.
            return self._close(b"501 5.5.4 BDAT takes a size, then perhaps LAST\r\n")
        if len(words[0]) > _MAX_DIGITS:
            return self._close(self._too_long)
        if not self._recipients and not self._chunk_refusal:
            self._chunk_refusal = self._nobody
        self._has_chunks = True
        self._chunk_left = int(words[0])
        self._is_last_chunk = is_last
        self._state = _State.CHUNK
        return Reply(b"")

    def _chunk(self) -> SubmissionEvent | None:
        octets = self._lines.octets(min(self._chunk_left, len(self._lines))) or b""
        self._chunk_left -= len(octets)
        if not self._chunk_refusal:
            self._content.add_chunk(octets)
            if self._content.loss is not None:
                self._chunk_refusal = self._lost(self._content.loss)
        if self._chunk_left:
            return None
        self._state = _State.COMMAND
        if refusal := self._chunk_refusal:
            if self._is_last_chunk:
                self._forget()
            return self._mistake(refusal)
        if self._is_last_chunk:
            self._content.end_chunks()
            return self._whole()
        return self._ok(b"250 2.0.0 OK, go on\r\n")

    def _whole(self) -> SubmissionEvent:
        if self._content.loss is not None:
            refusal = self._lost(self._content.loss)
            self._state = _State.COMMAND
            self._forget()
            return Reply(refusal)
        envelope = Envelope(self._sender or "", tuple(self._recipients.values()), self._is_utf8)
        self._state = _State.DELIVERING
        return Submitted(envelope, self._content, self._client_name)

    # -- answers -------------------------------------------------------------------------------

    @property
    def _too_long(self) -> bytes:
        return b"552 5.3.4 A message has %d octets at most\r\n" % self._max_octets

    def _lost(self, loss: Loss) -> bytes:
        match loss:
            case Loss.TOO_LONG:
                return self._too_long
            case Loss.NO_ROOM:
                return b"452 4.3.1 Too much mail is on its way, try again later\r\n"

    @property
    def _nobody(self) -> bytes:
        if self._sender is None:
            return b"503 5.5.1 MAIL first\r\n"
        return b"554 5.5.1 There is no recipient\r\n"

    def _ok(self, octets: bytes) -> Reply:
        self._mistakes = 0
        return Reply(octets)

    def _mistake(self, octets: bytes) -> Reply | Closing:
        self._mistakes += 1
        if self._mistakes < MAX_MISTAKES:
            return Reply(octets)
        return self._close(octets + self._end(b"4.7.0", b"Too many mistakes"))

    def _close(self, octets: bytes) -> Closing:
        self._state = _State.OVER
        self._lines.shut()
        return Closing(octets, "")

    def _end(self, status: bytes, words: bytes) -> bytes:
        self._state = _State.OVER
        return closing_reply(self._hostname, status, words)


def extensions(max_octets: int) -> tuple[str, ...]:
    """What EHLO shows; before the login the door adds its own."""
    return (
        "PIPELINING",
        f"SIZE {max_octets}",
        "8BITMIME",
        "SMTPUTF8",
        "CHUNKING",
        "ENHANCEDSTATUSCODES",
    )


def _reply(code: int, status: str, why: str) -> bytes:
    """One reply, of as many lines as *why* has (RFC 5321 section 4.2.1)."""
    words = (line[:MAX_REPLY_CHARACTERS] for line in why.splitlines()[:MAX_REPLY_LINES] or [""])
    lines = [f"{status} {line}".encode("ascii", "replace") for line in words]
    before = b"".join(b"%d-%b\r\n" % (code, line) for line in lines[:-1])
    return before + b"%d %b\r\n" % (code, lines[-1])
