"""Row 1: drop the connections of a banned address at accept.

Two flooding C programs from two banned addresses against an IMAP door, and against a C program
that does nothing but accept and close. What counts is the *server's* processor time for each
connection, so the flood need not be faster than the server; it is: its rate against the C program
stands in the notes. Size: the length of the flood; and the number of bans.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.harness.bans import BANNED, put_bans
from bench.harness.compiled import compiled
from bench.harness.daemon import Daemon
from bench.harness.figures import Goal, Line, Of, median
from bench.harness.script import Extent, run, side_by_side
from bench.harness.usage import cpu_seconds
from tests.real.processes import Child, answers, free_port, private_folder

CONNECTIONS = 5_000  # of each of the two, at size 1
BANS = 1_000  # at size 1
AT_ONCE = 64
MOST_SECONDS = 120

_CONFIGURATION = """\
[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:{port}"]
backend = "nobody"
[backend.nobody]
address = "127.0.0.1:9"
"""


@dataclass(frozen=True, slots=True)
class Dropped:
    """How one flood ended."""

    cpu_us: float
    per_second: float


def flood(program: Path, server: Child, port: int, connections: int) -> Dropped:
    """Two floods at once, from the two banned addresses."""
    before = cpu_seconds(server)
    flooding = [
        subprocess.Popen(
            [program, str(port), source, str(connections), str(MOST_SECONDS), str(AT_ONCE)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for source in BANNED
    ]
    told = [one.communicate(timeout=2 * MOST_SECONDS)[0].split() for one in flooding]
    closed = sum(int(words[0]) for words in told)
    seconds = max(float(words[1]) for words in told)
    if closed < connections * len(BANNED):
        raise ValueError(f"only {closed} connections were dropped in time")
    return Dropped((cpu_seconds(server) - before) / closed * 1e6, closed / seconds)


def measure(extent: Extent) -> Iterator[Line]:
    with private_folder() as folder:
        program = compiled("flood", folder)
        port, their_port = free_port(), free_port()
        minimal = Child(
            [compiled("accept_close", folder), str(their_port)],
            output=folder / "output",
            folder=folder,
        )
        try:
            minimal.wait_until(lambda: answers(their_port))
            for size in extent.sizes:
                for bans, connections in _works(size):
                    daemon = Daemon(
                        folder / f"door-{size}-{bans}", _CONFIGURATION.format(port=port)
                    )
                    put_bans(daemon.database, bans)
                    daemon.start()
                    try:
                        ours, theirs = side_by_side(
                            extent.runs,
                            partial(flood, program, daemon.child, port, connections),
                            partial(flood, program, minimal, their_port, connections),
                        )
                    finally:
                        daemon.stop()
                    yield _line(f"{2 * connections:,} connections, {bans:,} bans", ours, theirs)
        finally:
            minimal.kill()


def _works(size: int) -> Iterator[tuple[int, int]]:
    """Numbers of bans, and of connections of each flooder."""
    yield BANS, CONNECTIONS * size
    if size > 1:
        yield BANS * size, CONNECTIONS


def _line(work: str, ours: tuple[Dropped, ...], theirs: tuple[Dropped, ...]) -> Line:
    rates = [median([one.per_second for one in side]) or 0.0 for side in (ours, theirs)]
    return Line(
        "1",
        f"drop at accept, {work}",
        "us",
        tuple(one.cpu_us for one in ours),
        "C program",
        tuple(one.cpu_us for one in theirs),
        (Goal(Of.RATIO, 1.5),),
        f"processor time of the server a connection; {rates[0]:,.0f}/s came to the door,"
        f" {rates[1]:,.0f}/s to the C program",
    )


if __name__ == "__main__":
    sys.exit(run("rows.drop", __doc__.splitlines()[0], measure))
