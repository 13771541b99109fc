"""Room in memory for messages that are under way, which all sessions share."""

from __future__ import annotations


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
