"""Sequence sets (RFC 9051 section 9): the numbers that a command names, never spelled out.

``1:*`` of a large mailbox stays one range, so a set costs what it is long, not what it covers.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LARGEST = 0xFFFF_FFFF
_STAR = 0
_RANGE = re.compile(rb"([0-9]{1,10}|\*)(?::([0-9]{1,10}|\*))?\Z")


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Ranges of sequence numbers or of UIDs, as the client wrote them.

    *is_saved*: the set is ``$``, the result that SEARCH has saved (RFC 9051 section 6.4.4.1); it
    has no ranges then.

    >>> parsed = parse_sequence_set(b"7,3:4,4:5,*:6")
    >>> parsed.within(8)
    [(3, 8)]
    >>> parse_sequence_set(b"9:*").within(5)
    [(5, 9)]
    """

    ranges: tuple[tuple[int, int], ...] = ()
    """First and last of each, in the client's order; 0 is ``*``."""
    is_saved: bool = False

    @property
    def largest(self) -> int:
        """The largest number that is written in it; 0 if there is none."""
        return max((max(pair) for pair in self.ranges), default=0)

    def within(self, largest: int) -> list[tuple[int, int]]:
        """The ranges in ascending order, merged, where ``*`` is *largest* (0: there is none)."""
        pairs = sorted(
            (min(pair), max(pair))
            for pair in ((first or largest, last or largest) for first, last in self.ranges)
            if min(pair)
        )
        merged: list[tuple[int, int]] = []
        for first, last in pairs:
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return merged

    def places(self, ascending: Sequence[int]) -> Iterator[range]:
        """Where in *ascending* (UIDs) the members are: ranges of indexes, in their order.

        >>> [list(one) for one in parse_sequence_set(b"5:7,*").places([2, 5, 6, 9])]
        [[1, 2], [3]]
        """
        for first, last in self.within(ascending[-1] if ascending else 0):
            found = range(bisect_left(ascending, first), bisect_right(ascending, last))
            if found:
                yield found


def parse_sequence_set(octets: bytes) -> SequenceSet | None:
    """The set that *octets* write, ``None`` where they write none. Linear in their length."""
    if octets == b"$":
        return SequenceSet(is_saved=True)
    ranges = []
    for piece in octets.split(b","):
        found = _RANGE.match(piece)
        if found is None:
            return None
        first = _number(found[1])
        last = first if found[2] is None else _number(found[2])
        if first is None or last is None:
            return None
        ranges.append((first, last))
    return SequenceSet(tuple(ranges))


def _number(octets: bytes) -> int | None:
    if octets == b"*":
        return _STAR
    number = int(octets)
    return number if 0 < number <= LARGEST else None


def write_numbers(numbers: Iterable[int]) -> bytes:
    """Numbers as the shortest set that keeps their order (COPYUID, ESEARCH's ALL).

    >>> write_numbers([1, 2, 3, 7, 9, 10])
    b'1:3,7,9:10'
    """
    pieces: list[bytes] = []
    first = last = 0
    for number in numbers:
        if number == last + 1 and last:
            last = number
            continue
        if first:
            pieces.append(_piece(first, last))
        first = last = number
    if first:
        pieces.append(_piece(first, last))
    return b",".join(pieces)


def _piece(first: int, last: int) -> bytes:
    return b"%d" % first if first == last else b"%d:%d" % (first, last)
