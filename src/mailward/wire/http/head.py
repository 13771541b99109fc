"""Heads of HTTP/1.1 messages, read as strictly as the standard allows (RFC 9110, RFC 9112).

What two programs could read in two ways is refused here, so that the door and the backend cannot
disagree where one request ends and the next begins.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_HEAD_OCTETS = 32_768
MAX_FIELDS = 100
HEAD_END = b"\r\n\r\n"

# RFC 9110 section 7.6.1: what is about one connection and goes no further.
HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate"),
        *("proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"),
        *("http2-settings", "expect", "content-length"),
    }
)
"""Framing is among them: it is written anew for every message that is passed on."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/(\d)\.(\d)")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: ([\t -~\x80-\xff]*))?")
# It matches no bare LF or CR, no NUL, no blank before the colon, no line that goes on (obs-fold).
_FIELD = re.compile(
    rb"^(" + _TOKEN + rb"):[ \t]*"
    rb"((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*\r\n",
    re.MULTILINE,
)
_HOST = re.compile(rb"(?:[0-9A-Za-z\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?")

_FORCED_MODES = frozenset({b"navigate", b"nested-navigate", b"no-cors"})


class HttpError(Exception):
    """A message that is refused. *status* is what a client is told, the text is why."""

    def __init__(self, why: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a head in their order. Names are looked up in lower case."""

    items: tuple[tuple[str, bytes], ...] = field(repr=False)

    _values: dict[str, list[bytes]] = field(init=False, repr=False, compare=False)
    """Each name's in their order: they are looked for often."""

    def __post_init__(self) -> None:
        values: dict[str, list[bytes]] = {}
        for name, value in self.items:
            values.setdefault(name.lower(), []).append(value)
        object.__setattr__(self, "_values", values)

    def all(self, name: str) -> Sequence[bytes]:
        return self._values.get(name, ())

    def one(self, name: str) -> bytes | None:
        """The value of a field that may stand once.

        Raises:
            HttpError: it stands there twice.
        """
        values = self.all(name)
        if len(values) > 1:
            raise HttpError(f"more than one {name} field")
        return values[0] if values else None

    def listed(self, name: str) -> list[str]:
        """The elements of a list of tokens (RFC 9110 section 5.6.1), in lower case."""
        values = self.all(name)
        if not values:
            return []
        joined = b",".join(values).decode("latin-1").lower()
        return [element for part in joined.split(",") if (element := part.strip(" \t"))]

    def end_to_end(self, left_out: Collection[str] = ()) -> list[tuple[str, bytes]]:
        """What is passed on: without what is about this one connection (RFC 9110 section 7.6.1).

        *left_out* are other names, in lower case, that go no further.
        """
        named = self.listed("connection")
        return [
            item
            for item in self.items
            if (name := item[0].lower()) not in HOP_BY_HOP
            and name not in left_out
            and name not in named
        ]


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request. *target* has the origin form."""

    method: str
    target: str
    minor: int
    fields: Fields

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def host(self) -> bytes:
        return self.fields.all("host")[0]

    @property
    def keeps_alive(self) -> bool:
        """Whether the client means to send another request (RFC 9112 section 9.3)."""
        return _keeps_alive(self.minor, self.fields)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The head of a response."""

    status: int
    reason: bytes
    minor: int
    fields: Fields

    @property
    def keeps_alive(self) -> bool:
        return _keeps_alive(self.minor, self.fields)


def is_forced(fields: Fields) -> bool:
    """Whether a page of another site made a browser send this, without asking the server first.

    By a link, a form or an image (W3C Fetch Metadata). What its script sends by fetch is not among
    it: a browser sends credentials with that only to a server which allows the page to (CORS).

    >>> is_forced(Fields((("Sec-Fetch-Site", b"cross-site"), ("Sec-Fetch-Mode", b"navigate"))))
    True
    >>> is_forced(Fields((("Sec-Fetch-Site", b"cross-site"), ("Sec-Fetch-Mode", b"cors"))))
    False
    """
    is_foreign = b"cross-site" in fields.all("sec-fetch-site")
    return is_foreign and any(mode in _FORCED_MODES for mode in fields.all("sec-fetch-mode"))


def read_request(octets: bytes) -> RequestHead:
    """The request whose head is *octets*, with the empty line that ends it.

    Raises:
        HttpError: it is none, or more than one reading of it is possible.
    """
    first, fields = _lines(octets)
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise HttpError("this is no request line of HTTP/1.1")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in {b"0", b"1"}:
        raise HttpError("HTTP/1.1 is spoken here", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    host = fields.one("host")
    if host is None or not _HOST.fullmatch(host):
        raise HttpError("there must be one Host that is a host")
    if method in {b"CONNECT", b"TRACE"}:
        raise HttpError("this method is not served here", HTTPStatus.METHOD_NOT_ALLOWED)
    return RequestHead(method.decode(), _origin_form(target, host), int(minor), fields)


def read_response(octets: bytes) -> ResponseHead:
    """The response whose head is *octets*, with the empty line that ends it.

    Raises:
        HttpError: it is none, or more than one reading of it is possible.
    """
    first, fields = _lines(octets)
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise HttpError("this is no status line of HTTP/1.1")
    minor, status, reason = match.groups()
    return ResponseHead(int(status), reason or b"", int(minor), fields)


def write_request(method: str, target: str, fields: Iterable[tuple[str, bytes]]) -> bytes:
    return _write(f"{method} {target} HTTP/1.1".encode(), fields)


def write_response(status: int, reason: bytes, fields: Iterable[tuple[str, bytes]]) -> bytes:
    return _write(b"HTTP/1.1 %d %b" % (status, reason), fields)


def _write(first: bytes, fields: Iterable[tuple[str, bytes]]) -> bytes:
    lines = [first, *[b"%b: %b" % (name.encode(), value) for name, value in fields]]
    return b"\r\n".join(lines) + HEAD_END


def _lines(octets: bytes) -> tuple[bytes, Fields]:
    """The first line of a head and its fields."""
    if not octets.endswith(HEAD_END):
        raise HttpError("a head ends with an empty line")
    first, _, rest = octets[:-2].partition(b"\r\n")
    lines = rest.count(b"\n")
    if lines > MAX_FIELDS:
        raise HttpError("too many fields", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    items = [(name.decode(), value) for name, value in _FIELD.findall(rest)]
    if len(items) != lines:  # each match is one line from its begin to its end
        raise HttpError("this is no field of a head")
    return first, Fields(tuple(items))


def _origin_form(target: bytes, host: bytes) -> str:
    """The *target* as a path with its query; the absolute form is only let in for *host*."""
    if target.startswith(b"/"):
        return target.decode()
    scheme, separator, rest = target.partition(b"://")
    authority, slash, path = rest.partition(b"/")
    if not separator or scheme.lower() not in {b"http", b"https"} or not slash:
        raise HttpError("the target must be a path")
    if authority.lower() != host.lower():
        raise HttpError("target and Host name two different hosts")
    return f"/{path.decode()}"


def _keeps_alive(minor: int, fields: Fields) -> bool:
    wishes = fields.listed("connection")
    return "close" not in wishes if minor else "keep-alive" in wishes and "close" not in wishes
