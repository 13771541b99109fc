"""The HTTP of JMAP: requests of one connection, each with the credentials it brings.

The heads are read strictly here, too: a server that stands alone has no front door before it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.http.answers import CONTINUE, CROWDED, DOWN, UNNAMED, WRONG
from mailward.wire.http.authorization import BasicCredentials, read_authorization
from mailward.wire.http.framing import request_framing
from mailward.wire.http.head import Fields, HttpError, RequestHead, read_request
from mailward.wire.http.target import WELL_KNOWN
from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.client import Client
from mailward_mailbox.delivery.delivery import Delivery
from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.calls import make_calls
from mailward_mailbox.jmap.desk import Desk
from mailward_mailbox.jmap.errors import RequestError, not_json, over_limit
from mailward_mailbox.jmap.http.blobs import download, upload
from mailward_mailbox.jmap.http.events import EventSource
from mailward_mailbox.jmap.http.reading import Body, CutOffError, next_head
from mailward_mailbox.jmap.http.reply import Reply, of_json, of_long_json, of_problem
from mailward_mailbox.jmap.http.resource import (
    API_PATH,
    DOWNLOAD_PATH,
    EVENTS_PATH,
    SESSION_PATH,
    UPLOAD_PATH,
    session,
    session_state,
)
from mailward_mailbox.jmap.limits import (
    MAX_CONCURRENT_REQUESTS,
    MAX_CONCURRENT_UPLOADS,
    MAX_EVENT_SOURCES,
    MAX_REQUEST_OCTETS,
    MAX_UPLOAD_OCTETS,
)
from mailward_mailbox.jmap.requests import Request
from mailward_mailbox.jmap.requests import read_request as read_jmap
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import MailError, NoRoomError
from mailward_mailbox.mail.store import MailStore
from mailward_mailbox.room import Shares
from mailward_mailbox.stream import Stream

HEAD_SECONDS = 60.0
"""From the end of one request to the end of the next one's head."""
REQUEST_SECONDS = 600.0
"""For the rest of a request, and its answer: 25 MB over a slow line, a query of every message."""
MAX_UNDER_WAY_OCTETS = 4 * MAX_UPLOAD_OCTETS
MAX_LONG = 2
SHORT_OCTETS = 65_536
"""An answer that is not longer needs no room."""
_MAX_REQUESTS = (MAX_CONCURRENT_REQUESTS, "maxConcurrentRequests")
_NO_ROOM = "too much is on its way, try again later"
_JSON = "application/json"
_READING = ("GET", "HEAD")


@dataclass(slots=True)
class Premises:
    """What all connections share; and how many requests of each account are under way."""

    accounts: Accounts
    mail: MailStore
    delivery: Delivery
    clock: Callable[[], Instant]
    requests: Counter[str] = field(default_factory=Counter)
    uploads: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    bodies: Shares = field(default_factory=lambda: Shares(MAX_UNDER_WAY_OCTETS))
    """Room for the bodies of requests, while they are read and used."""
    answers: Shares = field(default_factory=lambda: Shares(MAX_UNDER_WAY_OCTETS))
    """Room for the answers, until they are sent."""
    long: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_LONG))
    """For messages that are long: each takes memory several times its octets while it is read."""


@contextmanager
def _one_of(counter: Counter[str], account: str, at_most: int, limit: str) -> Iterator[None]:
    if counter[account] >= at_most:
        raise over_limit(limit, f"{at_most} at once at most", HTTPStatus.TOO_MANY_REQUESTS)
    counter[account] += 1
    try:
        yield
    finally:
        counter[account] -= 1


@contextmanager
def _room(shares: Shares, account: Account, octets: int) -> Iterator[None]:
    if not shares.take(account.id, octets):
        raise RequestError("about:blank", _NO_ROOM, HTTPStatus.SERVICE_UNAVAILABLE)
    try:
        yield
    finally:
        shares.give_back(account.id, octets)


@dataclass(frozen=True, slots=True)
class Told:
    """The answer has no end: it tells *account* what changes."""

    account: Account
    source: EventSource


async def _at_once() -> None:
    """No other connection has to have a turn before."""


class Serving:
    """The requests of one connection.

    *client_of* tells the client of a request by its head's fields; *admits* says of an account
    whose credentials were right whether it may have this connection; *turn* waits until there is
    time for the work on one request's head.
    """

    def __init__(
        self,
        premises: Premises,
        client_of: Callable[[Fields], Client],
        admits: Callable[[Account], bool] = lambda _: True,
        turn: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self._accounts = premises.accounts
        self._mail = premises.mail
        self._premises = premises
        self._client_of = client_of
        self._admits = admits
        self._turn = turn

    async def serve(self, stream: Stream) -> None:
        """Answer one request after the other until the connection is to be closed.

        Raises:
            ConnectionError: the connection broke.
        """
        try:
            while await self._serve_one(stream):
                pass
        except HttpError as error:
            problem = of_problem(RequestError("about:blank", str(error), error.status))
            stream.write(problem.octets(has_body=True, closes=True))
        except (CutOffError, TimeoutError):
            pass  # the client is gone, or would not know what an answer is to

    async def _serve_one(self, stream: Stream) -> bool:
        """Answer one request; whether another one may follow."""
        async with asyncio.timeout(HEAD_SECONDS):
            octets = await next_head(stream)
        if octets is None:
            return False
        await self._turn()
        head = read_request(octets)
        client = self._client_of(head.fields)
        async with asyncio.timeout(REQUEST_SECONDS):
            body = Body(stream, request_framing(head))
            with ExitStack() as held:
                reply = await self._reply(head, body, client, stream, held)
                if isinstance(reply, Reply):
                    stays = head.keeps_alive and body.is_over
                    await reply.send(stream, has_body=head.method != "HEAD", closes=not stays)
                    return stays
        await self._tell(reply, stream)
        return False

    async def _reply(
        self, head: RequestHead, body: Body, client: Client, stream: Stream, held: ExitStack
    ) -> Reply | Told:
        """The answer; *held* is left when it is sent."""
        if head.method == "OPTIONS":
            return Reply(HTTPStatus.NO_CONTENT, fields=(("Allow", b"GET, HEAD, POST, OPTIONS"),))
        credentials = read_authorization(head.fields)
        if not isinstance(credentials, BasicCredentials):
            return Reply.of_answer(UNNAMED if credentials is None else WRONG)
        name, password = credentials.login, credentials.password
        match await self._accounts.verify(name, password, client.source[0]):
            case Rejected():
                return Reply.of_answer(WRONG)
            case Unavailable():
                return Reply.of_answer(DOWN)
            case Account() as account:
                if not self._admits(account):
                    return Reply.of_answer(CROWDED)
                if "100-continue" in head.fields.listed("expect") and not body.is_over:
                    stream.write(CONTINUE)
                return await self._for(account, head, body, client, held)

    async def _for(
        self, account: Account, head: RequestHead, body: Body, client: Client, held: ExitStack
    ) -> Reply | Told:
        try:
            return self._kept(await self._at(account, head, body, client, held), account, held)
        except RequestError as error:
            return of_problem(error)
        except MailError as error:
            is_full = isinstance(error, NoRoomError)
            status = HTTPStatus.INSUFFICIENT_STORAGE if is_full else HTTPStatus.SERVICE_UNAVAILABLE
            return of_problem(RequestError("about:blank", str(error), status))

    def _kept(self, reply: Reply | Told, account: Account, held: ExitStack) -> Reply | Told:
        """The answer, for which there is room until it is sent.

        Raises:
            RequestError: there is none.
        """
        if isinstance(reply, Reply) and len(reply.body) > SHORT_OCTETS:
            held.enter_context(_room(self._premises.answers, account, len(reply.body)))
        return reply

    async def _at(
        self, account: Account, head: RequestHead, body: Body, client: Client, held: ExitStack
    ) -> Reply | Told:
        path = head.path
        if path in {WELL_KNOWN, SESSION_PATH}:
            _check_method(head, *_READING)
            return of_json(session(account, _origin(head, client)))
        if path.rstrip("/") == API_PATH.rstrip("/"):
            _check_method(head, "POST")
            held.enter_context(_one_of(self._premises.requests, account.id, *_MAX_REQUESTS))
            return await self._api(account, head, body, client)
        if path.startswith(UPLOAD_PATH):
            _check_method(head, "POST")
            return await self._upload(account, head, body)
        if path.rstrip("/") == EVENTS_PATH.rstrip("/"):
            _check_method(head, "GET")
            if self._premises.sources[account.id] >= MAX_EVENT_SOURCES:
                raise over_limit(
                    "maxConcurrentRequests",
                    f"{MAX_EVENT_SOURCES} event sources at most",
                    HTTPStatus.TOO_MANY_REQUESTS,
                )
            return Told(account, EventSource.read(head))
        if path.startswith(DOWNLOAD_PATH):
            _check_method(head, *_READING)
            async with self._mail.open(account.id) as mail:
                return await download(account, mail, head.target)
        raise RequestError("about:blank", "there is nothing here", HTTPStatus.NOT_FOUND)

    async def _tell(self, told: Told, stream: Stream) -> None:
        account, sources = told.account, self._premises.sources
        sources[account.id] += 1
        try:
            is_current = partial(self._accounts.is_current, account)
            await told.source.tell(account, self._mail, is_current, stream)
        finally:
            sources[account.id] -= 1

    async def _api(self, account: Account, head: RequestHead, body: Body, client: Client) -> Reply:
        if _media_type(head) != _JSON:
            raise not_json("the content type is not application/json")
        too_long = over_limit("maxSizeRequest", f"{MAX_REQUEST_OCTETS} octets at most")
        async with self._whole(account, body, MAX_REQUEST_OCTETS, too_long) as octets:
            request = await asyncio.to_thread(read_jmap, octets)
        async with self._mail.open(account.id) as mail:
            desk = self._desk(account, mail, request, client)
            answers = await make_calls(request, desk)
        created = {} if request.created is None else {"createdIds": desk.created}
        return await of_long_json(
            {"methodResponses": answers, "sessionState": session_state(account), **created}
        )

    def _desk(self, account: Account, mail: AccountMail, request: Request, client: Client) -> Desk:
        return Desk(
            account,
            mail,
            self._premises.delivery,
            self._premises.clock(),
            client,
            self._premises.long,
            dict(request.created or {}),
        )

    async def _upload(self, account: Account, head: RequestHead, body: Body) -> Reply:
        with _one_of(
            *(self._premises.uploads, account.id, MAX_CONCURRENT_UPLOADS, "maxConcurrentUpload")
        ):
            too_long = over_limit(
                "maxSizeUpload",
                f"{MAX_UPLOAD_OCTETS} octets at most",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
            async with (
                self._whole(account, body, MAX_UPLOAD_OCTETS, too_long) as octets,
                self._mail.open(account.id) as mail,
            ):
                return await upload(account, mail, head, octets)

    @asynccontextmanager
    async def _whole(
        self, account: Account, body: Body, at_most: int, too_long: RequestError
    ) -> AsyncIterator[bytes]:
        """All of a body, for which there is room while it is used.

        Raises:
            RequestError: it is *too_long*, or the bodies of all requests are together.
        """
        room, taken, octets = self._premises.bodies, 0, bytearray()
        try:
            while piece := await body.read():
                if not room.take(account.id, len(piece)):
                    raise RequestError("about:blank", _NO_ROOM, HTTPStatus.SERVICE_UNAVAILABLE)
                taken += len(piece)
                if taken > at_most:
                    raise too_long
                octets += piece
            whole = bytes(octets)
            octets.clear()
            yield whole
        finally:
            room.give_back(account.id, taken)


def _origin(head: RequestHead, client: Client) -> str:
    """Where the client finds the server: the Host that it asked for, by TLS or not.

    The front door passes the Host on as it is and tells of TLS in Forwarded (RFC 7239). Clients
    cannot use URLs without an origin, although RFC 8620 does not forbid them.
    """
    scheme = "http" if client.tls is None else "https"
    return f"{scheme}://{head.host.decode('ascii')}"


def _check_method(head: RequestHead, *known: str) -> None:
    if head.method not in known:
        raise RequestError("about:blank", f"use {known[0]} here", HTTPStatus.METHOD_NOT_ALLOWED)


def _media_type(head: RequestHead) -> str:
    value = head.fields.one("content-type") or b""
    return value.partition(b";")[0].strip().decode("latin-1").lower()
