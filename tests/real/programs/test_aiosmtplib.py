"""aiosmtplib, in an environment of its own: what it sends arrives, and refusals reach it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.real.programs.environments import HERE, python_of
from tests.real.programs.server import MailServer, letter, run


@pytest.fixture(scope="session")
def aiosmtplib() -> Path:
    """The interpreter that has aiosmtplib."""
    return python_of(HERE / "aiosmtplib.txt")


def sent(interpreter: Path, server: MailServer, *messages: bytes, password: str = "") -> Any:
    """What it prints of *messages* to the account itself."""
    where = {
        "port": server.submission_port,
        "is_implicit": server.is_implicit,
        "authority": str(server.authority) if server.has_tls else None,
        "name": server.name,
        "password": password or server.password,
        "recipients": [f"{server.name}@localhost"],
        "messages": [message.decode() for message in messages],
    }
    program = HERE / "aiosmtplib_program.py"
    return json.loads(run(interpreter, program, given=json.dumps(where)))


def test_messages_of_one_connection_arrive(aiosmtplib: Path, any_server: MailServer) -> None:
    dots = ".\r\n..\r\n.one\r\n"
    messages = [letter("first", dots), letter("second", "x" * 70_000)]
    assert len(sent(aiosmtplib, any_server, *messages)) == 2
    kept = [octets for _, octets in any_server.messages()]
    assert [octets[-len(one) :] for octets, one in zip(kept, messages, strict=True)] == messages


def test_a_wrong_password_is_told(aiosmtplib: Path, any_server: MailServer) -> None:
    code, _ = sent(aiosmtplib, any_server, letter("hello"), password="wrong")
    assert code == 535
    assert any_server.messages() == []
