"""The process: how it begins, hears of settings, and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from mailbox_testing.program import COMMAND, PASSWORD, SECONDS, Program, plain, program
from mailward_mailbox.serving.confinement import MAX_MEMORY_OCTETS, OOM_SCORE

SOCKETS = ("imap.sock", "submission.sock", "managesieve.sock", "jmap.sock", "control.sock")


def test_its_folder_and_its_sockets_are_its_user_s_alone(tmp_path: Path) -> None:
    data = tmp_path / "new" / "mailbox"
    with program(data) as started:
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        for name in SOCKETS:
            assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
        started.end(signal.SIGTERM)
    assert not [name for name in SOCKETS if (data / name).exists()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, None])
def test_it_ends_at_once_by_a_signal_and_with_its_supervisor(
    tmp_path: Path, number: signal.Signals | None
) -> None:
    with program(tmp_path) as started:
        started.add("alice")
        with started.imap() as talk, started.connect("submission") as waiting:
            waiting.line()
            status, lines = started.end(number)
            assert waiting.rest() == b"421 4.3.2 mail.test The server is stopping\r\n"
            assert talk.rest().startswith(b"* BYE")
    assert (status, lines) == (0, [])


def test_it_ends_where_the_supervisor_is_gone_before_it_has_told_settings(tmp_path: Path) -> None:
    command = [*COMMAND, "--supervised", "--data", str(tmp_path)]
    done = subprocess.run(command, check=False, timeout=SECONDS, input=b"", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_it_ends_at_once_by_a_signal_before_it_has_heard_of_settings(tmp_path: Path) -> None:
    command = [*COMMAND, "--supervised", "--data", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as waiting:
        waiting.terminate()
        assert waiting.wait(1) == -signal.SIGTERM


def test_its_memory_is_limited_and_it_leaves_no_core(tmp_path: Path) -> None:
    with program(tmp_path) as started:
        process = Path(f"/proc/{started.process.pid}")
        limits = {
            line[:25].strip(): line[25:].split()[:2]
            for line in (process / "limits").read_text().splitlines()
        }
        assert limits["Max address space"] == [str(MAX_MEMORY_OCTETS)] * 2
        assert limits["Max core file size"] == ["0", "0"]
        assert (process / "oom_score_adj").read_text() == f"{OOM_SCORE}\n"


def refused(started: Program) -> str:
    """The reason that a process gives which does not start."""
    status, lines = started.end()
    assert status == os.EX_CONFIG
    (line,) = lines
    assert (line["level"], line["logger"]) == ("error", "mailbox.process")
    return line["message"]


def test_a_second_process_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with program(tmp_path) as started:
        assert "uses it" in refused(Program(tmp_path))
        started.add("alice")
        started.imap().close()


def test_a_socket_that_another_program_listens_on_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "imap.sock"))
        other.listen()
        assert "imap.sock is in use" in refused(Program(tmp_path))


def test_a_file_in_the_place_of_a_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "jmap.sock").write_text("mine")
    assert "jmap.sock is there and no socket" in refused(Program(tmp_path))
    assert (tmp_path / "jmap.sock").read_text() == "mine"


def test_a_path_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    assert "107 at most" in refused(Program(tmp_path / ("x" * 100)))


def test_sockets_that_a_killed_process_left_are_replaced(tmp_path: Path) -> None:
    with program(tmp_path) as started:
        started.add("alice")
        started.end(signal.SIGKILL)
    assert (tmp_path / "imap.sock").exists()
    with program(tmp_path) as started:
        started.imap().close()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"relay": "nowhere"}, "relay must be host:port"),
        ({"quota": "1GB"}, "quota must be a number of octets"),
        ({"naming": {"login_format": "x"}}, 'login_format must be "full" or "local-part"'),
        ({"naming": {"domain_aliases": []}}, "domain_aliases must be an object"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    tmp_path: Path, settings: dict[str, object], why: str
) -> None:
    assert why in refused(Program(tmp_path, settings))


def test_settings_that_come_later_replace_those_before(tmp_path: Path) -> None:
    with program(tmp_path, {"hostname": "one.test"}) as started:
        started.add("alice@example.test")
        started.tell({"hostname": ["none"]})
        started.tell({"hostname": "two.test", "naming": {"default_domain": "example.test"}})
        while not greeted(started).startswith(b"220 two.test"):
            pass
        with started.connect("submission") as talk:
            talk.ask(b"EHLO me\r\n", b"250 ")
            assert b"235" in talk.ask(b"AUTH PLAIN " + plain("alice") + b"\r\n", b"235", b"5")
        _, lines = started.end()
    assert [line["message"] for line in lines] == [
        "hostname must be a string; the settings stay as they were"
    ]


def greeted(started: Program) -> bytes:
    with started.connect("submission") as talk:
        return talk.line()


def test_the_control_socket_changes_accounts(tmp_path: Path) -> None:
    with program(tmp_path) as started:
        started.add("alice")
        with started.imap() as talk:
            row = started.ask({"do": "accounts.set_enabled", "name": "alice", "is_enabled": False})
            assert row["account"]["is_enabled"] is False
            assert talk.rest().startswith(b"* BYE")
        with started.connect("imap") as talk:
            talk.line()
            refusal = talk.command(f"LOGIN alice {PASSWORD}".encode())
            assert b"[AUTHENTICATIONFAILED]" in refusal
        assert started.ask({"do": "accounts.list"})["accounts"] == [row["account"]]
        assert started.ask({"do": "status"})["accounts"] == 1
        assert started.ask({"do": "accounts.remove", "name": "alice"})["account"]
        lines = ["carol:{PLAIN}secret", "dave:{PLAIN}secret"]
        assert started.ask({"do": "accounts.import", "lines": lines}) == {"count": 2}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"do": "accounts.one", "name": "nobody"}, "missing"),
        ({"do": "accounts.add", "name": "alice", "password": "x"}, "exists"),
        ({"do": "accounts.add", "name": "carol", "password": ""}, "unfit"),
        ({"do": "accounts.add", "name": "carol"}, "unfit"),
        ({"do": "accounts.import", "lines": ["no colon"]}, "misread"),
        ({"do": "everything"}, "unfit"),
        ({}, "unfit"),
    ],
)
def test_the_control_socket_says_what_is_wrong(
    served: Program, request_: dict[str, object], error: str
) -> None:
    answer = served.ask(request_)
    assert answer["error"] == error
    assert answer["message"]


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b"\xff\n", b"[" * 100_000 + b"\n"])
def test_the_control_socket_refuses_what_is_no_request(served: Program, line: bytes) -> None:
    with served.connect("control", None) as talk:
        assert json.loads(talk.ask(line, b"{"))["error"] == "unfit"
        assert json.loads(talk.ask(b'{"do": "status"}\n', b"{"))["accounts"] == 2
