"""ManageSieve before login, the door's side (RFC 5804; AUTHENTICATE: section 2.1).

Knows the few commands that make sense before login; the backend never sees any of them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from mailward.wire.door import (
    MAX_COMMAND_OCTETS,
    MAX_HELD_OCTETS,
    MAX_SASL_OCTETS,
    Acknowledged,
    DoorEvent,
    Introduced,
    Misnamed,
    Obstacle,
    Reply,
    ScramProof,
)
from mailward.wire.linedoor import HTTP_METHODS, LineDoor, State
from mailward.wire.managesieve.introduction import read_introduction
from mailward.wire.managesieve.response import (
    capabilities_before_login,
    mechanism_names,
    read_string,
)
from mailward.wire.managesieve.words import Texts, WordError, Words, string_for_client
from mailward.wire.sasl import Exchange, Malformed, Step, exchange_named, others_offered

_AFTER_LOGIN = frozenset(
    b"CHECKSCRIPT DELETESCRIPT GETSCRIPT HAVESPACE LISTSCRIPTS PUTSCRIPT RENAMESCRIPT SETACTIVE"
    b" UNAUTHENTICATE".split()
)


class ManageSieveDoor(LineDoor):
    """One ManageSieve connection before login.

    *offer* is what the backend can do before login, empty where nothing is known yet; without
    *passwords* none is taken (the connection is not safe enough for one) until TLS has begun,
    which *starttls* makes possible. One that *believes* its peer takes its word for who the client
    is, once.
    """

    def __init__(
        self,
        offer: Sequence[str],
        *,
        passwords: bool,
        starttls: bool = False,
        believes: bool = False,
    ) -> None:
        super().__init__()
        self._behind = offer
        self._others = others_offered(mechanism_names(offer))
        self._passwords = passwords
        self._starttls = starttls
        self._believes = believes
        self._is_proved = False
        self._signature: bytes | None = None
        self._texts = Texts(self._lines, MAX_SASL_OCTETS, MAX_HELD_OCTETS)

    def secured(self) -> bytes:
        self._become(State.READY)
        self._passwords = True
        self._starttls = False
        # RFC 5804 section 2.2: they are told again without being asked for.
        return self._capabilities(b'OK "TLS has begun"')

    def greeting(self) -> bytes:
        return self._capabilities(b'OK "mailward ready"')

    def wrong(self) -> bytes:
        self._become(State.READY)
        return b'NO "Authentication failed"\r\n'

    def later(self, why: Obstacle) -> bytes:
        self._signature = None
        self._become(State.READY)
        return b'NO (TRYLATER) "%b"\r\n' % why.value

    def challenge(self, text: bytes) -> bytes:
        if not self._is_proved:
            return super().challenge(text)
        # The backend's own proof goes where RFC 5804 section 2.1 has a place for it: beside the OK.
        self._signature = b64encode(text)
        self._state = State.EXCHANGE
        return b""

    def accepted(self, capabilities: Sequence[str]) -> bytes:
        self._become(State.OVER)
        if self._signature is None:
            return b'OK "Logged in"\r\n'
        return b'OK (SASL %b) "Logged in"\r\n' % string_for_client(self._signature)

    def banned(self) -> bytes:
        return b'BYE "Too many failed logins"\r\n'

    def crowded(self) -> bytes:
        return b'BYE (TRYLATER) "Too many connections are waiting to log in"\r\n'

    def timed_out(self) -> bytes:
        return b'BYE "The time for logging in is over"\r\n'

    def stopping(self) -> bytes:
        return b'BYE (TRYLATER) "The server is stopping"\r\n'

    def too_many_failures(self) -> bytes:
        return b'BYE "Too many failed logins"\r\n'

    @property
    def client_name(self) -> bytes:
        return b""

    def _capabilities(self, status: bytes) -> bytes:
        shown = capabilities_before_login(
            self._behind,
            passwords=self._passwords,
            starttls=self._starttls,
            xclient=self._believes,
        )
        lines = [
            b" ".join(
                string_for_client(word.encode("ascii", "replace"))
                for word in line
                if word is not None
            )
            for line in shown
        ]
        return b"".join(line + b"\r\n" for line in (*lines, status))

    def _command(self) -> DoorEvent | None:
        text = self._texts.next(MAX_COMMAND_OCTETS)
        if text is None:
            return None
        words = Words(text)
        try:
            name = words.name()
            return self._run(name, words)
        except WordError as error:
            return self._mistake(_no(str(error)))

    def _run(self, name: bytes, words: Words) -> DoorEvent:  # noqa: PLR0911 -- one for each command
        match name:
            case b"AUTHENTICATE":
                return self._authenticate(words)
            case b"CAPABILITY":
                words.end()
                return self._answer(self._capabilities(b'OK "That is all"'))
            case b"STARTTLS":
                words.end()
                return self._tls()
            case b"NOOP":
                return self._noop(words)
            case b"LOGOUT":
                words.end()
                return self._close(b'OK "Good bye"\r\n', "logout")
            case b"XCLIENT":
                return self._introduce(words)
            case _ if name in _AFTER_LOGIN:
                return self._mistake(_no("Please log in first"))
            case _ if name in HTTP_METHODS:
                return self._close(self._broken("this is no web server"), "HTTP")
            case _:
                return self._mistake(_no("Unknown command"))

    def _authenticate(self, words: Words) -> DoorEvent:
        if not self._passwords:
            return self._answer(b'NO (ENCRYPT-NEEDED) "Passwords are taken over TLS only"\r\n')
        words.space()
        name = words.string()
        initial = None
        if not words.is_over:
            words.space()
            initial = words.string()
            words.end()
        exchange = exchange_named(name, self._others)
        if exchange is None:
            return self._mistake(_no("No such mechanism"))
        return self._begin(exchange, initial)

    def _tls(self) -> DoorEvent:
        if not self._starttls:
            return self._mistake(_no("TLS is not available, or has begun already"))
        return self._start_tls(b'OK "Begin TLS now"\r\n')

    def _noop(self, words: Words) -> Reply:
        if words.is_over:
            return self._answer(b'OK "Done"\r\n')
        words.space()
        tag = words.string()
        words.end()
        return self._answer(b'OK (TAG %b) "Done"\r\n' % string_for_client(tag))

    def _introduce(self, words: Words) -> DoorEvent:
        if not self._believes:
            return self._mistake(_no("Unknown command"))
        try:
            address, port = read_introduction(words)
        except WordError as error:
            reply = self._mistake(_no(str(error)))
            return Misnamed(reply.octets) if isinstance(reply, Reply) else reply
        # Whoever it speaks for is somebody else, and not to be believed.
        self._believes = False
        self._mistakes = 0
        return Introduced(b'OK "Updated"\r\n', address, port)

    def _response(self, exchange: Exchange) -> Step | None:
        if self._signature is not None:
            return Acknowledged()  # nobody is asked: it goes with the answer
        text = self._texts.next(MAX_SASL_OCTETS)
        if text is None:
            return None
        answer = read_string(text)
        return Malformed("That is no string") if answer is None else exchange.receive(answer)

    def _take(self, step: Step) -> DoorEvent:
        self._is_proved = isinstance(step, ScramProof)
        return super()._take(step)

    def _challenge(self, text: bytes) -> bytes:
        return string_for_client(text) + b"\r\n"

    def _too_long(self, start: bytes) -> bytes:
        start = self._texts.begun or start
        is_sasl = self._exchange is not None or start.upper().startswith(b"AUTHENTICATE ")
        return _no("The SASL string is too long") if is_sasl else b""

    def _malformed(self, why: str) -> bytes:
        return _no(why)

    def _cancelled(self) -> bytes:
        return _no("Authentication cancelled")

    def _broken(self, why: str) -> bytes:
        return b'BYE "%b"\r\n' % (why[:1].upper() + why[1:]).encode("ascii")


def _no(why: str) -> bytes:
    return b'NO "%b"\r\n' % why.encode("ascii")
