"""The order of work: turns of the event loop, in rotation over networks and over accounts."""

from __future__ import annotations

import asyncio

from mailward_mailbox.accounts.checking.turns import BusyError, TurnPlace, Turns
from mailward_mailbox.serving.connections.listener import MAX_CONNECTIONS

MAX_TURN_SECONDS = 120.0


class AccountRotation:
    """Turns of the sessions after the login, in rotation over the accounts."""

    def __init__(self) -> None:
        self._turns = rotating_turns()
        self._begun: set[str] = set()
        """The accounts that have had a turn in this round of the loop."""

    def of(self, account: str) -> TurnsOfOne:
        """Those of one account (its id)."""
        return TurnsOfOne(self, account)

    async def begin(self, account: str) -> None:
        """As :class:`mailward_mailbox.turns.AccountTurns` says."""
        if account in self._begun:
            await self.next(account)
            return
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._begun.clear)
        self._begun.add(account)

    async def next(self, account: str) -> None:
        """As :class:`mailward_mailbox.turns.AccountTurns` says."""
        await next_turn(self._turns, TurnPlace((account.encode(),)))


class TurnsOfOne:
    """As :class:`mailward_mailbox.turns.AccountTurns` says."""

    def __init__(self, rotation: AccountRotation, account: str) -> None:
        self._rotation = rotation
        self._account = account

    async def begin(self) -> None:
        await self._rotation.begin(self._account)

    async def next(self) -> None:
        await self._rotation.next(self._account)


def rotating_turns() -> Turns:
    """One turn at a time; no connection has to leave its line."""
    return Turns(1, MAX_CONNECTIONS, MAX_TURN_SECONDS)


async def next_turn(turns: Turns, place: TurnPlace) -> None:
    """Wait for a turn, which lasts until the loop's next round.

    Raises:
        ConnectionError: it did not come in time.
    """
    try:
        await turns.wait(place)
    except BusyError:
        raise ConnectionAbortedError("no turn came") from None
    asyncio.get_running_loop().call_soon(turns.give_back)
