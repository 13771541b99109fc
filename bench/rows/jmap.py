"""Row 10: JMAP requests through the door, on connections that are kept.

The same POST of some hundred octets, answered with 1 kB, asked of the backend through our door and
through nginx as a reverse proxy. What counts is the processor time of whatever stands in between,
for each request: that is what it adds. The backend alone is asked, too, for the latency.
"""

from __future__ import annotations

import socket
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from bench.harness.daemon import Daemon
from bench.harness.figures import Goal, Line, Of, median
from bench.harness.peers import jmap_server, nginx_http
from bench.harness.script import Extent, run, side_by_side
from bench.harness.usage import cpu_seconds
from tests.real.processes import Child, free_port, private_folder
from tests.real.servers import running

REQUESTS = 2_000  # of each connection, at size 1
QUICK_REQUESTS = 1_000
CONNECTIONS = 4
SIZES = {1: 1, 10: 4, 100: 16}  # as many times that many requests: there is nothing that grows
_SECONDS = 30.0
_BODY = b'{"using":["urn:ietf:params:jmap:mail"],"methodCalls":[["Email/get",{"ids":["a"]},"0"]]}'
_SECRET = b64encode(b"alice:secret")
_REQUEST = (
    b"POST /jmap/api HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %b\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (_SECRET, len(_BODY), _BODY)
)
_CONFIGURATION = """\
[server.listener.jmap]
protocol = "jmap"
bind = ["127.0.0.1:{port}"]
backend = "jmap"
allow-plaintext = true
paths = ["/jmap"]
[backend.jmap]
address = "http://127.0.0.1:{backend}"
client-address = "forwarded"
"""


def ask(port: int, requests: int) -> float:
    """The median of the seconds of so many requests on one connection.

    Raises:
        ValueError: one was not answered with 200.
    """
    took = []
    with socket.create_connection(("127.0.0.1", port), _SECONDS) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(requests):
            began = time.perf_counter()
            line.sendall(_REQUEST)
            _hear(line)
            took.append(time.perf_counter() - began)
    return median(took) or 0.0


def _hear(line: socket.socket) -> None:
    heard = line.recv(65_536)
    while b"\r\n\r\n" not in heard:
        heard += _more(line)
    head, _, body = heard.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"answered with {head[:40]!r}")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    missing = length - len(body)
    while missing > 0:
        missing -= len(_more(line))


def _more(line: socket.socket) -> bytes:
    more = line.recv(65_536)
    if not more:
        raise ConnectionError("the connection has ended")
    return more


def cpu_us(server: Child, port: int, requests: int) -> float:
    ask(port, 1)
    before = cpu_seconds(server)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda _: ask(port, requests), range(CONNECTIONS)))
    return (cpu_seconds(server) - before) / (requests * CONNECTIONS) * 1e6


def measure(extent: Extent) -> Iterator[Line]:
    with private_folder() as folder, ExitStack() as stack:
        backend, ours_port, theirs_port = free_port(), free_port(), free_port()
        stack.enter_context(running(jmap_server(folder / "jmap", backend)))
        text = _CONFIGURATION.format(port=ours_port, backend=backend)
        door = Daemon(folder / "door", text)
        peer = nginx_http(folder / "nginx", theirs_port, backend)
        stack.enter_context(running(door, peer))
        door.wait_for_backends()
        unit = QUICK_REQUESTS if extent.quick else REQUESTS
        for size in extent.sizes:
            requests = unit * SIZES.get(size, size)
            ours, theirs = side_by_side(
                extent.runs,
                partial(cpu_us, door.child, ours_port, requests),
                partial(cpu_us, peer.child, theirs_port, requests),
            )
            yield Line(
                "10",
                f"JMAP, {requests * CONNECTIONS:,} requests: processor time added to each",
                "us",
                ours,
                "nginx",
                theirs,
                (Goal(Of.OURS, 150.0),),
            )
        alone = median([ask(backend, unit) for _ in range(extent.runs)]) or 0.0
        ours, theirs = side_by_side(
            extent.runs, partial(ask, ours_port, unit), partial(ask, theirs_port, unit)
        )
        yield Line(
            "10",
            "JMAP, one at a time: latency added",
            "us",
            tuple((seconds - alone) * 1e6 for seconds in ours),
            "nginx",
            tuple((seconds - alone) * 1e6 for seconds in theirs),
            note=f"the backend alone: {alone * 1e6:.0f} us",
        )


if __name__ == "__main__":
    sys.exit(run("rows.jmap", __doc__.splitlines()[0], measure))
