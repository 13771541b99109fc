"""The connections that have not logged in: bounded in all, and for the clients of one network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mailward_mailbox.accounts.checking.turns import TurnPlace, client_groups
from mailward_mailbox.client import Address, client_prefix
from mailward_mailbox.serving.connections.rotation import next_turn, rotating_turns

MAX_WAITING = 1_024
MAX_WAITING_OF_ONE = 128
"""Of one /24 or /64. For a connection whose client is not known yet there is no such limit: it
comes from the front door, which opens many at once, and names the client right away."""

_Prefix = tuple[int, int]
_UNKNOWN: _Prefix = (0, 0)


@dataclass(slots=True, eq=False)
class Place:
    """One connection's place. *end* closes it; one *is_asking* waits for us, and is not closed."""

    prefix: _Prefix
    end: Callable[[], object]
    is_asking: bool = False


class Waiting:
    """All places. Where all are taken the network with the most gives its oldest to a newcomer."""

    def __init__(self) -> None:
        self._places: dict[_Prefix, dict[Place, None]] = {}
        self._count = 0
        self._turns = rotating_turns()

    async def turn(self, address: Address | None) -> None:
        """Wait for the turn to do some milliseconds of work, in rotation over the networks.

        There is one turn in each round of the event loop, so that sessions wait for one alone,
        however many connections want something before their login.

        Raises:
            ConnectionError: it did not come in time.
        """
        await next_turn(self._turns, TurnPlace(client_groups(address)))

    def enter(self, address: Address | None, end: Callable[[], object]) -> Place | None:
        """A place for a client; ``None``: there is none. It is to be given back by :meth:`leave`.

        *address* is ``None`` while it is not known.
        """
        prefix = _UNKNOWN if address is None else client_prefix(address)
        # One whose client is not known yet may have the place of another such: it is half a header.
        own = 0 if address is None else len(self._places.get(prefix, ()))
        if own >= MAX_WAITING_OF_ONE:
            return None
        if self._count >= MAX_WAITING and not self._make_room(own):
            return None
        place = Place(prefix, end)
        self._places.setdefault(prefix, {})[place] = None
        self._count += 1
        return place

    def leave(self, place: Place) -> None:
        """Give a place back; once more is harmless."""
        of_one = self._places.get(place.prefix, {})
        if place in of_one:
            del of_one[place]
            self._count -= 1
            if not of_one:
                del self._places[place.prefix]

    def _make_room(self, own: int) -> bool:
        """Whether a connection of a network that has more places than *own* was closed."""
        most = max(self._places.values(), key=len)
        oldest = next((place for place in most if not place.is_asking), None)
        if oldest is None or len(most) <= own + 1:
            return False
        self.leave(oldest)
        oldest.end()
        return True
