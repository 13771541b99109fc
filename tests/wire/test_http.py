"""HTTP as a door reads it: one reading, or none."""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus
from ipaddress import ip_address

import pytest

from mailward.wire.http.authorization import (
    BasicCredentials,
    BearerCredentials,
    OtherScheme,
    read_authorization,
)
from mailward.wire.http.forwarding import Garbled, Hop, Untold, forwarded, told_client
from mailward.wire.http.framing import (
    Chunked,
    ChunkReader,
    Counted,
    UntilClose,
    request_framing,
    response_framing,
)
from mailward.wire.http.head import Fields, HttpError, read_request, read_response
from mailward.wire.http.target import check_path, is_below, prefix_of, without_origin
from mailward.wire.http.websocket import agrees_to_websocket, asks_for_websocket


def head(*lines: str, first: str = "POST / HTTP/1.1") -> bytes:
    return "\r\n".join([first, "Host: a", *lines]).encode("latin-1") + b"\r\n\r\n"


TWO_READINGS = [
    head("Content-Length: 3", "Transfer-Encoding: chunked"),
    head("Content-Length: 3", "Content-Length: 3"),
    head("Content-Length: 3, 3"),
    head("Content-Length: +3"),
    head("Content-Length: 0x3"),
    head("Content-Length: -1"),
    head("Content-Length:"),
    head("Content-Length: 9999999999999999999"),
    head("Transfer-Encoding: identity"),
    head("Transfer-Encoding: chunked, chunked"),
    head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    head("Transfer-Encoding: xchunked"),
    head("Transfer-Encoding : chunked"),
    head("Transfer-Encoding: chunked", first="POST / HTTP/1.0"),
    head("X: a", " b"),
    head("X: a\nContent-Length: 3"),
    head("X: a\rb"),
    head("X: a\0b"),
    head(" X: a"),
    head("X"),
    head(": a"),
    head("Host: b"),
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    head(first="GET  / HTTP/1.1"),
    head(first="GET / HTTP/1.1 "),
    head(first="GET /\t HTTP/1.1"),
    head(first="GET / HTTP/1.x"),
    head(first="GET /"),
    head(first="GET /\xff HTTP/1.1"),
    head(first="GET jmap HTTP/1.1"),
    head(first="OPTIONS * HTTP/1.1"),
    head(first="GET http://b/ HTTP/1.1"),
    head(first="GET ftp://a/ HTTP/1.1"),
    head(first="GET http://a HTTP/1.1"),
    head(first="GET a:443 HTTP/1.1"),
    head(first="GET http:///a HTTP/1.1"),
]


@pytest.mark.parametrize("octets", TWO_READINGS)
def test_what_has_two_readings_has_none(octets: bytes) -> None:
    with pytest.raises(HttpError) as refused:
        request_framing(read_request(octets))
    assert refused.value.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (head(first="PRI * HTTP/2.0"), 505),
        (head(first="GET / HTTP/1.2"), 505),
        (head(first="TRACE / HTTP/1.1"), 405),
        (head(first="CONNECT a:443 HTTP/1.1"), 405),
        (head(*(f"X{number}: a" for number in range(200))), 431),
    ],
)
def test_what_is_not_served_is_told_apart(octets: bytes, status: int) -> None:
    with pytest.raises(HttpError) as refused:
        read_request(octets)
    assert refused.value.status == status


def test_bodies_end_where_their_heads_say() -> None:
    assert request_framing(read_request(head())) == Counted(0)
    assert request_framing(read_request(head("content-LENGTH:\t007 "))) == Counted(7)
    assert request_framing(read_request(head("Transfer-Encoding: Chunked"))) == Chunked()
    for first, method, framing in (
        ("HTTP/1.1 200 OK", "GET", UntilClose()),
        ("HTTP/1.1 200 OK", "HEAD", Counted(0)),
        ("HTTP/1.1 204 No", "GET", Counted(0)),
        ("HTTP/1.1 304", "GET", Counted(0)),
        ("HTTP/1.0 101 ", "GET", Counted(0)),
    ):
        assert response_framing(read_response(head(first=first)), method) == framing


def test_the_absolute_form_of_the_same_host_is_the_path() -> None:
    read = read_request(head(first="GET HTTPS://A/jmap/?x=/..%2f HTTP/1.1"))
    assert (read.target, read.path) == ("/jmap/?x=/..%2f", "/jmap/")


def test_a_connection_is_kept_where_both_versions_say_so() -> None:
    assert read_request(head()).keeps_alive
    assert not read_request(head("Connection: x, Close")).keeps_alive
    assert not read_request(head(first="GET / HTTP/1.0")).keeps_alive
    assert read_request(head("Connection: Keep-Alive", first="GET / HTTP/1.0")).keeps_alive


def test_what_is_about_one_connection_is_left_out() -> None:
    lines = ("Connection: X-One, close", "X-One: 1", "TE: trailers", "Upgrade: h2c", "X-Two: 2")
    names = {name for name, _ in read_request(head(*lines)).fields.end_to_end()}
    assert names == {"Host", "X-Two"}


@pytest.mark.parametrize(
    "octets",
    [b"3\nabc", b"0x3\r\n", b" 3\r\n", b"-3\r\n", b"\r\n", b"g\r\n", b"3\r\nabcd", b"1" * 2_000,
     b"1" * 16 + b"\r\n", b"3\r\nabc\n", b"0\r\n" + b"X: aaaaaaaa\r\n" * 1_000, b"3;\0\r\n"],
)  # fmt: skip
def test_bad_chunks_are_no_body(octets: bytes) -> None:
    with pytest.raises(HttpError):
        ChunkReader().feed(octets + b"\r\n")


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "/..", "/a/./b", "/%2e%2e/a", "/.%2E/a", "/%2e%2e%2fa", "/..%5ca", "/a\\..\\b",
     "/..;/a", "/..%3bx/a", "/%252e%252e/a", "/%00", "/a%0ab", "/%7f", "/%", "/%zz", "/a#b"],
)  # fmt: skip
def test_a_path_that_climbs_or_hides_is_none(path: str) -> None:
    with pytest.raises(HttpError):
        check_path(path)


@pytest.mark.parametrize("path", ["/", "/a/b%2Fc.txt", "/%C3%A4", "/100%25.txt", "/...", "/a/b;c"])
def test_an_odd_name_of_a_file_is_a_path(path: str) -> None:
    check_path(path)


def test_only_a_prefix_with_something_in_it_is_one() -> None:
    assert prefix_of("/jmap/") == "/jmap/"
    assert prefix_of("/events?types={types}") == "/events"
    assert [prefix_of(url) for url in ("/{a}", "/", "", "x", "/../a/", "/a{b}", "//[x/")] == [
        None
    ] * 7
    assert is_below("/events", ["/events"])
    assert not is_below("/eventsx", ["/events"])
    assert not is_below("/jmap", ["/jmap/"])


@pytest.mark.parametrize(
    ("location", "told"),
    [
        (b"http://a/jmap", b"/jmap"),
        (b"HTTPS://A/jmap?x=http://b/", b"/jmap?x=http://b/"),
        (b"http://a", b"/"),
        (b"http://a?x", b"/?x"),
        (b"/jmap", b"/jmap"),
        (b"http://a:81/", b"http://a:81/"),
        (b"http://a@b/", b"http://a@b/"),
        (b"http://a\\b/", b"http://a\\b/"),
        (b"http://a//b/", b"http://a//b/"),
        (b"http://a/\\b/", b"http://a/\\b/"),
        (b"ftp://a/", b"ftp://a/"),
    ],
)
def test_a_place_at_the_same_host_is_told_by_its_path_alone(location: bytes, told: bytes) -> None:
    assert without_origin(location, [b"a"]) == told


def basic(octets: bytes) -> str:
    return f"Basic {b64encode(octets).decode()}"


@pytest.mark.parametrize(
    "value",
    ["Basic", "Basic %%", "Basic bm9jb2xvbg==", basic(b":x"), basic(b"a\0:b"), basic(b"a:b\n"),
     basic(b"a" * 1_025 + b":b"), basic(b"a:" + b"b" * 4_097), "Basic am9lOng= x", "Basic am9lOng",
     "Bearer", "Bearer a b", "Bearer ä", "Bearer " + "a" * 16_385],
)  # fmt: skip
def test_credentials_that_cannot_be_read_are_refused(value: str) -> None:
    with pytest.raises(HttpError):
        read_authorization(read_request(head(f"Authorization: {value}")).fields)


def test_credentials_are_read_once_and_written_anew() -> None:
    read = read_authorization(Fields((("Authorization", b"bAsIc am9lOmE6Yg=="),)))
    assert isinstance(read, BasicCredentials)
    assert (read.login, read.password.reveal(), read.field()) == (
        *(b"joe", b"a:b", b"Basic am9lOmE6Yg=="),
    )
    assert "a:b" not in repr(read)
    token = read_authorization(Fields((("authorization", b"BEARER a.b"),)))
    assert isinstance(token, BearerCredentials)
    assert token.field() == b"Bearer a.b"
    assert "a.b" not in repr(token)
    for scheme in (b"Digest username=x", b"Negotiate YII=", b""):
        assert read_authorization(Fields((("Authorization", scheme),))) == OtherScheme()
    with pytest.raises(HttpError):
        read_authorization(Fields((("Authorization", b"a"), ("authorization", b"b"))))


PROXIES = {ip_address("192.0.2.1"), ip_address("192.0.2.2")}


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1, 192.0.2.1,192.0.2.2", "198.51.100.1"),
        ("garbage, , 198.51.100.1:50000,", "198.51.100.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.1, 192.0.2.2", "192.0.2.1"),
        (", ".join(["6.6.6.6"] * 1_000 + ["198.51.100.1"]), "198.51.100.1"),
    ],
)
def test_the_client_is_the_right_most_element_that_is_no_proxy(value: str, address: str) -> None:
    fields = Fields((("X-Forwarded-For", value.encode()), ("Forwarded", b"for=6.6.6.6")))
    told = told_client(fields, "x-forwarded-for", PROXIES.__contains__)
    assert isinstance(told, Hop)
    assert told.address == ip_address(address)


@pytest.mark.parametrize(
    "value", ["unknown", "_hidden", "1.2.3.4.5", "1.2.3.4:99999", "[::1", "1.2.3.4, x", "::1]"]
)
def test_what_is_no_address_names_nobody(value: str) -> None:
    fields = Fields((("X-Forwarded-For", value.encode()),))
    assert told_client(fields, "x-forwarded-for", PROXIES.__contains__) == Garbled()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("for=198.51.100.1", Hop(ip_address("198.51.100.1"))),
        (
            'for=6.6.6.6, For="[2001:db8::1]:4711";proto=HTTPS',
            Hop(ip_address("2001:db8::1"), 4711, is_secure=True),
        ),
        ('for=198.51.100.1;by="a,b\\"", for=192.0.2.1', Hop(ip_address("198.51.100.1"))),
        ("for=198.51.100.1;proto=http", Hop(ip_address("198.51.100.1"), is_secure=False)),
        ('for="198.51.100.1, for=6.6.6.6', Garbled()),
        ("by=6.6.6.6", Garbled()),
        ("for=_x", Garbled()),
        ("", Garbled()),
    ],
)
def test_forwarded_is_read_from_the_right_or_not_at_all(value: str, told: Hop | Garbled) -> None:
    fields = Fields((("Forwarded", value.encode()), ("X-Forwarded-For", b"6.6.6.6")))
    assert told_client(fields, "forwarded", PROXIES.__contains__) == told


def test_nothing_said_is_nobody_named() -> None:
    assert told_client(Fields(()), "forwarded", PROXIES.__contains__) == Untold()
    assert told_client(Fields(()), "x-real-ip", PROXIES.__contains__) == Untold()


def test_a_backend_is_told_in_both_spellings() -> None:
    assert forwarded(Hop(ip_address("2001:db8::1"), 1, is_secure=True)) == [
        ("Forwarded", b'for="[2001:db8::1]";proto=https'),
        ("X-Forwarded-For", b"2001:db8::1"),
        ("X-Forwarded-Proto", b"https"),
    ]


WEBSOCKET = ("Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Key: a2V5")


def test_a_websocket_is_what_was_asked_for_and_agreed_to() -> None:
    asked = read_request(head(*WEBSOCKET, first="GET /ws HTTP/1.1"))
    assert asks_for_websocket(asked)
    for lines, first in (
        (WEBSOCKET[:2], "GET /ws HTTP/1.1"),
        (WEBSOCKET[1:], "GET /ws HTTP/1.1"),
        (("Connection: Upgrade", "Upgrade: h2c", WEBSOCKET[2]), "GET /ws HTTP/1.1"),
        (WEBSOCKET, "POST /ws HTTP/1.1"),
        (WEBSOCKET, "GET /ws HTTP/1.0"),
    ):
        assert not asks_for_websocket(read_request(head(*lines, first=first)))
    accept = "Sec-WebSocket-Accept: acoMowsaMs4gzl5sy2uaF1804GA="
    agreed = read_response(head(*WEBSOCKET[:2], accept, first="HTTP/1.1 101 Yes"))
    forged = read_response(head(*WEBSOCKET[:2], accept + "x", first="HTTP/1.1 101 Yes"))
    assert agrees_to_websocket(agreed, asked)
    assert not agrees_to_websocket(forged, asked)
