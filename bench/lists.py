"""A million bans and 100,000 blocked networks: start, reload, why, and long lists by the page.

The bans stand in the store, the networks in the configuration file, each in a line of its own.
Size: a hundredth, a tenth and all of them.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.harness.bans import BANNED, networks, put_bans
from bench.harness.daemon import PROGRAM, Daemon
from bench.harness.figures import Goal, Line, Of
from bench.harness.pinger import Pinger
from bench.harness.script import Extent, run
from tests.real.processes import private_folder

BANS = 10_000  # at size 1
NETWORKS = 1_000
PAGE = 100
_SECONDS = 120


def configuration(count: int) -> str:
    lines = "".join(f'"{network}" = "scanner"\n' for network in networks(count))
    return f"[server.security.blocked-networks]\n{lines}"


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def reload(daemon: Daemon) -> tuple[float, float]:
    """The seconds of a reload that changes nothing, and the longest gap meanwhile in ms."""
    with Pinger(daemon.socket) as pinger:
        took = seconds(partial(_reload, daemon))
    return took, pinger.longest_ms


def _reload(daemon: Daemon) -> None:
    status, said = daemon.ask("POST", "/api/reload")
    if status != http.client.OK:
        raise ValueError(f"not reloaded: {status} {said[:200]!r}")


def command(daemon: Daemon, *words: str) -> None:
    subprocess.run(
        [PROGRAM, "--data", daemon.data, *words],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=_SECONDS,
    )


def measure(extent: Extent) -> Iterator[Line]:
    for size in extent.sizes:
        with private_folder() as folder:
            yield from _measure(extent, folder, BANS * size, NETWORKS * size)


def _measure(extent: Extent, folder: Path, bans: int, blocked: int) -> Iterator[Line]:
    times = range(extent.runs)
    daemon = Daemon(folder / "door", configuration(blocked))
    put_bans(daemon.database, bans)
    work = f"{bans:,} bans, {blocked:,} networks"
    starts = []
    for _ in times:
        starts.append(seconds(daemon.start))
        daemon.stop()
    yield Line("lists", f"{work}: start until it answers", "s", tuple(starts))
    daemon.start()
    try:
        reloads = [reload(daemon) for _ in times]
        yield Line("lists", f"{work}: reload", "s", tuple(took for took, _ in reloads))
        gaps = tuple(gap for _, gap in reloads)
        yield Line("lists", f"{work}: longest gap at reload", "ms", gaps, goals=_under(50.0))
        for name, subject in (("a ban", BANNED[0]), ("a network", str(next(networks(1))))):
            path = f"/api/why/{subject}"
            told = tuple(seconds(partial(daemon.told, path)) * 1e3 for _ in times)
            yield Line("lists", f"{work}: why {name}", "ms", told, goals=_under(50.0))
        page = partial(daemon.told, f"/api/bans?limit={PAGE}")
        took = tuple(seconds(page) * 1e3 for _ in times)
        yield Line("lists", f"{work}: a page of {PAGE} bans, API", "ms", took)
        words = ("bans", "--limit", str(PAGE))
        took = tuple(seconds(partial(command, daemon, *words)) * 1e3 for _ in times)
        yield Line("lists", f"{work}: a page of {PAGE} bans, command", "ms", took)
        with Pinger(daemon.socket) as pinger:
            took = tuple(seconds(partial(command, daemon, "bans", "--json")) for _ in times[:1])
        yield Line("lists", f"{work}: all bans, command", "s", took)
        longest = (pinger.longest_ms,)
        yield Line(
            "lists", f"{work}: longest gap while all are listed", "ms", longest, goals=_under(50.0)
        )
    finally:
        daemon.stop()


def _under(milliseconds: float) -> tuple[Goal, ...]:
    return (Goal(Of.OURS, milliseconds),)


if __name__ == "__main__":
    sys.exit(run("lists", __doc__.splitlines()[0], measure))
