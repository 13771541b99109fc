"""A connection before its login: the door's machine, driven by what the client sends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import (
    Acknowledged,
    Closing,
    Door,
    DoorEvent,
    Introduced,
    Misnamed,
    Obstacle,
    Offered,
    Opened,
    Proved,
    Reply,
    ScramProof,
    StartTls,
)
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.client import Client
from mailward_mailbox.serving.connections.logins import Exchange, Logins
from mailward_mailbox.serving.connections.waiting import Place, Waiting
from mailward_mailbox.stream import Stream

LOGIN_SECONDS = 60.0
"""From the greeting to the login; the time that a check of a password takes is not counted."""
MAX_REFUSALS = 10
"""Of logins, on one connection."""
_PIECE_OCTETS = 1_024
"""So much is answered at once; then other connections have a turn."""

_log = logging.getLogger("mailbox.login")

Enter = Callable[[Account], Awaitable[bool]]
"""Opens what an account's session needs; whether it could be opened."""


class Closed(Exception):  # noqa: N818 -- no error: the end that the machine asks for
    """The connection is to be closed, after *last_words*."""

    def __init__(self, last_words: bytes = b"") -> None:
        super().__init__()
        self.last_words = last_words


class LoginTalk:
    """The talk of one *client* up to its login; ``None`` is a client that only looks."""

    def __init__(
        self,
        stream: Stream,
        door: Door,
        client: Client | None,
        logins: Logins,
        waiting: Waiting,
        place: Place,
    ) -> None:
        self._stream = stream
        self._door = door
        self._client = client
        self._logins = logins
        self._waiting = waiting
        self._place = place
        self._exchange: Exchange | None = None
        self._proven: Account | None = None
        self._refusals = 0
        self._limit = asyncio.timeout(LOGIN_SECONDS)

    async def run(self, enter: Enter) -> Account:
        """Greet, and answer until an account is logged in that could *enter*.

        It is not told yet that the login succeeded.

        Raises:
            Closed: no login comes any more.
            ConnectionError: the connection broke.
        """
        self._stream.write(self._door.greeting())
        try:
            async with self._limit:
                while True:
                    event = self._door.next_event()
                    if event is None:
                        self._door.receive_data(await self._next_octets())
                        continue
                    account = await self._deal_with(event)
                    if account is not None:
                        if await enter(account):
                            return account
                        self._refuse(self._door.later(Obstacle.UNAVAILABLE))
                    await self._stream.drain()
        except TimeoutError:
            raise Closed(self._door.timed_out()) from None

    async def _next_octets(self) -> bytes:
        octets = await self._stream.read(_PIECE_OCTETS)
        if not octets:
            raise Closed
        await self._waiting.turn(None if self._client is None else self._client.source[0])
        return octets

    async def _deal_with(self, event: DoorEvent) -> Account | None:
        """Answer *event*; the account, where it has logged in with that."""
        match event:
            case Reply(octets) | Misnamed(octets) | Introduced(octets) | StartTls(octets):
                # The last three never come: the door believes no client, and offers no TLS.
                self._exchange = self._proven = None
                self._stream.write(octets)
            case Closing(octets):
                raise Closed(octets)
            case Offered() | Opened() | Proved() | Acknowledged():
                if self._client is not None:
                    return await self._ask(event, self._client)
                self._refuse(self._door.later(Obstacle.UNAVAILABLE))
        return None

    async def _ask(
        self, event: Offered | Opened | Proved | Acknowledged, client: Client
    ) -> Account | None:
        match event:
            case Offered(credentials):
                async with self._asking():
                    answer = await self._logins.check(credentials, client)
                return self._heard(answer)
            case Opened(opening):
                match self._logins.open(opening):
                    case Exchange() as exchange:
                        self._exchange = exchange
                        self._stream.write(self._door.challenge(exchange.challenge))
                    case Unavailable() as unavailable:
                        self._heard(unavailable)
            case Proved(proof):
                self._prove(proof, client)
            case Acknowledged():
                proven, self._proven = self._proven, None
                return proven
        return None

    def _prove(self, proof: ScramProof, client: Client) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            raise ValueError("no SCRAM exchange is open")
        match self._logins.prove(exchange, proof, client):
            case Rejected() as rejected:
                self._heard(rejected)
            case (account, signature):
                self._proven = account
                self._stream.write(self._door.challenge(signature))

    def _heard(self, answer: Account | Rejected | Unavailable) -> Account | None:
        match answer:
            case Account():
                return answer
            case Rejected():
                self._refuse(self._door.wrong())
            case Unavailable(why):
                _log.warning("a login is not possible now: %s", why)
                self._refuse(self._door.later(Obstacle.UNAVAILABLE))
        return None

    def _refuse(self, words: bytes) -> None:
        self._refusals += 1
        if self._refusals >= MAX_REFUSALS:
            raise Closed(words + self._door.too_many_failures())
        self._stream.write(words)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """The client waits for the server: its own time stands still."""
        loop = asyncio.get_running_loop()
        left = (self._limit.when() or loop.time()) - loop.time()
        self._limit.reschedule(None)
        self._place.is_asking = True
        try:
            yield
        finally:
            self._place.is_asking = False
            self._limit.reschedule(loop.time() + left)
