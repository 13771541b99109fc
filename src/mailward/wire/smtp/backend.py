"""Submission, the dialogue with the backend (RFC 6409, RFC 5321; AUTH: RFC 4954).

STARTTLS: RFC 3207. Who the client is goes in XCLIENT, Postfix's XCLIENT_README.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv6Address

from mailward.wire.dialogue import Origin, Rejected, Trouble, Unavailable
from mailward.wire.door import BearerToken, Credentials, Mechanism, Opening, ScramOpening
from mailward.wire.lines import CRLF
from mailward.wire.login_dialogue import LoginDialogue, State, tokens
from mailward.wire.reasons import other_reason
from mailward.wire.sasl import can_log_in, carrier, first_message, is_offered, messages
from mailward.wire.smtp.door import mechanism_names
from mailward.wire.smtp.reply import is_name, reply_line, xtext

MAX_COMMAND_LINE_OCTETS = 512  # RFC 5321 section 4.5.3.1.4, CRLF included
MAX_REPLY_LINES = 256
UNNAMED = b"[127.0.0.1]"  # to EHLO for a client that gave no name

_WANTS_TLS = (
    'the backend wants TLS for passwords ({}): set client-address = "proxy-v2" or tls = "starttls"'
    " for it, or look at its smtpd_tls_auth_only (Postfix) or auth_allow_cleartext (Dovecot;"
    " disable_plaintext_auth before 2.4) setting"
)
_NO_AUTH = (
    "the backend offers no AUTH, so nobody can log in: look at its smtpd_sasl_auth_enable and"
    " smtpd_tls_auth_only (Postfix) settings for that port"
)
_NO_MECHANISM = "the backend offers no mechanism that a login here could be carried by"
_NO_XCLIENT = (
    "the backend offers no XCLIENT here: let smtpd_authorized_xclient_hosts (Postfix) or"
    " login_trusted_networks (Dovecot) name mailward's address, or set another client-address"
)
_READY = 220
_OK = 250


class SmtpLogin(LoginDialogue):
    """One connection to a submission backend, up to its answer.

    Without *credentials* it only asks what the backend can do before login. *origin* is told to
    the backend by XCLIENT.
    """

    def __init__(
        self,
        credentials: Opening | None,
        *,
        client_name: bytes,
        starttls: bool = False,
        origin: Origin | None = None,
    ) -> None:
        super().__init__(credentials, starttls=starttls)
        self._origin = origin
        self._client_name = client_name if is_name(client_name) else UNNAMED
        self._code = 0
        self._reply: list[bytes] = []
        self._keywords: tuple[str, ...] = ()

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
            case State.GREETING | State.ORIGIN if code == _READY:
                self._state = State.CAPABILITIES  # after XCLIENT the session begins anew
                self._ask()
            case State.CAPABILITIES if code == _OK:
                self._go_on(tokens(reply[1:]))
            case State.STARTTLS if code == _READY:
                self._begin_tls()
            case State.LOGIN:
                self._answered(code, reply[-1])
            case State.STARTTLS:
                self._finish(Unavailable(f"the backend answers {code} to STARTTLS"))
            case State.ORIGIN:
                self._finish(Unavailable(f"the backend answers {code} to XCLIENT"))
            case State.GREETING | State.CAPABILITIES | State.HANDSHAKE | State.OVER:
                self._finish(Unavailable(f"the backend answers {code}"))

    def _ask(self) -> None:
        self._send(b"EHLO " + self._client_name)

    def _go_on(self, keywords: tuple[str, ...]) -> None:
        """Do what is still to be done before the login, then log in."""
        offer = {words[0].upper(): words[1:] for words in map(str.split, keywords) if words}
        if self._wants_starttls:
            self._ask_for_tls(b"STARTTLS", offered="STARTTLS" in offer)
        elif self._origin is None:
            self._log_in(keywords)
        elif "XCLIENT" not in offer:
            self._finish(Unavailable(_NO_XCLIENT))
        else:
            origin, self._origin = self._origin, None
            self._state = State.ORIGIN
            self._send(self._introduction(origin, offer["XCLIENT"]))

    def _introduction(self, origin: Origin, known: Collection[str]) -> bytes:
        return xclient_command(origin, self._client_name, known)

    def _log_in(self, keywords: tuple[str, ...]) -> None:
        fault = _why_no_login(keywords)
        if self._credentials is None:
            self._end_probe(b"QUIT", keywords, fault)
            return
        self._keywords = keywords
        if steps := _steps(self._credentials, mechanism_names(keywords)):
            self._send_steps(steps)
        else:
            self._cannot_log_in(fault, mechanism_names(keywords))

    def _answered(self, code: int, text: bytes) -> None:
        match code:
            case 235 if self._is_decided:
                self._accept(self._keywords)
            case 334:
                self._asked(text)
            case 535 if reason := other_reason(text):
                words, trouble = reason
                self._finish(Unavailable(f"the backend answers 535: {words}", trouble))
            case 535 if self._has_begun:
                self._finish(Rejected())
            case 500 | 501 if self._questions.error_told:
                self._finish(Rejected())  # it takes our answer to its error for a cancel
            case 530 | 538:
                self._finish(Unavailable(_WANTS_TLS.format(code)))
            case 525 | 534:  # RFC 5248: disabled; RFC 4954 section 6: too weak for this account
                self._finish(Unavailable(f"the backend answers {code}", Trouble.ACCOUNT))
            case _:
                self._finish(Unavailable(f"the backend answers {code}"))


def _why_no_login(keywords: Collection[str]) -> str | None:
    """Why nobody at all could log in at a backend that offers *keywords*."""
    names = mechanism_names(keywords)
    if can_log_in(names):
        return None
    if names:
        return _NO_MECHANISM
    wants_tls = "STARTTLS" in {keyword.upper() for keyword in keywords}
    return _WANTS_TLS.format("no AUTH") if wants_tls else _NO_AUTH


def xclient_command(origin: Origin, client_name: bytes, known: Collection[str]) -> bytes:
    """Tell the attributes of the client that the backend *known* has offered to take.

    >>> client = IPv6Address("2001:db8::9"), 50000
    >>> xclient_command(Origin(client, client), b"a+b", ["ADDR", "HELO"])
    b'XCLIENT ADDR=IPV6:2001:db8::9 HELO=a+2Bb'
    """
    address, port = origin.source
    addr = f"IPV6:{address}" if isinstance(address, IPv6Address) else str(address)
    attributes = {
        "ADDR": addr.encode("ascii"),
        "PORT": b"%d" % port,
        "PROTO": b"ESMTP",
        "HELO": client_name,
    }
    takes = {name.upper() for name in known}
    line = b"XCLIENT"
    for name, value in attributes.items():
        told = b" %b=%b" % (name.encode("ascii"), xtext(value))
        # A name that would overflow the line is left out: the EHLO that follows tells it as well.
        if name in takes and len(line + told) + len(CRLF) <= MAX_COMMAND_LINE_OCTETS:
            line += told
    return line


def _steps(opening: Opening, names: Collection[str]) -> list[bytes]:
    """The lines that offer the credentials, empty where no mechanism in *names* carries them."""
    match opening:
        case Credentials():
            return _password_steps(opening, names)
        case BearerToken(mechanism) | ScramOpening(mechanism):
            if not is_offered(mechanism, names):
                return []
            return _sasl_steps(mechanism.value, first_message(opening))


def _password_steps(credentials: Credentials, names: Collection[str]) -> list[bytes]:
    available = {m for m in (Mechanism.PLAIN, Mechanism.LOGIN) if m.value in names}
    mechanism = carrier(credentials, available)
    if mechanism is None:
        return []
    first, *others = messages(credentials, mechanism)
    if mechanism is Mechanism.PLAIN:
        return _sasl_steps(mechanism.value, first)
    return [_auth(mechanism.value), first, *others]


def _sasl_steps(mechanism: str, first: bytes) -> list[bytes]:
    whole = _auth(mechanism) + b" " + first
    if len(whole) + len(CRLF) <= MAX_COMMAND_LINE_OCTETS:
        return [whole]
    return [_auth(mechanism), first]


def _auth(mechanism: str) -> bytes:
    return b"AUTH " + mechanism.encode("ascii")
