"""Who is connected: those that wait to log in, bounded and fair, and those that are in.

Nobody can fill the lobby: an address may have so many waiting, and when the lobby is full the
oldest connection of the neighbourhood that holds most makes room for the new one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Protocol

from mailward.rules.model import Address, Subject

_IPV4_NEIGHBOURS = 8  # host bits of a /24
_IPV6_NEIGHBOURS = 80  # host bits of a /48

_Neighbourhood = tuple[int, int]


class Guest(Protocol):
    """A connection, as the lobby sees it."""

    address: Address
    subject: Subject
    """What its address is counted as: several addresses of one /64 are one."""
    is_direct: bool
    """Whether the address is that of the connection itself, and not one that somebody told."""

    def make_room(self) -> None:
        """Close: somebody else is to be served."""
        ...

    def shut_out(self) -> None:
        """Close: the address has just been banned."""
        ...

    def stop(self) -> None:
        """Close: the door shuts."""
        ...


def neighbourhood(address: Address) -> _Neighbourhood:
    """The /24 or /48 around *address*."""
    if isinstance(address, IPv4Address):
        return 4, int(address) >> _IPV4_NEIGHBOURS
    return 6, int(address) >> _IPV6_NEIGHBOURS


@dataclass(slots=True)
class Lobby:
    """Every connection of all doors. The two limits may change while people wait."""

    max_waiting: int
    max_waiting_per_address: int
    _waiting: dict[_Neighbourhood, dict[Guest, None]] = field(default_factory=dict)
    _by_size: dict[int, dict[_Neighbourhood, None]] = field(default_factory=dict)
    _largest: int = 0
    _waiting_by_subject: dict[Subject, int] = field(default_factory=dict)
    _present: dict[Subject, dict[Guest, None]] = field(default_factory=dict)
    waiting: int = 0
    present: int = 0
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Who came since the start, by listener and service; who was dropped is among them."""
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nobody is here."""

    def __post_init__(self) -> None:
        self.empty.set()

    def has_room_for(self, subject: Subject) -> bool:
        """Whether one more of *subject* may wait."""
        return self._waiting_by_subject.get(subject, 0) < self.max_waiting_per_address

    def enter(self, guest: Guest) -> None:
        """Let *guest* wait; where there is no room, somebody else goes."""
        while self.waiting >= self.max_waiting > 0:
            crowd = next(iter(self._by_size[self._largest]))
            oldest = next(iter(self._waiting[crowd]))
            self.logged_in(oldest)
            oldest.make_room()
        place = neighbourhood(guest.address)
        guests = self._waiting.setdefault(place, {})
        guests[guest] = None
        self._resized(place, len(guests) - 1, len(guests))
        self.waiting += 1
        subject = guest.subject
        self._waiting_by_subject[subject] = self._waiting_by_subject.get(subject, 0) + 1
        self._present.setdefault(subject, {})[guest] = None
        self.present += 1
        self.empty.clear()

    def logged_in(self, guest: Guest) -> None:
        """*guest* waits no longer, but is still here. Telling twice is harmless."""
        place = neighbourhood(guest.address)
        guests = self._waiting.get(place)
        if guests is None or guest not in guests:
            return
        del guests[guest]
        self._resized(place, len(guests) + 1, len(guests))
        if not guests:
            del self._waiting[place]
        self.waiting -= 1
        left = self._waiting_by_subject[guest.subject] - 1
        if left:
            self._waiting_by_subject[guest.subject] = left
        else:
            del self._waiting_by_subject[guest.subject]

    def leave(self, guest: Guest) -> None:
        """*guest* is gone. Telling twice is harmless."""
        self.logged_in(guest)
        present = self._present.get(guest.subject)
        if present is None or guest not in present:
            return
        del present[guest]
        if not present:
            del self._present[guest.subject]
        self.present -= 1
        if not self.present:
            self.empty.set()

    def of(self, subject: Subject) -> list[Guest]:
        """Everybody whose address is counted as *subject*."""
        return list(self._present.get(subject, ()))

    def everybody(self) -> Iterator[Guest]:
        for guests in list(self._present.values()):
            yield from list(guests)

    def _resized(self, place: _Neighbourhood, old: int, new: int) -> None:
        if old:
            same = self._by_size[old]
            del same[place]
            if not same:
                del self._by_size[old]
        if new:
            self._by_size.setdefault(new, {})[place] = None
        # Sizes change by one, so the largest does too.
        self._largest = max(self._largest, new)
        while self._largest and self._largest not in self._by_size:
            self._largest -= 1
