"""What every backend promises: it knows the passwords and holds the mail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from mailward.backends.http import Wire
from mailward.rules.model import Address
from mailward.wire.dialogue import Rejected, Unavailable, Watch
from mailward.wire.door import BearerToken, Credentials, ScramOpening, ScramProof
from mailward.wire.http.authorization import HttpCredentials
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


@dataclass(frozen=True, slots=True)
class Proven:
    """The credentials are right."""


ProofAnswer = Proven | Rejected | Unavailable


class WebBackend(Protocol):
    """One mail server as a door needs it whose clients speak HTTP."""

    @property
    def name(self) -> str:
        """Its id in the configuration."""
        ...

    @property
    def answer_timeout(self) -> timedelta: ...

    @property
    def state(self) -> str:
        """For the operator: ``ok``, ``not asked yet``, or what is wrong."""
        ...

    @property
    def paths(self) -> Iterable[str]:
        """What it serves, as far as it is known: each path, and all below."""
        ...

    @property
    def session_path(self) -> str | None:
        """Where the well-known path leads to, if it leads on."""
        ...

    async def prove(self, credentials: HttpCredentials, client: Client, host: bytes) -> ProofAnswer:
        """Ask whether *credentials* are right; *host* is what the client calls the server."""
        ...

    async def connect(self, client: Client) -> Wire | Unavailable:
        """A connection for *client*."""
        ...

    def introduction(self, client: Client) -> list[tuple[str, bytes]]:
        """The fields that tell of *client*, where it is told so."""
        ...

    def place(self, location: bytes, host: bytes) -> bytes:
        """Where a redirect leads whoever calls the server *host*: a path, where it stays there."""
        ...


class AccountError(Exception):
    """An account cannot be looked at or changed as was asked for; the message says why."""


class NoSuchAccountError(AccountError):
    """Nobody has that name."""


class AccountExistsError(AccountError):
    """Somebody has that name."""


class UnfitAccountError(AccountError):
    """A name or a password that no account may have."""


class AccountStorageError(AccountError):
    """Where the accounts are kept cannot be read or written now."""


class AccountBusyError(AccountError):
    """Too many passwords are being hashed; later it can be done."""


@dataclass(frozen=True, slots=True)
class Misread:
    """What is wrong with one line of a list of accounts; lines count from 1."""

    line: int
    why: str


class MisreadError(AccountError):
    """A list of accounts has lines that cannot be taken; nothing of it was."""

    def __init__(self, misread: Sequence[Misread]) -> None:
        super().__init__(f"{len(misread)} lines cannot be taken; nothing was changed")
        self.misread = misread


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account, as an operator sees it. *scheme* is how its password is hashed."""

    name: str
    is_enabled: bool
    scheme: str
    has_scram: bool
