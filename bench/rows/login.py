"""Row 7: a login through the door over TLS until it is ready, IMAP and submission.

Before the same Dovecot and Postfix stand our doors, nginx as a mail proxy and HAProxy in TCP mode,
each ending TLS with the same certificate. Latency: one user at a time, each with a new TLS
session; what a door adds is its median less that of the mail server itself without TLS. Processor
time: with eight users at once, so logins a second and core are a million divided by it; who
produces the load is not in it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from bench.harness.clients import Place, Speaks, log_in_often
from bench.harness.daemon import Daemon
from bench.harness.doors import configuration
from bench.harness.figures import Goal, Line, Of, median
from bench.harness.peers import Certificate, Way, certificate, haproxy, nginx_mail
from bench.harness.script import Extent, run, side_by_side
from bench.harness.usage import cpu_seconds
from tests.real.processes import Child, private_folder
from tests.real.servers import Dovecot, Postfix, running

LOGINS = 150  # a run
QUICK_LOGINS = 40
AT_ONCE = 8
ACCOUNTS = {"alice": "secret"}
_DOVECOT = """\
auth_verbose = no
auth_debug = no
service imap {
  process_min_avail = 8
  service_count = 0
}
"""


@dataclass(frozen=True, slots=True)
class Side:
    """One way to log in: a place, and who is measured there."""

    place: Place
    server: Child

    def latency_ms(self, logins: int) -> float:
        return (median(log_in_often(self.place, logins)) or 0.0) * 1e3

    def cpu_us(self, logins: int) -> float:
        before = cpu_seconds(self.server)
        log_in_often(self.place, logins, AT_ONCE)
        return (cpu_seconds(self.server) - before) / logins * 1e6


def measure(extent: Extent) -> Iterator[Line]:
    with private_folder() as folder, ExitStack() as stack:
        pair = certificate(folder)
        dovecot = Dovecot(folder, ACCOUNTS, more=_DOVECOT)
        postfix = Postfix(folder, dovecot.sasl_socket)
        stack.enter_context(running(dovecot, postfix))
        backends = {Speaks.IMAP: dovecot.port, Speaks.SUBMISSION: postfix.port}
        ways = {
            who: {speaks: Way(port, speaks, tls=True) for speaks, port in backends.items()}
            for who in ("ours", "nginx", "HAProxy")
        }
        door = Daemon(folder / "door", configuration(list(ways["ours"].values()), pair))
        nginx = nginx_mail(folder / "nginx", list(ways["nginx"].values()), pair)
        proxy = haproxy(folder / "haproxy", list(ways["HAProxy"].values()), pair)
        stack.enter_context(running(door, nginx, proxy))
        door.wait_for_backends()
        children = {"ours": door.child, "nginx": nginx.child, "HAProxy": proxy.child}
        for speaks, port in backends.items():
            sides = {
                who: Side(_place(ways[who][speaks], pair), child) for who, child in children.items()
            }
            yield from _lines(extent, Place(port, speaks), sides)


def _both_ms(ours: Side, theirs: Side, logins: int) -> tuple[float, float]:
    return ours.latency_ms(logins), theirs.latency_ms(logins)


def _place(way: Way, pair: Certificate) -> Place:
    return Place(way.port, way.speaks, pair.client())


def _lines(extent: Extent, direct: Place, sides: Mapping[str, Side]) -> Iterator[Line]:
    logins = QUICK_LOGINS if extent.quick else LOGINS
    door = sides["ours"]
    for who, peer in sides.items():
        if who == "ours":
            continue
        bare = Side(direct, door.server)
        runs, bares = side_by_side(
            extent.runs,
            partial(_both_ms, door, peer, logins),
            partial(bare.latency_ms, logins),
        )
        goals = (Goal(Of.RATIO, 1.5),) if who == "nginx" else ()
        yield Line(
            "7",
            f"{direct.speaks.value} login over TLS: latency added",
            "ms",
            tuple(ours - bare for (ours, _), bare in zip(runs, bares, strict=True)),
            who,
            tuple(theirs - bare for (_, theirs), bare in zip(runs, bares, strict=True)),
            goals,
            f"the mail server alone, without TLS: {median(bares):.2f} ms",
        )
        ours, theirs = side_by_side(
            extent.runs, partial(door.cpu_us, logins), partial(peer.cpu_us, logins)
        )
        goals = (Goal(Of.RATIO, 0.5, at_least=True),) if who == "nginx" else ()
        yield Line(
            "7",
            f"{direct.speaks.value} logins over TLS, each second of a core",
            "/s",
            tuple(1e6 / us for us in ours),
            who,
            tuple(1e6 / us for us in theirs),
            goals,
        )


if __name__ == "__main__":
    sys.exit(run("rows.login", __doc__.splitlines()[0], measure))
