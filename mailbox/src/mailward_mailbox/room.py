"""Room in memory for messages that are under way, which all sessions share."""

from __future__ import annotations

from collections import Counter


class Room:
    """*octets* for all messages that are under way, in all sessions."""

    def __init__(self, octets: int) -> None:
        self._left = octets

    def take(self, octets: int) -> bool:
        """Whether there is room for so much more, which is taken then."""
        if octets > self._left:
            return False
        self._left -= octets
        return True

    def give_back(self, octets: int) -> None:
        self._left += octets


class Shares:
    """*octets* for all that is under way of all accounts, half of which one account may have."""

    def __init__(self, octets: int) -> None:
        self._room = Room(octets)
        self._most = octets // 2
        self._taken: Counter[str] = Counter()

    def take(self, account: str, octets: int) -> bool:
        """Whether there is room for so much more of *account*'s, which is taken then."""
        if self._taken[account] + octets > self._most or not self._room.take(octets):
            return False
        self._taken[account] += octets
        return True

    def give_back(self, account: str, octets: int) -> None:
        self._room.give_back(octets)
        self._taken[account] -= octets
        if not self._taken[account]:
            del self._taken[account]
