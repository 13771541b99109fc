"""Submission, the dialogue with the backend (RFC 6409, RFC 5321; AUTH: RFC 4954)."""

from __future__ import annotations

from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import Credentials, Mechanism
from mailward.wire.lines import CRLF
from mailward.wire.login_dialogue import LoginDialogue, State, tokens
from mailward.wire.sasl import carrier, messages
from mailward.wire.smtp.door import mechanism_names
from mailward.wire.smtp.reply import is_name, reply_line

MAX_COMMAND_LINE_OCTETS = 512  # RFC 5321 section 4.5.3.1.4, CRLF included
MAX_REPLY_LINES = 256
UNNAMED = b"[127.0.0.1]"  # to EHLO for a client that gave no name

_WANTS_TLS = (
    'the backend wants TLS for passwords ({}): set client-address = "proxy-v2" for it,'
    " or look at its disable_plaintext_auth (Dovecot) or smtpd_tls_auth_only (Postfix) setting"
)
_READY = 220
_OK = 250


class SmtpLogin(LoginDialogue):
    """One connection to a submission backend, up to its answer.

    Without *credentials* it only asks what the backend can do before login.
    """

    def __init__(self, credentials: Credentials | None, *, client_name: bytes) -> None:
        super().__init__(credentials)
        self._client_name = client_name if is_name(client_name) else UNNAMED
        self._code = 0
        self._reply: list[bytes] = []

    def _read(self, line: bytes) -> None:
        found = reply_line(line)
        if found is None or (self._reply and found.code != self._code):
            self._nonsense()
            return
        self._code = found.code
        self._reply.append(found.text)
        if found.is_last:
            reply, self._reply = self._reply, []
            self._replied(found.code, reply)
        elif len(self._reply) >= MAX_REPLY_LINES:
            self._nonsense()

    def _replied(self, code: int, reply: list[bytes]) -> None:
        match self._state:
            case State.GREETING if code == _READY:
                self._state = State.CAPABILITIES
                self._send(b"EHLO " + self._client_name)
            case State.CAPABILITIES if code == _OK:
                self._log_in(tokens(reply[1:]))
            case State.LOGIN:
                self._answered(code)
            case State.GREETING | State.CAPABILITIES | State.OVER:
                self._finish(Unavailable(f"the backend answers {code}"))

    def _log_in(self, keywords: tuple[str, ...]) -> None:
        if self._credentials is None:
            self._end_probe(b"QUIT", keywords)
            return
        names = mechanism_names(keywords)
        available = {m for m in (Mechanism.PLAIN, Mechanism.LOGIN) if m.value in names}
        mechanism = carrier(self._credentials, available)
        if mechanism is not None:
            self._send_steps(_steps(self._credentials, mechanism))
        elif not names and "STARTTLS" in {keyword.upper() for keyword in keywords}:
            self._finish(Unavailable(_WANTS_TLS.format("no AUTH")))
        else:
            self._finish(Unavailable("the backend offers no mechanism for these credentials"))

    def _answered(self, code: int) -> None:
        match code:
            case 235 if self._is_decided:
                self._accept(())
            case 334:
                self._send_step()
            case 535 if self._has_begun:
                self._finish(Rejected())
            case 530 | 538:
                self._finish(Unavailable(_WANTS_TLS.format(code)))
            case _:
                self._finish(Unavailable(f"the backend answers {code}"))


def _steps(credentials: Credentials, mechanism: Mechanism) -> list[bytes]:
    command = b"AUTH " + mechanism.value.encode("ascii")
    first, *others = messages(credentials, mechanism)
    whole = command + b" " + first
    if mechanism is Mechanism.PLAIN and len(whole) + len(CRLF) <= MAX_COMMAND_LINE_OCTETS:
        return [whole]
    return [command, first, *others]
