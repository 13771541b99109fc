"""What programs that share the guard are promised by its client."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailward import AsyncReportClient, ReportClient
from mailward.client import lines
from mailward.client.news import GuardError, RefusedError, Seen, UnreachableError
from tests.admin.afar import RIGHT, open_far_house
from tests.admin.house import House, open_house

CREDENTIALS = ":".join(RIGHT)
HERE = "203.0.113.9"


def test_importing_mailward_loads_nothing_of_the_client() -> None:
    code = "import sys, mailward; print('http.client' in sys.modules, 'asyncio' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False False\n"
    code = "import mailward; mailward.NoClient"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AttributeError" in told.stderr


def test_the_guard_is_shared(house: House) -> None:
    house.fail(HERE, "ada")
    with ReportClient(house.socket, "webmail") as client:
        assert client.allows(HERE, "ada")
        assert client.failed(HERE, "ada").banned == ()
        assert client.failed(HERE, "Ada").banned == (HERE, "ada")
        assert not client.allows(HERE)
        assert not client.allows("203.0.113.8", "ada")
        assert client.allows("203.0.113.8", "bob")
        assert client.succeeded("203.0.113.8", "bob").result == "accepted"
    assert not house.admits(HERE)
    assert house.ask("GET", "/api/status").body["services"]["webmail"]["failed"] == 2


def test_a_failure_counts_when_it_was_and_once(house: House) -> None:
    moment = datetime.fromtimestamp(house.now, UTC) - timedelta(minutes=10)
    with ReportClient(house.socket, "webmail") as client:
        for result in ("accepted", "repeated"):
            assert client.failed(HERE, at=moment, id="17").result == result
    (failure,) = house.ask("GET", f"/api/why/{HERE}").body["failures"]
    assert failure["at"] == "2026-09-21T14:03:20.000000Z"


def test_a_moment_without_a_zone_is_not_sent(house: House) -> None:
    with ReportClient(house.socket, "webmail") as client, pytest.raises(ValueError, match="zone"):
        client.failed(HERE, at=datetime(2026, 9, 21))  # noqa: DTZ001 -- that is the claim


def test_any_number_is_told_and_each_is_answered(house: House) -> None:
    seen = [Seen(f"198.18.{n // 250}.{n % 250}", id=str(n)) for n in range(10_100)]
    seen[5] = Seen("here", "ada", id="x")
    with ReportClient(house.socket, "vpn") as client:
        told = list(client.failures(iter(seen)))
        assert [one.id for one in told] == [one.id for one in seen]
        assert [one.result for one in told[4:7]] == ["accepted", "refused", "accepted"]
        assert "no IP address" in str(told[5].why)
        again = list(client.failures(seen[10_000:]))
        assert {one.result for one in again} == {"repeated"}
        assert list(client.failures([])) == []
        assert [one.result for one in client.successes([Seen(HERE)])] == ["accepted"]


def test_what_the_guard_cannot_use_is_refused_at_once(house: House) -> None:
    with ReportClient(house.socket, "Web Mail") as client:
        with pytest.raises(RefusedError, match="no service"):
            client.failed(HERE)
        with pytest.raises(RefusedError, match="no IP address"):
            client.allows("here")


def test_it_works_from_afar_and_all_threads_may_share_it(tmp_path: Path) -> None:
    with open_far_house(tmp_path, "login-fail2ban = '1000/1h'\n") as far:
        url = f"http://127.0.0.1:{far.port}/"
        with ReportClient(url, "webmail", credentials=CREDENTIALS) as client:
            threads = [
                threading.Thread(target=lambda: [client.failed("127.0.1.7", "ada")] * 5)
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert client.allows(HERE, "ada")
        assert far.house.ask("GET", "/api/why/ada").body["count"] == 8


def test_wrong_credentials_are_tried_once_and_never_shown(tmp_path: Path) -> None:
    with open_far_house(tmp_path) as far:
        url = f"http://127.0.0.1:{far.port}"
        client = ReportClient(url, "webmail", credentials="admin:hunter2")
        with closing(client), pytest.raises(RefusedError) as caught:
            client.allows(HERE)
        assert "hunter2" not in str(caught.value) + repr(client) + repr(vars(client))
        assert far.house.ask("GET", "/api/why/127.0.0.1").body["count"] == 1


@pytest.mark.parametrize(
    ("at", "credentials"),
    [
        ("https://", "a:b"),
        ("https://a:b@127.0.0.1", "a:b"),
        ("https://127.0.0.1/?x", "a:b"),
        ("https://127.0.0.1", None),
        ("https://127.0.0.1", "secret"),
        ("/run/mailward.sock", "a:b"),
    ],
)
def test_a_place_that_makes_no_sense_is_said_at_once(at: str, credentials: str | None) -> None:
    with pytest.raises(ValueError, match=r"URL|credentials"):
        ReportClient(at, "webmail", credentials=credentials)


def test_without_a_daemon_it_gives_up_in_time(tmp_path: Path) -> None:
    client = ReportClient(tmp_path / "none.sock", "webmail", seconds=0.3)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match=r"none\.sock"):
        client.allows(HERE)
    assert time.monotonic() - began < 2


def test_a_daemon_that_hangs_holds_nobody_for_long(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        client = ReportClient(tmp_path / "silent.sock", "webmail", seconds=0.3)
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            client.failed(HERE)
        assert time.monotonic() - began < 2


@contextmanager
def saying(path: Path, answers: Sequence[bytes]) -> Iterator[list[bytes]]:
    """A daemon that answers each connection with the next of *answers*, and closes it."""
    heard: list[bytes] = []

    def answer() -> None:
        for said in answers:
            connection, _ = listening.accept()
            with connection:
                request = b""
                while not request.endswith(b"}"):
                    request += connection.recv(65_536)
                heard.append(request)
                connection.sendall(said)

    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield heard
        thread.join(20)


def whole_request(connection: socket.socket) -> bytes:
    """A request with its body, which may come behind the head; nothing if the client leaves."""
    request = b""
    while True:
        head, blank, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if blank and len(body) >= (int(length[1]) if length else 0):
            return request
        octets = connection.recv(65_536)
        if not octets:
            return b""
        request += octets


@contextmanager
def always_saying(path: Path, octets: Sequence[bytes], pause: float = 0.0) -> Iterator[None]:
    """Somebody who answers every request the same, *pause* seconds after each of *octets*."""
    is_over = threading.Event()

    def answer() -> None:
        while not is_over.is_set():
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                if not whole_request(connection):
                    continue
                for some in octets:
                    connection.sendall(some)
                    if is_over.wait(pause):
                        return

    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield
        is_over.set()
        with closing(socket.socket(socket.AF_UNIX)) as last:
            last.connect(str(path))
        thread.join(20)


def test_what_was_not_answered_is_told_again_with_the_same_id(tmp_path: Path) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    body = b'{"result": "repeated", "banned": []}'
    right = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with (
        saying(tmp_path / "d.sock", [b"", busy, b"220 hello\r\n", right]) as heard,
        ReportClient(tmp_path / "d.sock", "vpn", seconds=10) as client,
    ):
        told = client.failed(HERE)
    assert told.result == "repeated"
    assert len(heard) == 4
    assert all(told.id.encode() in request for request in heard)


@pytest.mark.parametrize("body", [b"[]", b"hello", b"\xff", b'{"detail": 5}'])
def test_a_stranger_is_no_traceback(tmp_path: Path, body: bytes) -> None:
    said = b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with (
        saying(tmp_path / "d.sock", [said]),
        ReportClient(tmp_path / "d.sock", "vpn") as client,
        pytest.raises(GuardError),
    ):
        client.failed(HERE)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"banned": null}',
        b'{"banned": "no"}',
        b'{"banned": NaN}',
        b"[" * 100_000,
        b"1" * 9_999,
    ],
)
def test_an_answer_that_mailward_would_not_give_lets_nobody_in(tmp_path: Path, body: bytes) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    asks: list[Callable[[ReportClient], object]] = [
        lambda client: client.allows(HERE),
        lambda client: client.failed(HERE),
        lambda client: list(client.failures([Seen(HERE)])),
    ]
    for number, ask in enumerate(asks):
        path = tmp_path / f"{number}.sock"
        with (
            always_saying(path, [said]),
            ReportClient(path, "vpn") as client,
            pytest.raises(RefusedError, match="as mailward does"),
        ):
            ask(client)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
def test_an_answer_that_trickles_holds_nobody_longer_than_one_that_does_not_come(
    tmp_path: Path, head: bytes
) -> None:
    path = tmp_path / "slow.sock"
    with always_saying(path, [head, *([b" "] * 99)], pause=0.1):
        client = ReportClient(path, "vpn", seconds=0.4)
        began = time.monotonic()
        with closing(client), pytest.raises(UnreachableError):
            client.allows(HERE)
        assert time.monotonic() - began < 2


def test_an_answer_without_an_end_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "_MAX_ANSWER_OCTETS", 1_000)
    path = tmp_path / "endless.sock"
    with always_saying(path, [b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b" " * 1_000]):
        client = ReportClient(path, "vpn", seconds=0.3)
        with closing(client), pytest.raises(UnreachableError, match="no end"):
            client.allows(HERE)


def test_reports_that_are_too_large_for_one_request_go_in_several(house: House) -> None:
    ids = [f"{n:04}" + "\U0001f600" * 196 for n in range(4_000)]  # 12 octets each in JSON
    with ReportClient(house.socket, "vpn") as client:
        told = list(client.failures(Seen("192.0.2.1", id=id_) for id_ in ids))
    assert [one.id for one in told] == ids
    assert {one.result for one in told} == {"accepted"}


FORKING = """
import os, sys
from mailward import ReportClient
client = ReportClient(sys.argv[1], "vpn", seconds=10)
client.allows(sys.argv[2])  # and the connection is kept
child = os.fork()
mine, right = ("192.0.2.1", True) if child == 0 else (sys.argv[2], False)
is_right = all(client.allows(mine) is right for _ in range(200))
if child == 0:
    os._exit(not is_right)
sys.exit(not is_right or os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_after_a_fork_no_process_reads_the_answers_of_the_other(house: House) -> None:
    house.ask("POST", "/api/bans", {"subject": HERE})
    program = [sys.executable, "-c", FORKING, str(house.socket), HERE]
    assert subprocess.run(program, check=False, timeout=60).returncode == 0


def test_a_restart_of_the_daemon_is_not_noticed(tmp_path: Path) -> None:
    with ReportClient(tmp_path / "mailward.sock", "vpn", seconds=10) as client:
        for _ in range(2):
            with open_house(tmp_path):
                assert client.allows(HERE)
            (tmp_path / "mailward.sock").unlink(missing_ok=True)


def test_certificates_are_checked(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ReportClient("https://h", "vpn", credentials="a:b", ca=str(tmp_path / "none.pem"))
    with open_far_house(tmp_path) as far:
        url = f"https://127.0.0.1:{far.port}"
        with pytest.raises(UnreachableError):
            ReportClient(url, "vpn", credentials=CREDENTIALS).allows(HERE)


# -- on asyncio ------------------------------------------------------------------------------------


async def test_on_asyncio_it_says_the_same(house: House) -> None:
    async with AsyncReportClient(house.socket, "webmail") as client:
        assert await client.allows(HERE, "ada")
        told = await asyncio.gather(*(client.failed(HERE, "ada") for _ in range(20)))
        assert {one.result for one in told} == {"accepted"}
        assert not await client.allows(HERE)
        assert (await client.succeeded(HERE, id="1")).id == "1"
        (one,) = await client.failures([Seen("198.51.100.1")])
        assert one.result == "accepted"
        assert [one.result for one in await client.successes([Seen(HERE)])] == ["accepted"]


async def test_while_the_guard_is_away_nobody_waits_for_those_before_him(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen(100)
        client = AsyncReportClient(tmp_path / "silent.sock", "vpn", seconds=0.3, at_once=2)
        began = time.monotonic()
        told = await asyncio.gather(
            *(client.allows(HERE) for _ in range(30)), return_exceptions=True
        )
        assert time.monotonic() - began < 2
        assert all(isinstance(one, UnreachableError) for one in told)
        client.close()
