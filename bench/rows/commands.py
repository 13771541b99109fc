"""Row 11: how long a command takes, from the shell's point of view.

Wall time of the whole process: that is what an operator waits for. A Python that does nothing is
shown beside it, since that much is the interpreter's own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.harness.bans import put_bans
from bench.harness.daemon import PROGRAM, Daemon
from bench.harness.figures import Goal, Line, Of
from bench.harness.script import Extent, run, side_by_side
from tests.real.processes import private_folder

BANS = 10
TURNS = 5  # commands a run; the shortest counts, for others only waited for the machine
_SECONDS = 20


def milliseconds(*command: str | Path) -> float:
    """The shortest of some turns."""
    turns = []
    for _ in range(TURNS):
        before = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
        turns.append((time.perf_counter() - before) * 1e3)
    return min(turns)


def measure(extent: Extent) -> Iterator[Line]:
    nothing = partial(milliseconds, sys.executable, "-c", "pass")
    with private_folder() as folder:
        daemon = Daemon(folder / "door", "")
        put_bans(daemon.database, BANS)
        daemon.start()
        try:
            for work, words, limit in (
                ("mailward --help", ["--help"], 100.0),
                ("mailward bans, 10 bans", ["--data", str(daemon.data), "bans"], 150.0),
            ):
                ours, theirs = side_by_side(
                    extent.runs, partial(milliseconds, PROGRAM, *words), nothing
                )
                goals = (Goal(Of.OURS, limit),)
                yield Line("11", work, "ms", ours, "python -c pass", theirs, goals)
        finally:
            daemon.stop()


if __name__ == "__main__":
    sys.exit(run("rows.commands", __doc__.splitlines()[0], measure))
