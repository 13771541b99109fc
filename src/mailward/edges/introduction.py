"""A peer that is believed names its client: whether that one may come in, as if he came himself."""

from __future__ import annotations

from dataclasses import dataclass

from mailward.edges.caller import Caller
from mailward.edges.house import House
from mailward.wire.door import Introduced


@dataclass(frozen=True, slots=True)
class Banned:
    """His address is."""


@dataclass(frozen=True, slots=True)
class Crowded:
    """Too many from his address are waiting."""


def meet(house: House, peer: Caller, told: Introduced, service: str) -> Caller | Banned | Crowded:
    """The client that *peer* has named by *told*, counted from now on in his stead."""
    prefixes = house.guard.policy.prefixes
    address, now = prefixes.fold(told.address), house.clock()
    if house.guard.admit(address, now) is not None:
        house.guard.drops.count(address, service, now)
        return Banned()
    if not house.admits_one_more(address, prefixes.subject(address)):
        return Crowded()
    return peer.speaks_for(address, told.port)
