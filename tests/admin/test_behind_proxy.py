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
