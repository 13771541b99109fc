"""The description of the API is true: thousands of requests made from it, to a real daemon."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.real.daemon import PROGRAM
from tests.real.processes import Child, free_port, private_folder

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
SECRET = "opensesame"
CONFIGURATION = """\
[server.security]
fail2ban = "10000/1h"
allowed-networks = {{ "127.0.0.0/8" }}
[server.listener.far]
protocol = "manage"
bind = ["127.0.0.1:{port}"]
[management]
admin.secret = "{hash}"
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with private_folder() as folder:
        port = free_port()
        hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(SECRET)
        file, log = folder / "config.toml", folder / "log"
        file.write_text(CONFIGURATION.format(port=port, hash=hashed))
        serve: list[str | Path] = [PROGRAM, "serve", "--config", file, "--data", folder]
        log.touch()
        running = Child(serve, output=log, folder=folder)
        try:
            running.wait_until(lambda: "info next: " in running.said())
            yield port
            assert running.terminate() == 0
        finally:
            running.kill()
        assert "Traceback" not in running.said()


def test_every_answer_is_as_the_description_says(folder: Path, port: int) -> None:
    told = subprocess.run(
        [
            SCHEMATHESIS,
            "run",
            f"http://127.0.0.1:{port}/api/openapi.json",
            f"--auth=admin:{SECRET}",
            "--phases=coverage,fuzzing",
            "--max-examples=25",
            "--seed=1",
            "--exclude-path=/api/events",  # it never ends
            # What is an address or a key is more than a schema can say; the secrets of one address
            # are compared one in three seconds, which the test below knows.
            "--exclude-checks=positive_data_acceptance,ignored_auth",
            "--continue-on-failure",
            "--no-shrink",
            "--generation-database=none",
            "--no-color",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,  # some 10 s where nothing else runs
        check=False,
    )
    assert told.returncode == 0, told.stdout


def test_every_operation_wants_the_right_secret(port: int) -> None:
    _, described = ask(port, "GET", "/api/openapi.json", SECRET, "127.0.0.1")
    operations = [
        (method.upper(), path)
        for path, methods in json.loads(described)["paths"].items()
        for method in methods
    ]
    assert len(operations) > 30
    for number, (method, path) in enumerate(operations):
        source = f"127.0.1.{1 + number // 10}"  # twenty secrets of one are compared at once
        for secret in (None, "wrong"):
            assert ask(port, method, path, secret, source)[0] == 401, (method, path, secret)


def ask(port: int, method: str, path: str, secret: str | None, source: str) -> tuple[int, bytes]:
    """The status and the body of one answer to *source*."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    basic = b64encode(f"admin:{secret}".encode()).decode()
    try:
        line.request(
            method, path, headers={} if secret is None else {"Authorization": f"Basic {basic}"}
        )
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()
