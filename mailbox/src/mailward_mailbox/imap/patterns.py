"""Patterns of LIST (RFC 9051 section 6.3.9), matched in linear time.

A pattern is a set of places in it that are reached, moved on with each character of a name; so
nothing is tried twice, whatever wildcards there are.
"""

from __future__ import annotations

import re

from mailward_mailbox.mail.model import DELIMITER, INBOX, MAX_NAME_OCTETS

_LONGEST = 2 * MAX_NAME_OCTETS + 1
"""A longer pattern has more letters than any name: each wildcard stands between two of them."""
_WILDCARDS = re.compile(r"[*%]{2,}")


class ListPattern:
    """A mailbox pattern: ``*`` matches anything, ``%`` anything but the delimiter.

    INBOX is matched in any case.

    >>> ListPattern("w%/*6").matches("work/2026"), ListPattern("%").matches("work/2026")
    (True, False)
    >>> ListPattern("inb%").matches("INBOX"), ListPattern("*a" * 20).matches("a" * 19)
    (True, False)
    """

    def __init__(self, pattern: str) -> None:
        pattern = _WILDCARDS.sub(lambda run: "*" if "*" in run[0] else "%", pattern)
        head, delimiter, rest = pattern.partition(DELIMITER)
        if head.upper() == INBOX:
            pattern = INBOX + delimiter + rest
        if len(pattern) > _LONGEST:
            pattern = ""  # which no name matches
        self._places = _Places(pattern)
        self._of_inbox = _Places(pattern.upper())

    def matches(self, name: str) -> bool:
        return (self._of_inbox if name == INBOX else self._places).match(name)


class _Places:
    """Bit n of a set: the first n characters of the pattern are matched."""

    def __init__(self, pattern: str) -> None:
        self._by_character: dict[str, int] = {}
        self._star = self._percent = 0
        for place, character in enumerate(pattern):
            bit = 1 << place
            if character == "*":
                self._star |= bit
            elif character == "%":
                self._percent |= bit
            else:
                self._by_character[character] = self._by_character.get(character, 0) | bit
        self._end = 1 << len(pattern)

    def match(self, name: str) -> bool:
        either = self._star | self._percent
        reached = 1
        reached |= (reached & either) << 1
        for character in name:
            stays = self._star if character == DELIMITER else either
            moved = (reached & self._by_character.get(character, 0)) << 1
            reached = moved | (reached & stays)
            if not reached:
                return False
            reached |= (reached & either) << 1
        return bool(reached & self._end)
