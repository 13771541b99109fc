"""A mail server that speaks JMAP: asked who is right, and passed requests on to."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

from mailward.backends.http import Body, CutOffError, Wire
from mailward.backends.port import Client, ProofAnswer, Proven
from mailward.backends.server import PROBER, MailServer
from mailward.backends.tls import server_name, why_no_tls
from mailward.settings.configuration import ClientAddress, Encryption, Upstream, Web
from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.http.authorization import HttpCredentials
from mailward.wire.http.forwarding import Hop, forwarded
from mailward.wire.http.framing import response_framing
from mailward.wire.http.head import HttpError, ResponseHead, write_request
from mailward.wire.http.target import WELL_KNOWN, prefix_of, without_origin

MAX_SESSION_OCTETS = 1_048_576
"""Of a session resource; what is longer proves a login all the same, but tells no paths."""
MAX_PATHS = 200
MAX_REDIRECTS = 3
MAX_HOSTS = 1_000
"""So many Hosts are known to want credentials until the next probe; for others that is asked."""
_URLS = ("apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl")  # RFC 8620 section 2
_WEBSOCKET = "urn:ietf:params:jmap:websocket"  # RFC 8887 section 3
_PORT = re.compile(rb":\d*$")
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
        self._is_open_to_all = False
        self.closed_hosts: dict[bytes, None] = {}
        """The Hosts that want credentials, as far as that was asked since the last probe."""

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

        Only what the mail server says of them counts, and of nothing else: there is no body. Where
        it shows the same to whoever asks, it says nothing of anybody.
        """
        if self._is_open_to_all:
            return Unavailable(self._state)
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

    def place(self, location: bytes, host: bytes) -> bytes:
        """Where a redirect leads whoever calls the server *host*: a path, where it stays there.

        The server spells itself as it was called, or as it knows itself, and maybe its own port.
        """
        called, here = host.lower(), self.settings
        itself = (f"[{here.host}]" if ":" in here.host else here.host).lower().encode()
        origins = {called} | {
            name + port
            for name in (_PORT.sub(b"", called), itself)
            for port in (b"", b":%d" % here.port)
        }
        return without_origin(location, origins)

    # -- inside --------------------------------------------------------------------------------

    async def _open(self, client: Client, context: ssl.SSLContext) -> Wire:
        settings = self.settings
        plain = await _connected(settings)
        try:
            self._reach.ourselves.check(plain, settings)
            if preface := self._reach.preface(client):
                await asyncio.get_running_loop().sock_sendall(plain, preface)
            is_tls = settings.tls.mode is Encryption.IMPLICIT
            _, wire = await asyncio.get_running_loop().create_connection(
                partial(Wire, plain),
                sock=plain,
                ssl=context if is_tls else None,
                server_hostname=server_name(settings) if is_tls else None,
            )
        except BaseException:
            plain.close()
            raise
        return wire

    async def _prove(
        self, credentials: HttpCredentials, client: Client, host: bytes
    ) -> ProofAnswer:
        path = self.session_path or WELL_KNOWN
        credential = [("Authorization", credentials.field())]
        match await self._lead(path, host, client, credential):
            case Unavailable() as why:
                return why
            case Page(head, body):
                pass
        answer = self._judge(head)
        if not isinstance(answer, Proven):
            return answer
        if host not in self.closed_hosts:
            is_open = await self._is_open(path, host, client)
            if is_open is not None:
                return is_open
        self._learn(_paths_in(body))
        self._has_judged()
        return answer

    async def _is_open(self, path: str, host: bytes, client: Client) -> Unavailable | None:
        """Ask without credentials, too: a site that shows the same then has proven nothing.

        A backend may have other sites than the one that is probed, by the Host that a client says.
        """
        match await self._lead(path, host, client, []):
            case Unavailable() as why:
                return why
            case Page(head) if head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return self._failed(f"{self.settings.where} answers {head.status} at {path}")
            case Page(head, path=shown) if _is_open(head):
                # Not the state of the backend: a stranger has chosen the Host.
                return Unavailable(
                    f"{self.settings.where} shows {shown} to whoever asks as {host.decode()}"
                )
            case Page():
                if len(self.closed_hosts) < MAX_HOSTS:
                    self.closed_hosts[host] = None
                return None

    async def _lead(
        self, path: str, host: bytes, client: Client, more: list[tuple[str, bytes]]
    ) -> Page | Unavailable:
        """What stands where *path* leads to within the server; a redirect if that leaves it."""
        page: Page | Unavailable
        for _ in range(MAX_REDIRECTS + 1):
            page = await self._get(path, host, client, more)
            if isinstance(page, Unavailable) or page.head.status not in _REDIRECTS:
                break
            further = self._further(page.head, host)
            if further is None:
                break
            path = further
        return page

    def _judge(self, head: ResponseHead) -> ProofAnswer:
        match head.status:
            case HTTPStatus.OK if not _is_json(head):
                return self._failed(
                    f"{self.settings.where} has something else than a session resource at"
                    f" {WELL_KNOWN}: look whether it speaks JMAP"
                )
            case HTTPStatus.OK:
                return Proven()
            case HTTPStatus.UNAUTHORIZED:
                self._has_judged()
                return Rejected()
            case status if status in _REDIRECTS:
                return self._failed(
                    f"{self.settings.where} redirects {WELL_KNOWN} to somewhere else, or without"
                    " end; let it serve its session resource itself"
                )
            case status:
                why = f"{self.settings.where} answers {status} at {WELL_KNOWN}"
                return self._failed(why, is_mute=status >= HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _get(
        self, path: str, host: bytes, client: Client, more: list[tuple[str, bytes]]
    ) -> Page | Unavailable:
        """One response, with a connection of its own."""
        connected = await self.connect(client)
        if isinstance(connected, Unavailable):
            return connected
        fields = [("Host", host), ("Accept", b"application/json"), ("Connection", b"close")]
        try:
            connected.write(
                write_request("GET", path, [*fields, *more, *self.introduction(client)])
            )
            head = await connected.response()
            body = Body(connected, response_framing(head, "GET"))
            return Page(head, await _short(body), path)
        except (HttpError, CutOffError, OSError):
            return self._failed(f"{self.settings.where} does not answer in HTTP/1.1")
        finally:
            connected.abort()

    async def _probe(self) -> bool:
        """Whether it is there, and where its well-known path leads to."""
        host = self.settings.host.encode()
        try:
            async with asyncio.timeout(self.settings.answer_timeout.total_seconds()):
                page = await self._lead(WELL_KNOWN, host, PROBER, [])
        except TimeoutError:
            self._failed(f"{self.settings.where} did not answer in time")
            return False
        match page:
            case Unavailable():
                return False
            case Page(head, path=path):
                pass
        if head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._failed(f"{self.settings.where} answers {head.status} at {WELL_KNOWN}")
            return False
        # A page for people is nothing to us: by another Host there may be a session resource.
        self._is_open_to_all = _is_open(head)
        self.closed_hosts.clear()
        if self._is_open_to_all:
            self._failed(
                f"{self.settings.where} shows {path} to whoever asks, so it can prove no password:"
                " let it want credentials there"
            )
            return False
        self.session_path = path if path != WELL_KNOWN else None
        if self.session_path is not None:
            self._learn([self.session_path])
        if not self._is_mute:
            self._turn("ok")
        return True

    def _further(self, head: ResponseHead, host: bytes) -> str | None:
        """The path that a redirect leads to; ``None`` where it leaves the server.

        Servers spell their own name as it was asked for, or as they know themselves; and the port
        that is theirs behind a door. Whatever it says, we ask nobody but them.
        """
        locations = head.fields.all("location")
        if len(locations) != 1:
            return None
        try:
            url = urlsplit(locations[0].decode("ascii"))
            called = urlsplit(f"//{host.decode('ascii')}").hostname
        except ValueError:
            return None
        if url.netloc and url.hostname not in {called, self.settings.host.lower()}:
            return None
        path = url.path if url.path.startswith("/") else f"/.well-known/{url.path}"
        return f"{path}?{url.query}" if url.query else path

    def _failed(self, why: str, *, is_mute: bool = False) -> Unavailable:
        self._is_unwell(why, is_mute=is_mute)
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
    path: str


async def _connected(settings: Upstream) -> socket.socket:
    """A connection to the first address of the mail server that takes one, or to its Unix socket.

    Raises:
        OSError: none does.
    """
    if settings.path is not None:
        return _connected_by_path(settings.path)
    loop = asyncio.get_running_loop()
    refused = OSError(f"{settings.host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM
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


def _connected_by_path(path: str) -> socket.socket:
    """A connection to the Unix socket at *path*, which takes it at once or never (unix(7)).

    Raises:
        OSError: it does not; asyncio would take EAGAIN, a full queue, for one under way.
    """
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    opened.setblocking(False)
    try:
        opened.connect(path)
    except OSError:
        opened.close()
        raise
    return opened


def _is_open(head: ResponseHead) -> bool:
    """Whether *head*, the answer to a request without credentials, shows a session resource."""
    return head.status == HTTPStatus.OK and _is_json(head)


def _is_json(head: ResponseHead) -> bool:
    """Whether a response may be a session resource (RFC 8620 section 2), no page for people."""
    kinds = head.fields.all("content-type")
    return all(kind.partition(b";")[0].strip().lower() == b"application/json" for kind in kinds)


async def _short(body: Body) -> bytes:
    """All of a body that is not too long, else nothing."""
    octets = bytearray()
    while piece := await body.read():
        octets += piece
        if len(octets) > MAX_SESSION_OCTETS:
            return b""
    return bytes(octets)


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
