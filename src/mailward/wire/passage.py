"""What a connection says that no login follows, up to where everything passes.

Both sides talk with a machine at first: it knows what the door answers itself, and what has to be
left out. Machines know no socket, no clock and no ban.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mailward.wire.dialogue import Accepted, DialogueEvent, Unavailable, Watch
from mailward.wire.door import Closing, ScramProof, StartTls


@dataclass(frozen=True, slots=True)
class ToClient:
    """Send this to the client."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class ToBackend:
    """Send this to the backend."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Through:
    """From here on everything passes, beginning with what was read already. The last event."""

    from_client: bytes = field(repr=False)  # may hold a password that somebody tries
    from_backend: bytes = field(repr=False)
    watch: Watch | None


PassageEvent = ToClient | ToBackend | StartTls | Closing | Through


class Passing(Protocol):
    """One connection up to where everything passes. Made anew for each."""

    def connected(self, offer: Sequence[str], octets: bytes) -> None:
        """The backend is there. *offer* is what is known of it, *octets* what it said already."""
        ...

    def from_client(self, data: bytes) -> None:
        """Take in bytes of the client; how they are cut makes no difference."""
        ...

    def from_backend(self, data: bytes) -> None:
        """Take in bytes of the backend."""
        ...

    def next_event(self) -> PassageEvent | None:
        """The next event, or ``None`` when more bytes are needed first."""
        ...

    def secured(self) -> None:
        """TLS has begun on the client's side."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether the backend owes the client no answer."""
        ...

    def backend_gone(self) -> bytes:
        """The client's last words where the backend has closed the connection."""
        ...

    def unavailable(self) -> bytes:
        """What is said where the backend cannot be reached."""
        ...

    def banned(self) -> bytes:
        """What is said to an address that is banned while connected, before closing."""
        ...

    def crowded(self) -> bytes:
        """What is said where its address has too many waiting."""
        ...

    def timed_out(self) -> bytes:
        """What is said when the time is over in which it should have begun."""
        ...

    def stopping(self) -> bytes:
        """What is said when this door shuts."""
        ...


class Wordless:
    """A dialogue with a backend that nothing is said to before its client is heard."""

    def __init__(self) -> None:
        self._early = bytearray()
        self._is_over = False

    def receive_data(self, data: bytes) -> None:
        self._early += data

    def next_event(self) -> DialogueEvent | None:
        if self._is_over:
            return None
        self._is_over = True
        return Accepted((), bytes(self._early))

    def upgraded(self) -> None:
        """TLS is all there was to wait for."""

    def prove(self, proof: ScramProof) -> None:
        raise ValueError("there is no login")

    def closed(self) -> Unavailable:
        return Unavailable("the backend closed the connection at once")


class Straight:
    """Everything passes as soon as the backend is there, and there are no words of ours."""

    def __init__(self) -> None:
        self._ahead = bytearray()
        self._through: Through | None = None

    def connected(self, _: Sequence[str], octets: bytes) -> None:
        self._through = Through(bytes(self._ahead), octets, None)

    def from_client(self, data: bytes) -> None:
        self._ahead += data

    def from_backend(self, data: bytes) -> None:
        raise ValueError("everything passes already")

    def next_event(self) -> PassageEvent | None:
        through, self._through = self._through, None
        return through

    def secured(self) -> None:
        """There is nothing to be forgotten."""

    @property
    def is_idle(self) -> bool:
        return True

    def backend_gone(self) -> bytes:
        return b""

    unavailable = banned = crowded = timed_out = stopping = backend_gone
