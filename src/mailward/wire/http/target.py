"""Which paths are passed on, and which cannot be trusted to mean what they say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from urllib.parse import unquote_to_bytes, urlsplit

from mailward.wire.http.head import HttpError

WELL_KNOWN = "/.well-known/jmap"  # RFC 8620 section 2.2
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
# Nothing in it is ever decoded, and no segment begins with a dot: most paths are so.
_PLAIN = re.compile(r"(?:/(?:[0-9A-Za-z_\-][0-9A-Za-z_\-.]*)?)*")
# Behind it neither // nor /\, which would name a host again.
_ABSOLUTE = re.compile(rb"https?://([^/?#\\]*)(/(?![/\\]).*|[?#].*|)", re.IGNORECASE)
_PLACE = re.compile(r"[{?#]")


def check_path(path: str) -> None:
    """Refuse what one server takes for another path than the next one.

    >>> check_path("/jmap/download/a/b/100%25%2F%C3%A4.txt")

    Raises:
        HttpError: it climbs, by whatever spelling, or holds what no path holds.
    """
    if _PLAIN.fullmatch(path):
        return
    if _PERCENT.search(path) or "#" in path or "\\" in path:
        raise HttpError("this is no path")
    once = unquote_to_bytes(path)
    try:
        once.decode()
    except UnicodeDecodeError:  # lenient decoders find dots and slashes in what is too long
        raise HttpError("a path is UTF-8") from None
    for decoded in (once, unquote_to_bytes(once)):  # who decodes twice climbs later
        if _CONTROL.search(decoded):
            raise HttpError("no path holds control characters")
        for segment in re.split(rb"[/\\]", decoded):
            if segment.partition(b";")[0] in {b".", b".."}:
                raise HttpError("a path must not climb")


def without_origin(location: bytes, origins: Collection[bytes]) -> bytes:
    """*location* as a path where it stays at one of *origins* (``host`` or ``host:port``).

    A backend does not know by which scheme and port its clients come: they have TLS, it has none.

    >>> without_origin(b"http://mail.example.org:8080/jmap?a", [b"mail.example.org:8080"])
    b'/jmap?a'
    >>> without_origin(b"https://elsewhere.example.org/", [b"mail.example.org"])
    b'https://elsewhere.example.org/'
    """
    found = _ABSOLUTE.fullmatch(location)
    if found is None or found[1].lower() not in origins:
        return location
    return found[2] if found[2].startswith(b"/") else b"/" + found[2]


def is_below(path: str, prefixes: Iterable[str]) -> bool:
    """Whether *path* is one of *prefixes*, or below one.

    >>> is_below("/jmap/upload/a", ["/jmap"]), is_below("/jmapx", ["/jmap"])
    (True, False)
    """
    for prefix in prefixes:
        if path.startswith(prefix):
            rest = path[len(prefix) :]
            if not rest or rest.startswith("/") or prefix.endswith("/"):
                return True
    return False


def prefix_of(url: str) -> str | None:
    """The path that all URLs made of the template *url* (RFC 6570) begin with.

    ``None`` where that would be every path, or none that is passed on.

    >>> prefix_of("https://mail.example.org/jmap/download/{accountId}/{blobId}/{name}")
    '/jmap/download/'
    """
    fixed = _PLACE.split(url, maxsplit=1)
    try:
        path = urlsplit(fixed[0]).path
    except ValueError:
        return None
    if len(fixed) > 1 and url[len(fixed[0])] == "{":
        path = path[: path.rfind("/") + 1]
    if not path.startswith("/") or not path.strip("/") or not path.isascii():
        return None
    try:
        check_path(path)
    except HttpError:
        return None
    return path
