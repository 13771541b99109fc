"""ManageSieve, the dialogue with the backend (RFC 5804; what counts as wrong: section 1.3).

Who the client is goes in XCLIENT, as Dovecot's managesieve-login takes it.
"""

from __future__ import annotations

from collections.abc import Collection

from mailward.wire.dialogue import (
    MAX_BACKEND_LINE_OCTETS,
    Origin,
    Rejected,
    Trouble,
    Unavailable,
)
from mailward.wire.door import BearerToken, Credentials, Mechanism, Opening, ScramOpening
from mailward.wire.encoding import decode
from mailward.wire.login_dialogue import LoginDialogue, State, printable
from mailward.wire.managesieve.introduction import introduction
from mailward.wire.managesieve.response import (
    Status,
    mechanism_names,
    name_of,
    read_capability,
    read_status,
    read_string,
)
from mailward.wire.managesieve.words import Texts, string_for_server
from mailward.wire.reasons import other_reason
from mailward.wire.sasl import can_log_in, carrier, first_message, is_offered, messages
from mailward.wire.scram import is_signature

MAX_CAPABILITIES = 256

_WANTS_TLS = (
    'the backend wants TLS for passwords ({}): set client-address = "proxy-v2" or tls = "starttls"'
    " for it, or look at its auth_allow_cleartext (Dovecot; disable_plaintext_auth before 2.4) or"
    " allowplaintext (Cyrus) setting"
)
_NO_MECHANISM = "the backend offers no SASL mechanism that a login here could be carried by"
_NO_XCLIENT = (
    "the backend offers no XCLIENT here: let login_trusted_networks (Dovecot) name mailward's"
    " address, or set another client-address"
)
_SAYS_NOTHING_OF_IT = {
    b"TRYLATER": Trouble.SERVER,
    b"ENCRYPT-NEEDED": Trouble.SERVER,
    b"?": Trouble.SERVER,
    b"AUTH-TOO-WEAK": Trouble.ACCOUNT,
    b"TRANSITION-NEEDED": Trouble.ACCOUNT,
    b"REFERRAL": Trouble.ACCOUNT,
    b"LIMIT/CONNECTIONS": Trouble.RIGHT,  # Dovecot 2.4, behind its check of the password
}
"""The codes of a NO that is no word about a wrong password, and what each is about."""


class ManageSieveLogin(LoginDialogue):
    """One connection to a ManageSieve backend, up to its answer.

    Without *credentials* it only asks what the backend can do before login. *origin* is told to
    the backend by XCLIENT.
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
        self._texts = Texts(self._lines, MAX_BACKEND_LINE_OCTETS, MAX_BACKEND_LINE_OCTETS)
        self._capabilities: list[str] = []

    def _next(self) -> bytes | None:
        return self._texts.next(MAX_BACKEND_LINE_OCTETS)

    def _said(self, message: bytes) -> bytes:
        return string_for_server(message)

    def _read(self, line: bytes) -> None:
        status = read_status(line)
        match self._state:
            case _ if status is not None:
                self._ended(status)
            case State.GREETING | State.CAPABILITIES if line.startswith((b'"', b"{")):
                self._told(read_capability(line))
            case State.LOGIN if (challenge := read_string(line)) is not None:
                self._asked(challenge)
            case _:
                self._nonsense()

    def _told(self, capability: str | None) -> None:
        if capability is not None:
            self._capabilities.append(capability)
        # One that is no plain text is not ours to show; but it was a line of the list.
        if len(self._capabilities) > MAX_CAPABILITIES:
            self._nonsense()

    def _ended(self, status: Status) -> None:
        """A response is over."""
        if status.kind == b"BYE":
            self._left(status)
            return
        is_ok = status.kind == b"OK"
        match self._state:
            case State.GREETING | State.CAPABILITIES if is_ok:
                self._go_on()
            case State.STARTTLS if is_ok:
                self._begin_tls()
            case State.ORIGIN if is_ok:
                self._log_in()
            case State.LOGIN:
                self._answered(status)
            case State.STARTTLS:
                self._unavailable(status, " to STARTTLS")
            case State.ORIGIN:
                self._unavailable(status, " to XCLIENT")
            case State.GREETING | State.CAPABILITIES | State.HANDSHAKE | State.OVER:
                self._unavailable(status)

    def _ask(self) -> None:
        """Nothing is asked: RFC 5804 section 2.2 has them told behind TLS by themselves."""
        self._capabilities = []

    def _go_on(self) -> None:
        """Do what is still to be done before the login, then log in."""
        offer = {name_of(capability) for capability in self._capabilities}
        if self._wants_starttls:
            self._ask_for_tls(b"STARTTLS", offered="STARTTLS" in offer)
        elif self._origin is None:
            self._log_in()
        elif "XCLIENT" not in offer:
            self._finish(Unavailable(_NO_XCLIENT))
        else:
            self._state = State.ORIGIN
            self._send(introduction(*self._origin.source))

    def _log_in(self) -> None:
        fault = _why_no_login(self._capabilities)
        if self._credentials is None:
            self._end_probe(b"LOGOUT", self._capabilities, fault)
            return
        if steps := _steps(self._credentials, mechanism_names(self._capabilities)):
            self._send_steps(steps)
        else:
            self._cannot_log_in(fault, mechanism_names(self._capabilities))

    def _left(self, status: Status) -> None:
        if self._questions.error_told and not status.code:
            self._finish(Rejected())
        else:
            self._unavailable(status)

    def _answered(self, status: Status) -> None:
        if status.kind == b"OK":
            self._succeeded(status)
        elif self._has_begun and self._is_wrong(status):
            self._finish(Rejected())
        else:
            self._unavailable(status)

    def _is_wrong(self, status: Status) -> bool:
        # Dovecot gives no code for most of what forbids a login.
        return status.code not in _SAYS_NOTHING_OF_IT and _other_reason(status.text) is None

    def _succeeded(self, status: Status) -> None:
        if not self._is_decided:
            self._nonsense()
            return
        if status.code == b"SASL" and isinstance(self._credentials, ScramOpening):
            signature = decode(status.argument or b"") or b""
            if self._questions.signature or not is_signature(
                self._credentials.mechanism, signature
            ):
                self._nonsense()
                return
            self._questions.signature = signature
        self._accept(())

    def _unavailable(self, status: Status, what: str = "") -> None:
        kind = status.kind.decode("ascii")
        if status.code == b"ENCRYPT-NEEDED":
            self._finish(Unavailable(_WANTS_TLS.format("ENCRYPT-NEEDED")))
        elif status.code:
            code = printable(status.code)
            trouble = _SAYS_NOTHING_OF_IT.get(status.code, Trouble.SERVER)
            self._finish(Unavailable(f"the backend answers {kind} ({code}){what}", trouble))
        elif reason := _other_reason(status.text):
            words, trouble = reason
            self._finish(Unavailable(f"the backend answers {kind}: {words}{what}", trouble))
        else:
            self._finish(Unavailable(f"the backend answers {kind}{what}"))


def _other_reason(text: bytes) -> tuple[str, Trouble] | None:
    """What a NO is about if not a wrong password. Dovecot has words here where IMAP has codes."""
    if text.removesuffix(b".").lower() == b"authorization failed":
        return "authorization failed", Trouble.ACCOUNT
    return other_reason(text)


def _why_no_login(capabilities: Collection[str]) -> str | None:
    """Why nobody at all could log in at a backend that tells *capabilities*."""
    names = mechanism_names(capabilities)
    if can_log_in(names):
        return None
    wants_tls = not names and "STARTTLS" in {name_of(capability) for capability in capabilities}
    return _WANTS_TLS.format("no SASL mechanism") if wants_tls else _NO_MECHANISM


def _steps(opening: Opening, names: Collection[str]) -> list[bytes]:
    """The lines that offer the credentials, empty where no mechanism in *names* carries them."""
    match opening:
        case Credentials():
            return _password_steps(opening, names)
        case BearerToken(mechanism) | ScramOpening(mechanism):
            if not is_offered(mechanism, names):
                return []
            return [_authenticate(mechanism.value, first_message(opening))]


def _password_steps(credentials: Credentials, names: Collection[str]) -> list[bytes]:
    available = {m for m in (Mechanism.PLAIN, Mechanism.LOGIN) if m.value in names}
    mechanism = carrier(credentials, available)
    if mechanism is None:
        return []
    first, *others = messages(credentials, mechanism)
    if mechanism is Mechanism.PLAIN:
        return [_authenticate(mechanism.value, first)]
    # LOGIN has no initial response: the server speaks first.
    return [_authenticate(mechanism.value), *map(string_for_server, (first, *others))]


def _authenticate(mechanism: str, first: bytes | None = None) -> bytes:
    command = b"AUTHENTICATE " + string_for_server(mechanism.encode("ascii"))
    return command if first is None else command + b" " + string_for_server(first)
