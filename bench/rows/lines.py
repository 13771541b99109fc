"""Row 12: short lines of FETCH through a session that is logged in, plaintext.

A FETCH of flags is lines of some forty octets, which cost whoever reads them. What counts is the
door's processor time for each GB, beside the same door with a pump that reads nothing at all
(``harness/unwatched.py``). Size: 1 is 64 MB, and there is one run of 1 GB.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.harness import unwatched
from bench.harness.clients import Place
from bench.harness.daemon import Daemon
from bench.harness.doors import configuration
from bench.harness.figures import Goal, Line, Of
from bench.harness.peers import Way, certificate, mailbox
from bench.harness.script import Extent, run, side_by_side
from bench.harness.usage import cpu_seconds
from tests.real.processes import Child, free_port, private_folder
from tests.real.servers import running

UNIT_OCTETS = 64 * 2**20
MOST_OCTETS = 2**30
_END = b"f OK done\r\n"
_BUFFER = memoryview(bytearray(262_144))


def read_lines(line: socket.socket, octets: int) -> None:
    """Read so many octets of lines."""
    line.sendall(b"f LINES %d\r\n" % octets)
    end = b""
    while not end.endswith(_END):
        count = line.recv_into(_BUFFER)
        if not count:
            raise ConnectionError("the session has ended")
        end = (end + bytes(_BUFFER[max(0, count - 32) : count]))[-32:]


def ms_per_gb(server: Child, place: Place, octets: int) -> float:
    with place.log_in() as line:
        read_lines(line, 2**20)
        before = cpu_seconds(server)
        read_lines(line, octets)
        spent = cpu_seconds(server) - before
    return spent * 1e3 / (octets / 2**30)


def measure(extent: Extent) -> Iterator[Line]:
    with private_folder() as folder, ExitStack() as stack:
        pair, backend = certificate(folder), free_port()
        stack.enter_context(running(mailbox(folder, backend)))
        ways = {who: [Way(backend)] for who in ("ours", "unwatched")}
        without: list[str | Path] = [sys.executable, Path(unwatched.__file__)]
        door = Daemon(folder / "door", configuration(ways["ours"], pair))
        bare = Daemon(folder / "bare", configuration(ways["unwatched"], pair), without)
        stack.enter_context(running(door, bare))
        door.wait_for_backends()
        bare.wait_for_backends()
        for octets in sorted({min(UNIT_OCTETS * size, MOST_OCTETS) for size in extent.sizes}):
            ours, theirs = side_by_side(
                extent.runs,
                partial(ms_per_gb, door.child, Place(ways["ours"][0].port), octets),
                partial(ms_per_gb, bare.child, Place(ways["unwatched"][0].port), octets),
            )
            work = f"{octets >> 20} MB of short lines"
            goals = (Goal(Of.RATIO, 1.05),)
            yield Line("12", work, "ms/GB", ours, "nothing read", theirs, goals)


if __name__ == "__main__":
    sys.exit(run("rows.lines", __doc__.splitlines()[0], measure))
