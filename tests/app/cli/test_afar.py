"""Commands that ask a daemon elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin.afar import RIGHT, Far, open_far_house
from tests.app.cli.typing_in import Shell

CREDENTIALS = ":".join(RIGHT)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with open_far_house(folder) as made:
        yield made


@pytest.fixture
def url(
    far: Far,
    shell: Shell,  # noqa: ARG001 -- it names a data directory: it has to come first
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Where the daemon is, for a shell that knows of no other."""
    monkeypatch.delenv("MAILWARD_DATA")
    monkeypatch.delenv("URL", raising=False)
    monkeypatch.delenv("CREDENTIALS", raising=False)
    return f"http://127.0.0.1:{far.port}"


def test_a_command_asks_the_daemon_at_a_url(far: Far, url: str, shell: Shell) -> None:
    assert shell("ban", "203.0.113.9", "--url", url, "--credentials", CREDENTIALS).status == 0
    assert not far.house.admits("203.0.113.9")
    (ban,) = shell.told("bans", "-u", f"{url}/", "-c", CREDENTIALS)
    assert ban["subject"] == "203.0.113.9"
    assert shell("-u", url, "-c", CREDENTIALS, "lift", "203.0.113.9").status == 0


def test_url_and_credentials_may_stand_in_the_environment(
    url: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL", url)
    monkeypatch.setenv("CREDENTIALS", CREDENTIALS)
    assert shell("bans").out == "There are no bans.\n"
    key = "server.security.blocked-networks.203.0.113.9"
    assert shell("server", "add-config", key).out.startswith(f"Successfully added key {key}.")


def test_a_data_directory_goes_before_the_url_of_the_environment(
    far: Far, url: str, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL", "http://127.0.0.1:1")
    here = str(far.house.socket.parent)
    assert shell("bans", "--data", here).status == 0
    monkeypatch.setenv("MAILWARD_DATA", here)
    assert shell("bans").status == 0
    monkeypatch.setenv("MAILWARD_DATA", str(tmp_path / "nowhere"))
    assert shell("bans", "-u", url, "-c", CREDENTIALS).status == 0, "what is typed goes first"


def test_two_daemons_are_one_too_many(url: str, shell: Shell, tmp_path: Path) -> None:
    printed = shell("bans", "--url", url, "--data", str(tmp_path))
    assert (printed.status, "name one" in printed.err) == (2, True)


def test_without_credentials_a_terminal_is_asked_and_a_pipe_is_told(
    far: Far, url: str, shell: Shell
) -> None:
    assert shell("bans", "-u", url, typed=[CREDENTIALS]).status == 0
    assert shell("bans", "-u", url, typed=[RIGHT[1]]).status == 0, "admin is meant"
    nothing = shell("bans", "-u", url, typed=[""])
    piped = shell("bans", "-u", url)
    for printed in (nothing, piped):
        assert (printed.status, "credentials are missing" in printed.err) == (1, True)
    assert far.house.ask("GET", "/api/why/127.0.0.1").body["count"] == 0


def test_credentials_come_from_a_file_that_nobody_else_can_read(
    url: str, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my secret"
    file.write_text(f"{CREDENTIALS}\n")
    file.chmod(0o600)
    monkeypatch.setenv("CREDENTIALS", "admin:wrong")
    assert shell("bans", "-u", url, "--credentials-file", str(file)).status == 0
    file.write_text(RIGHT[1])
    assert shell("--credentials-file", str(file), "bans", "-u", url).status == 0, "of admin"
    for mode in (0o640, 0o604, 0o620):
        file.chmod(mode)
        refused = shell("bans", "-u", url, "--credentials-file", str(file))
        assert (refused.status, refused.err.count("\n")) == (1, 1)
        assert f"can be read by others: chmod 600 '{file}'" in refused.err


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "is not one line with user:secret"),
        (b"\n", "is not one line with user:secret"),
        (b"a:hunter2\nb:hunter2\n", "is not one line with user:secret"),
        (b"a:hunter2\xff", "is not one line with user:secret"),
        (b"hunter2" * 1_000, "is not one line with user:secret"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_of_credentials_that_is_none_is_said_to_be_so(
    octets: bytes | None, said: str, url: str, shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "f"
    if octets is not None:
        file.write_bytes(octets)
        file.chmod(0o600)
    refused = shell("bans", "-u", url, "--credentials-file", str(file))
    assert (refused.status, said in refused.err) == (1, True)
    assert "hunter2" not in refused.err
    twice = shell("bans", "-u", url, "--credentials-file", str(file), "-c", "a:b")
    assert (twice.status, "name one" in twice.err) == (2, True)


def test_wrong_credentials_are_said_to_be_wrong_and_not_shown(url: str, shell: Shell) -> None:
    printed = shell("bans", "-u", url, "-c", "admin:hunter2")
    assert (printed.status, "authentication failed" in printed.err) == (1, True)
    assert "hunter2" not in printed.err + printed.out


def test_a_banned_address_hears_what_may_be_the_matter(far: Far, url: str, shell: Shell) -> None:
    for n in range(3):
        far.guess(f"guess {n}", "127.0.0.1")
    printed = shell("bans", "-u", url, "-c", CREDENTIALS)
    assert (printed.status, "closed the connection" in printed.err) == (1, True)
    assert "banned" in printed.err


def test_a_banned_operator_hears_it(far: Far, url: str, shell: Shell) -> None:
    assert far.house.ask("POST", "/api/bans", {"subject": "operator:admin"}).status == 200
    printed = shell("bans", "-u", url, "-c", CREDENTIALS)
    assert (printed.status, "operator is banned" in printed.err) == (1, True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("127.0.0.1:1", "is no URL"),
        ("ftp://127.0.0.1", "is no URL"),
        ("http://", "is no URL"),
        ("http://127.0.0.1:port", "is no URL"),
        ("http://127.0.0.1:99999", "is no URL"),
        ("http://[::1", "is no URL"),
        ("http://127.0.0.1/?a=b", "is no URL"),
        ("http://admin:hunter2@127.0.0.1:1", "give the credentials with --credentials"),
        ("http://127.0.0.1:1", "nobody listens there"),
        ("http://nowhere.invalid", "cannot connect to http://nowhere.invalid:80"),
    ],
)
def test_a_url_that_leads_nowhere_is_explained(shell: Shell, wrong: str, said: str) -> None:
    printed = shell("status", "-u", wrong, "-c", CREDENTIALS)
    is_url = "no URL" not in said and "give" not in said
    assert (printed.status, printed.out, printed.err.count("\n")) == (1 if is_url else 2, "", 1)
    assert said in printed.err
    assert "hunter2" not in printed.err


def test_a_server_without_tls_is_no_https(far: Far, shell: Shell) -> None:
    printed = shell("status", "-u", f"https://127.0.0.1:{far.port}", "-c", CREDENTIALS)
    assert (printed.status, printed.err.count("\n")) == (1, 1)
    assert "agree on no TLS" in printed.err


def test_a_file_of_authorities_that_cannot_be_read_is_named(shell: Shell, tmp_path: Path) -> None:
    for ca in (tmp_path / "none.pem", tmp_path):
        printed = shell("status", "-u", "https://127.0.0.1:1", "-c", "a:b", "--ca", str(ca))
        assert (printed.status, str(ca) in printed.err) == (1, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"220 hello\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\n<p>.",
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_stranger_at_the_url_is_no_traceback(shell: Shell, answer: bytes) -> None:
    def greet() -> None:
        connection, _ = stranger.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        greeting = threading.Thread(target=greet)
        greeting.start()
        port = stranger.getsockname()[1]
        printed = shell("status", "-u", f"http://127.0.0.1:{port}", "-c", "admin:x")
        greeting.join()
    assert (printed.status, printed.out, printed.err.count("\n")) == (1, "", 1)
