"""A connection that no login follows: mail from other servers, or whatever a port is for.

The door does for it what it does for mail: drops who is banned, keeps its place and its time until
it is in, speaks TLS. The backend is there from the beginning; what is looked at of what both say,
and how long, is the machine's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from mailward.backends.port import Client, Granted, PassageBackend
from mailward.edges.caller import Caller, Standing
from mailward.edges.house import Entrance, House
from mailward.edges.presence import Presence, State
from mailward.edges.tls import agreed
from mailward.wire.dialogue import Unavailable
from mailward.wire.door import Closing, StartTls
from mailward.wire.linedoor import PROXY_HEADER
from mailward.wire.passage import Passing, Through, ToBackend, ToClient

_log = logging.getLogger("mailward.passage")


class Passage(Presence[PassageBackend]):
    """One client connection that no login follows; *machine* knows what it speaks."""

    def __init__(
        self,
        house: House,
        entrance: Entrance[PassageBackend],
        machine: Passing,
        caller: Caller,
    ) -> None:
        super().__init__(house, entrance, machine, caller, "passage")
        self._machine = machine
        self._connecting: asyncio.Task[None] | None = None
        self._backend: asyncio.Transport | None = None

    # -- the client's connection ---------------------------------------------------------------

    def _come_in(self) -> None:
        self._tls = self._caller.tls
        self._learn_tls()
        self._state = State.ASKING
        self._connecting = self._begin(self._connect)

    def data_received(self, data: bytes) -> None:
        match self._state:
            case State.ASKING:
                self._transport.pause_reading()  # it speaks first: let it wait with the rest
                self._machine.from_client(data)
            case State.TALKING:
                self._machine.from_client(data)
                self._advance()
            case State.SECURING:
                self._hold(data)
            case State.ARRIVING | State.PASSING | State.CLOSED:
                pass

    def eof_received(self) -> bool:
        self._client_ended = True
        is_heard = self._state in {State.ASKING, State.TALKING}
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
                _log.debug(
                    "passage %s: the backend is unavailable: %s",
                    self._id,
                    why,
                    extra={"about": why},
                )
                self._close(self._machine.unavailable())
            case Granted():
                self._connected(answer)

    def _connected(self, granted: Granted) -> None:
        if self._state is not State.ASKING or self._transport.is_closing():
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
                    self._go_through(through)

    def _to_backend(self, octets: bytes) -> None:
        if self._backend is not None and not self._backend.is_closing():
            self._backend.write(octets)

    def _go_on_secured(self, early: bytes) -> None:
        self._learn_tls()
        self._machine.from_client(early)
        self._advance()

    def _learn_tls(self) -> None:
        tls = agreed(self._transport)
        if tls is not None:
            self._tls = self._caller.tls or tls
            self._machine.secured()

    def _go_through(self, through: Through) -> None:
        if self._backend is None or self._transport.is_closing():
            self._abort()
            return
        self._let_in(is_passage=True)
        self._pass(self._backend, through.watch, through.from_client, through.from_backend)

    def _let_go(self) -> None:
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
