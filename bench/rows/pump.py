"""Row 8: octets through a session that is logged in, down and up, plaintext and TLS.

A FETCH of messages of 16 MB, or an APPEND of them, before a backend that believes everybody. What
counts is the door's processor time for each GB; nginx and HAProxy pump the same through the same
places. Size: 1 is 256 MB, and there is one run of 1 GB.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import product

from bench.harness.clients import Place
from bench.harness.daemon import Daemon
from bench.harness.doors import configuration
from bench.harness.figures import Goal, Line, Of
from bench.harness.peers import Way, certificate, haproxy, mailbox, nginx_mail
from bench.harness.script import Extent, run, side_by_side
from bench.harness.usage import cpu_seconds
from tests.real.processes import Child, free_port, private_folder
from tests.real.servers import running

MESSAGE_OCTETS = 16 * 2**20
MESSAGES = 16  # at size 1
QUICK_MESSAGES = 4
MOST_MESSAGES = 64  # 1 GB
_BUFFER = memoryview(bytearray(262_144))


def fetch(line: socket.socket, messages: int) -> None:
    """Read so many messages."""
    for _ in range(messages):
        line.sendall(b"f FETCH %d\r\n" % MESSAGE_OCTETS)
        got, end = 0, b""
        while got < MESSAGE_OCTETS or not end.endswith(b"f OK done\r\n"):
            count = line.recv_into(_BUFFER)
            if not count:
                raise ConnectionError("the session has ended")
            got += count
            end = (end + bytes(_BUFFER[max(0, count - 32) : count]))[-32:]


def append(line: socket.socket, messages: int) -> None:
    """Write so many messages."""
    piece = bytes(65_536)
    for _ in range(messages):
        line.sendall(b"g APPEND INBOX {%d+}\r\n" % MESSAGE_OCTETS)
        for _ in range(MESSAGE_OCTETS // len(piece)):
            line.sendall(piece)
        line.sendall(b"\r\n")
        end = b""
        while not end.endswith(b"g OK done\r\n"):
            more = line.recv(4_096)
            if not more:
                raise ConnectionError("the session has ended")
            end += more


def ms_per_gb(
    server: Child, place: Place, move: Callable[[socket.socket, int], None], messages: int
) -> float:
    with place.log_in() as line:
        move(line, 1)
        before = cpu_seconds(server)
        move(line, messages)
        spent = cpu_seconds(server) - before
    return spent * 1e3 / (messages * MESSAGE_OCTETS / 2**30)


def measure(extent: Extent) -> Iterator[Line]:
    unit = QUICK_MESSAGES if extent.quick else MESSAGES
    with private_folder() as folder, ExitStack() as stack:
        pair, backend = certificate(folder), free_port()
        stack.enter_context(running(mailbox(folder, backend)))
        ways = {who: [Way(backend), Way(backend, tls=True)] for who in ("ours", "nginx", "haproxy")}
        door = Daemon(folder / "door", configuration(ways["ours"], pair))
        peers = {
            "nginx": nginx_mail(folder / "nginx", ways["nginx"], pair),
            "HAProxy": haproxy(folder / "haproxy", ways["haproxy"], pair),
        }
        stack.enter_context(running(door, *peers.values()))
        door.wait_for_backends()
        moves = {"down": fetch, "up": append}
        counts = sorted({min(unit * size, MOST_MESSAGES) for size in extent.sizes})
        for messages, tls, (name, move) in product(counts, (False, True), moves.items()):
            for who, peer in peers.items():
                client = pair.client() if tls else None
                ours, theirs = side_by_side(
                    extent.runs,
                    partial(
                        ms_per_gb,
                        door.child,
                        Place(ways["ours"][tls].port, tls=client),
                        move,
                        messages,
                    ),
                    partial(
                        ms_per_gb,
                        peer.child,
                        Place(ways[who.lower()][tls].port, tls=client),
                        move,
                        messages,
                    ),
                )
                yield Line(
                    "8",
                    f"{messages * MESSAGE_OCTETS >> 20} MB {name}, {'TLS' if tls else 'plaintext'}",
                    "ms/GB",
                    ours,
                    who,
                    theirs,
                    (Goal(Of.RATIO, 2.0),),
                )


if __name__ == "__main__":
    sys.exit(run("rows.pump", __doc__.splitlines()[0], measure))
