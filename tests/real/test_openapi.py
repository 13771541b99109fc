"""The description of the API is true: thousands of requests made from it, to a real daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from argon2 import PasswordHasher

from tests.real.daemon import PROGRAM
from tests.real.processes import Child, free_port

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


def test_every_answer_is_as_the_description_says(folder: Path) -> None:
    port = free_port()
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(SECRET)
    file, log = folder / "config.toml", folder / "log"
    file.write_text(CONFIGURATION.format(port=port, hash=hashed))
    serve: list[str | Path] = [PROGRAM, "serve", "--config", file, "--data", folder]
    log.touch()
    running = Child(serve, output=log, folder=folder)
    try:
        running.wait_until(lambda: "info next: " in running.said())
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
                # What is an address or a key is more than a schema can say.
                "--exclude-checks=positive_data_acceptance",
                "--continue-on-failure",
                "--no-shrink",
                "--generation-database=none",
                "--no-color",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,  # some 60 s where nothing else runs
            check=False,
        )
        assert told.returncode == 0, told.stdout
        assert running.terminate() == 0
    finally:
        running.kill()
    assert "Traceback" not in running.said()
