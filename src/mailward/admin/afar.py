"""Operators from afar: every request over TCP shows credentials, and comes from no web page.

The connection is made and watched by a door (:class:`Visitor`); here it speaks HTTP.
"""

from __future__ import annotations

import asyncio
import binascii
import math
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mailward.admin.forms import max_octets, problem
from mailward.admin.gate import Busy, Gate, LockedOut, Offered, ShutOut, Unnamed, Welcome, Wrong
from mailward.rules.model import Address, Ban, Instant
from mailward.wire.http.head import Fields, HttpError
from mailward.wire.secret import Secret

CHALLENGE = 'Basic realm="mailward", charset="UTF-8"'  # RFC 7617 section 2.1
IDLE_SECONDS = 30.0
"""So long a connection may wait for its next request, or for the rest of its header."""
LINGER_SECONDS = 2.0
"""So long what is still sent is thrown away, so that the answer to it is not lost (RFC 9112
section 9.6)."""
_LATER_SECONDS = 3_600  # when to ask again, where a ban has no end
_BUSY_SECONDS = 5


class Asker(Protocol):
    """Who a request comes from. *address* is folded, and the connection's own if *is_direct*."""

    @property
    def address(self) -> Address: ...

    @property
    def is_direct(self) -> bool: ...

    @property
    def is_secure(self) -> bool:
        """Whether the password has crossed no network unencrypted, or may."""
        ...

    @property
    def is_behind_proxy(self) -> bool:
        """A proxy brings it, and takes a connection that just ends for a dead server."""
        ...


class Visitor(Protocol):
    """A connection, as its door sees it."""

    @property
    def listener(self) -> str: ...

    def who(self, fields: Fields) -> Asker:
        """Who a request with *fields* comes from.

        Raises:
            HttpError: a trusted proxy says so, but nobody can read it.
        """
        ...

    def logged_in(self) -> None:
        """It has shown who it is. Telling twice is harmless."""
        ...


class Conversation(web.RequestHandler):
    """HTTP/1.1 with one visitor."""

    __slots__ = ("_is_asked", "is_locked", "visitor")

    def __init__(self, server: web.Server, visitor: Visitor) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS,
            access_log=None,  # type: ignore[arg-type] # aiohttp takes it for "none", as its runner does
            auto_decompress=False,
        )
        self.visitor = visitor
        self._is_asked = False
        self.is_locked: Callable[[], bool] = bool

    def asked(self) -> None:
        """A request is here: its answer is under way."""
        self._is_asked = True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._is_asked = False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        # Whoever sends junk writes nothing into the log, and hears nothing of it either.
        refusal = problem(HTTPStatus(status), "this is no HTTP/1.1 request that can be read")
        refusal.force_close()
        return refusal

    def end(self) -> None:
        """Close, but first give the answer that is under way."""
        self.close()
        if not self._is_asked and self.transport is not None:
            self.transport.close()


def guarded(gate: Gate, clock: Callable[[], Instant]) -> Middleware:
    """Pass on only requests with the operator's credentials.

    What a page of another site has caused is refused before the gate: its visitor has asked for
    nothing, and must not be counted or banned for it.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        conversation = _conversation(request)
        conversation.asked()
        if why := _foreign(request):
            refusal = problem(HTTPStatus.FORBIDDEN, why)
            refusal.force_close()
            return refusal
        visitor = conversation.visitor
        asker = _asker(request, visitor)
        given = offered(request)
        answer = await gate.ask(given, asker.address, visitor.listener, is_direct=asker.is_direct)
        match answer:
            case Welcome():
                visitor.logged_in()
                conversation.is_locked = partial(gate.is_locked, given)
                return await handler(request)
            case Wrong():
                refusal = _unauthorized("Wrong user or secret")
            case Unnamed():
                refusal = _unauthorized("You have to authenticate first.")
            case LockedOut(ban):
                refusal = problem(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    "this operator is banned after too many failures: try later, or lift the ban"
                    " on the machine itself",
                )
                refusal.headers["Retry-After"] = str(_seconds_left(ban, clock()))
            case Busy():
                refusal = problem(
                    HTTPStatus.SERVICE_UNAVAILABLE, "too many ask at once: try again later"
                )
                refusal.headers["Retry-After"] = str(_BUSY_SECONDS)
            case ShutOut():
                refusal = _shut_out(request, asker)
        refusal.force_close()
        return refusal

    return middleware


@web.middleware
async def only_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a body that a form of a web page can send, and one that is too large to read."""
    if request.body_exists and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="a body must be of type application/json")
    if (request.content_length or 0) > max_octets(request):
        raise web.HTTPRequestEntityTooLarge(max_octets(request), request.content_length or 0)
    return await handler(request)


def lock_of(request: web.Request) -> Callable[[], bool]:
    """What says whether the operator of *request* has been banned by hand since it was let in."""
    return request.protocol.is_locked if isinstance(request.protocol, Conversation) else bool


def _unauthorized(why: str) -> web.Response:
    refusal = problem(HTTPStatus.UNAUTHORIZED, why)
    refusal.headers["WWW-Authenticate"] = CHALLENGE
    return refusal


def _shut_out(request: web.Request, asker: Asker) -> web.Response:
    if asker.is_behind_proxy:
        return problem(HTTPStatus.FORBIDDEN, "this address is banned")
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _foreign(request: web.Request) -> str | None:
    """Why *request* comes from a page of another site, if it does.

    A browser adds the operator's password to whatever such a page sends here. It also says where
    the page is from.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return "requests of other sites are refused"
    for origin in request.headers.getall("Origin", []):
        try:
            site = urlsplit(origin).netloc
        except ValueError:  # it looks like an address of IPv6 and is none
            site = ""
        # Not request.host: without that field it asks the resolver, and everybody waits for it.
        if not site or site != request.headers.get("Host"):
            return f"requests of other sites are refused: {origin[:100]}"
    return None


async def harden(_: web.Request, response: web.StreamResponse) -> None:
    """No answer is kept or taken for something to show."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "mailward"


def offered(request: web.Request) -> Offered | None:
    """The credentials of *request*, or ``None`` where it has none that can be read."""
    values = request.headers.getall("Authorization", [])
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.casefold() != "basic":
        return None
    try:
        user, colon, password = b64decode(token.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return Offered(user, Secret(password)) if colon else None


def _asker(request: web.Request, visitor: Visitor) -> Asker:
    """Who makes *request*: whoever connects, or whom a trusted proxy names."""
    fields = Fields(tuple((name.decode("latin-1"), value) for name, value in request.raw_headers))
    try:
        asker = visitor.who(fields)
    except HttpError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    if asker.is_behind_proxy and not asker.is_secure:
        raise web.HTTPForbidden(
            text="passwords need TLS here: use https, and let the proxy say so in X-Forwarded-Proto"
        )
    return asker


def _conversation(request: web.Request) -> Conversation:
    if not isinstance(request.protocol, Conversation):
        raise TypeError("this application is for conversations")
    return request.protocol


def _seconds_left(ban: Ban, now: Instant) -> int:
    return _LATER_SECONDS if ban.until is None else max(1, math.ceil(ban.until - now))
