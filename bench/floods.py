"""Good users in floods: of banned addresses, of silent connections, of made-up logins.

The first: 100 good users log in over TLS, one after the other, while two C programs connect from
banned addresses as fast as they can. The second: as many silent connections as there is room for
wait from many addresses, and good users come. The third: reports of failures of made-up logins
from 100,000 addresses, more than are tracked; what is tracked stays bounded, and the loop's longest
gap (see harness/pinger.py) is measured.
"""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from bench.harness.attempts import ADDRESSES, attempts
from bench.harness.bans import BANNED, put_bans
from bench.harness.clients import Place, log_in_often, sources
from bench.harness.compiled import compiled
from bench.harness.daemon import Daemon, OverSocket
from bench.harness.doors import configuration
from bench.harness.figures import Goal, Line, Of, percentile
from bench.harness.peers import Way, certificate, mailbox
from bench.harness.pinger import Pinger
from bench.harness.script import Extent, run, side_by_side
from bench.harness.usage import rss_octets
from tests.real.processes import free_port, private_folder
from tests.real.servers import running

GOOD_USERS = 100
SILENT = 90  # at size 1
QUICK_SILENT = 500
MADE_UP = 10_000  # at size 1
QUICK_MADE_UP = 10_000
MANY = 1_000_000  # once is enough: it takes minutes
FLOOD_SECONDS = 60.0
MAX_TRACKED_SHARE = 10  # one in so many of the made-up logins can be tracked
AT_ONCE = 64
_BITE = 1_000
_SPARE_DESCRIPTORS = 500
_ENDLESS = 1_000_000_000


@contextmanager
def a_door(folder: Path, security: str = "") -> Iterator[tuple[Daemon, Place]]:
    """A daemon with an IMAP door over TLS, before a backend that believes everybody."""
    pair, backend = certificate(folder), free_port()
    way = Way(backend, tls=True)
    daemon = Daemon(folder / "door", configuration([way], pair, security))
    put_bans(daemon.database, len(BANNED))
    with running(mailbox(folder, backend), daemon):
        daemon.wait_for_backends()
        yield daemon, Place(way.port, tls=pair.client())


def _ms(place: Place, users: int = GOOD_USERS) -> tuple[float, float]:
    """Median and 99th of a hundred good users."""
    took = log_in_often(place, users)
    return percentile(took, 0.5) * 1e3, percentile(took, 0.99) * 1e3


# -- banned addresses ------------------------------------------------------------------------------


def flooded(extent: Extent) -> Iterator[Line]:
    users = GOOD_USERS // 2 if extent.quick else GOOD_USERS * 5
    with private_folder() as folder, a_door(folder) as (_, place):
        program = compiled("flood", folder)
        rates: list[float] = []

        def in_flood() -> tuple[float, float]:
            with _flood(program, place.port, rates):
                return _ms(place, users)

        ours, theirs = side_by_side(extent.runs, in_flood, partial(_ms, place, users))
    rate = f"{percentile(rates, 0.5):,.0f} connections/s were dropped meanwhile"
    for name, which in (("median", 0), ("99th of a hundred", 1)):
        yield Line(
            "floods",
            f"login over TLS in a flood of banned addresses, {name}",
            "ms",
            tuple(run[which] for run in ours),
            "without it",
            tuple(run[which] for run in theirs),
            note=rate,
        )


@contextmanager
def _flood(program: Path, port: int, rates: list[float]) -> Iterator[None]:
    """Two floods until the end of the block; what both reached is added to *rates*."""
    flooding = [
        subprocess.Popen(
            [program, str(port), source, str(_ENDLESS), str(FLOOD_SECONDS), str(AT_ONCE)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for source in BANNED
    ]
    try:
        yield
    finally:
        for one in flooding:
            one.terminate()
        told = [one.communicate()[0].split() for one in flooding]
    rates.append(sum(int(closed) / float(seconds) for closed, seconds in told))


# -- silent connections ----------------------------------------------------------------------------


def silenced(extent: Extent) -> Iterator[Line]:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    for size in extent.sizes:
        count = min(QUICK_SILENT if extent.quick else SILENT * size, limit - _SPARE_DESCRIPTORS)
        with private_folder() as folder, a_door(folder, 'login-timeout = "10m"') as (_, place):

            def among_silent(place: Place = place, count: int = count) -> tuple[float, float]:
                with ExitStack() as stack:
                    for source in islice(sources(), count):
                        line = socket.create_connection(("127.0.0.1", place.port), 20, (source, 0))
                        stack.enter_context(closing(line))
                    return _ms(place)

            ours, theirs = side_by_side(extent.runs, among_silent, partial(_ms, place))
        for name, which in (("median", 0), ("99th of a hundred", 1)):
            yield Line(
                "floods",
                f"login over TLS beside {count:,} silent connections, {name}",
                "ms",
                tuple(run[which] for run in ours),
                "without them",
                tuple(run[which] for run in theirs),
            )


# -- made-up logins --------------------------------------------------------------------------------


def made_up(extent: Extent) -> Iterator[Line]:
    for size in extent.sizes:
        count = QUICK_MADE_UP if extent.quick else MADE_UP * size
        told = [_made_up_once(count) for _ in range(extent.runs if count < MANY else 1)]
        tracked, gaps, memory = zip(*told, strict=True)
        most = max(1_000, count // MAX_TRACKED_SHARE)
        work = f"{count:,} made-up logins, {min(count, ADDRESSES):,} addresses"
        yield Line(
            "floods",
            f"{work}: tracked of a kind",
            "subjects",
            tracked,
            goals=(Goal(Of.OURS, most),),
        )
        yield Line("floods", f"{work}: longest gap", "ms", gaps, goals=(Goal(Of.OURS, 50.0),))
        yield Line("floods", f"{work}: memory", "MB", memory)


def _made_up_once(count: int) -> tuple[float, float, float]:
    """How many are tracked at the end, the longest gap in ms, the memory in MB.

    Raises:
        ValueError: an old victim, with more failures than the rest, had to go before them.
    """
    most = max(1_000, count // MAX_TRACKED_SHARE)
    with private_folder() as folder, a_door(folder, f"max-tracked = {most}") as (daemon, _):
        victim = [("198.51.100.7", "victim@example.org")] * 3
        _report(daemon, victim)
        with Pinger(daemon.socket) as pinger:
            names = (f"made-up-{number}" for number in range(count))
            _report(
                daemon,
                ((address, n) for (address, _), n in zip(attempts(count), names, strict=True)),
            )
        counted: dict[str, int] = daemon.told("/api/status")["counted"]
        why = daemon.told("/api/why/login:victim@example.org")
        if why["count"] < len(victim):
            raise ValueError(f"the victim was forgotten: {why}")
        return float(max(counted.values())), pinger.longest_ms, rss_octets(daemon.child) / 1e6


def _report(daemon: Daemon, who: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> None:
    """Tell of failures, a thousand with each request."""
    left = iter(who)
    line = OverSocket(daemon.socket)
    try:
        while bite := list(islice(left, _BITE)):
            reports = [
                {"address": address, "login": login, "service": "vpn"} for address, login in bite
            ]
            line.request(
                "POST",
                "/api/failures",
                json.dumps({"reports": reports}),
                {"Content-Type": "application/json"},
            )
            answer = line.getresponse()
            said = answer.read()
            if answer.status >= 300:
                raise ValueError(f"reports: {answer.status} {said[:200]!r}")
    finally:
        line.close()


def measure(extent: Extent) -> Iterator[Line]:
    yield from flooded(extent)
    yield from silenced(extent)
    yield from made_up(extent)


if __name__ == "__main__":
    sys.exit(run("floods", __doc__.splitlines()[0], measure))
