"""Row 6: restart with many bans, until the first connection is judged.

Wall time from the start of the process until a banned address is dropped at its door. fail2ban is
given as many bans in its database; it is done when its jail holds all of them. Size: 10,000 bans
and ten and a hundred times that, and the 50,000 of the goal.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.harness.bans import BANNED, put_bans
from bench.harness.daemon import READY_SECONDS, Daemon
from bench.harness.fail2ban import Fail2ban, put_their_bans
from bench.harness.figures import Goal, Line, Of
from bench.harness.script import Extent, run, side_by_side
from tests.real.processes import eventually, free_port, private_folder

BANS = 10_000  # at size 1
GOALS = {10_000: 1.0, 50_000: 1.0, 1_000_000: 6.0}  # seconds
MOST_OF_THEIRS = 50_000  # beyond that fail2ban takes minutes
QUICK_OF_THEIRS = 10_000

_CONFIGURATION = """\
[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:{port}"]
backend = "nobody"
[backend.nobody]
address = "127.0.0.1:9"
"""


def ours_until_judged(daemon: Daemon, port: int) -> float:
    began = time.perf_counter()
    daemon.launch()
    try:
        eventually(
            partial(_is_dropped, port), "a banned address is dropped", within_seconds=READY_SECONDS
        )
        return time.perf_counter() - began
    finally:
        daemon.stop()


def _is_dropped(port: int) -> bool:
    """Whether somebody listens, and has nothing to say to a banned address."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5, (BANNED[0], 0)) as line:
            return not line.recv(1)
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        return True


def theirs_until_restored(folder: Path, bans: int) -> float:
    log = folder / "dovecot.log"
    log.touch()
    peer = Fail2ban(folder / "fail2ban", log, 100, appends=False)
    if not peer.database.exists():
        peer.start()
        peer.stop()
        put_their_bans(peer.database, bans)
    began = time.perf_counter()
    peer.launch()
    try:
        eventually(
            lambda: (peer.bans() or 0) >= bans,
            "all bans are restored",
            within_seconds=READY_SECONDS,
        )
        return time.perf_counter() - began
    finally:
        peer.stop()


def measure(extent: Extent) -> Iterator[Line]:
    most = QUICK_OF_THEIRS if extent.quick else MOST_OF_THEIRS
    wanted = {BANS * size for size in extent.sizes}
    for bans in sorted(wanted if extent.quick else wanted | {MOST_OF_THEIRS}):
        with private_folder() as folder:
            port = free_port()
            daemon = Daemon(folder / "door", _CONFIGURATION.format(port=port))
            put_bans(daemon.database, bans)
            compared = min(bans, most)
            ours, theirs = side_by_side(
                extent.runs,
                partial(ours_until_judged, daemon, port),
                partial(theirs_until_restored, folder, compared),
            )
        yield Line(
            "6",
            f"restart with {bans:,} bans",
            "s",
            ours,
            "fail2ban" if compared == bans else f"fail2ban, {compared:,}",
            theirs,
            (Goal(Of.OURS, GOALS[bans]),) if bans in GOALS else (),
        )


if __name__ == "__main__":
    sys.exit(run("rows.restart", __doc__.splitlines()[0], measure))
