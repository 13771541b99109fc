"""A mail server that speaks JMAP: asked who is right, and passed requests on to."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

from mailward.backends.http import BUFFER_OCTETS, Body, CutOffError, Wire
from mailward.backends.port import Client, ProofAnswer, Proven
from mailward.backends.server import PROBER, MailServer
from mailward.backends.tls import server_name, why_no_tls
from mailward.settings.configuration import ClientAddress, Encryption, Upstream, Web
from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.http.authorization import HttpCredentials
from mailward.wire.http.forwarding import Hop, forwarded
from mailward.wire.http.framing import response_framing
from mailward.wire.http.head import HttpError, ResponseHead, write_request
from mailward.wire.http.target import WELL_KNOWN, prefix_of

MAX_SESSION_OCTETS = 1_048_576
"""Of a session resource; what is longer proves a login all the same, but tells no paths."""
MAX_PATHS = 200
MAX_REDIRECTS = 3
_URLS = ("apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl")  # RFC 8620 section 2
_WEBSOCKET = "urn:ietf:params:jmap:websocket"  # RFC 8887 section 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class JmapUpstream(MailServer):
    """One configured backend.

    *paths* is what is known from an earlier run of those it serves; *remember* is called with all
    of them when there are more.
    """

    def __init__(
        self,
        settings: Upstream,
        paths: Sequence[str],
        remember: Callable[[Sequence[str]], None],
    ) -> None:
        super().__init__(settings, paths, remember)
        self.protocol = Web.JMAP
        self._paths = dict.fromkeys(paths)
        self.session_path: str | None = None
        """Where the well-known path leads to, if it leads on."""

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def answer_timeout(self) -> timedelta:
        return self.settings.answer_timeout

    @property
    def paths(self) -> Iterable[str]:
        """What it serves, as far as it is known: each path, and all below."""
        return self._paths

    async def prove(self, credentials: HttpCredentials, client: Client, host: bytes) -> ProofAnswer:
        """Ask for the session resource with *credentials*; *host* is what the client calls it.

        Only what the mail server says of them counts, and of nothing else: there is no body.
        """
        try:
            async with asyncio.timeout(self.settings.answer_timeout.total_seconds()):
                return await self._prove(credentials, client, host)
        except TimeoutError:
            return self._failed(f"{self.settings.where} did not answer in time")

    async def connect(self, client: Client) -> Wire | Unavailable:
        """A connection for *client*."""
        match self._reach.trust:
            case Unavailable() as why:
                return why
            case context:
                pass
        settings = self.settings
        try:
            async with asyncio.timeout(settings.connect_timeout.total_seconds()):
                return await self._open(client, context)
        except TimeoutError:
            return self._failed(f"{settings.where} cannot be reached in time")
        except ssl.SSLError as error:
            return self._failed(why_no_tls(error, settings))
        except OSError as error:
            return self._failed(f"cannot connect to {settings.where}: {error.strerror or error}")

    def introduction(self, client: Client) -> list[tuple[str, bytes]]:
        """The fields that tell of *client*, where it is told so."""
        if self.settings.client_address is not ClientAddress.FORWARDED:
            return []
        return forwarded(Hop(*client.source, is_secure=client.tls is not None))

    # -- inside --------------------------------------------------------------------------------

    async def _open(self, client: Client, context: ssl.SSLContext) -> Wire:
        settings = self.settings
        plain = await _connected(settings.host, settings.port)
        try:
            if preface := self._reach.preface(client):
                await asyncio.get_running_loop().sock_sendall(plain, preface)
            is_tls = settings.tls.mode is Encryption.IMPLICIT
            reader, writer = await asyncio.open_connection(
                sock=plain,
                limit=BUFFER_OCTETS,
                ssl=context if is_tls else None,
                server_hostname=server_name(settings) if is_tls else None,
            )
        except BaseException:
            plain.close()
            raise
        return Wire(reader, writer)

    async def _prove(
        self, credentials: HttpCredentials, client: Client, host: bytes
    ) -> ProofAnswer:
        path = self.session_path or WELL_KNOWN
        for _ in range(MAX_REDIRECTS + 1):
            match await self._get(path, host, client, [("Authorization", credentials.field())]):
                case Unavailable() as why:
                    return why
                case Page(head, body):
                    pass
            if head.status not in _REDIRECTS:
                return self._judge(head, body)
            target = _same_origin(head, host)
            if target is None:
                return self._failed(
                    f"{self.settings.where} redirects {path} to somewhere else;"
                    " let it serve its session resource itself"
                )
            path = target
        return self._failed(f"{self.settings.where} redirects {WELL_KNOWN} without end")

    def _judge(self, head: ResponseHead, body: bytes) -> ProofAnswer:
        match head.status:
            case HTTPStatus.OK:
                self._learn(_paths_in(body))
                self._state = "ok"
                return Proven()
            case HTTPStatus.UNAUTHORIZED:
                self._state = "ok"
                return Rejected()
            case status:
                return self._failed(f"{self.settings.where} answers {status} at {WELL_KNOWN}")

    async def _get(
        self, path: str, host: bytes, client: Client, more: list[tuple[str, bytes]]
    ) -> Page | Unavailable:
        """One response, with a connection of its own."""
        connected = await self.connect(client)
        if isinstance(connected, Unavailable):
            return connected
        fields = [("Host", host), ("Accept", b"application/json"), ("Connection", b"close")]
        try:
            connected.writer.write(
                write_request("GET", path, [*fields, *more, *self.introduction(client)])
            )
            head = await connected.response()
            return Page(head, await _short(Body(connected.reader, response_framing(head, "GET"))))
        except (HttpError, CutOffError, OSError):
            return self._failed(f"{self.settings.where} does not answer in HTTP/1.1")
        finally:
            connected.close()

    async def _probe(self) -> bool:
        """Whether it is there, and where its well-known path leads to."""
        host = self.settings.host.encode()
        try:
            async with asyncio.timeout(self.settings.answer_timeout.total_seconds()):
                page = await self._get(WELL_KNOWN, host, PROBER, [])
        except TimeoutError:
            self._failed(f"{self.settings.where} did not answer in time")
            return False
        match page:
            case Unavailable():
                return False
            case Page(head):
                pass
        if head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._failed(f"{self.settings.where} answers {head.status} at {WELL_KNOWN}")
            return False
        self.session_path = _same_origin(head, host) if head.status in _REDIRECTS else None
        if self.session_path is not None:
            self._learn([self.session_path])
        self._state = "ok"
        return True

    def _failed(self, why: str) -> Unavailable:
        self._is_unwell(why)
        return Unavailable(why)

    def _learn(self, urls: Iterable[str]) -> None:
        """Serve what *urls* begin with from now on."""
        found = [path for url in urls if (path := prefix_of(url)) is not None]
        new = [path for path in found if path not in self._paths]
        if new and len(self._paths) < MAX_PATHS:
            self._paths |= dict.fromkeys(new)
            self._remember(tuple(self._paths))


@dataclass(frozen=True, slots=True)
class Page:
    """One response; *body* is empty where it is too long to be looked at."""

    head: ResponseHead
    body: bytes = field(repr=False)


async def _connected(host: str, port: int) -> socket.socket:
    """A connection to the first address of *host* that takes one.

    Raises:
        OSError: none does.
    """
    loop = asyncio.get_running_loop()
    refused = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        try:
            await loop.sock_connect(opened, address)
        except OSError as error:
            opened.close()
            refused = error
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise refused


async def _short(body: Body) -> bytes:
    """All of a body that is not too long, else nothing."""
    octets = bytearray()
    async with aclosing(body.pieces()) as pieces:
        async for piece in pieces:
            octets += piece
            if len(octets) > MAX_SESSION_OCTETS:
                return b""
    return bytes(octets)


def _same_origin(head: ResponseHead, host: bytes) -> str | None:
    """The path that a redirect leads to; ``None`` where it leaves the server."""
    locations = head.fields.all("location")
    if len(locations) != 1:
        return None
    try:
        url = urlsplit(locations[0].decode("ascii"))
    except ValueError:
        return None
    if url.netloc and url.netloc.lower().encode() != host.lower():
        return None
    path = url.path if url.path.startswith("/") else f"/.well-known/{url.path}"
    return f"{path}?{url.query}" if url.query else path


def _paths_in(body: bytes) -> list[str]:
    """The URLs in a session resource; none where it is none."""
    try:
        session = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(session, dict):
        return []
    urls = [session.get(name) for name in _URLS]
    capabilities = session.get("capabilities")
    websocket = capabilities.get(_WEBSOCKET) if isinstance(capabilities, dict) else None
    if isinstance(websocket, dict):
        urls.append(websocket.get("url"))
    return [url for url in urls if isinstance(url, str)]
