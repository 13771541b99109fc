"""Operators behind a proxy: their guesses are counted for themselves, and not for the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest

from mailward.wire.proxyline import SIGNATURE, proxy_v2_header
from tests.admin.afar import CONFIGURATION, RIGHT, Far, basic, heard
from tests.admin.house import open_house

BEHIND = CONFIGURATION.replace('"127.0.0.1:0"]', '"127.0.0.1:0"]\nproxy-protocol = true') + (
    '[server.proxy]\ntrusted-networks = { "127.0.0.1", "127.0.0.8" }\n'
)
DIRECT = CONFIGURATION + '[server.proxy]\ntrusted-networks = { "127.0.0.8" }\n'
BEHIND_HTTP = CONFIGURATION + '[server.proxy]\ntrusted-networks = { "127.0.0.1", "127.0.0.8" }\n'
CLIENT, OTHER = "203.0.113.9", "203.0.113.10"
LOCAL = SIGNATURE + bytes.fromhex("20000000")


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Far]:
    with open_house(tmp_path, BEHIND) as house:
        yield Far(house)


def header(client: str) -> bytes:
    return proxy_v2_header((ip_address(client), 50_000), (ip_address("192.0.2.1"), 443), None)


def status(far: Far, preface: bytes, who: tuple[str, str], source: str = "127.0.0.1") -> int:
    """The status of one request behind *preface*, or 0 where the connection just ended."""
    request = f"GET /healthz HTTP/1.1\r\nHost: a\r\nAuthorization: {basic(*who)}\r\n"
    try:
        with closing(far.connect(source)) as connection:
            connection.sendall(preface + request.encode() + b"Connection: close\r\n\r\n")
            answer = heard(connection)
    except ConnectionError:
        return 0
    return int(answer.split()[1]) if answer else 0


def test_a_ban_hits_the_operator_behind_the_proxy_and_nobody_else(behind: Far) -> None:
    for number in range(3):
        assert status(behind, header(CLIENT), (f"n{number}", "wrong")) == 401
    assert status(behind, header(CLIENT), RIGHT) == 0
    assert status(behind, header(OTHER), RIGHT) == 200
    assert not behind.house.admits(CLIENT)
    assert behind.house.admits("127.0.0.1")


def test_without_a_header_there_is_no_answer(behind: Far) -> None:
    assert status(behind, b"", RIGHT) == 0
    assert status(behind, header(CLIENT), RIGHT, "127.0.0.9") == 0


def test_a_check_of_the_proxy_is_no_guess_of_its_address(behind: Far) -> None:
    for _ in range(4):
        with closing(behind.connect()) as connection:
            connection.sendall(LOCAL + b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert heard(connection).startswith(b"HTTP/1.1 401")
    assert status(behind, header("127.0.0.1"), RIGHT) == 200


def test_a_trusted_peer_itself_is_not_counted_but_the_operator_is(tmp_path: Path) -> None:
    with open_house(tmp_path, DIRECT) as house:
        far = Far(house)
        for number in range(5):
            assert far.guess("wrong", "127.0.0.8", f"n{number}") == 401
        for _ in range(3):
            far.guess("wrong", "127.0.0.8")
        assert far.guess(RIGHT[1], "127.0.0.8") == 429
        assert house.admits("127.0.0.8")


@pytest.fixture
def behind_http(tmp_path: Path) -> Iterator[Far]:
    with open_house(tmp_path, BEHIND_HTTP) as house:
        yield Far(house)


def brought(
    far: Far, told: str, who: tuple[str, str] | None = RIGHT, source: str = "127.0.0.8"
) -> int:
    """The status of a request that a proxy for HTTP brings, or 0 where nothing was said."""
    headers = {"X-Forwarded-For": told, "X-Forwarded-Proto": "https"}
    try:
        return far.ask("GET", "/healthz", who=who, source=source, headers=headers).status
    except ConnectionError:
        return 0


def test_a_proxy_for_http_names_its_clients_and_each_is_counted_for_itself(
    behind_http: Far,
) -> None:
    for number in range(3):
        assert brought(behind_http, f"{OTHER}, {CLIENT}", (f"n{number}", "wrong")) == 401
    assert not behind_http.house.admits(CLIENT)
    assert brought(behind_http, CLIENT) == 403  # a silent end would be taken for a dead server
    assert brought(behind_http, OTHER) == 200
    assert behind_http.house.admits("127.0.0.8")


def test_one_connection_of_a_proxy_brings_many_operators(behind_http: Far) -> None:
    with closing(behind_http.line("127.0.0.8")) as line:
        for told, expected in ((CLIENT, 200), (OTHER, 200), (CLIENT, 200)):
            headers = {"X-Forwarded-For": told, "X-Forwarded-Proto": "https"}
            assert line.ask("GET", "/healthz", headers=headers).status == expected
        for number in range(3):
            behind_http.house.fail(CLIENT, f"n{number}")
        assert line.ask("GET", "/healthz", headers=headers).status == 403
        assert line.headers["Connection"] == "close"


def test_nobody_else_is_believed_who_the_operator_is(behind_http: Far) -> None:
    for number in range(3):
        assert brought(behind_http, CLIENT, (f"n{number}", "wrong"), "127.0.0.9") == 401
    assert brought(behind_http, CLIENT, source="127.0.0.9") == 0
    assert behind_http.house.admits(CLIENT)


def test_what_a_proxy_says_that_nobody_can_read_is_refused_and_counted_for_nobody(
    behind_http: Far,
) -> None:
    for _ in range(4):
        assert brought(behind_http, "unknown", ("admin", "wrong")) == 400
    assert brought(behind_http, CLIENT) == 200


def test_a_password_that_reached_the_proxy_without_tls_is_refused(behind_http: Far) -> None:
    told = {"X-Forwarded-For": CLIENT}
    refused = behind_http.ask("GET", "/healthz", source="127.0.0.8", headers=told)
    assert refused.status == 403
    assert "https" in refused.detail
    here = {"X-Forwarded-For": "127.0.0.3"}  # from this very machine: no network was crossed
    assert behind_http.ask("GET", "/healthz", source="127.0.0.8", headers=here).status == 200


def test_another_header_or_none_may_be_chosen(tmp_path: Path) -> None:
    listens = '"127.0.0.1:0"]'
    for chosen, counted in (("x-real-ip", OTHER), ("none", "127.0.0.9")):
        text = BEHIND_HTTP.replace(listens, f'{listens}\nclient-header = "{chosen}"')
        folder = tmp_path / chosen
        folder.mkdir()
        with open_house(folder, text) as house:
            headers = {
                "X-Forwarded-For": CLIENT,
                "X-Real-IP": OTHER,
                "X-Forwarded-Proto": "https",
            }
            for number in range(3):
                who = (f"n{number}", "wrong")
                Far(house).ask("GET", "/healthz", who=who, source="127.0.0.8", headers=headers)
            assert house.admits(CLIENT)
            assert house.admits(OTHER) == (counted != OTHER)
