"""What one connection asks: the guard, the backend, and the guard again with the answer.

It knows no client and no protocol: what it finds is for the session to say. It never lets go of a
reservation unsettled.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from mailward.backends.port import Backend, Client, Granted, LoginAnswer, ScramExchange
from mailward.edges.findings import Later, ShutOut, Wrong, refusal, wrong
from mailward.guard.reservations import Refused, Screening, Ticket
from mailward.guard.service import Guard
from mailward.guard.tokens import Tokens
from mailward.rules.model import Attempt, Instant, Outcome
from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import (
    BearerToken,
    Credentials,
    Obstacle,
    Offered,
    Opened,
    Proved,
    ScramOpening,
    ScramProof,
)
from mailward.wire.secret import Secret

_log = logging.getLogger("mailward.session")


@dataclass(frozen=True, slots=True)
class Welcome:
    """The login succeeded."""

    granted: Granted


@dataclass(frozen=True, slots=True)
class Challenged:
    """The backend's SCRAM message *text*, which the client has to answer."""

    text: bytes


Finding = Welcome | Wrong | Later | ShutOut | Challenged


class Inquiry:
    """The attempts of one connection, one at a time.

    *nobody* is what is known of each attempt but its login; it may change between two of them.
    """

    def __init__(
        self,
        guard: Guard,
        tokens: Tokens,
        backend: Backend,
        clock: Callable[[], Instant],
        nobody: Attempt,
    ) -> None:
        self._guard = guard
        self._tokens = tokens
        self._backend = backend
        self._clock = clock
        self.nobody = nobody
        self._exchange: tuple[Attempt, ScramExchange] | None = None
        self._granted: Granted | None = None
        self._is_opening = False
        self.in_line = False
        """It waits for a place."""

    @property
    def may_be_left(self) -> bool:
        """Whether nothing is lost by cancelling: no guess is under way yet."""
        return self.in_line or self._is_opening

    async def answer(self, asked: Offered | Opened | Proved, client: Client) -> Finding:
        """Find out about what *client* has *asked*."""
        match asked:
            case Offered(credentials):
                return await self.login(credentials, client)
            case Opened(opening):
                return await self.open(opening, client)
            case Proved(proof):
                return await self.prove(proof)

    async def login(self, credentials: Credentials | BearerToken, client: Client) -> Finding:
        """Try *credentials*. The client may leave meanwhile: the guess still counts."""
        attempt = self._attempt(credentials)
        if attempt is None:
            return Wrong(is_last=False)
        match await self._screen(attempt):
            case Refused() as refused:
                return refusal(refused)
            case Ticket() as ticket:
                token = credentials.token if isinstance(credentials, BearerToken) else None
                return await self._guess(ticket, self._backend.login(credentials, client), token)

    async def open(self, opening: ScramOpening, client: Client) -> Finding:
        """Begin a SCRAM exchange. It reserves nothing: whoever stalls in it is in nobody's way."""
        attempt = self._attempt(opening)
        if attempt is None:
            return Wrong(is_last=False)
        refused = self._guard.refusal(attempt, self._clock())
        if refused is not None:
            return refusal(refused)
        self._is_opening = True
        try:
            answer = await self._backend.open(opening, client)
        finally:
            self._is_opening = False
        match answer:
            case ScramExchange(challenge):
                self._exchange = attempt, answer
                return Challenged(challenge)
            case Rejected():
                # What it says of a name is told as a guess is: not more often than the limit.
                return await self._settle_rejected(attempt)
            case Unavailable(why):
                self._explain(why)
                now = self._clock()
                await self._guard.report(attempt, Outcome.UNAVAILABLE, now, now)
                return Later(Obstacle.UNAVAILABLE)

    async def prove(self, proof: ScramProof) -> Finding:
        """End the SCRAM exchange: with *proof* in hand it is an attempt like any other.

        Raises:
            ValueError: there is no exchange.
        """
        if self._exchange is None:
            raise ValueError("no SCRAM exchange is open")
        attempt, exchange = self._exchange
        match await self._screen(attempt):
            case Refused() as refused:
                self.abandon()
                return refusal(refused)
            case Ticket() as ticket:
                self._exchange = None
                return await self._guess(ticket, exchange.prove(proof))

    def granted(self) -> Granted:
        """The session that a SCRAM exchange has won, once its client has seen the proof of that.

        Raises:
            ValueError: there is none.
        """
        if self._granted is None:
            raise ValueError("no SCRAM exchange has been won")
        granted, self._granted = self._granted, None
        return granted

    def abandon(self) -> None:
        """The client goes no further in its SCRAM exchange, if there is one."""
        if self._exchange is not None:
            self._exchange[1].abandon()
            self._exchange = None
        if self._granted is not None:
            self._granted.transport.abort()
            self._granted = None

    # -- inside --------------------------------------------------------------------------------

    def _attempt(self, offered: Credentials | BearerToken | ScramOpening) -> Attempt | None:
        """The attempt, ``None`` where nothing is left of the name but space: that is malformed."""
        if isinstance(offered, BearerToken) and not offered.login:
            return self.nobody  # the token says who it is, but not to us
        login = self._guard.policy.naming.login(offered.login)
        return None if login is None else replace(self.nobody, login=login)

    async def _screen(self, attempt: Attempt) -> Screening:
        self.in_line = True
        try:
            return await self._guard.screen(attempt, self._clock())
        finally:
            self.in_line = False

    async def _guess(
        self, ticket: Ticket, asking: Awaitable[LoginAnswer], token: Secret | None = None
    ) -> Finding:
        """Hear the backend and settle."""
        outcome = Outcome.UNAVAILABLE
        try:
            answer = await asking
            outcome = self._outcome(answer, ticket.attempt, token)
        finally:
            # Whatever happened, also to us: nobody waits for a place that is never given back.
            verdict = await self._guard.settle(ticket, outcome, self._clock())
        match answer:
            case Granted(signature=b""):
                return Welcome(answer)
            case Granted(signature=signature):
                # The client wants to see the backend's proof first, and may turn away then.
                self._granted = answer
                return Challenged(signature)
            case Rejected():
                return wrong(verdict)
            case Unavailable(why):
                self._explain(why)
                return Later(Obstacle.UNAVAILABLE)

    def _outcome(self, answer: LoginAnswer, attempt: Attempt, token: Secret | None) -> Outcome:
        match answer:
            case Granted():
                if token is not None:
                    self._tokens.accepted(attempt.login, token.reveal(), self._clock())
                return Outcome.SUCCEEDED
            case Rejected():
                if token and self._tokens.was_accepted(attempt.login, token.reveal()):
                    return Outcome.EXPIRED
                return Outcome.FAILED
            case Unavailable():
                return Outcome.UNAVAILABLE

    async def _settle_rejected(self, attempt: Attempt) -> Finding:
        match await self._screen(attempt):
            case Refused() as refused:
                return refusal(refused)
            case Ticket() as ticket:
                return wrong(await self._guard.settle(ticket, Outcome.FAILED, self._clock()))

    def _explain(self, why: str) -> None:
        _log.debug(
            "session %s: the backend is unavailable: %s",
            self.nobody.session,
            why,
            extra={"about": why},
        )
