"""A client's connection, from accept to its end: its place, its time, its TLS, its last words.

What is said in between is for those who build on it: sessions with a login, and passages.
"""

from __future__ import annotations

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum, auto, unique
from functools import partial
from typing import Generic, Protocol

from mailward.edges.caller import Caller
from mailward.edges.house import B, Entrance, House, Work
from mailward.edges.relay import Relay
from mailward.edges.second_login import count_second_login
from mailward.edges.tls import begin_tls
from mailward.guard.journal import Event
from mailward.guard.sessions import LoggedIn
from mailward.rules.model import Login
from mailward.wire.dialogue import Watch
from mailward.wire.proxyline import TlsFacts

FLUSH_SECONDS = 5.0  # a last word that is not read by then is not heard


@unique
class State(Enum):
    """Where a connection stands."""

    ARRIVING = auto()
    """Accepted; where TLS begins with the connection it is beginning."""
    SECURING = auto()
    """TLS begins after STARTTLS."""
    TALKING = auto()
    """The machine speaks with the client."""
    ASKING = auto()
    """The guard or the backend is asked, and the client waits."""
    PASSING = auto()
    """It is in: everything passes."""
    CLOSED = auto()
    """There is no client any more; what is under way for it is still brought to its end."""


class LastWords(Protocol):
    """What is said before closing, in the words of a protocol."""

    def crowded(self) -> bytes: ...

    def banned(self) -> bytes: ...

    def timed_out(self) -> bytes: ...

    def stopping(self) -> bytes: ...


class Presence(asyncio.Protocol, ABC, Generic[B]):
    """One connection at *entrance*, which ends with *words*; *what* is what the log calls it."""

    def __init__(
        self, house: House, entrance: Entrance[B], words: LastWords, caller: Caller, what: str
    ) -> None:
        self._house = house
        self._entrance = entrance
        self._words = words
        self._id = secrets.token_hex(4)
        self._name = f"{what} {self._id}"
        self._is(caller)
        self._state = State.ARRIVING
        self._is_paused = False
        self._client_ended = False
        self._tls: TlsFacts | None = None
        self._early = bytearray()
        self._relay: Relay | None = None
        self._listed: LoggedIn | None = None
        self._hang_up: Callable[[], None]
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

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
        else:
            self._come_in()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()

    # -- what others tell it -------------------------------------------------------------------

    def make_room(self) -> None:
        self._end(self._words.crowded())

    def shut_out(self) -> None:
        if self._state is not State.PASSING:
            self._end(self._words.banned())
        elif self._house.guard.policy.ban_closes_sessions:
            self.cut()

    def octets(self) -> tuple[int, int]:
        return (0, 0) if self._relay is None else self._relay.octets

    def cut(self) -> None:
        """End the session: the backend sees its end at once, too."""
        if self._relay is not None:
            self._relay.abort()

    def stop(self) -> None:
        """The door shuts for good."""
        if self._relay is not None:
            self._relay.close()
        else:
            self._end(self._words.stopping())

    # -- TLS -----------------------------------------------------------------------------------

    def _secure(self, go_ahead: bytes) -> None:
        """Say *go_ahead* and begin TLS."""
        self._state = State.SECURING
        self._transport.pause_reading()
        self._transport.write(go_ahead)
        self._begin(self._shake_hands)

    def _hold(self, data: bytes) -> None:
        """Keep what has come in state SECURING for the machine.

        Reading the plain connection has stopped: it came through TLS, in the moment before we
        were told that TLS has begun.
        """
        self._early += data

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
        early, self._early = bytes(self._early), bytearray()
        self._go_on_secured(early)

    # -- once it is in -------------------------------------------------------------------------

    def _pass(
        self,
        backend: asyncio.Transport,
        watch: Watch | None,
        from_client: bytes,
        from_backend: bytes,
    ) -> None:
        """Let everything pass, beginning with what was read already."""
        second_login = partial(count_second_login, self._house, self._nobody, self._name)
        self._relay = Relay(self._transport, backend, watch, second_login, self._gone)
        if self._is_paused:
            self._transport.resume_reading()  # before the pump begins: it may stop that again
        self._relay.start(from_client, from_backend, client_is_full=self._is_paused)
        if self._client_ended:
            self._relay.client_ended()

    def _let_in(
        self, login: Login | None = None, mailbox: Login | None = None, *, is_passage: bool = False
    ) -> None:
        """Count it no longer among those who wait, but as a session of *login*."""
        self._state = State.PASSING
        self._timer.cancel()
        self._house.lobby.logged_in(self)
        self._listed = LoggedIn(
            self,
            self.address,
            login,
            mailbox,
            self._entrance.service,
            self._entrance.listener,
            self._id,
            self._house.clock(),
            is_direct=self.is_direct,
            is_passage=is_passage,
        )
        self._house.guard.sessions.add(self._listed)

    # -- the end -------------------------------------------------------------------------------

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
        self._end(self._late_words())

    def _late_words(self) -> bytes:
        return self._words.timed_out()

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
        # It goes when the connection does: else it would keep all of it in memory until its time.
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._transport.abort)
        self._house.lobby.logged_in(self)
        self._let_go()

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
        self._let_go()

    def _gone(self) -> None:
        self._state = State.CLOSED
        self._timer.cancel()
        self._house.lobby.leave(self)
        self._let_go()
        self._relay = None  # it knows us, too: what is left would be for the collector
        if self._listed is not None:
            self._house.guard.sessions.remove(self._listed)
            self._listed = None  # the same

    # -- what is for those who build on it -----------------------------------------------------

    @abstractmethod
    def _come_in(self) -> None:
        """There is a transport: begin to talk."""

    @abstractmethod
    def _go_on_secured(self, early: bytes) -> None:
        """TLS has begun after STARTTLS, and *early* came through it already."""

    @abstractmethod
    def _let_go(self) -> None:
        """Leave what only a client that is still there is waiting for. Twice is harmless."""
