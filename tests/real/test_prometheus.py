"""A real Prometheus reads our metrics at a manage listener, and answers the board's queries."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from argon2 import PasswordHasher

from mailward.admin.metrics import METRICS
from tests.admin.house import UnixConnection
from tests.real.daemon import PROGRAM
from tests.real.processes import Child, eventually, free_port

BOARD = Path(__file__).parents[2] / "packaging" / "grafana.json"
SECRET = "opensesame"
CONFIGURATION = """\
[server.security]
fail2ban = "3/1h"
[server.listener.mx]
protocol = "tcp"
bind = ["127.0.0.1:{tcp}"]
backend = "nobody"
[server.listener.far]
protocol = "manage"
bind = ["127.0.0.1:{port}"]
[backend.nobody]
address = "127.0.0.1:1"
[management]
admin.secret = "{hash}"
"""
SCRAPE = """\
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: mailward
    basic_auth: {{ username: admin, password: {secret} }}
    static_configs: [ {{ targets: ["127.0.0.1:{port}"] }} ]
"""


@dataclass(frozen=True)
class Watched:
    """A daemon, and the Prometheus that scrapes it."""

    folder: Path
    port: int

    def cli(self, *words: str) -> str:
        done = subprocess.run(
            [PROGRAM, *words],
            env={**os.environ, "MAILWARD_DATA": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout

    def metrics(self) -> bytes:
        with closing(UnixConnection(self.folder / "mailward.sock")) as line:
            line.request("GET", "/metrics")
            return line.getresponse().read()

    def query(self, expression: str) -> list[Mapping[str, Any]]:
        """What Prometheus answers; a query that it cannot read is an error of HTTP."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?query={quote(expression, safe='')}"
        with urlopen(url, timeout=10) as answer:
            told = json.load(answer)
        assert told["status"] == "success"
        found: list[Mapping[str, Any]] = told["data"]["result"]
        return found

    def is_up(self) -> bool:
        try:
            return [sample["value"][1] for sample in self.query("up")] == ["1"]
        except OSError:
            return False


@pytest.fixture
def watched(folder: Path) -> Iterator[Watched]:
    port, own = free_port(), free_port()
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(SECRET)
    file, log, scrape = folder / "config.toml", folder / "log", folder / "prometheus.yml"
    file.write_text(CONFIGURATION.format(tcp=free_port(), port=port, hash=hashed))
    scrape.write_text(SCRAPE.format(secret=SECRET, port=port))
    daemon = Child(
        [PROGRAM, "serve", "--config", file, "--data", folder], output=log, folder=folder
    )
    prometheus = Child(
        [
            "/usr/bin/prometheus",
            f"--config.file={scrape}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address=127.0.0.1:{own}",
        ],
        output=folder / "prometheus.log",
        folder=folder,
    )
    try:
        made = Watched(folder, own)
        prometheus.wait_until(made.is_up, within_seconds=30)
        yield made
        assert daemon.terminate() == 0
    finally:
        prometheus.kill()
        daemon.kill()
    assert "Traceback" not in log.read_text()
    assert SECRET not in log.read_text()


def fail(watched: Watched, times: int) -> None:
    for _ in range(times):
        words = ("--address", "203.0.113.9", "--login", "jdoe", "--service", "webmail")
        watched.cli("report", "failure", *words)


def test_prometheus_sees_what_happens(watched: Watched) -> None:
    fail(watched, 3)
    failed = 'mailward_attempts_total{service="external",outcome="failed"} == 3'
    eventually(lambda: watched.query(failed), "three failures are seen")
    (banned,) = watched.query('mailward_bans{kind="address",reason="authentication"}')
    assert banned["value"][1] == "1"
    assert watched.query('mailward_backend_up{backend="nobody"}')[0]["value"][1] == "0"
    every = {metric.name for metric in METRICS} - {"mailward_attempts_observed_total"}
    seen = {sample["metric"]["__name__"] for sample in watched.query('{job="mailward"}')}
    assert every <= seen


def test_prometheus_can_answer_every_query_of_the_board(watched: Watched) -> None:
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "1m")
            watched.query(expression.replace("$instance", ".*"))


def test_promtool_finds_nothing_to_say_about_the_metrics(watched: Watched) -> None:
    fail(watched, 3)
    done = subprocess.run(
        ["/usr/bin/promtool", "check", "metrics"],
        input=watched.metrics(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
