"""Submission before login, the door's side (RFC 6409, RFC 5321; AUTH: RFC 4954; RFC 5248).

Knows the few commands that make sense before login; the backend never sees any of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from mailward.wire.door import (
    MAX_COMMAND_OCTETS,
    Closing,
    DoorEvent,
    Introduced,
    Obstacle,
    Reply,
)
from mailward.wire.linedoor import HTTP_METHODS, LineDoor, State
from mailward.wire.sasl import exchange_named, others_offered
from mailward.wire.smtp.introduction import KEYWORD as XCLIENT
from mailward.wire.smtp.introduction import IntroductionError, read_introduction
from mailward.wire.smtp.reply import closing_reply

_NEVER_SHOWN = {"STARTTLS", "XCLIENT", "XFORWARD", "AUTH"}
_CARRIED = {"PLAIN", "LOGIN"}
_AFTER_LOGIN = frozenset(b"MAIL RCPT DATA BDAT VRFY EXPN ETRN BURL".split())


def ehlo_keywords(
    offer: Sequence[str], *, passwords: bool, starttls: bool = False
) -> tuple[str, ...]:
    """The keyword lines that the door shows of the backend's *offer*, and its own AUTH.

    >>> ehlo_keywords(["SIZE 1000", "STARTTLS", "AUTH PLAIN CRAM-MD5"], passwords=True)
    ('SIZE 1000', 'AUTH PLAIN LOGIN')
    """
    shown = [line for line in offer if _keyword(line) not in _NEVER_SHOWN]
    shown += ["STARTTLS"] if starttls else []
    names = mechanism_names(offer)
    # A password that the client says in one mechanism reaches the backend in the other.
    carried = ("PLAIN", "LOGIN") if not offer or names & _CARRIED else ()
    own = (*others_offered(names), *carried)
    return (*shown, f"AUTH {' '.join(own)}") if passwords and own else tuple(shown)


def has_chunking(offer: Sequence[str]) -> bool:
    """Whether the keyword lines say that the backend takes BDAT (RFC 3030)."""
    return any(_keyword(line) == "CHUNKING" for line in offer)


def mechanism_names(offer: Collection[str]) -> set[str]:
    """The SASL mechanisms in the keyword lines, in upper case (also the old ``AUTH=`` form)."""
    return {
        name
        for line in offer
        if _keyword(line) == "AUTH"
        for name in line.upper().replace("=", " ").split()[1:]
    }


@lru_cache  # a backend says the same with every login
def _keyword(line: str) -> str:
    words = line.upper().replace("=", " ").split()
    return words[0] if words else ""


# Made once for each offer that a backend has, not for each client.
@lru_cache
def _shown(offer: tuple[str, ...], *, passwords: bool, starttls: bool) -> tuple[bytes, ...]:
    keywords = ehlo_keywords(offer, passwords=passwords, starttls=starttls)
    return tuple(line.encode("ascii", "replace") for line in keywords)


@lru_cache
def _others(offer: tuple[str, ...]) -> tuple[str, ...]:
    return others_offered(mechanism_names(offer))


class SubmissionDoor(LineDoor):
    """One submission connection before login.

    *offer* is the backend's EHLO keyword lines, empty where nothing is known yet; without
    *passwords* none is taken (the connection is not safe enough for one) until TLS has begun,
    which *starttls* makes possible. One that *believes* its peer takes its word, once, for who the
    client is.
    """

    def __init__(
        self,
        offer: Sequence[str],
        *,
        hostname: str,
        passwords: bool,
        starttls: bool = False,
        believes: bool = False,
    ) -> None:
        super().__init__()
        self._behind = tuple(offer)
        self._believes = believes
        self._allow(passwords=passwords, starttls=starttls)
        self._others = _others(self._behind)
        self._hostname = hostname.encode("ascii", "replace")
        self._is_greeted = False
        self._client_name = b""

    def _allow(self, *, passwords: bool, starttls: bool) -> None:
        self._passwords = passwords
        self._starttls = starttls
        self._keywords = _shown(self._behind, passwords=passwords, starttls=starttls)

    def secured(self) -> bytes:
        # RFC 3207 section 4.2: what the client said before, its name too, was said by anybody.
        self._become(State.READY)
        self._allow(passwords=True, starttls=False)
        self._is_greeted = False
        self._client_name = b""
        return b""

    def greeting(self) -> bytes:
        return b"220 %b ESMTP mailward ready\r\n" % self._hostname

    def wrong(self) -> bytes:
        self._become(State.READY)
        return b"535 5.7.8 Authentication failed\r\n"

    def later(self, why: Obstacle) -> bytes:
        self._become(State.READY)
        return b"454 4.7.0 %b\r\n" % why.value

    def accepted(self, capabilities: Sequence[str]) -> bytes:
        self._become(State.OVER)
        return b"235 2.7.0 Authentication successful\r\n"

    def banned(self) -> bytes:
        return self._closing(b"4.7.0 Too many failed logins")

    def crowded(self) -> bytes:
        return self._closing(b"4.7.0 Too many connections are waiting to log in")

    def timed_out(self) -> bytes:
        return self._closing(b"4.4.2 The time for logging in is over")

    def stopping(self) -> bytes:
        return self._closing(b"4.3.2 The server is stopping")

    def too_many_failures(self) -> bytes:
        return self._closing(b"4.7.0 Too many failed logins")

    @property
    def client_name(self) -> bytes:
        return self._client_name

    def _command(self) -> DoorEvent | None:
        line = self._lines.line(MAX_COMMAND_OCTETS)
        if line is None:
            return None
        # RFC 5321 section 4.1.1: blanks before the line end are to be tolerated.
        name, _, argument = line.rstrip(b" \t").partition(b" ")
        return self._run(name.upper(), argument.strip(b" "))

    def _run(self, name: bytes, argument: bytes) -> DoorEvent:  # noqa: PLR0911 -- one for each command
        match name:
            case b"EHLO" | b"HELO":
                return self._greet(argument, is_extended=name == b"EHLO")
            case b"AUTH":
                return self._auth(argument)
            case b"NOOP" | b"RSET":
                return self._answer(b"250 2.0.0 OK\r\n")
            case b"HELP":
                return self._answer(b"214 2.0.0 EHLO, then AUTH\r\n")
            case b"QUIT":
                return self._close(b"221 2.0.0 Good bye\r\n", "quit")
            case b"STARTTLS":
                return self._tls(argument)
            case b"XCLIENT" if self._believes:
                return self._introduce(argument)
            case _ if name in _AFTER_LOGIN:
                return self._mistake(b"530 5.7.0 Authentication required\r\n")
            case _ if name in HTTP_METHODS:
                return self._close(self._broken("this is no web server"), "HTTP")
            case _:
                return self._mistake(b"500 5.5.2 Unknown command\r\n")

    def _greet(self, name: bytes, *, is_extended: bool) -> Reply | Closing:
        if not name:
            return self._mistake(b"501 5.5.4 A host name is needed\r\n")
        self._client_name = name
        self._is_greeted = True
        lines = [self._hostname]
        if is_extended:
            lines += [*self._keywords, *((XCLIENT,) if self._believes else ())]
        before = b"".join(b"250-%b\r\n" % line for line in lines[:-1])
        return self._answer(before + b"250 %b\r\n" % lines[-1])

    def _introduce(self, argument: bytes) -> DoorEvent:
        try:
            told = read_introduction(argument)
        except IntroductionError:
            return self._mistake(b"501 5.5.4 XCLIENT takes attributes and their values\r\n")
        # What follows the address may be the client's own words: those nobody believes.
        self._believes = not told.names_address
        self._mistakes = 0
        self._is_greeted = False
        self._client_name = b""
        if told.address is None:
            return Reply(self.greeting())
        return Introduced(self.greeting(), told.address, told.port)

    def _tls(self, argument: bytes) -> DoorEvent:
        if not self._starttls:
            return self._mistake(b"502 5.5.1 TLS is not available, or has begun already\r\n")
        if argument:
            return self._mistake(b"501 5.5.4 STARTTLS takes no argument\r\n")
        return self._start_tls(b"220 2.0.0 Begin TLS now\r\n")

    def _auth(self, argument: bytes) -> DoorEvent:
        if not self._passwords:
            return self._answer(b"538 5.7.11 Passwords are taken over TLS only\r\n")
        if not self._is_greeted:
            return self._mistake(b"503 5.5.1 Send EHLO first\r\n")
        match argument.split(b" "):
            case [name] if name:
                initial = None
            case [name, initial]:
                pass
            case _:
                return self._mistake(b"501 5.5.4 AUTH takes a mechanism and its response\r\n")
        exchange = exchange_named(name, self._others)
        if exchange is None:
            return self._mistake(b"504 5.5.4 No such mechanism\r\n")
        return self._begin(exchange, initial)

    def _challenge(self, text: bytes) -> bytes:
        return b"334 %b\r\n" % text

    def _too_long(self, start: bytes) -> bytes:
        is_other = start and not start.upper().startswith(b"AUTH ")
        return b"" if is_other else b"500 5.5.6 The SASL line is too long\r\n"  # RFC 4954 section 4

    def _malformed(self, why: str) -> bytes:
        return b"501 5.5.2 %b\r\n" % why.encode("ascii")

    def _cancelled(self) -> bytes:
        return b"501 5.7.0 Authentication cancelled\r\n"

    def _broken(self, why: str) -> bytes:
        return self._closing(b"4.7.0 " + (why[:1].upper() + why[1:]).encode("ascii"))

    def _closing(self, text: bytes) -> bytes:
        code, _, words = text.partition(b" ")
        return closing_reply(self._hostname, code, words)
