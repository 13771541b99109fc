"""The driver, one for all line protocols: bytes, machine, guard, backend, guard, bytes.

It decides nothing: the machine knows the protocol, the guard knows who is banned, the backend
knows the passwords. It keeps the times, and it never lets go of a reservation unsettled.
"""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic

from mailward.backends.port import Backend, Client, Granted
from mailward.edges.caller import Caller, Standing
from mailward.edges.findings import Later, ShutOut, Wrong
from mailward.edges.house import Entrance, House
from mailward.edges.inquiry import Challenged, Finding, Inquiry, Welcome
from mailward.edges.introduction import Banned, Crowded, meet
from mailward.edges.presence import Presence, State
from mailward.edges.relay import TURN_SECONDS
from mailward.edges.tls import agreed
from mailward.wire.door import (
    Acknowledged,
    BearerToken,
    Closing,
    Credentials,
    Door,
    DoorEvent,
    Introduced,
    Misnamed,
    Obstacle,
    Offered,
    Opened,
    Proved,
    Reply,
    ScramOpening,
    StartTls,
)


class DoorSession(Presence[Backend]):
    """One client connection at a door that has a login."""

    def __init__(
        self, house: House, entrance: Entrance[Backend], door: Door, caller: Caller
    ) -> None:
        super().__init__(house, entrance, door, caller, "session")
        self._door = door
        self._inquiry = Inquiry(
            house.guard, house.tokens, entrance.backend, house.clock, self._nobody
        )
        self._failures = 0
        self._asking: asyncio.Task[None] | None = None
        self._is_shut_out = False
        self._claimed = b"", b""
        self._turn: asyncio.Handle | None = None
        """The client's next turn, where its last one was over before all was answered."""

    # -- the connection ------------------------------------------------------------------------

    def _come_in(self) -> None:
        self._tls = self._caller.tls or agreed(self._transport)
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
                self._hold(data)
            case State.ARRIVING | State.PASSING | State.CLOSED:
                pass

    def eof_received(self) -> bool:
        self._client_ended = True
        # Credentials may be followed by the end of writing; the answer is still wanted.
        is_wanted = self._state is State.ASKING or self._turn is not None
        return is_wanted and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        # A client that reads nothing is answered nothing more, and read no further.
        self._is_paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._turn is None:
            self._transport.resume_reading()
            self._advance()

    def shut_out(self) -> None:
        if self._state is State.ASKING:
            # Its guess may be the one that made the ban: that is answered first, as any other.
            self._is_shut_out = True
        else:
            super().shut_out()

    def _go_on_secured(self, early: bytes) -> None:
        self._tls = self._caller.tls or agreed(self._transport)
        if words := self._door.secured():
            self._transport.write(words)
        self._door.receive_data(early)
        self._advance()

    # -- before login --------------------------------------------------------------------------

    def _advance(self) -> None:
        """Answer what has come, for :data:`TURN_SECONDS` at a time.

        One read can hold thirty thousand commands, and other clients want their turn between them.
        """
        until = monotonic() + TURN_SECONDS
        while self._state is State.TALKING and not self._is_paused and self._turn is None:
            event = self._door.next_event()
            if event is None:
                if self._client_ended:
                    self._close(b"")
                return
            self._deal_with(event)
            if monotonic() >= until:
                self._rest()

    def _deal_with(self, event: DoorEvent) -> None:
        match event:
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

    def _rest(self) -> None:
        if self._state is State.TALKING:
            self._transport.pause_reading()
            self._turn = asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn = None
        if self._state is State.TALKING and not self._is_paused:
            self._transport.resume_reading()
            self._advance()

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
        match event:
            case Offered(offered) | Opened(offered):
                self._claimed = offered.login, _authorization(offered)
            case Proved():
                pass
        self._asking = self._begin(partial(self._hear, event))

    async def _hear(self, event: Offered | Opened | Proved) -> None:
        try:
            self._tell(await self._find_out(event))
        finally:
            self._asking = None

    async def _find_out(self, event: Offered | Opened | Proved) -> Finding:
        caller = self._caller
        if caller.standing is Standing.CHECK:
            return Later(Obstacle.UNAVAILABLE)  # it came to look, and on nobody's behalf
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
            case Later(why):
                self._refuse_for_now(why)
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

    def _refuse_for_now(self, why: Obstacle) -> None:
        if self._state is not State.CLOSED:
            self._failures += 1  # for this connection only: nobody asks for ever on one
            self._end_attempt(self._door.later(why), is_last=False)

    def _answer(self, octets: bytes) -> None:
        if self._is_shut_out:
            self._close(octets + self._door.banned())
            return
        self._state = State.TALKING
        self._transport.write(octets)
        self._advance()

    def _late_words(self) -> bytes:
        is_waiting = self._inquiry.in_line
        later = self._door.later(Obstacle.UNAVAILABLE) if is_waiting else b""
        return later + super()._late_words()

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
            # It is over already, and nobody would tell the relay again.
            self._refuse_for_now(Obstacle.UNAVAILABLE)
            return
        naming = self._house.guard.policy.naming
        login = naming.login(self._claimed[0])
        if self._house.guard.is_locked(login, self._house.clock()):
            granted.transport.abort()  # while its guess was under way
            self._refuse_for_now(Obstacle.LOCKED)
            return
        self._let_in(login, None if login is None else naming.mailbox(*self._claimed))
        self._transport.write(self._door.accepted(granted.capabilities))
        if isinstance(self._door.next_event(), Closing):
            # It sent more behind its credentials than we hold: that is cut now.
            granted.transport.abort()
            self._close(b"")
            return
        leftover = self._door.leftover()
        self._pass(granted.transport, granted.watch, leftover, granted.leftover)

    def _let_go(self) -> None:
        # Who waits for a place may go: once it is given the guess runs to its settlement.
        if self._inquiry.may_be_left and self._asking is not None:
            self._asking.cancel()
        self._inquiry.abandon()


def _authorization(offered: Credentials | BearerToken | ScramOpening) -> bytes:
    match offered:
        case BearerToken():
            return b""
        case Credentials() | ScramOpening():
            return offered.authorization
