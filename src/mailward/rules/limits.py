"""``"100/1d"`` to a limit and back, and the exact sliding window, written once.

The window holds the instants of a subject's failures, oldest first. A failure is in it while it
is younger than the period: at exactly one period of age it is out.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right, insort_right
from datetime import timedelta

from mailward.rules.model import Instant, Limit

MAX_FAILURES = 10_000  # bounds the instants kept for one subject
MIN_PERIOD = timedelta(seconds=1)
MAX_PERIOD = timedelta(days=366)  # a year, leap years too

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PERIOD = re.compile(r"[ \t]*([0-9]+)[ \t]*([a-z]*)[ \t]*", re.ASCII | re.IGNORECASE)
_MAX_DIGITS = 12  # what is longer is out of every range: do not even make the integer


class LimitError(ValueError):
    """A rate or a period that cannot be read; the message quotes it and says what is wrong."""


def parse_period(
    text: str, *, shortest: timedelta = MIN_PERIOD, longest: timedelta = MAX_PERIOD
) -> timedelta:
    """Read ``90s``, ``15m``, ``24h``, ``1d`` or ``2w``.

    >>> parse_period("2 H")
    datetime.timedelta(seconds=7200)

    Raises:
        LimitError: no such form, or out of range.
    """
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise LimitError(f'"{text}" is no period; write an integer and a unit, like "1d"')
    digits, unit = match.group(1), match.group(2).lower()
    if not unit:
        raise LimitError(f'"{text}" has no unit; use s, m, h, d or w')
    if unit not in _UNIT_SECONDS:
        raise LimitError(f'"{text}" has no unit "{match.group(2)}"; use s, m, h, d or w')
    too_long = len(digits.lstrip("0")) > _MAX_DIGITS
    seconds = 0 if too_long else int(digits) * _UNIT_SECONDS[unit]
    if too_long or seconds > longest.total_seconds():
        raise LimitError(f'"{text}" is too long a period; at most {format_period(longest)}')
    if seconds < shortest.total_seconds():
        raise LimitError(f'"{text}" is too short a period; at least {format_period(shortest)}')
    return timedelta(seconds=seconds)


def format_period(period: timedelta) -> str:
    """The shortest text that :func:`parse_period` reads as *period*.

    >>> format_period(timedelta(hours=24)), format_period(timedelta(minutes=90))
    ('1d', '90m')
    """
    seconds = int(period.total_seconds())
    for unit in ("w", "d", "h", "m"):
        # A week is the least expected unit: only whole weeks from the second on are written so.
        if (
            seconds
            and seconds % _UNIT_SECONDS[unit] == 0
            and not (unit == "w" and seconds < 2 * _UNIT_SECONDS["w"])
        ):
            return f"{seconds // _UNIT_SECONDS[unit]}{unit}"
    return f"{seconds}s"


def parse_limit(text: str) -> Limit:
    """Read ``<count>/<period>``, blanks allowed around each part.

    >>> parse_limit(" 100 / 1 D ") == parse_limit("100/24h")
    True

    Raises:
        LimitError: it is not of that form, or out of range.
    """
    count, slash, period = text.partition("/")
    count = count.strip(" \t")
    if not slash:
        raise LimitError(f'"{text}" is no limit; write failures/period, like "100/1d"')
    if "/" in period:
        raise LimitError(f'"{text}" has more than one "/"; write failures/period, like "100/1d"')
    if not re.fullmatch(r"[0-9]+", count, re.ASCII):
        raise LimitError(f'"{text}": "{count}" is no number of failures; use 1 to {MAX_FAILURES}')
    if len(count.lstrip("0")) > _MAX_DIGITS or not 1 <= int(count) <= MAX_FAILURES:
        raise LimitError(f'"{text}": the number of failures must be from 1 to {MAX_FAILURES}')
    try:
        return Limit(int(count), parse_period(period))
    except LimitError as error:
        raise LimitError(f'"{text}": {error}') from None


def format_limit(limit: Limit) -> str:
    """The text of a limit.

    >>> format_limit(parse_limit("5/90m"))
    '5/90m'
    """
    return f"{limit.failures}/{format_period(limit.period)}"


def add_failure(window: array[float], at: Instant) -> None:
    """Put one failure into its place (reports from outside may come late and out of order)."""
    if not window or at >= window[-1]:
        window.append(at)
    else:
        insort_right(window, at)


def forget_old(window: array[float], limit: Limit, now: Instant) -> None:
    """Drop the failures that are one period old or older at *now*."""
    gone = _first_inside(window, limit, now)
    if gone:
        del window[:gone]


def count_failures(window: array[float], limit: Limit, now: Instant) -> int:
    """How many failures are younger than the period at *now*."""
    return len(window) - _first_inside(window, limit, now)


def empties_at(window: array[float], limit: Limit) -> Instant:
    """When the window stops holding ``limit.failures`` failures, if no further one comes.

    Raises:
        IndexError: it does not hold that many.
    """
    return Instant(window[-limit.failures] + limit.period_seconds)


def _first_inside(window: array[float], limit: Limit, now: Instant) -> int:
    # ``now - t < period`` is exact where ``t > now - period`` could round: search on the age.
    if not window or now - window[0] < limit.period_seconds:
        return 0
    return bisect_right(window, -limit.period_seconds, key=lambda at: at - now)
