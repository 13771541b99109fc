"""What the dialogues of all line protocols share: reading in turn, sending in steps, the end.

The words that are sent and understood belong to each protocol's own dialogue.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from base64 import b64encode
from collections import deque
from collections.abc import Collection, Sequence
from enum import Enum, auto, unique

from mailward.wire.dialogue import (
    MAX_BACKEND_LINE_OCTETS,
    Accepted,
    Answer,
    Challenged,
    DialogueEvent,
    Probed,
    Rejected,
    Send,
    Trouble,
    Unavailable,
    Upgrade,
)
from mailward.wire.door import Opening, ScramOpening, ScramProof
from mailward.wire.lines import CRLF, LineError, Lines
from mailward.wire.questions import Questions

MAX_CODE_OCTETS = 32
_CODE = re.compile(rb"[\x21-\x7e]+")
_NO_STARTTLS = (
    "the backend offers no STARTTLS: let it (ssl_server_cert_file in Dovecot, ssl_cert before 2.4,"
    " smtpd_tls_cert_file in Postfix),"
    ' or set tls = "implicit" and the port for that; if it has offered it before, somebody may be'
    " in between"
)


@unique
class State(Enum):
    """Where a dialogue stands."""

    GREETING = auto()
    CAPABILITIES = auto()
    STARTTLS = auto()
    """TLS is asked for."""
    HANDSHAKE = auto()
    """TLS begins: nothing that comes now is encrypted, and nothing is to come."""
    ORIGIN = auto()
    """The backend is told who the client is."""
    LOGIN = auto()
    OVER = auto()


class LoginDialogue(ABC):
    """A dialogue of lines. Without credentials it ends when the capabilities are known.

    With *starttls* nothing but the wish for TLS is said before TLS has begun.
    """

    def __init__(self, credentials: Opening | None, *, starttls: bool) -> None:
        self._credentials = credentials
        self._questions = Questions(credentials)
        self._wants_starttls = starttls
        self._lines = Lines(MAX_BACKEND_LINE_OCTETS + len(CRLF))
        self._state = State.GREETING
        self._events: deque[DialogueEvent] = deque()
        self._steps: deque[bytes] = deque()
        self._steps_sent = 0

    def receive_data(self, data: bytes) -> None:
        self._lines.add(data)
        if data and self._state is State.HANDSHAKE:
            self._refuse_injected()

    def next_event(self) -> DialogueEvent | None:
        while not self._events and self._state is not State.OVER:
            try:
                line = self._next()
            except LineError as error:
                self._finish(Unavailable(f"the backend talks nonsense: {error}"))
                break
            if line is None:
                return None
            self._read(line)
        return self._events.popleft() if self._events else None

    def upgraded(self) -> None:
        if self._state is State.HANDSHAKE:
            self._state = State.CAPABILITIES
            self._ask()

    def prove(self, proof: ScramProof) -> None:
        self._questions.is_proved = True
        said = self._said(b64encode(proof.text.reveal()))
        self._events.append(Send(said + CRLF, deciding=True))

    def closed(self) -> Rejected | Unavailable:
        if self._state is State.LOGIN and self._questions.error_told:
            return Rejected()
        match self._state:
            case State.GREETING:
                return Unavailable("the backend closed the connection without a greeting")
            case State.CAPABILITIES | State.STARTTLS | State.HANDSHAKE | State.ORIGIN:
                return Unavailable("the backend closed the connection before the login")
            case State.LOGIN | State.OVER:
                return Unavailable("the backend closed the connection without an answer")

    @property
    def _is_decided(self) -> bool:
        """Whether the deciding message has been sent."""
        needs_proof = isinstance(self._credentials, ScramOpening)
        return self._is_sent and (self._questions.is_proved or not needs_proof)

    @property
    def _is_sent(self) -> bool:
        """Whether all has been sent that the client said without being asked."""
        return self._state is State.LOGIN and not self._steps

    @property
    def _has_begun(self) -> bool:
        """Whether the backend has seen any of the credentials and could call them wrong."""
        return self._is_sent or self._steps_sent > 1

    def _next(self) -> bytes | None:
        """The next thing to read, ``None`` when more bytes are needed.

        Raises:
            LineError: there is none that could be read.
        """
        return self._lines.line(MAX_BACKEND_LINE_OCTETS)

    def _said(self, message: bytes) -> bytes:
        """A SASL message (in base64) that answers a challenge, as the protocol has it."""
        return message

    def _send(self, line: bytes) -> None:
        self._events.append(Send(line + CRLF))

    def _ask_for_tls(self, command: bytes, *, offered: bool) -> None:
        """Say *command*, where the backend has *offered* it; there is no going on without."""
        if not offered:
            # Whoever stands between could have taken it out of the list (RFC 3207 section 6).
            self._finish(Unavailable(_NO_STARTTLS))
            return
        self._state = State.STARTTLS
        self._send(command)

    def _begin_tls(self) -> None:
        self._wants_starttls = False
        self._state = State.HANDSHAKE
        if len(self._lines):
            self._refuse_injected()
        else:
            self._events.append(Upgrade())

    def _refuse_injected(self) -> None:
        """What stands behind the go-ahead was never protected: it must not be read as if it were.

        RFC 9051 section 6.2.1, RFC 3207 section 6.
        """
        self._finish(Unavailable("the backend sent something between STARTTLS and TLS"))

    def _send_steps(self, steps: Sequence[bytes]) -> None:
        """Send the first of *steps* now and each other one when the backend asks for it."""
        self._state = State.LOGIN
        self._steps.extend(steps)
        self._send_step()

    def _send_step(self) -> None:
        self._steps_sent += 1
        octets = self._steps.popleft() + CRLF
        opening = self._is_sent and isinstance(self._credentials, ScramOpening)
        self._events.append(Send(octets, deciding=self._is_decided, opening=opening))

    def _asked(self, text: bytes) -> None:
        """Answer the backend's challenge *text*."""
        if self._steps:
            self._send_step()
            return
        match self._questions.answer(text):
            case bytes() as message:
                self._send(self._said(message))
            case Challenged() as challenged:
                self._events.append(challenged)
            case Unavailable() as answer:
                self._finish(answer)

    def _finish(self, answer: Answer) -> None:
        self._state = State.OVER
        self._steps.clear()
        self._events.append(answer)

    def _accept(self, capabilities: Sequence[str]) -> None:
        signature = self._questions.signature
        self._finish(Accepted(tuple(capabilities), self._lines.rest(), signature))

    def _end_probe(
        self, farewell: bytes, capabilities: Sequence[str], fault: str | None, doubt: str = ""
    ) -> None:
        self._send(farewell)
        self._finish(Probed(tuple(capabilities), fault or "", doubt))

    def _cannot_log_in(self, fault: str | None, names: Collection[str]) -> None:
        """No mechanism of the backend, which offers *names*, carries these credentials."""
        if fault is None or names:
            self._no_mechanism(offers_any=bool(names))
        else:
            self._finish(Unavailable(fault))

    def _no_mechanism(self, *, offers_any: bool) -> None:
        """No mechanism of the backend carries these credentials; maybe it *offers_any*."""
        trouble = Trouble.MECHANISM if offers_any else Trouble.SERVER
        self._finish(Unavailable("the backend offers no mechanism for these credentials", trouble))

    def _nonsense(self) -> None:
        self._finish(Unavailable("the backend talks nonsense"))

    @abstractmethod
    def _ask(self) -> None:
        """Ask for the capabilities, in the state CAPABILITIES."""

    @abstractmethod
    def _read(self, line: bytes) -> None:
        """Take one line of the backend in any state but OVER."""


def printable(code: bytes) -> str:
    """The first word of *code* as it may be shown to an operator, capped.

    >>> printable(b"LIMIT\\x1b[31m 5")
    'LIMIT'
    """
    found = _CODE.match(code)
    return found[0][:MAX_CODE_OCTETS].decode("ascii") if found else "?"


def tokens(octets: Sequence[bytes]) -> tuple[str, ...]:
    """Those *octets*, parts of lines, that are printable: capabilities never are anything else."""
    # All are read in one step: there are dozens in every login.
    words = b"\n".join(octets).decode("latin-1").split("\n")
    return tuple([word for word in words if word and word.isascii() and word.isprintable()])
