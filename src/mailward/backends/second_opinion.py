"""A backend whose refusals count only when another one, with the same accounts, refuses as well.

Postfix before Dovecot's SASL says an outage of the accounts in the words for a wrong password. The
second backend tells the two apart. While it cannot, no guess reaches the first one unjudged.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from mailward.backends.port import (
    Client,
    Granted,
    LoginAnswer,
    ProofAnswer,
    Proven,
    ScramExchange,
)
from mailward.backends.upstream import Upstream
from mailward.rules.model import Instant
from mailward.wire.dialogue import Rejected, Trouble, Unavailable
from mailward.wire.door import BearerToken, Credentials, ScramOpening
from mailward.wire.scram import with_nonce

DOUBT_SECONDS = 600.0
WARN_AGAIN_SECONDS = 3_600.0  # one line for a login in so long
MAX_WARNED = 1_000  # so many lines in that time, whatever names are made up
_SHOWN_CHARACTERS = 100
_NONCE_OCTETS = 18

Answer = TypeVar("Answer")
_Asking = Callable[[], Awaitable[Answer]]

_log = logging.getLogger("mailward.backend")


@dataclass(slots=True)
class Doubt:
    """Whether the second backend has lately failed to judge: then it is asked first.

    One for all doors before a backend. It holds for :data:`DOUBT_SECONDS` after the last failure.
    """

    _failed: Instant | None = None

    def renew(self, now: Instant) -> None:
        self._failed = now

    def holds(self, now: Instant) -> bool:
        return self._failed is not None and now - self._failed < DOUBT_SECONDS


@dataclass(slots=True)
class Warned:
    """The logins that a line was written about, the oldest first; bounded."""

    _at: OrderedDict[bytes, Instant] = field(default_factory=OrderedDict)

    def is_due(self, login: bytes, now: Instant) -> bool:
        """Whether a line about *login* is to be written now; it is taken as written then."""
        while self._at and now - next(iter(self._at.values())) >= WARN_AGAIN_SECONDS:
            self._at.popitem(last=False)
        if login in self._at or len(self._at) >= MAX_WARNED:
            return False
        self._at[login] = now
        return True


class SecondOpinion:
    """*first* as its doors see it, with *second* asked about what it refuses.

    Both share the answer-timeout of *first*.
    """

    def __init__(
        self, first: Upstream, second: Upstream, doubt: Doubt, clock: Callable[[], Instant]
    ) -> None:
        self.first = first
        self.second = second
        self.doubt = doubt
        self._clock = clock
        self._warned = Warned()
        self._silence = ""
        """Why the second backend has not judged the last login that it was asked about."""
        self._is_contradicted = False
        """The second backend has accepted what the first refused, which has accepted none since."""

    @property
    def offer(self) -> Sequence[str]:
        return self.first.offer

    @property
    def state(self) -> str:
        second = self.second.settings.name
        if self.first.state != "ok":
            return self.first.state
        if self._silence:
            return f"its second opinion, {second}, gives none: {self._silence}"
        if self._is_contradicted:
            return f"it refuses logins that {second} accepts: do the two share their accounts?"
        return "ok"

    async def keep_probing(self) -> None:
        await self.first.keep_probing()

    async def login(self, credentials: Credentials | BearerToken, client: Client) -> LoginAnswer:
        answer = await self._ask(
            partial(self.first.login, credentials, client),
            partial(self.second.prove, credentials, client),
            credentials.login,
        )
        if isinstance(answer, Granted):
            self._note(silent=self._silence, contradicted=False)
        return answer

    async def open(
        self, opening: ScramOpening, client: Client
    ) -> ScramExchange | Rejected | Unavailable:
        """An outage shows here: no password has been offered, and a refusal is about the name.

        A proof is bound to the exchange it was made in, so that no other backend can judge it.
        """
        nonce = secrets.token_urlsafe(_NONCE_OCTETS).encode()
        return await self._ask(
            partial(self.first.open, opening, client),
            partial(self.second.prove_name, with_nonce(opening, nonce), client),
            opening.login,
        )

    # -- inside --------------------------------------------------------------------------------

    async def _ask(
        self,
        first: _Asking[Answer | Rejected | Unavailable],
        second: _Asking[ProofAnswer],
        login: bytes,
    ) -> Answer | Rejected | Unavailable:
        seconds = self.first.settings.answer_timeout.total_seconds()
        deadline = asyncio.get_running_loop().time() + seconds
        if self.doubt.holds(self._clock()):
            return await self._ask_second_first(first, second, login, deadline)
        answer = await first()
        if not isinstance(answer, Rejected):
            return answer
        match await self._opinion(second, deadline):
            case Proven():
                return self._contradict(login)
            case Rejected() | Unavailable(trouble=Trouble.MECHANISM):
                return answer
            case Unavailable() as none:
                return none

    async def _ask_second_first(
        self,
        first: _Asking[Answer | Rejected | Unavailable],
        second: _Asking[ProofAnswer],
        login: bytes,
        deadline: float,
    ) -> Answer | Rejected | Unavailable:
        match await self._opinion(second, deadline):
            case Proven():
                answer = await self._within(deadline, self.first, first)
                return self._contradict(login) if isinstance(answer, Rejected) else answer
            case Unavailable(trouble=Trouble.MECHANISM):
                return await first()
            case Rejected() | Unavailable() as opinion:
                return opinion

    async def _opinion(self, asking: _Asking[ProofAnswer], deadline: float) -> ProofAnswer:
        """What the second backend says. Where it does not judge, it is doubted from now on."""
        opinion = await self._within(deadline, self.second, asking)
        match opinion:
            case Proven() | Rejected():
                self._note(silent="", contradicted=self._is_contradicted)
            case Unavailable(trouble=Trouble.MECHANISM):
                pass
            case Unavailable(why):
                self.doubt.renew(self._clock())
                self._note(silent=why, contradicted=self._is_contradicted)
        return opinion

    async def _within(
        self, deadline: float, server: Upstream, asking: _Asking[Answer]
    ) -> Answer | Unavailable:
        """The answer of *server*, which has until *deadline* for it."""
        where = server.settings.where
        if asyncio.get_running_loop().time() >= deadline:
            return Unavailable(f"no time was left to ask {where}")
        try:
            async with asyncio.timeout_at(deadline):
                return await asking()
        except TimeoutError:
            why = f"{where} did not answer in the time that was left"
            server.gave_no_answer(why)
            return Unavailable(why)

    def _contradict(self, login: bytes) -> Unavailable:
        """The first refuses what the second accepts: one of them is out of order."""
        first, second = self.first.settings.name, self.second.settings.name
        self._note(silent=self._silence, contradicted=True)
        if self._warned.is_due(login, self._clock()):
            name = ascii(login.decode("utf-8", "replace"))[1:-1][:_SHOWN_CHARACTERS]
            _log.warning(
                "backend %s refuses the login %s, which %s accepts, so nothing is counted: do the"
                " two share their accounts?",
                *(first, name, second),
            )
        return Unavailable(f"{second} accepts what {first} refuses")

    def _note(self, *, silent: str, contradicted: bool) -> None:
        if (silent, contradicted) != (self._silence, self._is_contradicted):
            self._silence, self._is_contradicted = silent, contradicted
            self.first.news.set()
