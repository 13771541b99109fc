"""One connection of HTTP requests: each is read, screened, proven, and passed on.

One request at a time, in the order in which they come. What is said of it first is decided by its
head alone; nobody reads a body before the credentials above it are proven.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from mailward.backends.http import CutOffError, Stream
from mailward.backends.port import Client, WebBackend
from mailward.edges.asker import Asker
from mailward.edges.caller import Standing
from mailward.edges.findings import Later, ShutOut, Wrong
from mailward.edges.house import House
from mailward.edges.jmap.passing import Broken, Passed, Passing, Proof, Unanswered, Unproven
from mailward.edges.jmap.proofs import Proofs
from mailward.edges.jmap.screening import Down, Screening, Welcome
from mailward.edges.visit import Speak, Visit
from mailward.guard.sessions import LoggedIn
from mailward.rules.model import Instant, Login
from mailward.settings.configuration import DoorLimits
from mailward.wire.http.answers import (
    BANNED,
    DOWN,
    FOREIGN,
    NOT_HERE,
    UNEXPECTED,
    UNNAMED,
    WRONG,
    Answer,
    later,
    leads_to,
)
from mailward.wire.http.authorization import (
    BasicCredentials,
    HttpCredentials,
    OtherScheme,
    read_authorization,
)
from mailward.wire.http.framing import NO_BODY, Chunked, Counted, request_framing
from mailward.wire.http.head import HttpError, RequestHead, is_forced, read_request
from mailward.wire.http.target import WELL_KNOWN, check_path, is_below

LINGER_SECONDS = 2.0
"""So long what is still sent is thrown away, so that the answer to it is not lost (RFC 9112
section 9.6)."""
_WAITING_SHARE = 0.5  # of the time before login: so long a guess waits for others


@dataclass(frozen=True, slots=True)
class JmapEntrance:
    """What the connections of one listener share, for as long as its configuration stays."""

    listener: str
    service: str
    backend: WebBackend
    limits: DoorLimits
    proofs: Proofs = field(repr=False)
    paths: tuple[str, ...] = ()


def speak_jmap(house: House, entrance: JmapEntrance) -> Speak:
    """What speaks with each visitor of *entrance*."""
    return partial(JmapSession, house, entrance)


class JmapSession(Stream):
    """The requests of *visit*."""

    def __init__(self, house: House, entrance: JmapEntrance, visit: Visit) -> None:
        super().__init__()
        self._house = house
        self._entrance = entrance
        self._visit = visit
        self._id = secrets.token_hex(4)
        self._failures = 0
        self._is_idle = True
        self._is_ending = False
        self._is_passing = False
        self._has_left = False
        self._serving: asyncio.Task[None] | None = None
        self._listed: LoggedIn | None = None
        self._digest = b""
        self._is_shared = False
        self._before = 0, 0
        self._head_seconds = entrance.limits.login_timeout.total_seconds()
        self._screening = Screening(
            *(house.guard, house.tokens, entrance.proofs, house.clock),
            self._head_seconds * _WAITING_SHARE,
        )

    # -- what the connection and others tell ---------------------------------------------------

    def end(self) -> None:
        """Close, but first give the answer that is under way."""
        self._is_ending = True
        if self._is_idle:
            self.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._serving = self._house.begin(self._serve, f"session {self._id}", self.abort)

    def eof_received(self) -> bool:
        stays = super().eof_received()
        self._client_left()
        return stays

    def connection_lost(self, exc: Exception | None) -> None:
        # A reset is an end like any other: what was being uploaded is cut off.
        super().connection_lost(None)
        self._client_left()

    def _client_left(self) -> None:
        self._has_left = True
        # A guess runs to its settlement. Anything else is done for nobody now: an event source
        # would be kept for ever.
        if self._serving is not None and (self._screening.in_line or self._is_passing):
            self._serving.cancel()

    # -- requests ------------------------------------------------------------------------------

    async def _serve(self) -> None:
        kept = Passing(self._house, self._entrance.backend, self)
        try:
            while await self._one(kept) and not self._is_ending:
                self._is_idle = True
        except (CutOffError, OSError):
            pass  # the client is gone, in the middle of what it said
        finally:
            self._disappear()
            kept.close()
            self.close()

    async def _one(self, passing: Passing) -> bool:
        """Answer one request; whether there may be another."""
        try:
            octets = await self._next_head()
            self._is_idle = False
            if octets is None:
                return False
            head = read_request(octets)
            framing = request_framing(head)
            return await self._answer(head, framing, passing)
        except HttpError as error:
            await self._say_and_part(Answer(error.status, str(error)))
            return False

    async def _next_head(self) -> bytes | None:
        """The next head; ``None`` where none comes in time."""
        # Before the first login the visit itself keeps the time.
        self.expect_within(self._head_seconds)
        try:
            octets = await self.head()
        except TimeoutError:
            return None
        finally:
            self.expect_within(None)
        # RFC 9112 section 2.2: one empty line may stand before a request.
        return None if octets is None else octets.removeprefix(b"\r\n")

    async def _answer(
        self, head: RequestHead, framing: Counted | Chunked, passing: Passing
    ) -> bool:
        asker = self._visit.who(head.fields)
        if asker.is_behind_proxy:
            # Its connections bring many clients: none is cut off for what others have not proven.
            self._visit.logged_in()
        caller, now = asker.caller, self._house.clock()
        if self._house.guard.admit(caller.address, now, is_direct=caller.is_direct) is not None:
            self._house.guard.drops.count(caller.address, self._entrance.service, now)
            return await self._shut_out(asker)
        if not asker.is_secure:
            raise HttpError("passwords need TLS here: use https", HTTPStatus.FORBIDDEN)
        check_path(head.path)
        credentials = read_authorization(head.fields)
        if (refusal := self._unservable(head)) is not None:
            return await self._refuse(refusal, head, framing)
        client = self._client(asker)
        match credentials:
            case None if head.method == "OPTIONS" and framing == NO_BODY:
                return await self._pass(head, framing, None, client, passing)
            case None | OtherScheme():
                return await self._refuse(self._unnamed(head), head, framing)
            case offered if is_forced(head.fields):
                # Whoever looks at that page has not sent these credentials: they count for nobody.
                return await self._refuse(FOREIGN, head, framing)
            case offered:
                return await self._prove(head, framing, offered, (asker, client), passing, now)

    def _unservable(self, head: RequestHead) -> Answer | None:
        """What is said to a request that nobody could make here."""
        known = (WELL_KNOWN, *self._entrance.paths, *self._entrance.backend.paths)
        if not is_below(head.path, known):
            return NOT_HERE
        expected = head.fields.all("expect")
        return UNEXPECTED if any(wish.lower() != b"100-continue" for wish in expected) else None

    def _unnamed(self, head: RequestHead) -> Answer:
        """What is said to who has not said who he is."""
        session = self._entrance.backend.session_path
        if head.path == WELL_KNOWN and head.method in {"GET", "HEAD"} and session is not None:
            return leads_to(session)
        return UNNAMED

    async def _prove(
        self,
        head: RequestHead,
        framing: Counted | Chunked,
        credentials: HttpCredentials,
        whose: tuple[Asker, Client],
        passing: Passing,
        now: Instant,
    ) -> bool:
        asker, client = whose
        if asker.caller.standing is Standing.CHECK:
            return await self._refuse(DOWN, head, framing)  # it came to look, on nobody's behalf
        backend = self._entrance.backend
        entrance = self._entrance
        by = partial(asker.caller.attempt, entrance.service, entrance.listener, self._id)
        prover = (backend.name, backend)
        match await self._screening.ask(credentials, by, prover, client, head.host, now):
            case Welcome(digest, attempt):
                self._visit.logged_in()
                self._appear(digest, attempt.login, credentials, asker, now)
                proof = Proof(credentials, digest, attempt)
                return await self._pass(head, framing, proof, client, passing)
            case Wrong(is_last):
                return await self._refuse_guess(WRONG, head, framing, asker, is_last=is_last)
            case Later(why):
                return await self._refuse_guess(later(why), head, framing, asker)
            case Down():
                return await self._refuse_guess(DOWN, head, framing, asker)
            case ShutOut():
                return await self._shut_out(asker)

    async def _pass(
        self,
        head: RequestHead,
        framing: Counted | Chunked,
        proof: Proof | None,
        client: Client,
        passing: Passing,
    ) -> bool:
        if self._has_left:
            return False  # while its guess was under way
        self._is_passing = True
        try:
            became = await passing.pass_on(head, framing, proof, client)
        finally:
            self._is_passing = False
            if self._is_shared:
                self._disappear()  # the next request on it may be another client's
        match became:
            case Passed(stays):
                if not stays:
                    await self._part()
                return stays
            case Unproven():
                if proof is not None:
                    await self._screening.disprove(proof.credentials, proof.digest, proof.attempt)
                await self._say_and_part(UNNAMED if proof is None else WRONG, head)
                return False
            case Unanswered(is_unread=True):
                return await self._refuse(DOWN, head, framing)
            case Unanswered():
                await self._say_and_part(DOWN, head)
                return False
            case Broken():
                self.abort()
                return False

    # -- what is known of its session ----------------------------------------------------------

    def octets(self) -> tuple[int, int]:
        received, sent = self._before
        return self.received - received, self.sent - sent

    def cut(self) -> None:
        self._listed = None
        # Between two requests nothing is open: the next one is asked for its credentials, and told
        # why they are not taken.
        if not self._is_idle:
            self.abort()

    def _appear(
        self,
        digest: bytes,
        login: Login | None,
        credentials: HttpCredentials,
        asker: Asker,
        now: Instant,
    ) -> None:
        """From now on this connection is a session of *login*, unless it is so already."""
        if self._listed is not None and digest == self._digest:
            return
        self._disappear()
        self._digest, self._is_shared = digest, asker.is_behind_proxy
        self._before = self.received, self.sent
        mailbox = None
        if isinstance(credentials, BasicCredentials):
            mailbox = self._house.guard.policy.naming.mailbox(credentials.login)
        entrance = self._entrance
        self._listed = LoggedIn(
            *(self, asker.address, login, mailbox),
            *(entrance.service, entrance.listener, self._id, now),
            is_direct=asker.is_direct,
        )
        self._house.guard.sessions.add(self._listed)

    def _disappear(self) -> None:
        if self._listed is not None:
            self._house.guard.sessions.remove(self._listed)
            self._listed = None

    # -- who asks ------------------------------------------------------------------------------

    def _client(self, asker: Asker) -> Client:
        """What the backend may learn of *asker*."""
        caller = asker.caller
        own = None if asker.is_behind_proxy else self._visit.own_tls
        return Client(caller.source, caller.destination, caller.tls or own)

    # -- refusals ------------------------------------------------------------------------------

    async def _refuse_guess(
        self,
        answer: Answer,
        head: RequestHead,
        framing: Counted | Chunked,
        asker: Asker,
        *,
        is_last: bool = False,
    ) -> bool:
        self._failures += not asker.is_behind_proxy
        if is_last or self._failures >= self._entrance.limits.max_attempts:
            await self._say_and_part(answer, head)
            return False
        return await self._refuse(answer, head, framing)

    async def _refuse(self, answer: Answer, head: RequestHead, framing: Counted | Chunked) -> bool:
        """Say *answer*; whether the next request can be found behind this one."""
        if framing != NO_BODY or not head.keeps_alive or not head.minor or self._is_ending:
            await self._say_and_part(answer, head)
            return False
        self.write(answer.octets(has_body=head.method != "HEAD", closes=False))
        await self.drain()
        return True

    async def _shut_out(self, asker: Asker) -> bool:
        if asker.is_behind_proxy:
            await self._say_and_part(BANNED)
        else:
            self.abort()
        return False

    async def _say_and_part(self, answer: Answer, head: RequestHead | None = None) -> None:
        has_body = head is None or head.method != "HEAD"
        self.write(answer.octets(has_body=has_body, closes=True))
        await self._part()

    async def _part(self) -> None:
        """Close, but let what is still sent run out: a reset would take the answer along."""
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(LINGER_SECONDS):
                if self._transport.can_write_eof():
                    self._transport.write_eof()
                await self.drain()
                while await self.read():
                    pass
        self.close()
