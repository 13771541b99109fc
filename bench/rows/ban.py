"""Row 4: from the Nth failure to the ban in force, with 1 and with 200 connections at once.

A real Dovecot checks the passwords. On our side attackers come through the door, on the other
directly, and fail2ban follows Dovecot's log; its ban is in force when its action has run. What
counts are the guesses that Dovecot answered after the Nth, and the time from the Nth answer to the
ban: here to the first connection that is dropped.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from bench.harness.daemon import Daemon
from bench.harness.fail2ban import Fail2ban
from bench.harness.figures import Goal, Line, Of
from bench.harness.guesser import Attack
from bench.harness.script import Extent, run, side_by_side
from tests.real.processes import eventually, free_port, private_folder
from tests.real.servers import Dovecot, running

LIMIT = 5
AT_ONCE = (1, 200)
_QUIET = "auth_verbose = no\nauth_debug = no\n"  # else fail2ban counts each failure twice

_CONFIGURATION = """\
[server.security]
fail2ban = "{limit}/1h"
max-waiting-per-address = 1000
[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:{port}"]
backend = "dovecot"
[backend.dovecot]
address = "127.0.0.1:{backend}"
client-address = "proxy-v2"
"""
_sources = (f"127.2.{number >> 8}.{number & 255}" for number in count(1))


@dataclass(frozen=True, slots=True)
class Banned:
    """How one attack ended: guesses beyond the limit, and the time to the ban."""

    beyond: float
    milliseconds: float


def attack_ours(port: int, at_once: int) -> Banned:
    attack = Attack(port, next(_sources))
    attack.run(at_once, lambda: False)
    if attack.dropped_at is None or len(attack.wrong_at) < LIMIT:
        raise ValueError(f"no ban: {len(attack.wrong_at)} guesses")
    seconds = max(0.0, attack.dropped_at - attack.wrong_at[LIMIT - 1])
    return Banned(len(attack.wrong_at) - LIMIT, seconds * 1e3)


def attack_theirs(port: int, peer: Fail2ban, at_once: int) -> Banned:
    source = next(_sources)
    attack = Attack(port, source)
    banned_at: list[float] = []

    def is_banned() -> bool:
        if source in peer.banned.read_text().split():
            banned_at.append(time.monotonic())
        return bool(banned_at)

    attack.run(at_once, is_banned)
    if not banned_at:
        eventually(is_banned, "fail2ban bans")
    seconds = banned_at[0] - attack.wrong_at[LIMIT - 1]
    return Banned(len(attack.wrong_at) - LIMIT, seconds * 1e3)


def measure(extent: Extent) -> Iterator[Line]:
    with private_folder() as folder:
        dovecot = Dovecot(folder, {}, more=_QUIET)
        peer = Fail2ban(folder / "fail2ban", dovecot.folder / "dovecot.log", LIMIT)
        with running(dovecot, peer):
            yield from _measure(extent, folder, dovecot, peer)


def _measure(extent: Extent, folder: Path, dovecot: Dovecot, peer: Fail2ban) -> Iterator[Line]:
    port = free_port()
    daemon = Daemon(
        folder / "door",
        _CONFIGURATION.format(limit=LIMIT, port=port, backend=dovecot.haproxy_port),
    )
    daemon.start()
    try:
        daemon.wait_for_backends()
        for at_once in AT_ONCE:
            ours, theirs = side_by_side(
                extent.runs,
                partial(attack_ours, port, at_once),
                partial(attack_theirs, dovecot.port, peer, at_once),
            )
            work = f"{at_once} at once"
            most = max(one.beyond for one in ours)
            yield Line(
                "4",
                f"guesses that pass after the {LIMIT}th, {work}",
                "guesses",
                tuple(one.beyond for one in ours),
                "fail2ban",
                tuple(one.beyond for one in theirs),
                (Goal(Of.OURS, 0.0),),
                f"most in one run of ours: {most:.0f}",
            )
            yield Line(
                "4",
                f"{LIMIT}th failure to ban in force, {work}",
                "ms",
                tuple(one.milliseconds for one in ours),
                "fail2ban",
                tuple(one.milliseconds for one in theirs),
            )
    finally:
        daemon.stop()


if __name__ == "__main__":
    sys.exit(run("rows.ban", __doc__.splitlines()[0], measure))
