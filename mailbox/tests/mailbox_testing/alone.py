"""The program as it stands alone: on ports of 127.0.0.1, its log lines as text."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from mailward_mailbox.cli.main import main

from mailbox_testing.program import COMMAND, PASSWORD

SERVICES = ("imap", "submission", "managesieve", "jmap")
_LISTENS = re.compile(r"INFO (\w+) listens on 127\.0\.0\.1 port (\d+)\n")


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    status: int
    stdout: str
    stderr: str


def accounts(data: Path, *words: str, said: str = "") -> Done:
    """What ``mailward-mailbox accounts`` does with *words*; *said* is its standard input."""
    out, errors = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(said.encode()))
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            status = main(["accounts", *words, "--data", str(data)])
    finally:
        sys.stdin = before
    return Done(status, out.getvalue(), errors.getvalue())


def add(data: Path, *names: str) -> None:
    for name in names:
        done = accounts(data, "add", name, "--password-stdin", said=f"{PASSWORD}\n")
        assert done.status == 0, done.stderr


@contextmanager
def alone(data: Path, *options: str) -> Iterator[dict[str, int]]:
    """The ports of a server with accounts alice and bob, by their services."""
    add(data, "alice", "bob")
    listen = [f"--listen-{service}=127.0.0.1:0" for service in SERVICES]
    command = [*COMMAND, "--data", str(data), "--hostname", "mail.test", *listen, *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            ports: dict[str, int] = {}
            for line in process.stderr:
                if found := _LISTENS.fullmatch(line):
                    ports[found[1]] = int(found[2])
                if "ready" in line:
                    break
            yield ports
        finally:
            process.terminate()
