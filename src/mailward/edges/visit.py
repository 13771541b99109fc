"""A connection that speaks something of its own behind a door: operators' HTTP, say.

The door does for it what it does for mail: drops who is banned, keeps its place and its time
before login, and speaks TLS from the first byte where that is wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from mailward.edges.asker import Asker, Terms, by_itself, who_asks
from mailward.edges.caller import Caller
from mailward.edges.house import House
from mailward.edges.tls import agreed
from mailward.guard.journal import Event
from mailward.settings.configuration import DoorLimits
from mailward.wire.http.head import Fields
from mailward.wire.proxyline import TlsFacts


class Speaker(Protocol):
    """What speaks with the visitor: a protocol of asyncio that can be told to end."""

    def connection_made(self, transport: asyncio.BaseTransport, /) -> None: ...

    def data_received(self, data: bytes, /) -> None: ...

    def eof_received(self) -> bool | None: ...

    def connection_lost(self, exc: Exception | None, /) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def end(self) -> None:
        """Close, but first give the answer that is under way."""
        ...


Speak = Callable[["Visit"], Speaker]


class Visit(asyncio.Protocol):
    """One connection at *listener*, from accept to its end; *speak* makes what speaks with it."""

    def __init__(
        self,
        house: House,
        listener: str,
        service: str,
        speak: Speak,
        limits: DoorLimits,
        terms: Terms,
        caller: Caller,
    ) -> None:
        self.caller = caller
        self.own_tls: TlsFacts | None = None
        self.address = caller.address
        self.is_direct = caller.is_direct
        self.subject = house.guard.policy.prefixes.subject(caller.address)
        self.listener = listener
        self._service = service
        self._house = house
        self._speak = speak
        self._limits = limits
        self._terms = terms
        self._itself = by_itself(terms, caller, None)
        self._speaker: Speaker | None = None
        self._is_over = False
        self._hang_up: Callable[[], None]
        self._login_timer: asyncio.TimerHandle

    def logged_in(self) -> None:
        """It has shown who it is: it may stay, and is in nobody's way. Twice is harmless."""
        self._login_timer.cancel()
        self._house.lobby.logged_in(self)

    def who(self, fields: Fields) -> Asker:
        """Who a request with *fields* comes from.

        Raises:
            HttpError: a trusted proxy says so, but nobody can read it.
        """
        return who_asks(self._house, self.listener, self._terms, self._itself, fields)

    # -- the connection ------------------------------------------------------------------------

    def arrive(self, hang_up: Callable[[], None]) -> None:
        """Begin to wait; until there is a transport *hang_up* is what ends the connection."""
        self._hang_up = hang_up
        seconds = self._limits.login_timeout.total_seconds()
        self._login_timer = asyncio.get_running_loop().call_later(seconds, self._time_out)
        self._house.lobby.enter(self)

    def never_came(self) -> None:
        """The connection ended before there was a transport."""
        self._gone()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._hang_up = transport.abort  # type: ignore[attr-defined] # a stream's transport is a Transport
        if self._is_over:
            self._hang_up()
            return
        self.own_tls = agreed(transport)
        self._itself = by_itself(self._terms, self.caller, self.own_tls)
        self._speaker = self._speak(self)
        self._speaker.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._speaker is not None:
            self._speaker.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._speaker is None else self._speaker.eof_received()

    def pause_writing(self) -> None:
        if self._speaker is not None:
            self._speaker.pause_writing()

    def resume_writing(self) -> None:
        if self._speaker is not None:
            self._speaker.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()
        if self._speaker is not None:
            self._speaker.connection_lost(exc)

    # -- what others tell it -------------------------------------------------------------------

    def make_room(self) -> None:
        self._abort()

    def shut_out(self) -> None:
        if self._speaker is None or self._house.guard.policy.ban_closes_sessions:
            self._abort()
        else:
            # Its guess may be the one that made the ban: that is answered first, as any other.
            self._speaker.end()

    def stop(self) -> None:
        self._abort()

    # -- inside --------------------------------------------------------------------------------

    def _time_out(self) -> None:
        self._house.guard.journal.write(
            Event.CONNECTION_TIMEOUT,
            self._house.clock(),
            service=self._service,
            listener=self.listener,
            address=str(self.address),
        )
        self._abort()

    def _abort(self) -> None:
        self._is_over = True
        self._hang_up()
        self._house.lobby.logged_in(self)

    def _gone(self) -> None:
        self._is_over = True
        self._login_timer.cancel()
        self._house.lobby.leave(self)
