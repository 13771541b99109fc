"""The driver, one for all line protocols: bytes, machine, guard, backend, guard, bytes.

It decides nothing: the machine knows the protocol, the guard knows who is banned, the backend
knows the passwords. It keeps the times, and it never lets go of a reservation unsettled.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial

from mailward.backends.port import Client, Granted
from mailward.edges.caller import Caller, Standing
from mailward.edges.house import Entrance, House, Work
from mailward.edges.inquiry import Challenged, Finding, Inquiry, Later, ShutOut, Welcome, Wrong
from mailward.edges.introduction import Banned, Crowded, meet
from mailward.edges.relay import Relay
from mailward.edges.second_login import count_second_login
from mailward.edges.states import State
from mailward.edges.tls import agreed, begin_tls
from mailward.guard.journal import Event
from mailward.wire.door import (
    Acknowledged,
    Closing,
    Door,
    DoorEvent,
    Introduced,
    Misnamed,
    Offered,
    Opened,
    Proved,
    Reply,
    StartTls,
)
from mailward.wire.proxyline import TlsFacts

FLUSH_SECONDS = 5.0  # a last word that is not read by then is not heard


class DoorSession(asyncio.Protocol):
    """One client connection, from accept to its end."""

    def __init__(
        self,
        house: House,
        entrance: Entrance,
        door: Door,
        caller: Caller,
    ) -> None:
        self._house = house
        self._entrance = entrance
        self._door = door
        self._id = secrets.token_hex(4)
        self._name = f"session {self._id}"
        self._is(caller)
        self._inquiry = Inquiry(
            house.guard, house.tokens, entrance.backend, house.clock, self._nobody
        )
        self._state = State.ARRIVING
        self._failures = 0
        self._paused = False
        self._client_ended = False
        self._asking: asyncio.Task[None] | None = None
        self._is_shut_out = False
        self._tls: TlsFacts | None = None
        self._early = bytearray()
        self._hang_up: Callable[[], None]
        self._transport: asyncio.Transport
        self._login_timer: asyncio.TimerHandle
        self._relay: Relay | None = None

    def _is(self, caller: Caller) -> None:
        self._caller = caller
        self.address = caller.address
        self.is_direct = caller.is_direct
        self.subject = self._house.guard.policy.prefixes.subject(caller.address)
        self._nobody = caller.attempt(self._entrance.service, self._entrance.listener, self._id)

    # -- the connection ------------------------------------------------------------------------

    def arrive(self, hang_up: Callable[[], None]) -> None:
        """Begin to wait; until there is a transport *hang_up* is what ends the connection."""
        self._hang_up = hang_up
        seconds = self._entrance.limits.login_timeout.total_seconds()
        self._login_timer = asyncio.get_running_loop().call_later(seconds, self._time_out)
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
        self._tls = self._caller.tls or agreed(transport)
        if self._tls is not None:
            self._door.secured()
        self._state = State.TALKING
        self._transport.write(self._door.greeting())

    def data_received(self, data: bytes) -> None:
        match self._state:
            case State.TALKING | State.ASKING:
                self._door.receive_data(data)
                self._advance()
            case State.SECURING:
                # Reading the plain connection has stopped: these bytes came through TLS, in the
                # moment before we were told that it has begun.
                self._early += data
            case State.ARRIVING | State.RELAYING | State.CLOSED:
                pass

    def eof_received(self) -> bool:
        self._client_ended = True
        # Credentials may be followed by the end of writing; the answer is still wanted.
        return self._state is State.ASKING and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        # A client that reads nothing is answered nothing more, and read no further.
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()

    # -- what others tell it -------------------------------------------------------------------

    def make_room(self) -> None:
        if self._has_no_words():
            self._abort()
        else:
            self._close(self._door.crowded())

    def shut_out(self) -> None:
        match self._state:
            case State.ARRIVING | State.SECURING:
                self._abort()
            case State.TALKING:
                self._close(self._door.banned())
            case State.ASKING:
                # Its guess may be the one that made the ban: that is answered first, as any other.
                self._is_shut_out = True
            case State.RELAYING:
                if self._house.guard.policy.ban_closes_sessions and self._relay is not None:
                    self._relay.abort()
            case State.CLOSED:
                pass

    def stop(self) -> None:
        """The door shuts for good."""
        match self._state:
            case State.ARRIVING | State.SECURING:
                self._abort()
            case State.TALKING | State.ASKING:
                self._close(self._door.stopping())
            case State.RELAYING:
                if self._relay is not None:
                    self._relay.close()
            case State.CLOSED:
                pass

    # -- TLS -----------------------------------------------------------------------------------

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
        self._tls = self._caller.tls or agreed(secured)
        self._state = State.TALKING
        if words := self._door.secured():
            secured.write(words)
        early, self._early = bytes(self._early), bytearray()
        self._door.receive_data(early)
        self._advance()

    # -- before login --------------------------------------------------------------------------

    def _advance(self) -> None:
        while self._state is State.TALKING and not self._paused:
            match event := self._door.next_event():
                case None:
                    if self._client_ended:
                        self._close(b"")
                    return
                case Reply(octets) | Misnamed(octets):
                    self._complain_of(event)
                    self._inquiry.abandon()
                    self._transport.write(octets)
                case StartTls(octets):
                    self._secure(octets)
                case Introduced():
                    self._meet(event)
                case Closing(octets, _):
                    self._complain_of(event)
                    self._close(octets)
                case Offered() | Opened() | Proved():
                    self._ask(event)
                case Acknowledged():
                    self._enter(self._inquiry.granted())

    def _meet(self, told: Introduced) -> None:
        """Go on as the client that a believed peer has named, if that one may come in."""
        match meet(self._house, self._caller, told, self._entrance.service):
            case Banned():
                self._close(self._door.banned())
            case Crowded():
                self._close(self._door.crowded())
            case Caller() as client:
                self._house.lobby.leave(self)
                self._is(client)
                self._house.lobby.enter(self)
                self._inquiry.nobody = self._nobody
                self._transport.write(told.octets)

    def _complain_of(self, event: DoorEvent) -> None:
        now = self._house.clock()
        self._house.complaints.look_at(event, self._entrance.listener, self._caller, now)

    def _ask(self, event: Offered | Opened | Proved) -> None:
        self._state = State.ASKING
        self._asking = self._begin(partial(self._hear, event))

    async def _hear(self, event: Offered | Opened | Proved) -> None:
        try:
            self._tell(await self._find_out(event))
        finally:
            self._asking = None

    async def _find_out(self, event: Offered | Opened | Proved) -> Finding:
        caller = self._caller
        if caller.standing is Standing.CHECK:
            return Later()  # it came to look, and on nobody's behalf
        client = Client(caller.source, caller.destination, self._tls, self._door.client_name)
        return await self._inquiry.answer(event, client)

    def _tell(self, finding: Finding) -> None:
        match finding:
            case Welcome(granted):
                self._enter(granted)
            case Challenged(text):
                self._challenge(text)
            case Wrong(is_last):
                self._refuse_as_wrong(is_last=is_last)
            case Later():
                self._refuse_for_now()
            case ShutOut():
                self._close(self._door.banned())

    def _challenge(self, text: bytes) -> None:
        if self._state is State.CLOSED:
            self._inquiry.abandon()
        else:
            self._answer(self._door.challenge(text))

    def _refuse_as_wrong(self, *, is_last: bool) -> None:
        if self._state is State.CLOSED:
            return
        self._failures += 1
        self._end_attempt(self._door.wrong(), is_last=is_last)

    def _end_attempt(self, octets: bytes, *, is_last: bool) -> None:
        if is_last or self._failures >= self._entrance.limits.max_attempts:
            self._close(octets + self._door.too_many_failures())
        else:
            self._answer(octets)

    def _refuse_for_now(self) -> None:
        if self._state is not State.CLOSED:
            self._failures += 1  # for this connection only: nobody asks for ever on one
            self._end_attempt(self._door.later(), is_last=False)

    def _answer(self, octets: bytes) -> None:
        if self._is_shut_out:
            self._close(octets + self._door.banned())
            return
        self._state = State.TALKING
        self._transport.write(octets)
        self._advance()

    def _time_out(self) -> None:
        if self._state in {State.RELAYING, State.CLOSED}:
            return
        self._house.guard.journal.write(
            Event.CONNECTION_TIMEOUT,
            self._house.clock(),
            service=self._entrance.service,
            listener=self._entrance.listener,
            address=str(self.address),
            session=self._id,
        )
        if self._has_no_words():
            self._abort()
        else:
            later = self._door.later() if self._inquiry.in_line else b""
            self._close(later + self._door.timed_out())

    # -- after login ---------------------------------------------------------------------------

    def _enter(self, granted: Granted) -> None:
        if self._state is State.CLOSED or self._transport.is_closing():
            granted.transport.abort()
            return
        if self._is_shut_out:
            granted.transport.abort()
            self._close(self._door.banned())
            return
        if granted.transport.is_closing():
            self._refuse_for_now()  # it is over already, and nobody would tell the relay again
            return
        self._state = State.RELAYING
        self._login_timer.cancel()
        self._house.lobby.logged_in(self)
        self._transport.write(self._door.accepted(granted.capabilities))
        if isinstance(self._door.next_event(), Closing):
            # It sent more behind its credentials than we hold: that is cut now.
            granted.transport.abort()
            self._close(b"")
            return
        second_login = partial(count_second_login, self._house, self._nobody, self._name)
        self._relay = Relay(
            self._transport, granted.transport, granted.watch, second_login, self._gone
        )
        self._relay.start(self._door.leftover(), granted.leftover, client_is_full=self._paused)
        if self._paused:
            self._transport.resume_reading()
        if self._client_ended:
            self._relay.client_ended()

    # -- the end -------------------------------------------------------------------------------

    def _close(self, last_words: bytes) -> None:
        if self._state is State.CLOSED:
            return
        self._state = State.CLOSED
        if last_words:
            self._transport.write(last_words)
        self._transport.close()
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._transport.abort)
        self._house.lobby.logged_in(self)
        self._leave_line()

    def _begin(self, work: Work) -> asyncio.Task[None]:
        return self._house.begin(work, self._name, self._break_off)

    def _break_off(self) -> None:
        """End by a fault of ours: nothing is left of it."""
        self._abort()
        self._gone()

    def _has_no_words(self) -> bool:
        """Whether a handshake is under way: nothing can be said in the middle of it."""
        return self._state in {State.ARRIVING, State.SECURING}

    def _abort(self) -> None:
        """Close without a word."""
        self._state = State.CLOSED
        self._hang_up()
        self._house.lobby.logged_in(self)

    def _gone(self) -> None:
        self._state = State.CLOSED
        self._login_timer.cancel()
        self._house.lobby.leave(self)
        self._leave_line()

    def _leave_line(self) -> None:
        # Who waits for a place may go: once it is given the guess runs to its settlement.
        if self._inquiry.may_be_left and self._asking is not None:
            self._asking.cancel()
        self._inquiry.abandon()
