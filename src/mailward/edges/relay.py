"""After login: the byte pump between the client and the backend.

Reading stops on one side while the other cannot take more. One side's end of writing is passed on,
and the session goes on the other way round until both have ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from mailward.wire.dialogue import SecondLoginError, Watch

FLUSH_SECONDS = 30.0  # whoever reads nothing any more loses what was still to be sent
BITE_OCTETS = 4_096  # of empty lines a watch reads so many in 20 ms
TURN_SECONDS = 0.01
MAX_PENDING_OCTETS = 1 << 20  # what one read brings is a quarter of it; reading stops then


class Relay:
    """One session under way. *ended* is called once, when both connections are gone."""

    def __init__(
        self,
        client: asyncio.Transport,
        backend: asyncio.Transport,
        watch: Watch | None,
        second_login: Callable[[SecondLoginError], None],
        ended: Callable[[], None],
    ) -> None:
        self._second_login = second_login
        self._ended = ended
        self._open = 2
        self._ended_writing = 0
        self._flushing: asyncio.TimerHandle | None = None
        self._client: _Side
        self._backend: _Side
        if watch is None:
            self._client = _Side(self, client, backend)
            self._backend = _Side(self, backend, client)
        else:
            self._client = watched = _WatchedClient(self, client, backend, watch)
            self._backend = _WatchedBackend(self, backend, client, watch, watched)
        self._transports = (client, backend)

    def start(self, from_client: bytes, from_backend: bytes, *, client_is_full: bool) -> None:
        """Pass on what was read before the pump, then everything.

        A client that is full already will say when it can take more.
        """
        client, backend = self._transports
        client.set_protocol(self._client)
        backend.set_protocol(self._backend)
        if client.is_closing() or backend.is_closing():
            self.close()
            return
        if not client_is_full:
            backend.resume_reading()  # before writing: that may fill the client, and pause it again
        if from_backend:
            self._backend.data_received(from_backend)
        if from_client:
            self._client.data_received(from_client)

    def client_ended(self) -> None:
        """The client had stopped writing before the pump began."""
        self._client.eof_received()

    @property
    def octets(self) -> tuple[int, int]:
        """How many came from the client, and from the backend."""
        return self._client.octets, self._backend.octets

    def close(self) -> None:
        """End both sides; what was read already is still sent, for a while."""
        for transport in self._transports:
            if not transport.is_closing():
                transport.close()
        if self._flushing is None:
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(FLUSH_SECONDS, self.abort)

    def abort(self) -> None:
        """End both sides at once."""
        for transport in self._transports:
            transport.abort()

    def has_second_login(self, error: SecondLoginError) -> None:
        """End the session before a byte of that attempt's answer is passed on."""
        client, backend = self._transports
        if error.last_words and not client.is_closing():
            client.write(error.last_words)
            self.close()
            backend.abort()
        else:
            self.abort()
        self._second_login(error)

    def one_ended_writing(self) -> None:
        self._ended_writing += 1
        if self._ended_writing == len(self._transports):
            self.close()

    def one_is_gone(self) -> None:
        self._open -= 1
        if self._open:
            self.close()
            return
        if self._flushing is not None:
            self._flushing.cancel()  # else it would keep all of an ended session in memory
        self._ended()
        # Both sides know the relay: let go of them, or a session is only found by the collector.
        del self._client, self._backend


class _Side(asyncio.Protocol):
    """Takes from one connection, gives to the other."""

    __slots__ = ("_has_ended", "_other", "_own", "_relay", "octets")

    def __init__(self, relay: Relay, own: asyncio.Transport, other: asyncio.Transport) -> None:
        self._relay = relay
        self._own = own
        self._other = other
        self._has_ended = False
        self.octets = 0

    def data_received(self, data: bytes) -> None:
        self.octets += len(data)
        if not self._other.is_closing():
            self._other.write(data)

    def eof_received(self) -> bool:
        if not self._has_ended:
            self._has_ended = True
            self._pass_on_the_end()
        return self._own.can_write_eof()  # there is no half of a close in TLS

    def _pass_on_the_end(self) -> None:
        if self._other.is_closing() or not self._other.can_write_eof():
            self._relay.close()
            return
        try:
            self._other.write_eof()
        except OSError:  # the other side went away in this very moment
            self._relay.close()
        else:
            self._relay.one_ended_writing()

    def pause_writing(self) -> None:
        # This side's connection is full: take no more from the other one.
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.one_is_gone()


class _WatchedClient(_Side):
    """Gives the backend what *watch* lets through, and is read no further while that waits.

    What one read brings is shown to the watch in bites, for :data:`TURN_SECONDS` at a time: a read
    can hold a quarter of a million lines, and other sessions want their turn between them.
    """

    __slots__ = (
        "_is_answered",
        "_pending",
        "_turn",
        "_unread",
        "_watch",
        "is_backend_full",
        "is_held",
    )

    def __init__(
        self, relay: Relay, own: asyncio.Transport, other: asyncio.Transport, watch: Watch
    ) -> None:
        super().__init__(relay, own, other)
        self._watch = watch
        self._is_answered = True
        self._pending = b""
        """What the watch has not been shown yet."""
        self._unread = 0
        """So many of the next octets pass without being shown to it."""
        self._turn: asyncio.Handle | None = None
        self.is_held = False
        self.is_backend_full = False

    def data_received(self, data: bytes) -> None:
        self.octets += len(data)
        if len(data) <= self._unread and not self.is_held:  # nearly all of a mail that is appended
            self._unread -= len(data)
            if not self._other.is_closing():
                self._other.write(data)
            return
        if len(self._pending) > MAX_PENDING_OCTETS:
            self._end(SecondLoginError("too much sent ahead", failed=False))
            return
        self._pending += data
        if not self.is_held:
            self._show()

    def go_on(self) -> None:
        """The watch may wait no more: show it the rest, and read on behind that."""
        if self.is_held and self._turn is None and not self._watch.is_waiting:
            self._show()

    def hand_on(self, data: bytes) -> None:
        """Give *data* to the backend, and the watch's own answers to the client."""
        answers = self._watch.answers()
        if answers and self._is_answered and not self._own.is_closing():
            self._own.write(answers)
        if data and not self._other.is_closing():  # the end may have been passed on already
            self._other.write(data)

    def answer_no_more(self) -> None:
        """The end has been passed on to this side: nothing can be written any more."""
        self._is_answered = False

    def eof_received(self) -> bool:
        if self.is_held:
            self._has_ended = True  # not before what was said ahead of it
            return self._own.can_write_eof()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._pending = b""
        super().connection_lost(exc)

    def _show(self) -> None:
        """Show the watch what is pending until it waits, or its time is over."""
        data, at = self._pending, 0
        passed = []
        until = monotonic() + TURN_SECONDS
        try:
            while at < len(data) and not self._watch.is_waiting:
                if self._unread:
                    bite = data[at : at + self._unread]
                    self._unread -= len(bite)
                    passed.append(bite)
                else:
                    bite = data[at : at + max(BITE_OCTETS, self._watch.octets_at_once)]
                    passed.append(self._watch.from_client(bite))
                    self._unread = self._watch.pass_unread()
                at += len(bite)
                if monotonic() >= until:
                    break
        except SecondLoginError as error:
            self._end(error)
            return
        self._pending = data[at:]
        self.hand_on(b"".join(passed))
        if self._pending and not self._watch.is_waiting:
            self._turn = asyncio.get_running_loop().call_soon(self._next_turn)
        if self._pending or self._watch.is_waiting:
            self._hold()
        elif self.is_held:
            self._let_go()

    def _next_turn(self) -> None:
        self._turn = None
        self._show()

    def _hold(self) -> None:
        if not self.is_held:
            self.is_held = True
            if not self._own.is_closing():
                self._own.pause_reading()

    def _let_go(self) -> None:
        """Nothing is held any more: go on reading, or pass on the end that came meanwhile."""
        self.is_held = False
        if self._has_ended:
            self._pass_on_the_end()
        elif not self.is_backend_full and not self._own.is_closing():
            self._own.resume_reading()

    def _end(self, error: SecondLoginError) -> None:
        self._pending = b""
        self._relay.has_second_login(error)


class _WatchedBackend(_Side):
    """Gives the *client* what *watch* lets through."""

    __slots__ = ("_client", "_watch")

    def __init__(
        self,
        relay: Relay,
        own: asyncio.Transport,
        other: asyncio.Transport,
        watch: Watch,
        client: _WatchedClient,
    ) -> None:
        super().__init__(relay, own, other)
        self._watch = watch
        self._client = client

    def data_received(self, data: bytes) -> None:
        self.octets += len(data)
        try:
            passed = self._watch.from_backend(data)
            if not self._other.is_closing():
                self._other.write(passed)
            released = self._watch.released() if self._client.is_held else b""
        except SecondLoginError as error:
            self._relay.has_second_login(error)
            return
        self._client.hand_on(released)
        self._client.go_on()

    def _pass_on_the_end(self) -> None:
        super()._pass_on_the_end()
        self._client.answer_no_more()

    def pause_writing(self) -> None:
        self._client.is_backend_full = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self._client.is_backend_full = False
        if not self._client.is_held:
            super().resume_writing()
