"""Row 9: memory of sessions that are logged in and idle, plaintext and TLS.

As many as the descriptor limit of this machine lets a proxy have (two for each), up to 9,000. The
resident memory of the whole door less what it was before the first, divided by the sessions; nginx
as a mail proxy beside it. Size: a hundredth, a tenth and all of them.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from itertools import islice
from pathlib import Path

from bench.harness.clients import Place, sources
from bench.harness.daemon import Daemon
from bench.harness.doors import configuration
from bench.harness.figures import Goal, Line, Of
from bench.harness.peers import Peer, Way, certificate, mailbox, nginx_mail
from bench.harness.script import Extent, run, side_by_side
from bench.harness.usage import rss_octets
from tests.real.processes import free_port, private_folder
from tests.real.servers import running

SESSIONS = 90  # at size 1
QUICK_SESSIONS = 300
AT_ONCE = 8
GOALS_KB = {False: 20.0, True: 60.0}
_SPARE_DESCRIPTORS = 500


def kilobytes_each(server: Daemon | Peer, place: Place, sessions: int) -> float:
    """What one session costs *server*, which is started for it and stopped."""
    with running(server), ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        if isinstance(server, Daemon):
            server.wait_for_backends()
        place.leave(place.log_in())  # what the first one brings along is no session's
        before = rss_octets(server.child)
        for line in pool.map(place.log_in, list(islice(sources(), sessions))):
            stack.enter_context(closing(line))
        return (rss_octets(server.child) - before) / sessions / 1e3


def measure(extent: Extent) -> Iterator[Line]:
    unit = QUICK_SESSIONS if extent.quick else SESSIONS
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    most = (limit - _SPARE_DESCRIPTORS) // 2
    with private_folder() as folder:
        port = free_port()
        with running(mailbox(folder, port)):
            for sessions in sorted({min(unit * size, most) for size in extent.sizes}):
                for tls in (False, True):
                    home = folder / f"{sessions}-{tls}"
                    home.mkdir()
                    yield _line(extent, home, port, sessions, tls=tls)


def _line(extent: Extent, folder: Path, backend: int, sessions: int, *, tls: bool) -> Line:
    folder.chmod(0o755)
    pair = certificate(folder)
    our_way, their_way = Way(backend, tls=tls), Way(backend, tls=tls)
    door = Daemon(folder / "door", configuration([our_way], pair))
    peer = nginx_mail(folder / "nginx", [their_way], pair)
    client = pair.client() if tls else None
    ours, theirs = side_by_side(
        extent.runs,
        partial(kilobytes_each, door, Place(our_way.port, tls=client), sessions),
        partial(kilobytes_each, peer, Place(their_way.port, tls=client), sessions),
    )
    return Line(
        "9",
        f"{sessions:,} idle sessions, {'TLS' if tls else 'plaintext'}",
        "kB each",
        ours,
        "nginx",
        theirs,
        (Goal(Of.OURS, GOALS_KB[tls]),),
    )


if __name__ == "__main__":
    sys.exit(run("rows.idle", __doc__.splitlines()[0], measure))
