"""Every line that `make run DEMO=1` prints does what is said of it, when it is pasted."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.daemon import PROGRAM
from tests.real.processes import Child, free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def printed(tmp_path: Path) -> Iterator[str]:
    """What the demo prints for doors at ports of their own, which are open."""
    text = (ROOT / "examples/loopback.toml").read_text()
    for port in sorted(set(re.findall(r":(\d{4,5})\"", text))):
        text = text.replace(f':{port}"', f':{free_port()}"')
    (tmp_path / "c.toml").write_text(text)
    subprocess.run([sys.executable, "-m", "mailward.app.selfsigned", str(tmp_path)], check=True)
    demo = [sys.executable, "examples/demo.py", str(tmp_path / "c.toml"), str(tmp_path)]
    said = subprocess.run(demo, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    serve = [str(PROGRAM), "serve", "--config", str(tmp_path / "c.toml"), "--data", str(tmp_path)]
    log = tmp_path / "log"
    log.touch()
    daemon = Child(serve, output=log, folder=tmp_path)
    try:
        daemon.wait_until(lambda: "next:" in log.read_text())
        yield said
    finally:
        daemon.terminate()


def test_the_lines_of_the_demo_work_as_they_are_printed(printed: str) -> None:
    alice = re.search(r"account alice, password (\S+)", printed)
    assert alice is not None
    lines = [line.partition("    # ")[0] for line in printed.splitlines()]
    ask = " --passwordfd 0 --list"  # where a terminal would be asked
    sieve = next(line for line in lines if line.startswith("sieve-connect"))
    scripts = shell(sieve + ask, typed=alice[1])
    assert (scripts.returncode, scripts.stderr) == (0, "")
    curls = [line for line in lines if "curl" in line]
    assert len(curls) == 3
    answers = [shell(line) for line in curls]
    assert [answer.returncode for answer in answers] == [0, 0, 0]
    assert "how are you?" in answers[1].stdout
    assert '"username": "alice"' in answers[2].stdout.replace('":"', '": "')


def shell(line: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=ROOT,
        input=typed + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
