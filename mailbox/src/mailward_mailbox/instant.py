"""Moments of time."""

from __future__ import annotations

from typing import NewType

Instant = NewType("Instant", float)
"""Seconds since 1970-01-01T00:00:00Z."""


_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
"""Of the years 1 to 9999, in UTC."""


def dated(seconds: float) -> Instant:
    """The nearest instant that has a date: in other time zones a client may name another year.

    >>> dated(1e12) == dated(253_402_300_799)
    True
    """
    return Instant(min(max(seconds, _FIRST), _LAST))
