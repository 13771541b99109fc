"""IMAP before login, the door's side (RFC 9051; LOGIN: 6.2.3, AUTHENTICATE: 6.2.2; RFC 5530).

Knows the few commands that make sense before login; the backend never sees any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from mailward.wire.door import (
    MAX_COMMAND_OCTETS,
    MAX_LOGIN_OCTETS,
    MAX_PASSWORD_OCTETS,
    Closing,
    Credentials,
    DoorEvent,
    Introduced,
    Mechanism,
    Misnamed,
    Obstacle,
    Reply,
)
from mailward.wire.imap.command import Command, Head, WordError, Words
from mailward.wire.imap.identification import START, Identification, Step
from mailward.wire.imap.introduction import IntroductionError, read_introduction
from mailward.wire.linedoor import HTTP_METHODS, LineDoor, State
from mailward.wire.lines import LineError, Literal, literal_at_end
from mailward.wire.sasl import Malformed, credentials, exchange_named, others_offered

MAX_ID_VALUE_OCTETS = 1_024  # RFC 2971 section 3.3
_START_OCTETS = 256  # tag and name of a command
MAX_LITERALS = 60  # RFC 2971 section 3.3: 30 pairs

_UNKNOWN_OFFER = ("IMAP4rev1",)
_NEVER_SHOWN = {"STARTTLS", "LOGINDISABLED", "LOGIN-REFERRALS", "UNAUTHENTICATE", "SASL-IR"}
_NEVER_SHOWN_KINDS = ("AUTH=", "COMPRESS=")
_AFTER_LOGIN = frozenset(
    b"APPEND CHECK CLOSE COMPRESS COPY CREATE DELETE DELETEACL ENABLE EXAMINE EXPUNGE FETCH GETACL"
    b" GETMETADATA GETQUOTA GETQUOTAROOT IDLE LIST LISTRIGHTS LSUB MOVE MYRIGHTS NAMESPACE NOTIFY"
    b" RENAME SEARCH SELECT SETACL SETMETADATA SETQUOTA SORT STATUS STORE SUBSCRIBE THREAD UID"
    b" UNAUTHENTICATE UNSELECT UNSUBSCRIBE".split()
)


def capabilities_before_login(
    offer: Sequence[str], *, passwords: bool, starttls: bool = False
) -> tuple[str, ...]:
    """What the door shows of the backend's *offer*, and what the door itself adds.

    >>> capabilities_before_login(["IMAP4rev1", "STARTTLS", "AUTH=PLAIN"], passwords=True)
    ('IMAP4rev1', 'SASL-IR', 'AUTH=PLAIN', 'AUTH=LOGIN')
    """
    upper = {token.upper() for token in offer}
    # A password that the client says in one mechanism reaches the backend in any other.
    carried = not offer or "LOGINDISABLED" not in upper or upper & {"AUTH=PLAIN", "AUTH=LOGIN"}
    shown = [
        token
        for token in offer or _UNKNOWN_OFFER
        if token.upper() not in _NEVER_SHOWN and not token.upper().startswith(_NEVER_SHOWN_KINDS)
    ]
    others = [f"AUTH={name}" for name in others_offered(mechanism_names(offer)) if passwords]
    own = ("AUTH=PLAIN", "AUTH=LOGIN") if passwords and carried else ("LOGINDISABLED",)
    return (*shown, "SASL-IR", *(("STARTTLS",) if starttls else ()), *others, *own)


def mechanism_names(offer: Iterable[str]) -> set[str]:
    """The SASL mechanisms among the capabilities, in upper case."""
    upper = (token.upper() for token in offer)
    return {token.removeprefix("AUTH=") for token in upper if token.startswith("AUTH=")}


def capabilities_after_login(capabilities: Sequence[str]) -> tuple[str, ...]:
    """What the client is told of the backend's capabilities once it is logged in.

    Commands are read on (UNAUTHENTICATE, RFC 8437), which compression would hide.
    """
    hidden = ("UNAUTHENTICATE", "COMPRESS=")
    return tuple(token for token in capabilities if not token.upper().startswith(hidden))


def can_unauthenticate(capabilities: Sequence[str]) -> bool:
    return any(token.upper() == "UNAUTHENTICATE" for token in capabilities)


# Made once for each offer that a backend has, not for each client.
@lru_cache
def _shown(offer: tuple[str, ...], *, passwords: bool, starttls: bool, believes: bool) -> bytes:
    capabilities = capabilities_before_login(offer, passwords=passwords, starttls=starttls)
    if believes and "ID" not in map(str.upper, capabilities):
        capabilities = (*capabilities, "ID")  # a webmail may look for it before it sends one
    return " ".join(capabilities).encode("ascii", "replace")


@lru_cache
def _others(offer: tuple[str, ...]) -> tuple[str, ...]:
    return others_offered(mechanism_names(offer))


class ImapDoor(LineDoor):
    """One IMAP connection before login.

    *offer* is what the backend can do before login, empty where nothing is known yet; without
    *passwords* none is taken (the connection is not safe enough for one) until TLS has begun,
    which *starttls* makes possible. One that *believes* its peer takes its word, once, for who the
    client is.
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
        self._behind = tuple(offer)
        self._believes = believes
        self._allow(passwords=passwords, starttls=starttls)
        self._others = _others(self._behind)
        self._partial = Command()
        self._id: Identification | None = None
        self._tag = b"*"

    def _allow(self, *, passwords: bool, starttls: bool) -> None:
        self._passwords = passwords
        self._starttls = starttls
        self._capabilities = _shown(
            self._behind, passwords=passwords, starttls=starttls, believes=self._believes
        )

    def secured(self) -> bytes:
        self._become(State.READY)
        self._allow(passwords=True, starttls=False)
        return b""

    def greeting(self) -> bytes:
        return b"* OK [CAPABILITY %b] mailward ready\r\n" % self._capabilities

    def wrong(self) -> bytes:
        self._become(State.READY)
        return self._tagged(b"NO [AUTHENTICATIONFAILED] Authentication failed")

    def later(self, why: Obstacle) -> bytes:
        self._become(State.READY)
        return self._tagged(b"NO [UNAVAILABLE] " + why.value)

    def accepted(self, capabilities: Sequence[str]) -> bytes:
        self._become(State.OVER)
        tokens = " ".join(capabilities_after_login(capabilities)).encode("ascii", "replace")
        return self._tagged(b"OK [CAPABILITY %b] Logged in" % tokens if tokens else b"OK Logged in")

    def banned(self) -> bytes:
        return b"* BYE Too many failed logins\r\n"

    def crowded(self) -> bytes:
        return b"* BYE [UNAVAILABLE] Too many connections are waiting to log in\r\n"

    def timed_out(self) -> bytes:
        return b"* BYE The time for logging in is over\r\n"

    def stopping(self) -> bytes:
        return b"* BYE [UNAVAILABLE] The server is stopping\r\n"

    def too_many_failures(self) -> bytes:
        return b"* BYE Too many failed logins\r\n"

    @property
    def client_name(self) -> bytes:
        return b""

    def _command(self) -> DoorEvent | None:
        if self._id is None and not self._partial.lines:
            found = START.match(self._lines.start(_START_OCTETS))
            if found is not None:
                self._lines.octets(found.end())
                self._tag, self._id = found[1], Identification()
        if self._id is not None:
            return self._skim(self._id)
        partial = self._partial
        while True:
            if partial.wants is not None:
                octets = self._lines.octets(partial.wants)
                if octets is None:
                    return None
                partial.add_literal(octets)
            line = self._lines.line(min(MAX_COMMAND_OCTETS, partial.room))
            if line is None:
                return None
            partial.lines.append(line)
            literal = literal_at_end(line)
            if literal is None or not self._has_room(partial, literal):
                self._partial = Command()
                return self._run(partial)
            partial.wants = literal.size
            if literal.waits:
                return Reply(b"+ OK\r\n")

    def _skim(self, identification: Identification) -> DoorEvent | None:
        """Read on in an ID command."""
        try:
            match identification.read(self._lines):
                case Step.MORE:
                    return None
                case Step.GO_AHEAD:
                    return Reply(b"+ OK\r\n")
                case Step.DONE:
                    self._id = None
                    return self._identify(identification.kept)
        except WordError as error:
            line = self._lines.line(MAX_COMMAND_OCTETS)
            if line is None:
                return None
            literal = literal_at_end(line)
            if literal is not None and not literal.waits:
                raise LineError("literal too large") from None
            self._id = None
            return self._bad(str(error))

    def _has_room(self, partial: Command, literal: Literal) -> bool:
        """Whether *literal* is to be read. One that waits can be refused in its command's answer.

        Raises:
            LineError: it does not wait, and is too large to be read just to be thrown away.
        """
        fits = literal.size <= partial.room and len(partial.literals) < MAX_LITERALS
        if literal.waits:
            return fits and literal.size <= self._largest_literal(partial)
        if not fits or literal.size > MAX_PASSWORD_OCTETS:
            raise LineError("literal too large")
        return True

    def _largest_literal(self, partial: Command) -> int:
        head = partial.head()
        match head.name if head else b"":
            case b"LOGIN" if head and self._passwords:
                is_name = partial.lines[0].startswith(b"{", head.end) and not partial.literals
                return MAX_LOGIN_OCTETS if is_name else MAX_PASSWORD_OCTETS
            case b"ID":
                return MAX_ID_VALUE_OCTETS
            case _:
                return -1

    def _run(self, command: Command) -> DoorEvent:
        head = command.head()
        self._tag = head.tag if head else b"*"
        method, _, target = command.lines[0].partition(b" ")
        if method in HTTP_METHODS and target.startswith((b"/", b"*")):
            # "Accept: LOGIN joe x" would be a guess: a page's, not that of who looks at it.
            return self._close(self._broken("this is no web server"), "HTTP")
        if head is None:
            return self._bad("A command is a tag and a name")
        words = Words(command.lines, command.literals, head.end)
        try:
            return self._known(head, words)
        except WordError as error:
            return self._bad(str(error))

    def _known(self, head: Head, words: Words) -> DoorEvent:  # noqa: PLR0911 -- one for each command
        match head.name:
            case b"LOGIN":
                return self._login(words)
            case b"AUTHENTICATE":
                return self._authenticate(words)
            case b"ID":
                parameters = words.id_parameters()
                words.end()
                return self._identify(parameters)
            case b"CAPABILITY":
                words.end()
                return self._done(b"* CAPABILITY %b\r\n" % self._capabilities, b"CAPABILITY")
            case b"NOOP":
                words.end()
                return self._done(b"", b"NOOP")
            case b"LOGOUT":
                words.end()
                return self._close(b"* BYE Good bye\r\n" + self._tagged(b"OK Done"), "logout")
            case b"STARTTLS":
                words.end()
                return self._tls()
            case name if name in _AFTER_LOGIN:
                return self._bad("Please log in first")
            case _:
                return self._bad("Unknown command")

    def _identify(self, parameters: Sequence[bytes]) -> DoorEvent:
        reply = self._done(b'* ID ("name" "mailward")\r\n', b"ID")
        if not self._believes:
            return reply
        try:
            told = read_introduction(parameters)
        except IntroductionError:
            return Misnamed(reply.octets)
        if told is None:
            return reply
        # What follows may be the client's own words: those nobody believes.
        self._believes = False
        return Introduced(reply.octets, *told)

    def _tls(self) -> DoorEvent:
        if not self._starttls:
            return self._bad("TLS is not available, or has begun already")
        return self._start_tls(self._tagged(b"OK Begin TLS now"))

    def _login(self, words: Words) -> DoorEvent:
        if not self._passwords:
            return self._needs_privacy()
        login = words.string()
        words.space()
        password = words.string()
        words.end(blank=True)  # some clients send one
        offered = credentials(Mechanism.COMMAND, login, password)
        match offered:
            case Credentials():
                return self._offer(offered)
            case Malformed(why):
                return self._bad(why)

    def _authenticate(self, words: Words) -> DoorEvent:
        if not self._passwords:
            return self._needs_privacy()
        name = words.atom()
        initial = words.last_atom()
        exchange = exchange_named(name, self._others)
        if exchange is None:
            return self._mistake(self._tagged(b"NO No such mechanism"))
        return self._begin(exchange, initial)

    def _needs_privacy(self) -> Reply:
        return self._answer(self._tagged(b"NO [PRIVACYREQUIRED] Passwords are taken over TLS only"))

    def _done(self, untagged: bytes, name: bytes) -> Reply:
        return self._answer(untagged + self._tagged(b"OK %b completed" % name))

    def _bad(self, why: str) -> Reply | Closing:
        return self._mistake(self._tagged(b"BAD " + why.encode("ascii")))

    def _tagged(self, text: bytes) -> bytes:
        return b"%b %b\r\n" % (self._tag, text)

    def _challenge(self, text: bytes) -> bytes:
        return b"+ %b\r\n" % text

    def _too_long(self, start: bytes) -> bytes:
        if start:
            head = Command([*self._partial.lines, start]).head()
            if head is None or head.name != b"AUTHENTICATE":
                return b""
            self._tag = head.tag
        return self._tagged(b"NO [CANNOT] The SASL line is too long")

    def _malformed(self, why: str) -> bytes:
        return self._tagged(b"BAD " + why.encode("ascii"))

    def _cancelled(self) -> bytes:
        return self._tagged(b"BAD Authentication cancelled")

    def _broken(self, why: str) -> bytes:
        return b"* BYE %b\r\n" % (why[:1].upper() + why[1:]).encode("ascii")
