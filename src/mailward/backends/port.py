"""What every backend promises: it knows the passwords and holds the mail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailward.rules.model import Address
from mailward.wire.dialogue import Rejected, Unavailable, Watch
from mailward.wire.door import BearerToken, Credentials, ScramOpening, ScramProof
from mailward.wire.proxyline import TlsFacts


@dataclass(frozen=True, slots=True)
class Client:
    """What the backend may learn of who connects: true client, door, and what it said of itself."""

    source: tuple[Address, int]
    destination: tuple[Address, int]
    tls: TlsFacts | None = None
    name: bytes = b""


@dataclass(frozen=True, slots=True)
class Granted:
    """The login succeeded. *transport* is the session, reading paused, from *leftover* on.

    Whoever gets it must close it. *signature* is what a SCRAM client is to be shown before.
    """

    transport: asyncio.Transport
    capabilities: Sequence[str]
    leftover: bytes
    watch: Watch | None
    signature: bytes = b""


LoginAnswer = Granted | Rejected | Unavailable


@dataclass(frozen=True, slots=True)
class ScramExchange:
    """A SCRAM login that the backend has answered with *challenge*.

    Whoever gets it must bring it to its end, by the proof or without one.
    """

    challenge: bytes
    prove: Callable[[ScramProof], Awaitable[LoginAnswer]]
    abandon: Callable[[], None]


class PassageBackend(Protocol):
    """One mail server as a door needs it that nobody logs in at."""

    @property
    def state(self) -> str:
        """For the operator: ``ok``, ``not asked yet``, or what is wrong."""
        ...

    async def connect(self, client: Client) -> Granted | Unavailable:
        """A connection for *client*. What is granted has no watch yet: nothing was said."""
        ...

    async def keep_probing(self) -> None:
        """Keep ``state`` true until cancelled."""
        ...


class Backend(Protocol):
    """One mail server as one kind of door needs it."""

    @property
    def offer(self) -> Sequence[str]:
        """What the server can do before login, as last seen; empty while nothing is known."""
        ...

    @property
    def state(self) -> str:
        """For the operator: ``ok``, ``not asked yet``, or what is wrong."""
        ...

    async def login(self, credentials: Credentials | BearerToken, client: Client) -> LoginAnswer:
        """Ask whether *credentials* are right. Bounded by the backend's own time-outs."""
        ...

    async def open(
        self, opening: ScramOpening, client: Client
    ) -> ScramExchange | Rejected | Unavailable:
        """Ask for the challenge that answers *opening*; Rejected: it doesn't like the name."""
        ...

    async def keep_probing(self) -> None:
        """Keep ``offer`` true until cancelled."""
        ...
