"""Row 2: the check at accept with a million banned addresses and 100,000 networks, v4 and v6.

The guard's own ``admit``, called in a loop, for addresses that are banned, that lie in a banned
network and that are free, in equal parts; the peer is the same with ten of each. Size: a hundredth,
a tenth and all of them.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address

from bench.harness.bans import address_bans, addresses, networks
from bench.harness.figures import Goal, Line, Of
from bench.harness.script import Extent, run, side_by_side
from mailward.guard.journal import Journal
from mailward.guard.service import Guard
from mailward.rules.addresses import network_subject
from mailward.rules.model import Address, Ban, Instant, Reason
from mailward.rules.policy import Policy
from mailward.stores.memory import MemoryStore
from mailward.stores.port import Contents

ADDRESSES = 10_000  # banned, at size 1
NETWORKS = 1_000
FEW = 10
CHECKS = 30_000
NOW = Instant(1_790_000_000.0)


def guard(banned: int, blocked: int) -> Guard:
    """A guard that bans *banned* addresses; its configuration blocks *blocked* networks."""
    fixed = tuple(
        Ban(network_subject(network), Reason.MANUAL, NOW) for network in networks(blocked)
    )
    contents = Contents(bans=tuple(address_bans(banned, NOW)))
    return Guard(MemoryStore(), Policy(blocked=fixed), Journal(), contents, NOW)


def callers(banned: int, blocked: int, version: int) -> Sequence[Address]:
    """Who comes: banned, in a blocked network, or neither; a third each, in no order."""
    dice = random.Random(banned)
    third = CHECKS // 3
    some: list[Address] = []
    known = [one for one in addresses(banned) if one.version == version]
    some += dice.choices(known, k=third)
    wide = [net.network_address + 1 for net in networks(blocked) if net.version == version]
    some += dice.choices(wide, k=third)
    free = (IPv4Address("9.0.0.0") if version == 4 else IPv6Address("fd00::")) + 1
    some += [free + 977 * number for number in range(third)]
    dice.shuffle(some)
    return some


def microseconds(checking: Guard, who: Sequence[Address]) -> float:
    """Processor time of one check; the loop that calls it is part of that."""
    admit = checking.admit
    before = time.process_time()
    for address in who:
        admit(address, NOW)
    return (time.process_time() - before) / len(who) * 1e6


def measure(extent: Extent) -> Iterator[Line]:
    few = guard(FEW, FEW)
    for size in extent.sizes:
        banned, blocked = ADDRESSES * size, NETWORKS * size
        many = guard(banned, blocked)
        for version in (4, 6):
            ours, theirs = side_by_side(
                extent.runs,
                partial(microseconds, many, callers(banned, blocked, version)),
                partial(microseconds, few, callers(FEW, FEW, version)),
            )
            yield Line(
                "2",
                f"accept check IPv{version}, {banned:,} bans, {blocked:,} networks",
                "us",
                ours,
                f"{FEW} of each",
                theirs,
                (Goal(Of.RATIO, 2.0), Goal(Of.OURS, 2.0)),
            )
        del many


if __name__ == "__main__":
    sys.exit(run("rows.check", __doc__.splitlines()[0], measure))
