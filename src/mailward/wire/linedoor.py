"""What the doors of all line protocols share: reading in turn, the SASL exchange, the caps.

The words that are sent belong to each protocol's own door.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum, auto, unique

from mailward.wire.door import (
    MAX_HELD_OCTETS,
    MAX_SASL_OCTETS,
    Acknowledged,
    BearerToken,
    Closing,
    Credentials,
    DoorEvent,
    Offered,
    Opened,
    Proved,
    Reply,
    ScramOpening,
    ScramProof,
    StartTls,
)
from mailward.wire.lines import MAX_SKIPPED_OCTETS, LineError, Lines, TooLongError
from mailward.wire.proxyline import Opening
from mailward.wire.sasl import Cancelled, Challenge, Exchange, Malformed, Step

PROXY_HEADER = "a PROXY header"  # why a door closes on one
_START_OCTETS = 256  # tag and name of a command
MAX_MISTAKES = 10  # in a row; a mail client makes one at most, a scanner makes nothing else
HTTP_METHODS = frozenset(b"GET POST HEAD PUT DELETE OPTIONS CONNECT PATCH TRACE".split())
"""A web page can make a browser say these to any port, with lines of its own behind them."""


@unique
class State(Enum):
    """Where a door stands."""

    READY = auto()
    EXCHANGE = auto()
    OFFERED = auto()
    SECURING = auto()
    SKIPPING = auto()
    """A SASL line is too long: the rest of it is awaited, or it would meet a closed connection."""
    OVER = auto()


class LineDoor(ABC):
    """A door whose protocol is lines, some of them with literals."""

    def __init__(self) -> None:
        self._lines = Lines(MAX_HELD_OCTETS)
        self._state = State.READY
        self._exchange: Exchange | None = None
        self._mistakes = 0
        self._opening = Opening()
        self._skipped = 0
        self._refusal = b""
        """What the line is answered that is skipped."""

    def receive_data(self, data: bytes) -> None:
        self._opening.add(data)
        self._lines.add(data)
        self._trim_unless_reading()

    def next_event(self) -> DoorEvent | None:
        try:
            return self._event()
        except TooLongError as error:
            self._refusal = self._too_long(
                b"" if self._state is State.EXCHANGE else self._lines.start(_START_OCTETS)
            )
            if not self._refusal:
                return self._close(self._broken(error.told), str(error))
            self._become(State.SKIPPING)
            return self._skip()
        except LineError as error:
            why = PROXY_HEADER if self._opening.is_binary else str(error)
            return self._close(self._broken(error.told), why)

    def challenge(self, text: bytes) -> bytes:
        if self._exchange is None:
            raise ValueError("no exchange waits for a challenge")
        self._state = State.EXCHANGE
        return self._challenge(self._exchange.tell(text).text)

    def leftover(self) -> bytes:
        return self._lines.rest()

    def _event(self) -> DoorEvent | None:
        match self._state:
            case State.READY if self._opening.is_line:
                return self._close(self._broken("this is no door for proxies"), PROXY_HEADER)
            case State.READY:
                return self._command()
            case State.EXCHANGE:
                step = None if self._exchange is None else self._response(self._exchange)
                return None if step is None else self._take(step)
            case State.OFFERED | State.SECURING:
                return None
            case State.SKIPPING:
                return self._skip()
            case State.OVER:
                self._lines.check()
                return None

    def _response(self, exchange: Exchange) -> Step | None:
        """What follows from the client's answer to a challenge; ``None``: it is not all here."""
        line = self._lines.line(MAX_SASL_OCTETS)
        return None if line is None else exchange.receive(line)

    def _skip(self) -> Closing | None:
        octets, is_over = self._lines.skip()
        self._skipped += octets
        if not is_over and self._skipped < MAX_SKIPPED_OCTETS:
            return None
        why = "line too long"
        return self._close(self._refusal + self._broken(why.capitalize()), why)

    def _start_tls(self, go_ahead: bytes) -> StartTls | Closing:
        """Let TLS begin, unless something was sent behind the command.

        Whoever stands on the wire could have put it there, to have it done inside TLS.
        """
        if len(self._lines):
            why = "plaintext behind STARTTLS"
            return self._close(self._broken(why), why)
        self._mistakes = 0
        self._become(State.SECURING)
        return StartTls(go_ahead)

    def _begin(self, exchange: Exchange, initial: bytes | None) -> DoorEvent:
        self._exchange = exchange
        self._state = State.EXCHANGE
        return self._take(exchange.start(initial))

    def _take(self, step: Step) -> DoorEvent:  # noqa: PLR0911 -- one for each step
        match step:
            case Challenge(text):
                return Reply(self._challenge(text))
            case Credentials() | BearerToken():
                return self._offer(step)
            case ScramOpening():
                self._wait()
                return Opened(step)
            case ScramProof():
                self._mistakes = 0
                self._wait()
                return Proved(step)
            case Acknowledged():
                self._become(State.OFFERED)
                return step
            case Malformed(why):
                self._become(State.READY)
                return self._mistake(self._malformed(why))
            case Cancelled():
                self._become(State.READY)
                return self._mistake(self._cancelled())

    def _offer(self, credentials: Credentials | BearerToken) -> Offered:
        self._mistakes = 0
        self._become(State.OFFERED)
        return Offered(credentials)

    def _wait(self) -> None:
        """Read nothing until the driver has the backend's word; the exchange goes on then."""
        self._state = State.OFFERED
        self._trim_unless_reading()

    def _become(self, state: State) -> None:
        self._exchange = None
        self._state = state
        self._trim_unless_reading()

    def _trim_unless_reading(self) -> None:
        if self._state in (State.OFFERED, State.OVER):
            self._lines.trim()

    def _answer(self, reply: bytes) -> Reply:
        self._mistakes = 0
        return Reply(reply)

    def _mistake(self, reply: bytes) -> Reply | Closing:
        self._mistakes += 1
        if self._mistakes < MAX_MISTAKES:
            return Reply(reply)
        return self._close(reply + self._broken("too many mistakes"), "too many mistakes")

    def _close(self, octets: bytes, why: str) -> Closing:
        self._become(State.OVER)
        self._lines.shut()
        return Closing(octets, why)

    @abstractmethod
    def _command(self) -> DoorEvent | None:
        """Read and answer one command; ``None`` when more bytes are needed.

        Raises:
            LineError: the stream cannot be cut any further.
        """

    @abstractmethod
    def _challenge(self, text: bytes) -> bytes: ...

    @abstractmethod
    def _too_long(self, start: bytes) -> bytes:
        """The lasting refusal of a SASL line that is too long; empty where it is none.

        Outside of an exchange the line begins with *start*.
        """

    @abstractmethod
    def _malformed(self, why: str) -> bytes: ...

    @abstractmethod
    def _cancelled(self) -> bytes: ...

    @abstractmethod
    def _broken(self, why: str) -> bytes:
        """The last words before closing on a client that broke the rules."""
