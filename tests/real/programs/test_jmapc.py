"""jmapc, a program in an environment of its own: it takes the URLs of the session as they stand."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.real.processes import eventually
from tests.real.programs.environments import HERE
from tests.real.programs.server import MailServer, letter, run


class Jmapc:
    """A reader with jmapc."""

    def __init__(self, interpreter: Path, server: MailServer) -> None:
        self._interpreter = interpreter
        self._server = server
        self._environment = {"REQUESTS_CA_BUNDLE": str(server.authority)}

    def _where(self, task: str, **more: str) -> str:
        server = self._server
        host = f"localhost:{server.jmap}"
        where = {"host": host, "name": server.name, "password": server.password}
        return json.dumps({"task": task, **where, **more})

    def work(self, upload: Path, download: Path) -> Any:
        given = self._where("work", upload=str(upload), download=str(download))
        program = HERE / "jmapc_program.py"
        return json.loads(
            run(self._interpreter, program, given=given, environment=self._environment)
        )

    @contextmanager
    def listening(self) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [self._interpreter, HERE / "jmapc_program.py"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdin is not None
            child.stdin.write(self._where("listen"))
            child.stdin.close()
            try:
                yield child
            finally:
                child.kill()


@pytest.fixture
def program(jmapc: Path, server: MailServer) -> Jmapc:
    return Jmapc(jmapc, server)


def test_a_message_is_sent_found_read_flagged_and_moved(
    program: Jmapc, server: MailServer, tmp_path: Path
) -> None:
    upload, download = tmp_path / "list.txt", tmp_path / "fetched.txt"
    upload.write_text("bread\n" * 10_000)
    told = program.work(upload, download)
    assert {"inbox", "drafts", "sent", "trash", "junk"} <= set(told["roles"])
    assert told["sent"] == "final"
    assert told["subject"] == "Grüße"
    assert told["text"] == ["the word is xyzzy\nGrüße\n"]
    assert told["drafts"] == []
    assert told["thread"]
    assert told["left"] == 0
    assert told["flags"] == ["$flagged", "$seen"]
    assert download.read_bytes() == upload.read_bytes()
    ((flags, _),) = server.messages("Trash")
    assert flags == {"\\Flagged", "\\Seen"}


def test_it_hears_of_new_mail_while_it_waits(program: Jmapc, server: MailServer) -> None:
    with program.listening() as child:

        def heard() -> bool:  # it does not say since when it listens
            server.send(letter("news"))
            return child.poll() is not None

        eventually(heard, "it has heard of a message", within_seconds=30)
        assert child.stdout is not None
        assert "email" in json.loads(child.stdout.read())["changed"]
