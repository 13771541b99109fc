"""Row 5: memory of tracked subjects with one failure each, and of bans.

The whole daemon, started with a store that holds them: its resident memory, all told. fail2ban is
told one failure of as many addresses by a log, and gets its bans from its database; beyond 50,000
of those it takes minutes, so there both are compared by what one ban costs. Size: 10,000 of each,
ten and a hundred times that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from bench.harness.bans import put_bans, put_failures
from bench.harness.daemon import Daemon
from bench.harness.fail2ban import Fail2ban, put_their_bans
from bench.harness.figures import Goal, Line, Of
from bench.harness.log import dovecot_lines
from bench.harness.script import Extent, run, side_by_side
from bench.harness.usage import rss_octets
from tests.real.processes import eventually, private_folder

COUNT = 10_000  # at size 1
THE_GOALS_COUNT = 1_000_000
MOST_OF_THEIR_BANS = 50_000
MOST_SECONDS = 900
_BITE = 50_000


def our_octets(put: Callable[[Path, int], None], count: int) -> int:
    """The resident memory of a daemon that has started with *count* of what *put* puts."""
    with private_folder() as folder:
        daemon = Daemon(folder / "door", "")
        put(daemon.database, count)
        daemon.start()
        try:
            return rss_octets(daemon.child)
        finally:
            daemon.stop()


def their_tracking_octets(count: int) -> int:
    with private_folder() as folder:
        log = folder / "dovecot.log"
        log.touch()
        peer = Fail2ban(folder / "fail2ban", log, failures=100)
        try:
            peer.start()
            first = int(IPv4Address("11.0.0.0"))
            for start in range(0, count, _BITE):
                some = range(start, min(start + _BITE, count))
                lines = dovecot_lines((str(IPv4Address(first + n)), f"user{n}") for n in some)
                with log.open("a") as file:
                    file.write(lines)
                peer.wait_for_failures(some.stop, MOST_SECONDS)
            return rss_octets(peer.child)
        finally:
            peer.stop()


def their_bans_octets(count: int) -> int:
    with private_folder() as folder:
        log = folder / "dovecot.log"
        log.touch()
        peer = Fail2ban(folder / "fail2ban", log, failures=100, appends=False)
        try:
            peer.start()
            peer.stop()
            put_their_bans(peer.database, count)
            peer.start()
            eventually(
                lambda: (peer.bans() or 0) >= count, "all restored", within_seconds=MOST_SECONDS
            )
            return rss_octets(peer.child)
        finally:
            peer.stop()


def measure(extent: Extent) -> Iterator[Line]:
    our_bare, their_bare = our_octets(put_bans, 0), their_tracking_octets(0)
    for size in extent.sizes:
        count = COUNT * size
        goals = (Goal(Of.OURS, 300.0),) if count == THE_GOALS_COUNT else ()
        # Memory hardly differs from run to run, and a million lines take fail2ban minutes.
        runs = 1 if count == THE_GOALS_COUNT else extent.runs
        ours, theirs = side_by_side(
            runs, partial(our_octets, put_failures, count), partial(their_tracking_octets, count)
        )
        yield Line(
            "5",
            f"memory of {count:,} tracked subjects",
            "MB",
            tuple(octets / 1e6 for octets in ours),
            "fail2ban",
            tuple(octets / 1e6 for octets in theirs),
            goals,
        )
        theirs_count = min(count, MOST_OF_THEIR_BANS)
        ours, theirs = side_by_side(
            runs, partial(our_octets, put_bans, count), partial(their_bans_octets, theirs_count)
        )
        yield Line(
            "5",
            f"memory of {count:,} bans",
            "MB",
            tuple(octets / 1e6 for octets in ours),
            goals=goals,
        )
        yield Line(
            "5",
            f"memory a ban, {count:,} bans",
            "B",
            tuple((octets - our_bare) / count for octets in ours),
            "fail2ban" if theirs_count == count else f"fail2ban, {theirs_count:,}",
            tuple((octets - their_bare) / theirs_count for octets in theirs),
        )


if __name__ == "__main__":
    sys.exit(run("rows.memory", __doc__.splitlines()[0], measure))
