"""Who a proxy says its client is: X-Forwarded-For and its like, and Forwarded (RFC 7239).

One list, read from its right end: whatever stands left of the first address that is not a trusted
proxy's was said by strangers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from mailward.wire.http.head import Fields

FORWARDED = "forwarded"
NO_HEADER = "none"

_NAMES = frozenset(
    {
        *("forwarded", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "x-proxyuser-ip"),
        *("cf-connecting-ip", "cf-connecting-ipv6", "fastly-client-ip", "x-cluster-client-ip"),
        *("x-originating-ip", "x-remote-ip", "x-remote-addr", "x-original-forwarded-for"),
        *("x-envoy-external-address", "x-azure-clientip", "x-appengine-user-ip"),
    }
)
# An element of Forwarded: pairs with a semicolon between; a value may be quoted.
_PAIR = re.compile(rb'[ \t]*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;\s]*)[ \t]*')
_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d{1,5}))?")
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Hop:
    """One that a proxy got the request from: an address and, if it was told, a port."""

    address: IPv4Address | IPv6Address
    port: int | None = None
    is_secure: bool | None = None
    """Whether it came over TLS, where that was told with it."""


@dataclass(frozen=True, slots=True)
class Untold:
    """Nothing was said of a client."""


@dataclass(frozen=True, slots=True)
class Garbled:
    """What was said is no address."""


def is_forwarding(name: str) -> bool:
    """Whether a field says who the client is, or how it came.

    An underscore is a hyphen to some: CGI makes one name of both.

    >>> is_forwarding("X_Forwarded_For"), is_forwarding("Accept")
    (True, False)
    """
    known = name.lower().replace("_", "-")
    return known in _NAMES or known.startswith("x-forwarded")


def told_client(
    fields: Fields, header: str, trusts: Callable[[IPv4Address | IPv6Address], bool]
) -> Hop | Untold | Garbled:
    """The right-most element of *header* that is no trusted proxy; the left-most if all are."""
    hops = _forwarded(fields) if header == FORWARDED else _plain(fields, header)
    last: Hop | Untold = Untold()
    for hop in hops:
        if hop is None:
            return Garbled()
        last = hop
        if not trusts(hop.address):
            break
    return last


def told_secure(fields: Fields) -> bool:
    """Whether the proxy next to us says that the client has TLS."""
    protos = fields.listed("x-forwarded-proto")
    return bool(protos) and protos[-1] == "https"


def forwarded(client: Hop) -> list[tuple[str, bytes]]:
    """The fields that tell a backend of *client*, in both spellings."""
    address = str(client.address)
    node = f'"[{address}]"' if isinstance(client.address, IPv6Address) else address
    proto = "https" if client.is_secure else "http"
    return [
        ("Forwarded", f"for={node};proto={proto}".encode()),
        ("X-Forwarded-For", address.encode()),
        ("X-Forwarded-Proto", proto.encode()),
    ]


def _plain(fields: Fields, header: str) -> Iterator[Hop | None]:
    """Each element from the right; ``None`` for one that is no address."""
    values = fields.all(header)
    if not values:
        return
    for element in reversed(b",".join(values).split(b",")):
        if text := element.decode("latin-1").strip(" \t"):
            yield _hop(text, None)


def _forwarded(fields: Fields) -> Iterator[Hop | None]:
    """The same of Forwarded; ``None`` too for what is left of a fault, for nobody can tell."""
    values = fields.all(FORWARDED)
    if not values:
        return
    octets = b",".join(values)
    elements: list[dict[str, str]] = [{}]
    at, is_broken = 0, False
    while at < len(octets):
        pair = _PAIR.match(octets, at)
        if pair is None:
            is_broken = True
            break
        elements[-1][pair[1].decode().lower()] = _unquoted(pair[2].decode("latin-1"))
        at = pair.end()
        if octets[at : at + 1] == b",":
            elements.append({})
        elif octets[at : at + 1] not in {b";", b""}:
            is_broken = True
            break
        at += 1
    if is_broken:
        # A stranger may have opened a quote: then nobody knows where the proxy's own word begins.
        yield None
        return
    for element in reversed(elements):
        proto = element.get("proto")
        yield _hop(element.get("for", ""), None if proto is None else proto.lower() == "https")


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _hop(text: str, is_secure: bool | None) -> Hop | None:
    """An address, with a port or without, in brackets or without."""
    try:
        return Hop(_address(text), None, is_secure)
    except ValueError:
        pass
    match = _PORT.fullmatch(text)
    if match is None:
        return None
    port = None if match[2] is None else int(match[2])
    if port is not None and port > _MAX_PORT:
        return None
    try:
        return Hop(_address(match[1].strip("[]")), port, is_secure)
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address:
    """An address; a link-local one may come with a zone, which means nothing here."""
    return ip_address(text.partition("%")[0])
