"""The program as a whole: finding the daemon, looking on, passwords, pipes, speed."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from mailward import VERSION
from tests.admin.house import House, open_house
from tests.app.cli.typing_in import PROGRAM, Shell

UNLIMITED = 'server.security.fail2ban = "none"'
SLOW_MODULES = {"asyncio", "aiohttp", "idna", "uvloop", "sqlite3", "argon2", "tomllib"}


# -- help and version ------------------------------------------------------------------------------


def test_alone_it_is_wrong_usage_and_prints_its_help(shell: Shell) -> None:
    printed = shell()
    assert (printed.status, printed.out) == (2, "")
    assert printed.err.startswith(shell("--help").out)
    assert printed.err.endswith("mailward: error: a command is missing\n")


def test_it_knows_its_version(shell: Shell) -> None:
    assert shell("--version").out == f"mailward {VERSION}\n"


@pytest.mark.parametrize("words", [["--help"], ["bans"]])
def test_a_command_loads_nothing_heavy(house: House, words: list[str]) -> None:
    look = (
        "import sys; from mailward.app.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", look, *words, "--data", house.socket.parent],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(house.socket.parent)},
    )
    loaded = set(done.stderr.split())
    assert not loaded & SLOW_MODULES
    rules = {name for name in loaded if name.startswith("mailward.rules")}
    assert rules <= {"mailward.rules", "mailward.rules.marks"}
    assert "http.client" not in loaded or words == ["bans"]


# -- finding the daemon ----------------------------------------------------------------------------


def test_without_a_daemon_the_answer_names_the_socket_and_the_way_to_start(
    shell: Shell, tmp_path: Path
) -> None:
    printed = shell("bans")
    assert (printed.status, printed.out) == (1, "")
    assert f"no mailward answers on {tmp_path / 'mailward.sock'}" in printed.err
    assert "mailward serve" in printed.err


def test_a_socket_left_behind_is_no_daemon(shell: Shell, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "mailward.sock"))
    printed = shell("status")
    assert (printed.status, "no mailward answers" in printed.err) == (1, True)


def test_the_data_directory_may_be_named(house: House, shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    assert shell("bans", "--data", str(folder)).status == 1
    assert shell("bans", "--data", str(house.socket.parent)).status == 0


def test_another_socket_is_found_through_the_configuration(
    house: House, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "run.sock"
    house.socket.rename(moved)
    config = tmp_path / "other.toml"
    config.write_text(f'management.socket = "{moved}"\n')
    assert shell("bans").status == 1
    assert shell("bans", "--config", str(config)).status == 0
    monkeypatch.setenv("MAILWARD_CONFIG", str(config))
    assert shell("bans").status == 0
    config.write_text('management.socket = "run.sock"\n')
    assert shell("bans").status == 0, "relative to the data directory"


def test_a_wrong_configuration_does_not_hide_a_daemon_that_runs(
    house: House, shell: Shell, tmp_path: Path
) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text("[server\n")
    assert shell("bans", "--config", str(config)).status == 0
    house.socket.unlink()
    printed = shell("bans", "--config", str(config))
    assert printed.status == 78
    assert printed.err.startswith(f"{config}:1: ")


def test_a_stranger_on_the_socket_is_no_traceback(shell: Shell, tmp_path: Path) -> None:
    for answer in (b"220 hello\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"):
        with _stranger(tmp_path / "mailward.sock", answer):
            printed = shell("status")
        assert (printed.status, printed.err.count("\n")) == (1, 1)


@contextmanager
def _stranger(path: Path, answer: bytes) -> Iterator[None]:
    path.unlink(missing_ok=True)
    with socket.create_server(str(path), family=socket.AF_UNIX) as listening:

        def serve() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(65_536)
                line.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(10)


# -- looking on ------------------------------------------------------------------------------------


def test_the_status_fits_on_one_screen(house: House, shell: Shell) -> None:
    house.doors = [
        {
            "listener": "imap",
            "protocol": "imap",
            "bind": "127.0.0.1:1143",
            "backend": "dovecot",
            "state": "ready",
        }
    ]
    house.fail("203.0.113.9", "ada", "imap")
    house.later(3_700)
    printed = shell("status")
    assert printed.lines[0] == "mailward 1.2.3, up 1h 1m, since 2026-09-21 14:13:20 UTC"
    assert "store     ok" in printed.lines
    assert "addresses banned at 3/1h, until lifted" in printed.lines
    assert "logins    banned at 3/1h, until the window has room again" in printed.lines
    assert ["imap", "imap", "127.0.0.1:1143", "dovecot", "ready"] in [
        line.split() for line in printed.lines
    ]
    assert ["imap", "1", "0", "0", "0"] in [line.split() for line in printed.lines]
    assert all(len(line) <= 100 for line in printed.lines)
    assert shell.told("status")["version"] == "1.2.3"


def test_top_shows_attackers_and_attacked(house: House, shell: Shell) -> None:
    assert "No address has failures." in shell("top").out
    for _ in range(3):
        house.fail("203.0.113.9", "ada")
    house.fail("203.0.113.10", "bob")
    rows = [line.split() for line in shell("top").lines]
    assert [
        "203.0.113.9",
        "3",
        "of",
        "3",
        "yes",
        *["2026-09-21", "14:13:20", "imap", "ada"],
    ] in rows
    assert ["bob", "1", "of", "3", "no"] in [row[:5] for row in rows]
    assert len(shell.told("top", "--count", "1")["addresses"]) == 1
    assert shell("top", "--json").lines[:1] == ["{"], "indented, as of every other command"
    assert shell("top", "--count", "0").status == 2


def test_events_are_followed_until_ctrl_c(tmp_path: Path) -> None:
    with open_house(tmp_path, UNLIMITED) as house, _following(tmp_path) as child:
        line = _first_line(house, child)
        assert line == (
            "2026-09-21 14:13:20 auth.failed service=imap address=203.0.113.9"
            ' login="ada \\ue000 x"\n'
        )
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 0
        assert child.stderr is not None
        assert child.stderr.read() == ""


def test_events_as_json_are_one_object_a_line(tmp_path: Path) -> None:
    with open_house(tmp_path, UNLIMITED) as house, _following(tmp_path, "--json") as child:
        assert json.loads(_first_line(house, child))["event"] == "auth.failed"


def test_events_go_on_when_the_daemon_was_started_anew(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with open_house(tmp_path, UNLIMITED) as house:
            child = stack.enter_context(_following(tmp_path))
            _first_line(house, child)
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stderr.readline().startswith("mailward: the daemon does not answer any more")
        with open_house(tmp_path, UNLIMITED) as house:
            house.fail("203.0.113.9", "after the start")
            assert child.stderr.readline() == "mailward: the daemon answers again\n"
            lines = iter(child.stdout.readline, "")
            assert next(line for line in lines if "after the start" in line)
            child.send_signal(signal.SIGINT)
            assert child.wait(10) == 0


def test_top_goes_on_when_the_daemon_was_started_anew(tmp_path: Path) -> None:
    words = [str(PROGRAM), "top", "--follow", "--data", str(tmp_path)]
    with ExitStack() as stack:
        with open_house(tmp_path, UNLIMITED):
            child = stack.enter_context(
                subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
            stack.callback(child.kill)
            assert child.stdout is not None
            assert child.stdout.readline() == "No address has failures.\n"
        assert child.stderr is not None
        assert child.stderr.readline().startswith("mailward: the daemon does not answer any more")
        with open_house(tmp_path, '[server.security]\nfail2ban = "3/1h"') as house:
            house.fail("203.0.113.9", "ada")
            assert child.stderr.readline() == "mailward: the daemon answers again\n"
            lines = iter(child.stdout.readline, "")
            assert next(line for line in lines if line.startswith("203.0.113.9"))
            child.send_signal(signal.SIGINT)
            assert child.wait(10) == 0


def test_in_a_pipe_events_are_the_last_ones_and_no_more(house: House, shell: Shell) -> None:
    house.fail("203.0.113.9", "ada")
    house.fail("203.0.113.9", "bob")
    printed = shell("events")
    assert [line.rpartition(" ")[2] for line in printed.lines] == ["login=ada", "login=bob"]
    shell.sit_down()
    assert shell("events", "--no-follow").lines == printed.lines
    assert [
        json.loads(line)["login"] for line in shell("events", "--json", "--no-follow").lines
    ] == [*("ada", "bob")]


def test_on_a_terminal_events_are_followed_unasked(tmp_path: Path) -> None:
    with open_house(tmp_path, UNLIMITED) as house:
        house.fail("203.0.113.9", "ada")
        terminal, inside = pty.openpty()
        child = subprocess.Popen([PROGRAM, "events", "--data", str(tmp_path)], stdout=inside)
        try:
            os.close(inside)
            with open(terminal, encoding="utf-8") as seen:  # noqa: PTH123 -- a descriptor
                assert "login=ada" in seen.readline()
                house.fail("203.0.113.9", "bob")
                assert "login=bob" in seen.readline()
            child.send_signal(signal.SIGINT)
            assert child.wait(10) == 0
        finally:
            child.kill()


@contextmanager
def _following(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [PROGRAM, "events", "--follow", "--data", folder, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def _first_line(house: House, child: subprocess.Popen[str]) -> str:
    """What is printed first. Nobody tells when a follower is there: guesses go on until then."""
    assert child.stdout is not None
    for _ in range(400):
        house.fail("203.0.113.9", "ada \u202d\ue000 x")
        if select.select([child.stdout], [], [], 0.05)[0]:
            return child.stdout.readline()
    raise AssertionError("nothing was printed")


def test_a_reader_that_has_seen_enough_is_no_error(house: House) -> None:
    for number in range(200):
        house.ask("POST", "/api/bans", {"subject": f"login:{number}-{'x' * 500}"})
    with subprocess.Popen(
        [PROGRAM, "bans", "--data", house.socket.parent],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert (child.wait(10), child.stderr.read()) == (0, "")


# -- passwords -------------------------------------------------------------------------------------


def test_a_password_from_a_pipe_is_hashed_and_not_shown(shell: Shell) -> None:
    printed = shell("hash-password", given=b"opensesame \r\n")
    assert printed.status == 0
    hashed = printed.out.removesuffix("\n")
    assert hashed.startswith("$argon2id$")
    assert PasswordHasher().verify(hashed, "opensesame ")
    assert "opensesame" not in printed.out + printed.err


def test_a_password_that_is_typed_is_asked_for_twice(shell: Shell) -> None:
    printed = shell("hash-password", typed=["opensesame", "opensesame"])
    assert PasswordHasher().verify(printed.out.strip(), "opensesame")
    printed = shell("hash-password", typed=["opensesame", "opensesam"])
    assert (printed.status, printed.out) == (1, "")
    assert "differ" in printed.err


def test_an_empty_password_is_refused(shell: Shell) -> None:
    for given in (b"", b"\n"):
        assert shell("hash-password", given=given).status == 1
