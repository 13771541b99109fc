"""IMAP, the dialogue with the backend (RFC 9051; SASL-IR: RFC 4959; LITERAL+: RFC 7888).

Who the client is goes in an ID command (RFC 2971) with the fields that Dovecot reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailward.wire.dialogue import Accepted, Origin, Rejected, Trouble, Unavailable
from mailward.wire.door import BearerToken, Credentials, Mechanism, Opening, ScramOpening
from mailward.wire.imap.command import quoted
from mailward.wire.imap.door import mechanism_names
from mailward.wire.lines import CRLF
from mailward.wire.login_dialogue import LoginDialogue, State, printable, tokens
from mailward.wire.reasons import other_reason
from mailward.wire.sasl import can_log_in, carrier, first_message, is_offered, messages

MAX_INITIAL_OCTETS = 1_024  # what is longer goes in the challenge form: no line cap is near then

_WANTS_TLS = (
    'the backend wants TLS for passwords ({}): set client-address = "proxy-v2" or tls = "starttls"'
    " for it, or look at its auth_allow_cleartext setting (Dovecot; disable_plaintext_auth before"
    " 2.4)"
)
_NOT_BELIEVED = (
    "does not believe what ID says of clients, so to it all of them are mailward: let its"
    " login_trusted_networks (Dovecot) name mailward's address, or set another client-address"
)
_NO_ID = 'the backend offers no ID: it needs another client-address than "imap-id"'
_SAY_NOTHING = (b"", b"ALERT")  # with these the text alone says what it is about
_ABOUT_THE_ACCOUNT = {b"AUTHORIZATIONFAILED", b"CONTACTADMIN", b"EXPIRED", b"NOPERM", b"OVERQUOTA"}
_ASK_TAG = b"m1"
_LOGIN_TAG = b"m2"
_LOGOUT_TAG = b"m3"
_TLS_TAG = b"m4"
_ORIGIN_TAG = b"m5"
_STATUS = re.compile(rb"(OK|NO|BAD|BYE|PREAUTH)(?: +(?:\[([^\]]*)\])?(.*))?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Status:
    """A status response: *code* in upper case with its *arguments*; empty where there is none."""

    kind: bytes
    code: bytes
    arguments: bytes
    text: bytes

    @property
    def capabilities(self) -> tuple[str, ...]:
        return tokens(self.arguments.split()) if self.code == b"CAPABILITY" else ()


def _status(text: bytes) -> _Status | None:
    found = _STATUS.match(text)
    if found is None:
        return None
    code, _, arguments = (found[2] or b"").partition(b" ")
    if (found[3] or b"").startswith(b"["):
        code = b"?"  # a code that never ends: not the same as no code
    return _Status(found[1].upper(), code.upper(), arguments, (found[3] or b"").strip(b" "))


class ImapLogin(LoginDialogue):
    """One connection to an IMAP backend, up to its answer.

    Without *credentials* it only asks what the backend can do before login. *origin* is told to
    the backend by ID.
    """

    def __init__(
        self,
        credentials: Opening | None,
        *,
        starttls: bool = False,
        origin: Origin | None = None,
    ) -> None:
        super().__init__(credentials, starttls=starttls)
        self._origin = origin
        self._capabilities: tuple[str, ...] = ()
        self._is_believed = True
        """As far as it says: what ID has told of the client."""
        self._is_in = False
        """The login has succeeded, and it is asked what it can do from here on."""
        self._untold = bytearray()
        """What it has said meanwhile, which is for the client."""

    def _read(self, line: bytes) -> None:
        match line.split(b" ", 1):
            case [b"*", text] if self._state is State.GREETING:
                self._greeted(_status(text))
            case [b"*", text]:
                self._untagged(text)
            case [b"+", *challenge] if self._state is State.LOGIN:
                self._asked(challenge[0] if challenge else b"")
            case [tag, text] if self._state is State.CAPABILITIES and tag == _ASK_TAG:
                self._told(_status(text))
            case [tag, text] if self._state is State.STARTTLS and tag == _TLS_TAG:
                self._may_begin_tls(_status(text))
            case [tag, text] if self._state is State.ORIGIN and tag == _ORIGIN_TAG:
                self._knows_origin(_status(text))
            case [tag, text] if self._state is State.LOGIN and tag == _LOGIN_TAG:
                self._answered(_status(text))
            case _:
                self._nonsense()

    def _greeted(self, status: _Status | None) -> None:
        match status.kind if status else b"":
            case b"OK" if status:
                self._state = State.CAPABILITIES
                self._capabilities = status.capabilities
                if self._capabilities:
                    self._go_on()
                else:
                    self._ask()
            case b"BYE" if status:
                self._unavailable(status)
            case b"PREAUTH":
                self._finish(
                    Unavailable("the backend greets PREAUTH: everybody would be logged in")
                )
            case _:
                self._nonsense()

    def _untagged(self, text: bytes) -> None:
        name, _, arguments = text.partition(b" ")
        is_list = name.upper() == b"CAPABILITY"
        if is_list and (self._state is not State.LOGIN or self._is_decided):
            self._capabilities = tokens(arguments.split())
        elif self._is_in:
            self._untold += b"* " + text + CRLF
        status = _status(text)
        if status is not None and status.kind in (b"BYE", b"BAD"):
            if self._questions.error_told and not status.code:
                self._finish(Rejected())
                return
            self._unavailable(status)

    def _told(self, status: _Status | None) -> None:
        if status is None or (status.kind != b"OK" and not self._is_in):
            self._nonsense()
            return
        self._capabilities = status.capabilities or self._capabilities
        if self._is_in:
            self._accept(self._capabilities)
        else:
            self._go_on()

    def _ask(self) -> None:
        self._capabilities = ()  # what was said without TLS is not known any more
        self._send(_ASK_TAG + b" CAPABILITY")

    def _go_on(self) -> None:
        """Do what is still to be done before the login, then log in."""
        offer = {token.upper() for token in self._capabilities}
        if self._wants_starttls:
            self._ask_for_tls(_TLS_TAG + b" STARTTLS", offered="STARTTLS" in offer)
        elif self._origin is None:
            self._log_in()
        elif "ID" not in offer:
            self._finish(Unavailable(_NO_ID))
        else:
            self._state = State.ORIGIN
            self._send(id_command(_ORIGIN_TAG, self._origin))

    def _may_begin_tls(self, status: _Status | None) -> None:
        match status.kind if status else b"":
            case b"OK":
                self._begin_tls()
            case b"NO" | b"BAD" if status:
                self._unavailable(status, " to STARTTLS")
            case _:
                self._nonsense()

    def _knows_origin(self, status: _Status | None) -> None:
        match status.kind if status else b"":
            case b"OK" if status:
                self._is_believed = not _is_distrust(status.text, self._capabilities)
                self._capabilities = status.capabilities or self._capabilities
                self._log_in()
            case b"NO" | b"BAD" if status:
                self._unavailable(status, " to ID")
            case _:
                self._nonsense()

    def _log_in(self) -> None:
        offer = {token.upper() for token in self._capabilities}
        if self._credentials is None:
            doubt = "" if self._is_believed else _NOT_BELIEVED
            fault = _why_no_login(offer)
            self._end_probe(_LOGOUT_TAG + b" LOGOUT", self._capabilities, fault, doubt)
            return
        steps = _steps(self._credentials, offer)
        if steps:
            # What it says it can do from here on is what it can do after login.
            self._capabilities = ()
            self._send_steps(steps)
        elif "LOGINDISABLED" in offer:
            self._finish(Unavailable(_WANTS_TLS.format("LOGINDISABLED")))
        else:
            self._no_mechanism(offers_any=True)  # it offers LOGIN at least

    def _answered(self, status: _Status | None) -> None:
        match status.kind if status else b"":
            case b"OK" if status and self._is_decided:
                self._enter(status.capabilities or self._capabilities)
            case b"NO" if status and self._is_wrong(status):
                self._finish(Rejected())
            case b"BAD" if status and self._questions.error_told:
                self._finish(Rejected())  # it takes our answer to its error for a cancel
            case b"NO" | b"BAD" if status:
                self._unavailable(status)
            case _:
                self._nonsense()

    def _enter(self, capabilities: tuple[str, ...]) -> None:
        """The login has succeeded: the session's capabilities are needed to watch it.

        Some servers list UNAUTHENTICATE only then (RFC 8437). Asking with the login would spare a
        round trip, but some lose what stands behind it; a server that says them is not asked.
        """
        if capabilities:
            self._accept(capabilities)
            return
        self._is_in = True
        self._state = State.CAPABILITIES
        self._ask()

    def _accept(self, capabilities: Sequence[str]) -> None:
        leftover = bytes(self._untold) + self._lines.rest()
        self._finish(Accepted(tuple(capabilities), leftover, self._questions.signature))

    def closed(self) -> Rejected | Unavailable:
        if self._is_in:
            return Unavailable("the backend closed the connection after the login", Trouble.RIGHT)
        return super().closed()

    def _is_wrong(self, status: _Status) -> bool:
        if status.code == b"AUTHENTICATIONFAILED":
            return self._has_begun
        if other_reason(status.text):
            return False  # Cyrus gives no codes
        return self._is_decided and status.code in _SAY_NOTHING

    def _unavailable(self, status: _Status, what: str = "") -> None:
        kind = status.kind.decode("ascii")
        if status.code == b"PRIVACYREQUIRED":
            self._finish(Unavailable(_WANTS_TLS.format("PRIVACYREQUIRED")))
        elif status.code in _SAY_NOTHING and (reason := other_reason(status.text)):
            words, trouble = reason
            self._finish(Unavailable(f"the backend answers {kind}: {words}", trouble))
        elif status.code:
            code = printable(status.code)
            trouble = self._trouble(status.code)
            self._finish(Unavailable(f"the backend answers {kind} [{code}]{what}", trouble))
        else:
            self._finish(Unavailable(f"the backend answers {kind}{what}"))

    def _trouble(self, code: bytes) -> Trouble:
        # Dovecot says LIMIT behind a right password, where there are too many connections.
        if self._is_in or (code == b"LIMIT" and self._is_decided):
            return Trouble.RIGHT
        return Trouble.ACCOUNT if code in _ABOUT_THE_ACCOUNT else Trouble.SERVER


def _is_distrust(text: bytes, capabilities: Sequence[str]) -> bool:
    """Whether a Dovecot has answered ID with *text* as to a stranger.

    Since 2.4 it says "Trusted ID completed." to those it believes; before it said the same to all.
    Its default list tells the two apart: SASL-IR stands behind ID since 2.4.
    """
    offer = [token.upper() for token in capabilities]
    tells = "ID" in offer and "SASL-IR" in offer[offer.index("ID") :]
    return tells and text.strip() == b"ID completed."


def _why_no_login(offer: set[str]) -> str | None:
    """Why nobody at all could log in at a backend that can do *offer*."""
    if "LOGINDISABLED" not in offer or can_log_in(mechanism_names(offer)):
        return None
    return _WANTS_TLS.format("LOGINDISABLED")


def id_command(tag: bytes, origin: Origin) -> bytes:
    """Dovecot's fields for the client's two ends (src/imap-login/imap-login-cmd-id.c).

    >>> from ipaddress import IPv4Address
    >>> home = IPv4Address("192.0.2.1")
    >>> id_command(b"a", Origin((home, 50000), (home, 143))).split(b" ", 4)[-1]
    b'"x-originating-port" "50000" "x-connected-ip" "192.0.2.1" "x-connected-port" "143")'
    """
    (from_address, from_port), (to_address, to_port) = origin.source, origin.destination
    fields = {
        "x-originating-ip": from_address,
        "x-originating-port": from_port,
        "x-connected-ip": to_address,
        "x-connected-port": to_port,
    }
    told = " ".join(f'"{name}" "{value}"' for name, value in fields.items())
    return tag + f" ID ({told})".encode("ascii")


def _available(offer: set[str]) -> set[Mechanism]:
    found = {m for m in (Mechanism.PLAIN, Mechanism.LOGIN) if f"AUTH={m.value}" in offer}
    return found if "LOGINDISABLED" in offer else found | {Mechanism.COMMAND}


def _steps(opening: Opening, offer: set[str]) -> list[bytes]:
    """The lines that offer the credentials, empty where nothing in *offer* carries them."""
    match opening:
        case Credentials():
            return _password_steps(opening, offer)
        case BearerToken(mechanism) | ScramOpening(mechanism):
            if not is_offered(mechanism, mechanism_names(offer)):
                return []
            return _sasl_steps(mechanism.value, first_message(opening), offer)


def _password_steps(credentials: Credentials, offer: set[str]) -> list[bytes]:
    mechanism = carrier(credentials, _available(offer))
    match mechanism:
        case None:
            return []
        case Mechanism.COMMAND:
            # LITERAL- goes up to 4,096 octets (RFC 7888 section 5): no password is longer.
            return _login_command(credentials, waits=not offer & {"LITERAL+", "LITERAL-"})
        case Mechanism.PLAIN:
            return _sasl_steps(mechanism.value, messages(credentials, mechanism)[0], offer)
        case Mechanism.LOGIN:
            return [_authenticate(mechanism.value), *messages(credentials, mechanism)]


def _sasl_steps(mechanism: str, first: bytes, offer: set[str]) -> list[bytes]:
    command = _authenticate(mechanism)
    if "SASL-IR" in offer and len(first) <= MAX_INITIAL_OCTETS:
        return [command + b" " + first]
    return [command, first]


def _authenticate(mechanism: str) -> bytes:
    return b"%b AUTHENTICATE %b" % (_LOGIN_TAG, mechanism.encode("ascii"))


def _login_command(credentials: Credentials, *, waits: bool) -> list[bytes]:
    steps = [_LOGIN_TAG + b" LOGIN"]
    for octets in (credentials.login, credentials.password.reveal()):
        safe = quoted(octets)
        if safe is not None:
            steps[-1] += b" " + safe
        elif waits:
            steps[-1] += b" {%d}" % len(octets)
            steps.append(octets)
        else:
            steps[-1] += b" {%d+}%b%b" % (len(octets), CRLF, octets)
    return steps
