"""One request's credentials: the guard, the backend if nobody has proven them, the guard again.

It never lets go of a reservation unsettled. What is held is held for the question alone, never for
the request: its body has not been read then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mailward.backends.port import Client, ProofAnswer, Proven
from mailward.edges.findings import Later, ShutOut, Wrong, refusal, wrong
from mailward.edges.jmap.proofs import Proofs, site_of
from mailward.guard.reservations import Refused, Ticket
from mailward.guard.service import Guard
from mailward.guard.tokens import Tokens
from mailward.rules.model import Attempt, Instant, Login, Outcome
from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import Obstacle
from mailward.wire.http.authorization import (
    BasicCredentials,
    BearerCredentials,
    HttpCredentials,
)

_log = logging.getLogger("mailward.session")


class Prover(Protocol):
    """A mail server that knows who is right."""

    async def prove(
        self, credentials: HttpCredentials, client: Client, host: bytes
    ) -> ProofAnswer: ...


@dataclass(frozen=True, slots=True)
class Welcome:
    """The credentials are right. *proof* is what is remembered of that, *attempt* who proved it."""

    proof: bytes
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Down:
    """The backend does not judge."""


Finding = Welcome | Wrong | Later | Down | ShutOut


class Screening:
    """What the requests of one connection ask, one at a time."""

    def __init__(
        self,
        guard: Guard,
        tokens: Tokens,
        proofs: Proofs,
        clock: Callable[[], Instant],
        wait_seconds: float,
    ) -> None:
        self._guard = guard
        self._tokens = tokens
        self._proofs = proofs
        self._clock = clock
        self._wait_seconds = wait_seconds
        self.in_line = False
        """It waits for a place: nothing is lost by leaving."""

    async def ask(
        self,
        credentials: HttpCredentials,
        by: Callable[[Login | None], Attempt],
        backend: tuple[str, Prover],
        client: Client,
        host: bytes,
        now: Instant,
    ) -> Finding:
        """Whether *credentials* are right. *by* makes the attempt by a login, or by nobody known.

        The client may leave meanwhile: the guess still counts.
        """
        attempt = self._attempt(credentials, by)
        if attempt is None:
            return Wrong(is_last=False)  # nothing is left of the name but space: that is malformed
        name, prover = backend
        site = site_of(name, host, client)
        proof = self._proofs.digest(attempt.address, site, credentials)
        proven = self._proofs.proven_at(proof, now)
        if proven is not None and not self._is_forgotten(credentials, proven):
            refused = self._guard.refusal(attempt, now)
            return Welcome(proof, attempt) if refused is None else refusal(refused)
        self.in_line = True
        try:
            async with asyncio.timeout(self._wait_seconds):
                screened = await self._guard.screen(attempt, now)
        except TimeoutError:
            return Later(Obstacle.UNAVAILABLE)
        finally:
            self.in_line = False
        match screened:
            case Refused() as refused:
                return refusal(refused)
            case Ticket() as ticket:
                return await self._guess(ticket, credentials, proof, prover, (client, host))

    async def disprove(self, credentials: HttpCredentials, proof: bytes, attempt: Attempt) -> None:
        """The backend has answered 401 to what was right a moment ago: that ends the *proof*.

        It counts as a failure: whatever has proven the credentials, the backend's word on them is
        not free. It counts once for each proof, as requests of a mail program that were under way
        together with an old password are one guess. A token that was right has expired.
        """
        if not self._proofs.drop(proof):
            return
        now = self._clock()
        await self._guard.report(attempt, self._outcome(Rejected(), attempt, credentials), now, now)

    # -- inside --------------------------------------------------------------------------------

    def _is_forgotten(self, credentials: HttpCredentials, proven: Instant) -> bool:
        """Whether the sessions of their login were closed by hand since they were *proven*."""
        sessions = self._guard.sessions
        if not sessions.has_forgotten:
            return False
        match credentials:
            case BearerCredentials():
                return False
            case BasicCredentials(name):
                return sessions.is_forgotten(self._guard.policy.naming.names(name), proven)

    def _attempt(
        self, credentials: HttpCredentials, by: Callable[[Login | None], Attempt]
    ) -> Attempt | None:
        match credentials:
            case BearerCredentials():
                return by(None)  # the token says who it is, but not to us
            case BasicCredentials(name):
                login = self._guard.policy.naming.login(name)
                return None if login is None else by(login)

    async def _guess(
        self,
        ticket: Ticket,
        credentials: HttpCredentials,
        proof: bytes,
        prover: Prover,
        asked: tuple[Client, bytes],
    ) -> Finding:
        """Hear the backend and settle."""
        outcome = Outcome.UNAVAILABLE
        try:
            answer = await prover.prove(credentials, *asked)
            outcome = self._outcome(answer, ticket.attempt, credentials)
        finally:
            # Whatever happened, also to us: nobody waits for a place that is never given back.
            verdict = await self._guard.settle(ticket, outcome, self._clock())
        match answer:
            case Proven() if self._guard.is_locked(ticket.attempt.login, self._clock()):
                return Later(Obstacle.LOCKED)  # while its guess was under way
            case Proven():
                self._proofs.put(proof, self._clock())
                return Welcome(proof, ticket.attempt)
            case Rejected():
                return wrong(verdict)
            case Unavailable(why):
                _log.debug(
                    "session %s: the backend is unavailable: %s",
                    ticket.attempt.session,
                    why,
                    extra={"about": why},
                )
                return Down()

    def _outcome(
        self, answer: ProofAnswer, attempt: Attempt, credentials: HttpCredentials
    ) -> Outcome:
        match answer:
            case Proven():
                if isinstance(credentials, BearerCredentials):
                    token = credentials.token.reveal()
                    self._tokens.accepted(attempt.login, token, self._clock())
                return Outcome.SUCCEEDED
            case Rejected():
                if isinstance(credentials, BearerCredentials) and self._tokens.was_accepted(
                    attempt.login, credentials.token.reveal()
                ):
                    return Outcome.EXPIRED
                return Outcome.FAILED
            case Unavailable():
                return Outcome.UNAVAILABLE
