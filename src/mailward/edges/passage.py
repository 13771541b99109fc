"""A connection that no login follows: mail from other servers, or whatever a port is for.

The door does for it what it does for mail: drops who is banned, keeps its place and its time until
it is in, speaks TLS. The backend is there from the beginning; what is looked at of what both say,
and how long, is the machine's.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto, unique
from functools import partial

from mailward.backends.port import Client, Granted, PassageBackend
from mailward.edges.caller import Caller, Standing
from mailward.edges.house import House, Work
from mailward.edges.relay import Relay
from mailward.edges.second_login import count_second_login
from mailward.edges.tls import Keyring, agreed, begin_tls
from mailward.guard.journal import Event
from mailward.settings.configuration import DoorLimits, DoorTls
from mailward.wire.dialogue import Unavailable
from mailward.wire.door import Closing, StartTls
from mailward.wire.linedoor import PROXY_HEADER
from mailward.wire.passage import Passing, Through, ToBackend, ToClient
from mailward.wire.proxyline import TlsFacts

FLUSH_SECONDS = 5.0  # a last word that is not read by then is not heard

_log = logging.getLogger("mailward.passage")


@dataclass(frozen=True, slots=True)
class PassageEntrance:
    """What the passages of one listener share, for as long as its configuration stays."""

    listener: str
    service: str
    backend: PassageBackend
    limits: DoorLimits
    tls: DoorTls | None
    keyring: Keyring


@unique
class State(Enum):
    ARRIVING = auto()
    """Accepted; where TLS begins with the connection it is beginning."""
    CONNECTING = auto()
    """The backend is being reached."""
    TALKING = auto()
    """The machine stands between client and backend."""
    SECURING = auto()
    """TLS begins after STARTTLS."""
    PASSING = auto()
    """Everything passes."""
    CLOSED = auto()


class Passage(asyncio.Protocol):
    """One client connection, from accept to its end; *machine* knows what it speaks."""

    def __init__(
        self, house: House, entrance: PassageEntrance, machine: Passing, caller: Caller
    ) -> None:
        self.address = caller.address
        self.is_direct = caller.is_direct
        self.subject = house.guard.policy.prefixes.subject(caller.address)
        self._house = house
        self._entrance = entrance
        self._machine = machine
        self._caller = caller
        self._id = secrets.token_hex(4)
        self._name = f"passage {self._id}"
        self._state = State.ARRIVING
        self._tls: TlsFacts | None = caller.tls
        self._is_paused = False
        self._client_ended = False
        self._early = bytearray()
        self._connecting: asyncio.Task[None] | None = None
        self._backend: asyncio.Transport | None = None
        self._relay: Relay | None = None
        self._hang_up: Callable[[], None]
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    # -- the client's connection ---------------------------------------------------------------

    def arrive(self, hang_up: Callable[[], None]) -> None:
        """Begin to wait; until there is a transport *hang_up* is what ends the connection."""
        self._hang_up = hang_up
        seconds = self._entrance.limits.login_timeout.total_seconds()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._time_out)
        self._house.lobby.enter(self)

    def never_came(self) -> None:
        """The connection ended before there was a transport."""
        self._gone()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport is a Transport
        self._hang_up = self._transport.abort
        if self._state is State.CLOSED:
            self._transport.abort()
            return
        self._learn_tls()
        self._state = State.CONNECTING
        self._connecting = self._begin(self._connect)

    def data_received(self, data: bytes) -> None:
        match self._state:
            case State.CONNECTING:
                self._transport.pause_reading()  # it speaks first: let it wait with the rest
                self._machine.from_client(data)
            case State.TALKING:
                self._machine.from_client(data)
                self._advance()
            case State.SECURING:
                # Reading the plain connection has stopped: these bytes came through TLS, in the
                # moment before we were told that it has begun.
                self._early += data
            case State.ARRIVING | State.PASSING | State.CLOSED:
                pass

    def eof_received(self) -> bool:
        self._client_ended = True
        is_heard = self._state in {State.CONNECTING, State.TALKING}
        if self._state is State.TALKING:
            self._advance()
        return is_heard and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        # A client that reads nothing is answered nothing more, and read no further.
        self._is_paused = True
        for transport in self._open():
            transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_paused = False
        for transport in self._open():
            transport.resume_reading()
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()

    def _open(self) -> Iterator[asyncio.Transport]:
        for transport in (self._transport, self._backend):
            if transport is not None and not transport.is_closing():
                yield transport

    # -- the backend's connection --------------------------------------------------------------

    async def _connect(self) -> None:
        caller = self._caller
        try:
            answer = await self._entrance.backend.connect(
                Client(caller.source, caller.destination, self._tls)
            )
        finally:
            self._connecting = None
        match answer:
            case Unavailable(why):
                _log.debug("passage %s: the backend is unavailable: %s", self._id, why)
                self._close(self._machine.unavailable())
            case Granted():
                self._connected(answer)

    def _connected(self, granted: Granted) -> None:
        if self._state is not State.CONNECTING or self._transport.is_closing():
            granted.transport.abort()
            return
        if granted.transport.is_closing():
            self._close(self._machine.unavailable())  # nobody would tell us again
            return
        self._state = State.TALKING
        self._backend = granted.transport
        self._backend.set_protocol(_BackendSide(self))
        self._machine.connected(granted.capabilities, granted.leftover)
        self._transport.resume_reading()
        self._backend.resume_reading()
        self._advance()

    def backend_said(self, data: bytes) -> None:
        if self._state in {State.TALKING, State.SECURING}:
            self._machine.from_backend(data)
            self._advance()

    def backend_gone(self) -> None:
        if self._state is State.SECURING:
            self._abort()
        else:
            self._close(self._machine.backend_gone())

    # -- what others tell it -------------------------------------------------------------------

    def make_room(self) -> None:
        self._end(self._machine.crowded())

    def shut_out(self) -> None:
        if self._state is not State.PASSING:
            self._end(self._machine.banned())
        elif self._house.guard.policy.ban_closes_sessions and self._relay is not None:
            self._relay.abort()

    def stop(self) -> None:
        """The door shuts for good."""
        if self._relay is not None:
            self._relay.close()
        else:
            self._end(self._machine.stopping())

    # -- until it is in ------------------------------------------------------------------------

    def _advance(self) -> None:
        while self._state is State.TALKING and not self._is_paused:
            match self._machine.next_event():
                case None:
                    if self._client_ended and self._machine.is_idle:
                        self._close(b"")
                    return
                case ToClient(octets):
                    self._transport.write(octets)
                case ToBackend(octets):
                    self._to_backend(octets)
                case StartTls(octets):
                    self._secure(octets)
                case Closing(octets, why):
                    if why == PROXY_HEADER and self._caller.standing is Standing.DIRECT:
                        self._house.complaints.unexpected_header(
                            self._entrance.listener, self._caller.peer, self._house.clock()
                        )
                    self._close(octets)
                case Through() as through:
                    self._pass(through)

    def _to_backend(self, octets: bytes) -> None:
        if self._backend is not None and not self._backend.is_closing():
            self._backend.write(octets)

    def _secure(self, go_ahead: bytes) -> None:
        """Say *go_ahead* and begin TLS."""
        self._state = State.SECURING
        self._transport.pause_reading()
        self._transport.write(go_ahead)
        self._begin(self._shake_hands)

    async def _shake_hands(self) -> None:
        if self._entrance.tls is None:
            raise ValueError("a door without a certificate speaks no TLS")
        context = self._entrance.keyring.context(self._entrance.tls.certificate)
        seconds = self._entrance.limits.login_timeout.total_seconds()
        secured = await begin_tls(self._transport, self, context, seconds)
        if secured is None or self._state is not State.SECURING:
            self._transport.abort()
            self._gone()  # in the middle of a handshake nobody else tells us
            return
        self._transport = secured
        self._hang_up = secured.abort
        self._state = State.TALKING
        self._learn_tls()
        early, self._early = bytes(self._early), bytearray()
        self._machine.from_client(early)
        self._advance()

    def _learn_tls(self) -> None:
        tls = agreed(self._transport)
        if tls is not None:
            self._tls = self._caller.tls or tls
            self._machine.secured()

    def _time_out(self) -> None:
        if self._state in {State.PASSING, State.CLOSED}:
            return
        self._house.guard.journal.write(
            Event.CONNECTION_TIMEOUT,
            self._house.clock(),
            service=self._entrance.service,
            listener=self._entrance.listener,
            address=str(self.address),
            session=self._id,
        )
        self._end(self._machine.timed_out())

    # -- once it is in -------------------------------------------------------------------------

    def _pass(self, through: Through) -> None:
        if self._backend is None or self._transport.is_closing():
            self._abort()
            return
        self._state = State.PASSING
        self._timer.cancel()
        self._house.lobby.logged_in(self)
        nobody = self._caller.attempt(self._entrance.service, self._entrance.listener, self._id)
        second_login = partial(count_second_login, self._house, nobody, self._name)
        self._relay = Relay(self._transport, self._backend, through.watch, second_login, self._gone)
        self._relay.start(through.from_client, through.from_backend, client_is_full=self._is_paused)
        if self._client_ended:
            self._relay.client_ended()

    # -- the end -------------------------------------------------------------------------------

    def _end(self, last_words: bytes) -> None:
        """Close, with *last_words* where they can be said: not in the middle of a handshake."""
        if self._state in {State.ARRIVING, State.SECURING}:
            self._abort()
        else:
            self._close(last_words)

    def _close(self, last_words: bytes) -> None:
        if self._state is State.CLOSED:
            return
        self._state = State.CLOSED
        if last_words:
            self._transport.write(last_words)
        self._transport.close()
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._transport.abort)
        self._house.lobby.logged_in(self)
        self._let_backend_go()

    def _begin(self, work: Work) -> asyncio.Task[None]:
        return self._house.begin(work, self._name, self._break_off)

    def _break_off(self) -> None:
        """End by a fault of ours: nothing is left of it."""
        self._abort()
        self._gone()

    def _abort(self) -> None:
        """Close without a word."""
        self._state = State.CLOSED
        self._hang_up()
        self._house.lobby.logged_in(self)
        self._let_backend_go()

    def _gone(self) -> None:
        self._state = State.CLOSED
        self._timer.cancel()
        self._house.lobby.leave(self)
        self._let_backend_go()

    def _let_backend_go(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        if self._backend is not None and self._relay is None:
            self._backend.close()


class _BackendSide(asyncio.Protocol):
    """The connection to the backend until everything passes."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage

    def data_received(self, data: bytes) -> None:
        self._passage.backend_said(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._passage.backend_gone()
