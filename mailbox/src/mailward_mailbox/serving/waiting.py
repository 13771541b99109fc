"""The connections that have not logged in: bounded in all, and for the clients of one network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mailward_mailbox.accounts.checking.turns import BusyError, Turns, client_groups
from mailward_mailbox.accounts.checking.turns import Place as TurnPlace
from mailward_mailbox.client import Address, client_prefix
from mailward_mailbox.serving.listener import MAX_CONNECTIONS

MAX_WAITING = 1_024
MAX_WAITING_OF_ONE = 128
"""Of one /24 or /64. For a connection whose client is not known yet there is no such limit: it
comes from the front door, which opens many at once, and names the client right away."""

MAX_TURN_SECONDS = 120.0
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
        self._turns = Turns(1, MAX_CONNECTIONS, MAX_TURN_SECONDS)
        self._session_turns = Turns(1, MAX_CONNECTIONS, MAX_TURN_SECONDS)

    async def session_turn(self, account: str) -> None:
        """As :meth:`turn`, for the sessions after the login, in rotation over the accounts.

        Raises:
            ConnectionError: it did not come in time.
        """
        await _next(self._session_turns, TurnPlace((account.encode(),)))

    async def turn(self, address: Address | None) -> None:
        """Wait for the turn to do some milliseconds of work, in rotation over the networks.

        There is one turn in each round of the event loop, so that sessions wait for one alone,
        however many connections want something before their login.

        Raises:
            ConnectionError: it did not come in time.
        """
        await _next(self._turns, TurnPlace(client_groups(address)))

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


async def _next(turns: Turns, place: TurnPlace) -> None:
    """Wait for a turn, which lasts until the loop's next round.

    Raises:
        ConnectionError: it did not come in time.
    """
    try:
        await turns.wait(place)
    except BusyError:
        raise ConnectionAbortedError("no turn came") from None
    asyncio.get_running_loop().call_soon(turns.give_back)
