"""The fuzz drivers of HTTP: heads, framing, chunks, credentials, and what proxies say."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from mailward.wire.http.authorization import (
    MAX_LOGIN_OCTETS,
    BasicCredentials,
    BearerCredentials,
    read_authorization,
)
from mailward.wire.http.forwarding import Hop, told_client
from mailward.wire.http.framing import (
    ChunkReader,
    request_framing,
    response_framing,
)
from mailward.wire.http.head import (
    HttpError,
    RequestHead,
    read_request,
    read_response,
    write_request,
    write_response,
)
from mailward.wire.http.target import check_path, prefix_of

_PROXY = ip_address("192.0.2.1")


def http_request(octets: bytes) -> None:
    """A request: written again it is read the same, and holds what is screened only once."""
    with suppress(HttpError):
        head = read_request(octets)
        again = read_request(write_request(head.method, head.target, head.fields.items))
        assert (again.method, again.target, again.fields) == (head.method, head.target, head.fields)
        assert head.target.startswith("/")
        _look_at(head)
        request_framing(head)
        assert not (head.fields.all("content-length") and head.fields.all("transfer-encoding"))


def _look_at(head: RequestHead) -> None:
    with suppress(HttpError):
        check_path(head.path)
        assert b"\0" not in head.path.encode()
    for header in ("x-forwarded-for", "forwarded"):
        told = told_client(head.fields, header, lambda address: address == _PROXY)
        assert not isinstance(told, Hop) or isinstance(told.address, IPv4Address | IPv6Address)
    with suppress(HttpError):
        match read_authorization(head.fields):
            case BasicCredentials(login) as basic:
                assert 0 < len(login) <= MAX_LOGIN_OCTETS
                assert b"\n" not in basic.field()
            case BearerCredentials() as bearer:
                assert b" " not in bearer.token.reveal()
            case _:
                pass


def http_response(octets: bytes) -> None:
    """A response: the same."""
    with suppress(HttpError):
        head = read_response(octets)
        again = read_response(write_response(head.status, head.reason, head.fields.items))
        assert (again.status, again.fields) == (head.status, head.fields)
        response_framing(head, "GET")
    prefix = prefix_of(octets.decode("latin-1"))
    assert prefix is None or prefix.startswith("/")


def http_chunks(octets: bytes) -> None:
    """Chunks: any cut gives the same data, and little is held."""
    assert _data(octets, len(octets) or 1) == _data(octets, 1)


def _data(octets: bytes, step: int) -> tuple[bytes, bool]:
    reader, data = ChunkReader(), b""
    with suppress(HttpError):
        for at in range(0, len(octets), step):
            if reader.is_over:
                break
            data += reader.feed(octets[at : at + step])
        return data, reader.is_over
    return b"", False
