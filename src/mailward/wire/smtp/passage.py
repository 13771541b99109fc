"""Port 25, from the first byte to the first MAIL (RFC 5321; STARTTLS: RFC 3207).

The backend speaks from its greeting on. The door leaves out of its offers what would be a login or
another client's name, answers STARTTLS itself, and has no AUTH at all. Where they follow one upon
another, commands go to the backend one at a time: so answers of ours never overtake its own.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from enum import Enum, auto, unique

from mailward.wire.dialogue import MAX_BACKEND_LINE_OCTETS
from mailward.wire.door import MAX_COMMAND_OCTETS, MAX_HELD_OCTETS, Closing, StartTls
from mailward.wire.linedoor import HTTP_METHODS, MAX_MISTAKES, PROXY_HEADER
from mailward.wire.lines import CRLF, LineError, Lines
from mailward.wire.passage import PassageEvent, Through, ToBackend, ToClient
from mailward.wire.proxyline import Opening
from mailward.wire.smtp.backend import MAX_REPLY_LINES
from mailward.wire.smtp.commands import MAX_PASSED_OCTETS
from mailward.wire.smtp.reply import (
    ReplyLine,
    closing_reply,
    greeting,
    keyword,
    reply_line,
)
from mailward.wire.smtp.watch import (
    AT_PORT_25,
    NO_AUTH,
    NOT_BELIEVED,
    SubmissionWatch,
    is_hidden,
)

_READY = 220
_OK = 250
_REFUSAL = 400  # and above
_CLOSING = 421
_UNASKED = {220, 235, 334, 354, 535}  # nobody has said what these answer

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")  # 8 bits may stand in a line: RFC 6531
_GREETINGS = {b"EHLO", b"HELO"}
_AT_ANY_TIME = {b"NOOP", b"RSET", b"HELP", b"QUIT"}
_PASSED = _AT_ANY_TIME | {b"MAIL", b"VRFY", b"EXPN", b"ETRN"}
_NEEDS_MAIL = {b"RCPT", b"DATA"}


@unique
class Awaited(Enum):
    """What the backend has still to say."""

    GREETING = auto()
    EHLO = auto()
    """What it can do: that is read whole, before a line of it passes."""
    HELO = auto()
    REPLY = auto()


_AWAITED = {b"EHLO": Awaited.EHLO, b"HELO": Awaited.HELO}


class SmtpPassage:
    """One connection at port 25. *starttls* says that the door has a certificate for it.

    *literal* is the client's address literal, for where its name is none.
    """

    def __init__(self, *, hostname: str, starttls: bool, literal: bytes) -> None:
        self._hostname = hostname.encode("ascii", "replace")
        self._literal = literal
        self._starttls = starttls
        self._client = Lines(MAX_HELD_OCTETS)
        self._opening = Opening()
        self._backend = Lines(MAX_BACKEND_LINE_OCTETS + len(CRLF))
        self._line: bytes | None = None
        """The command whose turn has not come yet."""
        self._awaited = deque([Awaited.GREETING])
        self._reply: list[ReplyLine] = []
        self._code = 0
        """The code of the reply that is under way; 0 between replies."""
        self._has_chunking = False
        self._is_connected = False
        self._is_securing = False
        self._is_over = False
        self._needs_greeting = True
        self._mistakes = 0

    def connected(self, offer: Sequence[str], octets: bytes) -> None:
        self._is_connected = True
        self._backend.add(octets)

    def from_client(self, data: bytes) -> None:
        self._opening.add(data)
        self._client.add(data)
        if self._awaited:
            self._client.trim()

    def from_backend(self, data: bytes) -> None:
        self._backend.add(data)

    def next_event(self) -> PassageEvent | None:
        if self._is_over or self._is_securing or not self._is_connected:
            return None
        try:
            return self._answer() or self._command()
        except LineError as error:
            why = PROXY_HEADER if self._opening.is_binary else str(error)
            return self._close(self._broken(error.told), why)

    def secured(self) -> None:
        # RFC 3207 section 4.2: what the client said before was said by anybody. The backend takes
        # the next EHLO for a new beginning, so nothing but that may come before.
        self._is_securing = False
        self._starttls = False
        self._needs_greeting = True

    @property
    def is_idle(self) -> bool:
        return not self._awaited

    # -- the words -----------------------------------------------------------------------------

    def backend_gone(self) -> bytes:
        return self.unavailable() if self._awaited else b""

    def unavailable(self) -> bytes:
        return self._closing(b"4.3.2", b"No mail can be taken now, try again later")

    def banned(self) -> bytes:
        return self._closing(b"4.7.0", b"Too many failed logins")

    def crowded(self) -> bytes:
        return self._closing(b"4.7.0", b"Too many connections are waiting")

    def timed_out(self) -> bytes:
        return self._closing(b"4.4.2", b"The time for beginning is over")

    def stopping(self) -> bytes:
        return self._closing(b"4.3.2", b"The server is stopping")

    def _broken(self, why: str) -> bytes:
        return self._closing(b"4.7.0", (why[:1].upper() + why[1:]).encode("ascii"))

    def _closing(self, code: bytes, words: bytes) -> bytes:
        return closing_reply(self._hostname, code, words)

    # -- the backend ---------------------------------------------------------------------------

    def _answer(self) -> PassageEvent | None:
        """What the client is to see of the backend's next line; those of EHLO are kept back."""
        try:
            while (line := self._backend.line(MAX_BACKEND_LINE_OCTETS)) is not None:
                found = reply_line(line)
                if found is None or not self._is_due(found.code):
                    return self._nonsense()
                if event := self._take(found, line + CRLF):
                    return event
        except LineError:
            return self._nonsense()
        return None

    def _take(self, found: ReplyLine, octets: bytes) -> PassageEvent | None:
        self._code = 0 if found.is_last else found.code
        awaited = self._awaited[0] if self._awaited else None
        if found.is_last and awaited is not None:
            self._awaited.popleft()
            if awaited in {Awaited.EHLO, Awaited.HELO} and found.code == _OK:
                self._needs_greeting = False
                self._has_chunking = False
        if awaited is not Awaited.EHLO:
            return ToClient(octets)
        self._reply.append(found)
        if len(self._reply) > MAX_REPLY_LINES:
            return self._nonsense()
        return ToClient(self._offer()) if found.is_last else None

    def _is_due(self, code: int) -> bool:
        if not self._awaited:
            return code == (self._code or _CLOSING)  # which may be said at any time
        is_greeting = self._awaited[0] is Awaited.GREETING
        if self._code:
            # A greeting that took its time may end in a refusal: who did not wait is sent away.
            return code == self._code or (is_greeting and code >= _REFUSAL)
        return code not in _UNASKED or (is_greeting and code == _READY)

    def _offer(self) -> bytes:
        """The reply to EHLO as the client may see it."""
        reply, self._reply = self._reply, []
        texts = [line.text for line in reply]
        if reply[-1].code == _OK:
            words = [keyword(text) for text in texts[1:]]
            self._has_chunking = b"CHUNKING" in words
            shown = [
                text
                for text, word in zip(texts[1:], words, strict=True)
                if not is_hidden(word, auth=True)
            ]
            texts = texts[:1] + shown + ([b"STARTTLS"] if self._starttls else [])
        code = reply[-1].code
        before = b"".join(b"%d-%b\r\n" % (code, text) for text in texts[:-1])
        return before + b"%d %b\r\n" % (code, texts[-1])

    def _nonsense(self) -> Closing:
        return self._close(self.unavailable(), "the backend talks nonsense")

    # -- the client ----------------------------------------------------------------------------

    def _command(self) -> PassageEvent | None:
        if self._line is None:
            self._line = self._client.line(MAX_COMMAND_OCTETS)
        if self._line is None:
            return None
        # RFC 5321 section 4.1.1: blanks before the line end are to be tolerated.
        name, _, argument = self._line.rstrip(b" \t").partition(b" ")
        name = name.upper()
        # Who does not wait for the greeting is let show it: mail servers look at that.
        is_early = name in _GREETINGS and self._awaited == deque([Awaited.GREETING])
        if not is_early and (self._awaited or self._code):
            return None
        line, self._line = self._line, None
        return self._run(name, argument.strip(b" "), line)

    def _run(  # noqa: C901, PLR0911 -- one for each command
        self, name: bytes, argument: bytes, line: bytes
    ) -> PassageEvent:
        match name:
            case b"STARTTLS":
                return self._start_tls(argument)
            case b"AUTH":
                return self._mistake(NO_AUTH)
            case b"XCLIENT" | b"XFORWARD":
                return self._mistake(NOT_BELIEVED)
            case b"PROXY":
                return self._close(self._broken("no PROXY header is expected"), PROXY_HEADER)
            case b"BDAT":
                # Its octets follow at once, and nobody waits for them.
                return self._close(self._broken("BDAT without MAIL"), "BDAT without MAIL")
            case _ if name in _NEEDS_MAIL:
                return self._mistake(b"503 5.5.1 Send MAIL first\r\n")
            case _ if name in HTTP_METHODS:
                return self._close(self._broken("this is no web server"), "HTTP")
            case b"EHLO" | b"HELO":
                return self._pass(name, greeting(line[: len(name)], argument, self._literal))
            case _ if name not in _PASSED or _CONTROL.search(line):
                return self._mistake(b"500 5.5.2 Unknown command\r\n")
            case _ if len(line) > MAX_PASSED_OCTETS:
                return self._mistake(b"500 5.5.6 The line is too long\r\n")
            case _:
                return self._pass(name, line + CRLF)

    def _start_tls(self, argument: bytes) -> PassageEvent:
        if not self._starttls:
            return self._mistake(b"502 5.5.1 TLS is not available, or has begun already\r\n")
        if argument:
            return self._mistake(b"501 5.5.4 STARTTLS takes no argument\r\n")
        if len(self._client):
            # Whoever stands on the wire could have put it there, to have it done inside TLS.
            why = "plaintext behind STARTTLS"
            return self._close(self._broken(why), why)
        self._mistakes = 0
        self._is_securing = True
        return StartTls(b"220 2.0.0 Begin TLS now\r\n")

    def _pass(self, name: bytes, command: bytes) -> PassageEvent:
        if self._needs_greeting and name not in _AT_ANY_TIME | _GREETINGS:
            return self._mistake(b"503 5.5.1 Send EHLO first\r\n")
        self._mistakes = 0
        if name == b"MAIL":
            return self._go_through(command)
        self._awaited.append(_AWAITED.get(name, Awaited.REPLY))
        self._client.trim()
        return ToBackend(command)

    def _go_through(self, command: bytes) -> Through:
        self._client.check()
        self._is_over = True
        watch = SubmissionWatch(
            chunking=self._has_chunking,
            literal=self._literal,
            refusals=AT_PORT_25,
            hides_auth=True,
        )
        return Through(command + self._client.rest(), self._backend.rest(), watch)

    def _mistake(self, reply: bytes) -> ToClient | Closing:
        self._mistakes += 1
        if self._mistakes < MAX_MISTAKES:
            return ToClient(reply)
        return self._close(reply + self._broken("too many mistakes"), "too many mistakes")

    def _close(self, octets: bytes, why: str) -> Closing:
        self._is_over = True
        self._client.shut()
        self._backend.shut()
        return Closing(octets, why)
