"""Row 3: settle failures of 100,000 addresses against 20,000 logins, the store on.

Ours is the guard in a process of its own: screen, settle, judge, log line, store. The peer is
fail2ban, told the same failures by a Dovecot log. It counts by address alone, ours by login too.
What counts are failures for each second of processor time, and the peak of memory. Size: 20,000
failures, ten and fifty times that.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.harness.attempts import ADDRESSES, LOGINS, attempts
from bench.harness.fail2ban import Fail2ban
from bench.harness.figures import Goal, Line, Of
from bench.harness.log import dovecot_lines
from bench.harness.script import Extent, run, side_by_side
from bench.harness.usage import cpu_seconds, peak_octets
from tests.real.processes import private_folder

FAILURES = 20_000  # at size 1
MOST_FAILURES = 1_000_000  # at size 100: none reaches its limit before
LIMIT = 100
MOST_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Settled:
    """One side's run."""

    cpu_rate: float
    wall_rate: float
    peak_mb: float


def settle_ours(count: int) -> Settled:
    with private_folder() as folder, (folder / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-m", "bench.harness.settling", folder, str(count)],
            stdout=subprocess.PIPE,
            stderr=log,
            check=True,
            timeout=MOST_SECONDS,
        )
    told = json.loads(done.stdout)
    if told["refused"]:
        raise ValueError(f"{told['refused']:.0f} attempts were refused: the work is another one")
    return Settled(count / told["cpu"], count / told["wall"], told["peak"] / 1e6)


def settle_theirs(count: int) -> Settled:
    with private_folder() as folder:
        log = folder / "dovecot.log"
        log.touch()
        peer = Fail2ban(folder / "fail2ban", log, LIMIT)
        try:
            peer.start()
            text = dovecot_lines(attempts(count))
            cpu, wall = cpu_seconds(peer.child), time.perf_counter()
            _append(log, text)
            peer.wait_for_failures(count, MOST_SECONDS)
            wall = time.perf_counter() - wall
            cpu = cpu_seconds(peer.child) - cpu
            return Settled(count / cpu, count / wall, peak_octets(peer.child.pid) / 1e6)
        finally:
            peer.stop()


def _append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def measure(extent: Extent) -> Iterator[Line]:
    for size in extent.sizes:
        count = min(FAILURES * size, MOST_FAILURES)
        runs = 1 if count == MOST_FAILURES else extent.runs  # it takes minutes
        ours, theirs = side_by_side(
            runs, partial(settle_ours, count), partial(settle_theirs, count)
        )
        yield from _lines(count, ours, theirs)


def _lines(count: int, ours: Sequence[Settled], theirs: Sequence[Settled]) -> Iterator[Line]:
    work = f"settle {count:,} failures, {ADDRESSES:,} addresses, {LOGINS:,} logins"
    yield Line(
        "3",
        f"{work}: rate",
        "/s of CPU",
        tuple(one.cpu_rate for one in ours),
        "fail2ban",
        tuple(one.cpu_rate for one in theirs),
        (Goal(Of.RATIO, 10.0, at_least=True),),
    )
    yield Line(
        "3",
        f"{work}: rate by the clock",
        "/s",
        tuple(one.wall_rate for one in ours),
        "fail2ban",
        tuple(one.wall_rate for one in theirs),
    )
    yield Line(
        "3",
        f"{work}: peak memory",
        "MB",
        tuple(one.peak_mb for one in ours),
        "fail2ban",
        tuple(one.peak_mb for one in theirs),
        (Goal(Of.RATIO, 0.5),),
    )


if __name__ == "__main__":
    sys.exit(run("rows.settle", __doc__.splitlines()[0], measure))
