"""Listeners for HTTP requests."""

from __future__ import annotations

import pytest

from mailward.settings.configuration import (
    Bind,
    ClientAddress,
    Encryption,
    Web,
    WebListener,
)
from tests.settings.sample import configured, faults

HERE = 'bind = ["127.0.0.1:8080"]'
OPEN = 'bind = ["0.0.0.0:8080"]'


def web(*lines: str, address: str = "http://127.0.0.1:80", more: str = "") -> str:
    body = "\n".join(['protocol = "jmap"', 'backend = "b"', *lines])
    return f'[server.listener.web]\n{body}\n[backend.b]\naddress = "{address}"\n{more}'


def test_a_jmap_listener_is_one_for_requests() -> None:
    (plain,) = configured(web(HERE)).web
    assert plain == WebListener(
        *("web", Web.JMAP, (Bind("127.0.0.1", 8080),), "b", None),
        client_header="x-forwarded-for",
    )
    (told,) = configured(web(HERE, 'client-header = "Forwarded"', 'paths = { "/a", "/b/" }')).web
    assert (told.client_header, told.paths) == ("forwarded", ("/a", "/b/"))


@pytest.mark.parametrize(
    ("address", "port", "encryption"),
    [
        ("http://h.example", 80, Encryption.NONE),
        ("https://h.example/", 443, Encryption.IMPLICIT),
        ("https://h.example:8443", 8443, Encryption.IMPLICIT),
    ],
)
def test_a_url_says_port_and_encryption(address: str, port: int, encryption: Encryption) -> None:
    backend = configured(web(HERE, address=address)).upstreams["b"]
    assert (backend.is_web, backend.host, backend.port) == (True, "h.example", port)
    assert backend.tls.mode is encryption


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (web(HERE, address="127.0.0.1:80"), "needs an address like http://host:port"),
        (web(HERE, address="ftp://h:80"), "is no address"),
        (web(HERE, address="http://h/path"), "is no address"),
        (web(HERE).replace('"jmap"', '"imap"'), "needs an address like host:port"),
        (web(HERE, more='tls = "starttls"\n'), 'tls = "starttls" cannot be said in jmap'),
        (web(HERE, 'client-header = "a b"'), "is no name of a header"),
        (web(HERE, 'paths = { "jmap" }'), "is no path of requests"),
        (web(HERE, 'paths = { "/a/../b" }'), "is no path of requests"),
        (web(HERE, more='client-address = "xclient"\n'), "cannot be told in jmap"),
        (web(OPEN), "passwords would be sent unencrypted"),
        (
            web(HERE, 'client-header = "none"', address="127.0.0.1:80").replace("jmap", "imap"),
            "has no use here",
        ),
    ],
)
def test_what_is_wrong_with_one_is_told(text: str, fault: str) -> None:
    assert any(fault in told for told in faults(text)), faults(text)


def test_behind_a_trusted_proxy_that_names_its_clients_it_needs_no_tls_of_its_own() -> None:
    trusted = '[server.proxy]\ntrusted-networks = { "192.0.2.1" }\n'
    (behind,) = configured(web(OPEN, more=trusted)).web
    assert not behind.allow_plaintext
    assert faults(web(OPEN, 'client-header = "none"', more=trusted))


def test_a_backend_for_requests_may_be_told_by_headers_or_before_them() -> None:
    for told in ("forwarded", "proxy-v1", "proxy-v2", "none"):
        backend = configured(web(HERE, more=f'client-address = "{told}"\n')).upstreams["b"]
        assert backend.client_address is ClientAddress(told)
