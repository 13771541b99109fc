"""The bans inside a network: a ban on the network is another one than theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mailward.guard.bites import in_bites
from mailward.guard.service import Guard
from mailward.rules.addresses import NetworkTable, subject_network
from mailward.rules.model import Ban, Instant, Subject, SubjectKind


class Inside(NamedTuple):
    """How many bans stand inside a network; *fixed* of them in the configuration file."""

    bans: int = 0
    fixed: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The bans inside some networks: the *kept* ones, and the counts of all by the network."""

    kept: Sequence[Subject]
    bans: Counter[Subject]
    fixed: Counter[Subject]

    def of(self, subject: Subject) -> Inside:
        return Inside(self.bans[subject], self.fixed[subject])


async def bans_inside(guard: Guard, subjects: Sequence[Subject], now: Instant) -> Found:
    """Look through all bans once, however many *subjects* there are, and in bites.

    A ban inside two of the networks counts for both.
    """
    networks = NetworkTable[Subject]()
    for subject in subjects:
        if subject.kind is SubjectKind.ADDRESS and "/" in subject.name:
            networks.put(subject_network(subject), subject)
    kept, bans, fixed = list[Subject](), Counter[Subject](), Counter[Subject]()
    if not len(networks):
        return Found(kept, bans, fixed)
    async for bite in in_bites([*guard.mirror.kept(), *guard.observed.listed()]):
        for ban in bite:
            outer = _around(networks, ban, now)
            if outer:
                kept.append(ban.subject)
                if not guard.mirror.is_fixed(ban.subject):
                    bans.update(outer)
    async for bite in in_bites(guard.mirror.fixed()):
        for ban in bite:
            outer = _around(networks, ban, now)
            bans.update(outer)
            fixed.update(outer)
    return Found(kept, bans, fixed)


def _around(networks: NetworkTable[Subject], ban: Ban, now: Instant) -> Sequence[Subject]:
    """Those of *networks* that *ban* lies inside of, itself left out."""
    if isinstance(ban.on, Subject) or not ban.covers(now):
        return ()
    around = networks.enclosing_number(ban.on)
    own = networks.at(ban.on)
    return around if own is None else [one for one in around if one is not own]
