"""IMAP, the dialogue with the backend (RFC 9051; SASL-IR: RFC 4959; LITERAL+: RFC 7888)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import Credentials, Mechanism
from mailward.wire.imap.command import quoted
from mailward.wire.lines import CRLF
from mailward.wire.login_dialogue import LoginDialogue, State, printable, tokens
from mailward.wire.sasl import carrier, messages

MAX_INITIAL_OCTETS = 1_024  # what is longer goes in the challenge form: no line cap is near then

_WANTS_TLS = (
    'the backend wants TLS for passwords ({}): set client-address = "proxy-v2" for it,'
    " or look at its disable_plaintext_auth setting"
)
_ASK_TAG = b"m1"
_LOGIN_TAG = b"m2"
_LOGOUT_TAG = b"m3"
_STATUS = re.compile(rb"(OK|NO|BAD|BYE|PREAUTH)(?: +(?:\[([^\]]*)\])?(.*))?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Status:
    """A status response: *code* in upper case with its *arguments*; empty where there is none."""

    kind: bytes
    code: bytes
    arguments: bytes

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
    return _Status(found[1].upper(), code.upper(), arguments)


class ImapLogin(LoginDialogue):
    """One connection to an IMAP backend, up to its answer.

    Without *credentials* it only asks what the backend can do before login.
    """

    def __init__(self, credentials: Credentials | None) -> None:
        super().__init__(credentials)
        self._capabilities: tuple[str, ...] = ()

    def _read(self, line: bytes) -> None:
        match line.split(b" ", 1):
            case [b"*", text] if self._state is State.GREETING:
                self._greeted(_status(text))
            case [b"*", text]:
                self._untagged(text)
            case [b"+", *_] if self._state is State.LOGIN:
                self._send_step()
            case [tag, text] if self._state is State.CAPABILITIES and tag == _ASK_TAG:
                self._told(_status(text))
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
                    self._log_in()
                else:
                    self._send(_ASK_TAG + b" CAPABILITY")
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
        if name.upper() == b"CAPABILITY" and (self._state is not State.LOGIN or self._is_decided):
            self._capabilities = tokens(arguments.split())
        status = _status(text)
        if status is not None and status.kind in (b"BYE", b"BAD"):
            self._unavailable(status)

    def _told(self, status: _Status | None) -> None:
        if status is None or status.kind != b"OK":
            self._nonsense()
            return
        self._capabilities = status.capabilities or self._capabilities
        self._log_in()

    def _log_in(self) -> None:
        if self._credentials is None:
            self._end_probe(_LOGOUT_TAG + b" LOGOUT", self._capabilities)
            return
        offer = {token.upper() for token in self._capabilities}
        mechanism = carrier(self._credentials, _available(offer))
        if mechanism is None and "LOGINDISABLED" in offer:
            self._finish(Unavailable(_WANTS_TLS.format("LOGINDISABLED")))
        elif mechanism is None:
            self._finish(Unavailable("the backend offers no mechanism for these credentials"))
        else:
            # What it says it can do from here on is what it can do after login.
            self._capabilities = ()
            self._send_steps(_steps(self._credentials, mechanism, offer))

    def _answered(self, status: _Status | None) -> None:
        match status.kind if status else b"":
            case b"OK" if status and self._is_decided:
                self._accept(status.capabilities or self._capabilities)
            case b"NO" if status and self._is_wrong(status):
                self._finish(Rejected())
            case b"NO" | b"BAD" if status:
                self._unavailable(status)
            case _:
                self._nonsense()

    def _is_wrong(self, status: _Status) -> bool:
        if status.code == b"AUTHENTICATIONFAILED":
            return self._has_begun
        return self._is_decided and status.code in (b"", b"ALERT")

    def _unavailable(self, status: _Status) -> None:
        kind = status.kind.decode("ascii")
        if status.code == b"PRIVACYREQUIRED":
            self._finish(Unavailable(_WANTS_TLS.format("PRIVACYREQUIRED")))
        elif status.code:
            self._finish(Unavailable(f"the backend answers {kind} [{printable(status.code)}]"))
        else:
            self._finish(Unavailable(f"the backend answers {kind}"))


def _available(offer: set[str]) -> set[Mechanism]:
    found = {m for m in (Mechanism.PLAIN, Mechanism.LOGIN) if f"AUTH={m.value}" in offer}
    return found if "LOGINDISABLED" in offer else found | {Mechanism.COMMAND}


def _steps(credentials: Credentials, mechanism: Mechanism, offer: set[str]) -> list[bytes]:
    if mechanism is Mechanism.COMMAND:
        # LITERAL- goes up to 4,096 octets (RFC 7888 section 5): no password is longer.
        return _login_command(credentials, waits=not offer & {"LITERAL+", "LITERAL-"})
    command = b"%b AUTHENTICATE %b" % (_LOGIN_TAG, mechanism.value.encode("ascii"))
    first, *others = messages(credentials, mechanism)
    if mechanism is Mechanism.PLAIN and "SASL-IR" in offer and len(first) <= MAX_INITIAL_OCTETS:
        return [command + b" " + first]
    return [command, first, *others]


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
