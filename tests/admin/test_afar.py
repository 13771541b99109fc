"""What comes over the network and is no honest request: pages of others, floods, and the slow."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.admin.afar import RIGHT, Far, basic, heard, open_far_house

BAN = {"subject": "203.0.113.9"}


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    with open_far_house(tmp_path) as made:
        yield made


def head(method: str, target: str, *lines: str, who: tuple[str, str] = RIGHT) -> bytes:
    known = [f"{method} {target} HTTP/1.1", "Host: a", f"Authorization: {basic(*who)}", *lines]
    return "\r\n".join([*known, "", ""]).encode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},  # another port is another site
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_what_a_page_of_somebody_else_sends_is_refused(far: Far, headers: dict[str, str]) -> None:
    for method, target in (("POST", "/api/reload"), ("GET", "/admin/reload/config")):
        told = far.ask(method, target, headers=headers)
        assert (told.status, told.kind) == (403, "application/problem+json")
    assert far.ask("POST", "/api/bans", BAN, headers=headers).status == 403
    assert far.house.admits(BAN["subject"])


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://[::1"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("who", [None, RIGHT, ("admin", "wrong")], ids=["none", "right", "wrong"])
@pytest.mark.parametrize("headers", FOREIGN)
def test_no_page_of_another_site_has_its_visitor_counted(
    far: Far, headers: dict[str, str], who: tuple[str, str] | None
) -> None:
    for target in ("/healthz", "/api/status", "/no/such/thing", "/api/bans"):
        assert far.ask("GET", target, who=who, headers=headers).status == 403
        assert far.ask("OPTIONS", target, who=who, headers=headers).status == 403
    assert far.house.admits("127.0.0.1")
    assert not far.house.guard.journal.counts
    assert far.ask("GET", "/healthz").status == 200


def test_an_origin_without_a_host_to_compare_it_with_is_foreign(far: Far) -> None:
    with far.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\nOrigin: http://127.0.0.1\r\n\r\n")
        assert b" 403 " in heard(connection)


def test_a_page_of_ones_own_is_served(far: Far) -> None:
    own = {"Origin": f"http://127.0.0.1:{far.port}", "Sec-Fetch-Site": "same-origin"}
    assert far.ask("POST", "/api/bans", BAN, headers=own).status == 200


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""],
)
def test_a_body_that_a_form_can_send_is_refused(far: Far, kind: str) -> None:
    told = far.ask("POST", "/api/bans", BAN, headers={"Content-Type": kind})
    assert told.status == 415
    assert far.house.admits(BAN["subject"])


def test_a_forged_host_opens_nothing_and_shuts_nothing(far: Far) -> None:
    forged = {"Host": "evil.example"}
    assert far.ask("GET", "/healthz", headers=forged).status == 200
    assert far.ask("GET", "/healthz", headers=forged, who=("admin", "wrong")).status == 401


@pytest.mark.parametrize(("who", "status"), [(RIGHT, b"413"), (("admin", "wrong"), b"401")])
def test_a_body_of_100_mb_is_refused_before_it_is_sent(
    far: Far, who: tuple[str, str], status: bytes
) -> None:
    announced = ("Content-Type: application/json", "Content-Length: 100000000")
    with far.connect() as connection:
        connection.sendall(head("POST", "/api/bans", *announced, who=who) + b"{")
        assert connection.recv(12) == b"HTTP/1.1 " + status


def test_a_body_that_grows_beyond_1_mb_is_refused(far: Far) -> None:
    chunked = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    with far.connect() as connection:
        connection.sendall(head("POST", "/api/bans", *chunked))
        for _ in range(20):
            connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 1_000 + b"\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nNul: \0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"EHLO there\r\n",
    ],
)
def test_junk_ends_the_connection_and_leaves_no_line_in_the_log(
    far: Far, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), far.connect() as connection:
        connection.sendall(junk)
        assert heard(connection).startswith(b"HTTP/1.")
    assert not caplog.records
    assert far.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1\r\n" * 2]
)
def test_who_does_not_finish_a_request_in_time_is_closed(tmp_path: Path, begun: bytes) -> None:
    with (
        open_far_house(tmp_path, 'login-timeout = "1s"\n') as far,
        far.connect() as connection,
    ):
        connection.sendall(begun)
        heard(connection)
        assert far.ask("GET", "/healthz").status == 200


def test_who_is_logged_in_keeps_his_connection(tmp_path: Path) -> None:
    with (
        open_far_house(tmp_path, 'login-timeout = "1s"\n') as far,
        closing(far.line()) as line,
        far.connect() as slow,
    ):
        assert line.ask("GET", "/healthz").status == 200
        assert heard(slow) == b""  # the time before login is over
        assert line.ask("GET", "/healthz").status == 200


def test_an_address_has_so_many_connections_that_are_not_logged_in(tmp_path: Path) -> None:
    more = "max-waiting-per-address = 2\n"
    with open_far_house(tmp_path, more) as far, far.connect() as one, far.connect() as two:
        one.sendall(b"GET")
        two.sendall(b"GET")
        with far.connect() as three:
            assert heard(three) == b""
        assert far.ask("GET", "/healthz", source="127.0.0.2").status == 200


def test_events_are_followed_from_afar(far: Far) -> None:
    with far.connect() as connection:
        connection.sendall(head("GET", "/api/events"))
        got = b""
        while b"the events of mailward" not in got:
            got += connection.recv(65_536)
        assert b"text/event-stream" in got
        far.house.fail("203.0.113.9", "ada")
        while b"auth.failed" not in got:
            got += connection.recv(65_536)


def test_a_stream_ends_with_a_ban_by_hand_on_its_operator_and_with_no_other(far: Far) -> None:
    with far.connect() as connection:
        connection.sendall(head("GET", "/api/events"))
        got = b""
        while b"the events of mailward" not in got:
            got += connection.recv(65_536)
        for number in range(3):  # a stranger has the operator banned
            far.guess("wrong", f"127.0.1.{number + 1}")
        far.house.fail("203.0.113.9", "ada")
        while b"auth.failed" not in got.partition(b"ban.added")[2]:
            got += connection.recv(65_536)
        far.house.ask("POST", "/api/bans", {"subject": "operator:admin"})
        far.house.fail("203.0.113.10", "bob")
        rest = heard(connection)
    assert b"bob" not in rest
    assert far.ask("GET", "/api/status").status == 429


def test_answers_are_not_kept_and_do_not_tell_what_is_behind_them(far: Far) -> None:
    with closing(far.line()) as line:
        line.ask("GET", "/api/bans")
        assert line.headers["Cache-Control"] == "no-store"
        assert line.headers["X-Content-Type-Options"] == "nosniff"
        assert line.headers["Server"] == "mailward"
