"""Turns for password checks: a few at once, the others wait and are served in rotation.

A botnet has many addresses and an attacker's provider whole networks of them. So a turn goes round
the networks first, then round the addresses of a network: one /24 or /48 full of attackers gets as
much as one owner. A /48 is the least that a tunnel broker or a provider gives one customer; with
/56 or /64 an attacker would have 256 or 65,536 places in the rotation for nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

MAX_WAITING = 512
"""In each of the two lines. Every waiting check holds a connection and a password of 4 KiB."""
WAIT_SECONDS = 20.0
"""The front door waits 30 s for an answer."""
RESERVED_IN_A_ROW = 3
"""Turns of the reserved line before one of the other, while both wait."""

ClientAddress = IPv4Address | IPv6Address


class BusyError(Exception):
    """Too many password checks wait already, or this one has waited too long."""


@dataclass(frozen=True, slots=True)
class TurnPlace:
    """Where a check waits: *path* names a group, the group inside it, and so on.

    *is_reserved*: in the line that three turns of four are kept for.
    """

    path: tuple[bytes, ...] = ()
    is_reserved: bool = False


def client_groups(client: ClientAddress | None) -> tuple[bytes, ...]:
    """The groups that a client's address is in: /24 and /32, or /48 and /64.

    >>> client_groups(IPv4Address("192.0.2.7")) == client_groups(IPv6Address("::ffff:192.0.2.7"))
    True
    """
    if client is None:
        return (b"",)
    if isinstance(client, IPv6Address):
        client = client.ipv4_mapped or client
    octets = client.packed
    return (octets[:3], octets) if isinstance(client, IPv4Address) else (octets[:6], octets[:8])


class Rotation:
    """Entries in groups inside groups; in each round every group gets one turn."""

    def __init__(self) -> None:
        self._groups: OrderedDict[bytes, Rotation] = OrderedDict()
        self._entries: deque[asyncio.Future[None]] = deque()
        self.count = 0

    def add(self, path: Sequence[bytes], entry: asyncio.Future[None]) -> None:
        self.count += 1
        if path:
            self._groups.setdefault(path[0], Rotation()).add(path[1:], entry)
        else:
            self._entries.append(entry)

    def take(self) -> asyncio.Future[None]:
        """The next entry, which is no longer here then. There must be one."""
        self.count -= 1
        if self._entries:
            return self._entries.popleft()
        name, group = self._groups.popitem(last=False)
        entry = group.take()
        if group.count:
            self._groups[name] = group
        return entry

    def discard(self, path: Sequence[bytes], entry: asyncio.Future[None]) -> bool:
        """Whether the entry was here still."""
        if path:
            group = self._groups.get(path[0])
            if group is None or not group.discard(path[1:], entry):
                return False
            if not group.count:
                del self._groups[path[0]]
        elif entry in self._entries:
            self._entries.remove(entry)
        else:
            return False
        self.count -= 1
        return True

    def drop_last_of_longest(self, path: Sequence[bytes]) -> asyncio.Future[None]:
        """Drop the newest entry of the longest group; of equals, of the group at *path*."""
        self.count -= 1
        if not self._groups:
            return self._entries.pop()
        wanted = path[0] if path else b""
        longest = max(self._groups, key=lambda name: (self._groups[name].count, name == wanted))
        group = self._groups[longest]
        entry = group.drop_last_of_longest(path[1:] if longest == wanted else ())
        if not group.count:
            del self._groups[longest]
        return entry


class Turns:
    """*at_once* turns at the same time. Three of four go to the reserved line while it waits."""

    def __init__(
        self, at_once: int, max_waiting: int = MAX_WAITING, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._free = at_once
        self._max_waiting = max_waiting
        self._wait_seconds = wait_seconds
        self._reserved, self._others = Rotation(), Rotation()
        self._reserved_in_a_row = 0

    async def wait(self, place: TurnPlace) -> None:
        """Wait for a turn; :meth:`give_back` ends it.

        Raises:
            BusyError: the line is full, or the wait too long.
        """
        if self._free:
            self._free -= 1
            return
        line = self._reserved if place.is_reserved else self._others
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.add(place.path, turn)
        if line.count > self._max_waiting:
            dropped = line.drop_last_of_longest(place.path)
            if not dropped.done():
                dropped.set_exception(BusyError())
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except TimeoutError:
            self._leave(line, place, turn)
            raise BusyError from None
        except asyncio.CancelledError:
            self._leave(line, place, turn)
            raise

    def give_back(self) -> None:
        """A turn has ended: the next one begins."""
        while self._reserved.count or self._others.count:
            turn = self._next_line().take()
            if not turn.done():  # else its client left in this very moment
                turn.set_result(None)
                return
        self._free += 1

    def _next_line(self) -> Rotation:
        is_others_turn = self._reserved_in_a_row >= RESERVED_IN_A_ROW and self._others.count
        if self._reserved.count and not is_others_turn:
            self._reserved_in_a_row += 1
            return self._reserved
        self._reserved_in_a_row = 0
        return self._others

    def _leave(self, line: Rotation, place: TurnPlace, turn: asyncio.Future[None]) -> None:
        is_granted = turn.done() and not turn.cancelled() and turn.exception() is None
        if is_granted:
            self.give_back()
        else:
            line.discard(place.path, turn)
