"""A mixed load for so many minutes: does anything grow?

Good users who log in over TLS, read and leave; attackers with wrong passwords who get banned, come
back and are dropped; operators who look, ban and lift. Every ten seconds the daemon's memory,
descriptors and connections are written down. What counts is the growth from the end of a warm-up
(a sixth of the time, at most ten minutes) to the end. Not part of the table: it takes its time.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from bench.harness.clients import Place, RefusedError, sources
from bench.harness.daemon import Daemon
from bench.harness.doors import configuration
from bench.harness.figures import Goal, Line, Of, percentile, to_json
from bench.harness.guesser import Attack
from bench.harness.machine import circumstances
from bench.harness.peers import Way, certificate
from bench.harness.script import RESULTS
from bench.harness.usage import cpu_seconds, descriptors, rss_octets
from bench.table import lines_table
from tests.real.processes import private_folder
from tests.real.servers import Dovecot, running

SAMPLE_SECONDS = 10.0
WARM_UP_SHARE = 6
MOST_WARM_UP_SECONDS = 600.0
LIMIT = "5/1h"
_PAUSE_SECONDS = 0.02  # of each good user, between two sessions
_OPERATORS_PAUSE_SECONDS = 1.0
_QUIET = "auth_verbose = no\nauth_debug = no\n"


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment."""

    at: float
    memory_mb: float
    descriptors: int
    waiting_or_in: int
    cpu_seconds: float
    logins: int
    bans: int


class Load:
    """All who come, until *over* is set. *faults* are what none of them should ever see."""

    def __init__(self, daemon: Daemon, good: Place, bad: Place) -> None:
        self.over = threading.Event()
        self.logins = 0
        self.faults: list[str] = []
        self._daemon, self._good, self._bad = daemon, good, bad
        self._victims = count()
        self._sources = sources()

    def parts(self) -> Sequence[Callable[[], None]]:
        return (self.be_good, self.be_good, self.attack, self.operate)

    def be_good(self) -> None:
        while not self.over.wait(_PAUSE_SECONDS):
            try:
                line = self._good.log_in("127.3.0.1")
                line.sendall(b"n NOOP\r\n")
                line.recv(4_096)
                self._good.leave(line)
                self.logins += 1
            except (OSError, RefusedError) as error:
                self.faults.append(f"good user: {error!r}")

    def attack(self) -> None:
        while not self.over.is_set():
            # The last one is dropped: it is banned now.
            Attack(self._bad.port, next(self._sources)).run(4, self.over.is_set)

    def operate(self) -> None:
        while not self.over.wait(_OPERATORS_PAUSE_SECONDS):
            number = next(self._victims)
            try:
                self._daemon.told("/api/status")
                self._daemon.told("/api/bans?limit=100")
                body = {"subjects": [f"198.51.100.{number % 250}"], "for": "1m"}
                self._daemon.ask("POST", "/api/bans", body)
                if number % 30 == 0:
                    self._daemon.ask("POST", "/api/reload")
            except (OSError, ValueError) as error:
                self.faults.append(f"operator: {error!r}")


def soak(minutes: float) -> tuple[list[Sample], list[str]]:
    """What was seen, and what should not have been."""
    with private_folder() as folder:
        pair = certificate(folder)
        dovecot = Dovecot(folder, {"alice": "secret"}, more=_QUIET)
        over_tls, plain = Way(dovecot.port, tls=True), Way(dovecot.port)
        text = configuration([over_tls, plain], pair, f'fail2ban = "{LIMIT}"')
        daemon = Daemon(folder / "door", text)
        with running(dovecot, daemon):
            daemon.wait_for_backends()
            load = Load(daemon, Place(over_tls.port, tls=pair.client()), Place(plain.port))
            with ThreadPoolExecutor() as pool:
                working = [pool.submit(part) for part in load.parts()]
                try:
                    samples = list(_samples(daemon, load, minutes * 60))
                finally:
                    load.over.set()
                for part in working:
                    part.result()
        return samples, load.faults


def _samples(daemon: Daemon, load: Load, duration: float) -> Iterator[Sample]:
    began = time.monotonic()
    while time.monotonic() - began < duration:
        time.sleep(min(SAMPLE_SECONDS, duration / 12))
        status = daemon.told("/api/status")
        yield Sample(
            round(time.monotonic() - began, 1),
            rss_octets(daemon.child) / 1e6,
            descriptors(daemon.child.members()[-1]),
            status["under_way"],
            cpu_seconds(daemon.child),
            load.logins,
            status["bans"]["all"],
        )


def lines(samples: Sequence[Sample], faults: Sequence[str]) -> Iterator[Line]:
    """What has grown since the warm-up: medians of the first and the last sixth after it."""
    end = samples[-1].at
    settled = [one for one in samples if one.at >= min(end / WARM_UP_SHARE, MOST_WARM_UP_SECONDS)]
    share = max(1, len(settled) // WARM_UP_SHARE)
    first, last = settled[:share], settled[-share:]
    work = f"soak of {end / 60:.0f} min, {samples[-1].logins:,} logins, {samples[-1].bans:,} bans"
    new_bans = max(1, last[-1].bans - first[0].bans)

    def growth(of: Callable[[Sample], float]) -> float:
        return percentile([of(one) for one in last], 0.5) - percentile(
            [of(one) for one in first], 0.5
        )

    memory = growth(lambda one: one.memory_mb)
    yield Line("soak", f"{work}: memory grown", "MB", (memory,))
    yield Line("soak", f"{work}: memory grown for each new ban", "kB", (memory * 1e3 / new_bans,))
    grown = (growth(lambda one: one.descriptors),)
    yield Line("soak", f"{work}: descriptors grown", "", grown, goals=(Goal(Of.OURS, 5.0),))
    found = (float(len(faults)),)
    note = "; ".join(list(dict.fromkeys(faults))[:3])
    goals = (Goal(Of.OURS, 0.0),)
    yield Line("soak", f"{work}: faults met by good users", "", found, goals=goals, note=note)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the raw figures")
    given = parser.parse_args()
    samples, faults = soak(given.minutes)
    told = list(lines(samples, faults))
    kept = circumstances() | {
        "minutes": given.minutes,
        "lines": [to_json(line) for line in told],
        "samples": [asdict(sample) for sample in samples],
    }
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / "soak.json").write_text(json.dumps(kept, indent=1) + "\n")
    print(lines_table(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
