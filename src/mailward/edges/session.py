"""The driver, one for all line protocols: bytes, machine, guard, backend, guard, bytes.

It decides nothing: the machine knows the protocol, the guard knows who is banned, the backend
knows the passwords. It keeps the times, and it never lets go of a reservation unsettled.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto, unique

from mailward.backends.port import Backend, Client, Granted
from mailward.edges.lobby import Lobby
from mailward.edges.relay import Relay
from mailward.guard.journal import Event
from mailward.guard.reservations import Refused, Ticket
from mailward.guard.service import Guard
from mailward.rules.judge import Banish, Tolerate, Verdict
from mailward.rules.model import Address, Attempt, Instant, Outcome, Subject, SubjectKind
from mailward.settings.configuration import DoorLimits
from mailward.wire.dialogue import Rejected, SecondLoginError, Unavailable
from mailward.wire.door import Closing, Credentials, Door, Offered, Reply

FLUSH_SECONDS = 5.0  # a last word that is not read by then is not heard

_log = logging.getLogger("mailward.session")


@dataclass(frozen=True, slots=True)
class House:
    """What every session of every door shares."""

    guard: Guard
    lobby: Lobby
    clock: Callable[[], Instant]
    tasks: asyncio.TaskGroup

    def admits_one_more(self, address: Address, subject: Subject) -> bool:
        """Whether *address*, counted as *subject*, may have one more connection waiting."""
        return self.lobby.has_room_for(subject) or self.guard.policy.allows(address) is not None


@dataclass(frozen=True, slots=True)
class Entrance:
    """What the sessions of one listener share, for as long as its configuration stays."""

    listener: str
    service: str
    backend: Backend
    limits: DoorLimits


@unique
class State(Enum):
    TALKING = auto()
    """The machine speaks with the client."""
    ASKING = auto()
    """The guard and then the backend are asked."""
    RELAYING = auto()
    """The client is logged in."""
    CLOSED = auto()
    """There is no client any more; an attempt under way is still settled."""


class DoorSession(asyncio.Protocol):
    """One client connection, from accept to its end."""

    def __init__(
        self,
        house: House,
        entrance: Entrance,
        door: Door,
        source: tuple[Address, int],
        destination: tuple[Address, int],
    ) -> None:
        self.address = source[0]
        self.subject = house.guard.policy.prefixes.subject(source[0])
        self._house = house
        self._entrance = entrance
        self._door = door
        self._source = source
        self._destination = destination
        self._id = secrets.token_hex(4)
        self._state = State.TALKING
        self._failures = 0
        self._paused = False
        self._client_ended = False
        self._asking: asyncio.Task[None] | None = None
        self._in_line = False
        self._is_shut_out = False
        self._transport: asyncio.Transport
        self._login_timer: asyncio.TimerHandle
        self._relay: Relay | None = None

    # -- the connection ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport is a Transport
        loop = asyncio.get_running_loop()
        seconds = self._entrance.limits.login_timeout.total_seconds()
        self._login_timer = loop.call_later(seconds, self._time_out)
        ban = self._house.guard.admit(self.address, self._house.clock())
        if ban is not None:  # it fell between accept and now
            self._state = State.CLOSED
            self._transport.abort()
            return
        if not self._house.admits_one_more(self.address, self.subject):
            self._close(self._door.crowded())  # the others of a burst came in meanwhile
            return
        self._house.lobby.enter(self)
        self._transport.write(self._door.greeting())

    def data_received(self, data: bytes) -> None:
        if self._state in {State.TALKING, State.ASKING}:
            self._door.receive_data(data)
            self._advance()

    def eof_received(self) -> bool:
        self._client_ended = True
        # Credentials may be followed by the end of writing; the answer is still wanted.
        return self._state is State.ASKING

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
        self._close(self._door.crowded())

    def shut_out(self) -> None:
        match self._state:
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
            case State.TALKING | State.ASKING:
                self._close(self._door.stopping())
            case State.RELAYING:
                if self._relay is not None:
                    self._relay.close()
            case State.CLOSED:
                pass

    # -- before login --------------------------------------------------------------------------

    def _advance(self) -> None:
        while self._state is State.TALKING and not self._paused:
            match self._door.next_event():
                case None:
                    if self._client_ended:
                        self._close(b"")
                    return
                case Reply(octets):
                    self._transport.write(octets)
                case Closing(octets, _):
                    self._close(octets)
                case Offered(credentials):
                    self._state = State.ASKING
                    self._asking = self._house.tasks.create_task(self._ask(credentials))

    async def _ask(self, credentials: Credentials) -> None:
        try:
            await self._attempt(credentials)
        except Exception:  # noqa: BLE001 -- in a TaskGroup it would end every session
            # One session's fault is that session's end, and nobody else's.
            _log.exception("session %s ended by a fault of ours", self._id)
            self._close(b"")
        finally:
            self._asking = None

    async def _attempt(self, credentials: Credentials) -> None:
        guard = self._house.guard
        login = guard.policy.naming.login(credentials.login)
        if login is None:  # nothing is left of the name but space: malformed, so nobody is asked
            self._refuse_as_wrong(Tolerate())
            return
        attempt = Attempt(
            self.address, login, self._entrance.service, self._entrance.listener, self._id
        )
        self._in_line = True
        try:
            screening = await guard.screen(attempt, self._house.clock())
        finally:
            self._in_line = False
        match screening:
            case Refused(ban):
                if ban.subject.kind is SubjectKind.ADDRESS:
                    self._close(self._door.banned())
                else:
                    self._refuse_for_now()
            case Ticket() as ticket:
                await self._guess(ticket, credentials)

    async def _guess(self, ticket: Ticket, credentials: Credentials) -> None:
        """Ask the backend and settle. The client may leave meanwhile: the guess still counts."""
        guard = self._house.guard
        client = Client(self._source, self._destination, None, self._door.client_name)
        outcome = Outcome.UNAVAILABLE
        try:
            answer = await self._entrance.backend.login(credentials, client)
            match answer:
                case Granted():
                    outcome = Outcome.SUCCEEDED
                case Rejected():
                    outcome = Outcome.FAILED
                case Unavailable():
                    pass
        finally:
            # Whatever happened, also to us: nobody waits for a place that is never given back.
            verdict = await guard.settle(ticket, outcome, self._house.clock())
        match answer:
            case Granted():
                self._enter(answer)
            case Rejected():
                self._refuse_as_wrong(verdict)
            case Unavailable(why):
                _log.debug("session %s: the backend is unavailable: %s", self._id, why)
                self._refuse_for_now()

    def _refuse_as_wrong(self, verdict: Verdict) -> None:
        if self._state is State.CLOSED:
            return
        self._failures += 1
        match verdict:
            case Banish():
                self._end_attempt(self._door.wrong(), is_last=True)
            case Tolerate():
                self._end_attempt(self._door.wrong(), is_last=False)

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
        if self._state not in {State.TALKING, State.ASKING}:
            return
        self._house.guard.journal.write(
            Event.CONNECTION_TIMEOUT,
            self._house.clock(),
            service=self._entrance.service,
            listener=self._entrance.listener,
            address=str(self.address),
            session=self._id,
        )
        self._close((self._door.later() if self._in_line else b"") + self._door.timed_out())

    # -- after login ---------------------------------------------------------------------------

    def _enter(self, granted: Granted) -> None:
        if self._state is State.CLOSED or self._transport.is_closing():
            granted.transport.abort()
            return
        if self._is_shut_out:
            granted.transport.abort()
            self._close(self._door.banned())
            return
        self._state = State.RELAYING
        self._login_timer.cancel()
        self._house.lobby.logged_in(self)
        self._transport.write(self._door.accepted(granted.capabilities))
        match self._door.next_event():
            case Closing():  # it sent more behind its credentials than we hold: that is cut now
                granted.transport.abort()
                self._close(b"")
                return
            case None | Reply() | Offered():
                pass
        self._relay = Relay(
            self._transport, granted.transport, granted.watch, self._second_login, self._gone
        )
        self._relay.start(self._door.leftover(), granted.leftover, client_is_full=self._paused)
        if self._paused:
            self._transport.resume_reading()
        if self._client_ended:
            self._relay.client_ended()

    def _second_login(self, error: SecondLoginError) -> None:
        _log.warning("session %s of %s closed: %s inside a session", self._id, self.address, error)
        if error.failed:
            self._house.tasks.create_task(self._report_failure())

    async def _report_failure(self) -> None:
        now = self._house.clock()
        attempt = Attempt(
            self.address, None, self._entrance.service, self._entrance.listener, self._id
        )
        await self._house.guard.report(attempt, Outcome.FAILED, now, now)

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

    def _gone(self) -> None:
        self._state = State.CLOSED
        self._login_timer.cancel()
        self._house.lobby.leave(self)
        self._leave_line()

    def _leave_line(self) -> None:
        # Only who waits for a place may go: once it is given the guess runs to its settlement.
        if self._in_line and self._asking is not None:
            self._asking.cancel()
