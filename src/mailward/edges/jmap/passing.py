"""A proven request on its way to the backend, and the response on its way back.

Both stream at the same time, piece by piece, each as fast as the other end takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mailward.backends.http import Body, CutOffError, Stream, Wire
from mailward.backends.port import Client, WebBackend
from mailward.edges.house import House
from mailward.rules.model import Attempt
from mailward.wire.dialogue import Unavailable
from mailward.wire.http.answers import CONTINUE
from mailward.wire.http.authorization import HttpCredentials
from mailward.wire.http.forwarding import is_forwarding
from mailward.wire.http.framing import (
    CHUNKED_FIELD,
    LAST_CHUNK,
    NO_BODY,
    Chunked,
    Counted,
    UntilClose,
    chunk,
    response_framing,
)
from mailward.wire.http.head import (
    HttpError,
    RequestHead,
    ResponseHead,
    write_request,
    write_response,
)
from mailward.wire.http.websocket import (
    SWITCHING,
    UPGRADE_FIELDS,
    agrees_to_websocket,
    asks_for_websocket,
)

KEPT_SECONDS = 4.0
"""So long a connection to the backend waits for another request: less than backends give it."""
_UNAUTHORIZED = 401
_NO_CONTENT = 204
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
# Written anew; and what makes some backends serve another path than the one that was looked at, or
# another site than the one where the credentials are proven.
_LEFT_OUT = frozenset(
    {
        *("authorization", "host", "x-original-url", "x-rewrite-url"),
        *("x-host", "x-original-host", "x-http-host-override"),
    }
)
_NOT_TOLD = frozenset({"alt-svc"})  # another way in, that no guard stands at


@dataclass(frozen=True, slots=True)
class Proof:
    """Credentials that are proven, by *attempt*. *digest* is what they are remembered by."""

    credentials: HttpCredentials
    digest: bytes
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Passed:
    """The response was passed on. *stays*: there may be another request."""

    stays: bool


@dataclass(frozen=True, slots=True)
class Unproven:
    """The backend does not take the credentials; nothing was passed on."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The backend is down, or gives no answer that can be read. *is_unread*: so is the body."""

    is_unread: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """The answer broke off: it is too late to say anything."""


WhatBecame = Passed | Unproven | Unanswered | Broken


@dataclass(slots=True)
class _Kept:
    """A connection to the backend that has answered *client* with *digest*."""

    wire: Wire
    client: Client
    digest: bytes
    until: float


class Passing:
    """The requests of one *client* connection, one at a time."""

    def __init__(self, house: House, backend: WebBackend, client: Stream) -> None:
        self._house = house
        self._backend = backend
        self._client = client
        self._answer_seconds = backend.answer_timeout.total_seconds()
        self._now = asyncio.get_running_loop().time
        self._kept: _Kept | None = None
        self._introduced: tuple[Client, Sequence[tuple[str, bytes]]] | None = None

    def close(self) -> None:
        """Let the backend go."""
        if self._kept is not None:
            self._kept.wire.abort()
            self._kept = None

    async def pass_on(
        self, head: RequestHead, framing: Counted | Chunked, proof: Proof | None, client: Client
    ) -> WhatBecame:
        """Pass on one request and its response; without *proof* it has no credentials.

        Raises:
            HttpError: its body is not framed as it should be.
            CutOffError: the client went away.
        """
        wire = self._take_kept(client, proof)
        if wire is not None:
            became = await self._exchange(wire, head, framing, proof, client)
            # The backend may have closed it in this very moment, and seen nothing of the request.
            # But nobody knows, and what changes something is never sent twice.
            is_harmless = head.method in _BODILESS and framing == NO_BODY
            if not isinstance(became, Unanswered) or not is_harmless:
                return became
        match await self._backend.connect(client):
            case Unavailable():
                return Unanswered(is_unread=True)
            case Wire() as fresh:
                return await self._exchange(fresh, head, framing, proof, client)

    # -- one exchange --------------------------------------------------------------------------

    async def _exchange(
        self,
        wire: Wire,
        head: RequestHead,
        framing: Counted | Chunked,
        proof: Proof | None,
        client: Client,
    ) -> WhatBecame:
        upload = _Upload(Body(self._client, framing), wire, is_chunked=isinstance(framing, Chunked))
        is_kept = False
        try:
            upload.begin(self._request(head, framing, proof, client))
            if not upload.is_over:
                if head.minor and head.fields.all("expect"):
                    self._client.write(CONTINUE)
                upload.go_on(self._house)
            answer = await self._response(head, wire, upload)
            if answer is None:
                await upload.stop()
                return Unanswered(is_unread=upload.is_unread)
            response, body = answer
            if response.status == _UNAUTHORIZED:
                await upload.stop()
                return Unproven()
            if response.status == SWITCHING:
                return await self._switch(head, framing, response, wire)
            stays = bool(head.keeps_alive and head.minor and upload.is_over)
            is_kept = await self._pass_back(head, response, body, stays=stays)
            await upload.stop()
            return Passed(stays)
        except (HttpError, CutOffError, OSError):
            upload.complain()
            return Broken()
        finally:
            upload.cancel()
            if is_kept and upload.is_over:
                self._keep(wire, client, proof)
            else:
                wire.abort()

    def _request(
        self, head: RequestHead, framing: Counted | Chunked, proof: Proof | None, client: Client
    ) -> bytes:
        fields = [
            (name, value)
            for name, value in head.fields.end_to_end(_LEFT_OUT)
            # An underscore is a hyphen to whatever is written after CGI.
            if "_" not in name and not is_forwarding(name)
        ]
        if proof is not None:
            fields.append(("Authorization", proof.credentials.field()))
        match framing:
            case Chunked():
                fields.append(CHUNKED_FIELD)
            case Counted(octets) if octets or head.method not in _BODILESS:
                fields.append(("Content-Length", b"%d" % octets))
            case Counted():
                pass
        if _is_for_websocket(head, framing):
            fields += UPGRADE_FIELDS
        return write_request(
            head.method,
            head.target,
            [("Host", head.host), *fields, *self._introduction(client)],
        )

    def _introduction(self, client: Client) -> Sequence[tuple[str, bytes]]:
        """The fields that tell of *client*: seldom another one than the last time."""
        if self._introduced is None or self._introduced[0] != client:
            self._introduced = (client, self._backend.introduction(client))
        return self._introduced[1]

    async def _response(
        self, head: RequestHead, wire: Wire, upload: _Upload
    ) -> tuple[ResponseHead, Body] | None:
        """The head of the final response, and its body; ``None`` where there is none in time.

        The time begins when all of the request is there.

        Raises:
            HttpError: the body of the request is no body.
            CutOffError: the client went away.
        """
        try:
            upload.when_over(lambda: wire.expect_within(self._answer_seconds))
            response = await wire.response()
            # Nothing of it is passed on if it has two.
            body = Body(wire, response_framing(response, head.method))
        except (HttpError, CutOffError, OSError):  # TimeoutError is an OSError
            upload.complain()
            return None
        else:
            return response, body
        finally:
            upload.when_over(None)
            wire.expect_within(None)

    async def _pass_back(
        self, head: RequestHead, response: ResponseHead, body: Body, *, stays: bool
    ) -> bool:
        """Pass on a response; whether the connection to the backend can be used again."""
        is_counted = isinstance(body.framing, Counted)
        is_chunked = not is_counted and head.minor > 0
        fields = response.fields.end_to_end(_NOT_TOLD)
        if response.fields.all("location"):
            fields = [
                (name, self._backend.place(value, head.host))
                if name.lower() == "location"
                else (name, value)
                for name, value in fields
            ]
        if is_chunked:
            fields.append(CHUNKED_FIELD)
        elif is_counted and response.status != _NO_CONTENT:
            # Of a body that is not there (HEAD) the length may be told.
            told = response.fields.all("content-length")
            fields += (("Content-Length", length) for length in told)
        if not stays:
            fields.append(("Connection", b"close"))
        answer = write_response(response.status, response.reason, fields)
        self._client.write(answer + _at_hand(body, is_chunked=is_chunked))
        await _pour(body, self._client, is_chunked=is_chunked)
        return response.keeps_alive and not isinstance(body.framing, UntilClose)

    async def _switch(
        self,
        head: RequestHead,
        framing: Counted | Chunked,
        response: ResponseHead,
        wire: Wire,
    ) -> WhatBecame:
        """From now on it is a WebSocket, if that was asked for and agreed to."""
        if not _is_for_websocket(head, framing) or not agrees_to_websocket(response, head):
            return Unanswered(is_unread=False)
        fields = [*response.fields.end_to_end(_NOT_TOLD), *UPGRADE_FIELDS]
        self._client.write(write_response(response.status, response.reason, fields))
        forth = self._house.begin(partial(_copy, self._client, wire), "a WebSocket", wire.abort)
        try:
            await _copy(wire, self._client)
        finally:
            forth.cancel()
        await asyncio.wait([forth])
        return Passed(stays=False)

    # -- connections that are kept -------------------------------------------------------------

    def _keep(self, wire: Wire, client: Client, proof: Proof | None) -> None:
        digest = b"" if proof is None else proof.digest
        self._kept = _Kept(wire, client, digest, self._now() + KEPT_SECONDS)

    def _take_kept(self, client: Client, proof: Proof | None) -> Wire | None:
        """The connection of the last request, if it was for the same client as the same login."""
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        digest = b"" if proof is None else proof.digest
        is_theirs = kept.client == client and kept.digest == digest
        if is_theirs and self._now() < kept.until and kept.wire.is_silent():
            return kept.wire
        kept.wire.abort()
        return None


def _is_for_websocket(head: RequestHead, framing: Counted | Chunked) -> bool:
    """Whether a request is for a WebSocket; with a body nobody knows where its frames begin."""
    return framing == NO_BODY and asks_for_websocket(head)


class _Upload:
    """The body of a request, on its way while the answer may be coming already."""

    def __init__(self, body: Body, wire: Wire, *, is_chunked: bool) -> None:
        self._body = body
        self._wire = wire
        self._is_chunked = is_chunked
        self._task: asyncio.Task[None] | None = None
        self._fault: HttpError | CutOffError | None = None
        self._over: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the next request begins behind it."""
        return self._body.is_over

    @property
    def is_unread(self) -> bool:
        return self._task is None

    def begin(self, head: bytes) -> None:
        """Send *head*, and with it what of the body is here: of a short one that is all.

        Raises:
            HttpError: the body is none.
        """
        try:
            octets = head + _at_hand(self._body, is_chunked=self._is_chunked)
        except HttpError as error:
            self._fault = error
            raise
        self._wire.write(octets)

    def go_on(self, house: House) -> None:
        """Send the rest as it comes."""
        self._task = house.begin(self._run, "a body", self._wire.abort)

    def when_over(self, tell: Callable[[], None] | None) -> None:
        """*tell* when all of it is sent, at once if it is; ``None``: nobody wants to know."""
        self._over = tell
        if tell is not None and self.is_over:
            tell()

    def complain(self) -> None:
        """Raise what is wrong with it, if it was that."""
        if self._fault is not None:
            raise self._fault

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Read no more of it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            await _pour(self._body, self._wire, is_chunked=self._is_chunked)
        except (HttpError, CutOffError) as error:
            # The backend must not take the part for the whole.
            self._fault = error
            self._wire.abort()
        except OSError:
            pass  # it takes no more; what it has said to that is still to be read
        else:
            if self._over is not None:
                self._over()


def _at_hand(body: Body, *, is_chunked: bool) -> bytes:
    """What has arrived of *body*, as it is sent on.

    Raises:
        HttpError: it is not framed as it should be.
    """
    return _framed(body.take(), body, is_chunked=is_chunked)


def _framed(piece: bytes, body: Body, *, is_chunked: bool) -> bytes:
    """*piece* of *body* as it is sent on: the last one with the end."""
    if not is_chunked:
        return piece
    return chunk(piece) + LAST_CHUNK if body.is_over else chunk(piece)


async def _pour(body: Body, onto: Stream, *, is_chunked: bool) -> None:
    """Send the rest of *body* on as it comes, never more than *onto* takes."""
    while not body.is_over:
        await onto.drain()
        onto.write(_framed(await body.read(), body, is_chunked=is_chunked))
    await onto.drain()


async def _copy(stream: Stream, onto: Stream) -> None:
    try:
        while octets := await stream.read():
            onto.write(octets)
            await onto.drain()
    except OSError:
        return  # it has ended, one way or the other
