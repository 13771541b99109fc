"""``python -m bench.run``: every script of the table, one after the other, and then the table.

A script that fails or takes too long has its line in the table, and the others go on.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.harness.script import RESULTS
from bench.table import ROWS, lines_table, read_results

MOST_SECONDS = 3_600
MOST_SECONDS_QUICK = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="All measurements.")
    parser.add_argument("--quick", action="store_true", help="in less than three minutes")
    parser.add_argument("--results", type=Path, help="folder for the raw figures")
    given = parser.parse_args()
    folder: Path = given.results or RESULTS / ("quick" if given.quick else "full")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    began = time.monotonic()
    for script in ROWS:
        print(f"{script} ({time.monotonic() - began:.0f} s so far)", file=sys.stderr, flush=True)
        _run(script, folder, quick=given.quick)
    print(lines_table(read_results(folder)))
    print(f"\n{time.monotonic() - began:.0f} s; the figures of every run are in {folder}")
    return 0


def _run(script: str, folder: Path, *, quick: bool) -> None:
    command = [sys.executable, "-m", f"bench.{script}", "--results", str(folder)]
    running = subprocess.Popen(
        [*command, "--quick"] if quick else command,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        running.wait(MOST_SECONDS_QUICK if quick else MOST_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"{script}: took too long", file=sys.stderr)
        running.send_signal(signal.SIGINT)  # as Ctrl-C: it ends what it started
        running.wait()
    except KeyboardInterrupt:
        os.killpg(running.pid, signal.SIGINT)
        running.wait()
        raise


if __name__ == "__main__":
    sys.exit(main())
