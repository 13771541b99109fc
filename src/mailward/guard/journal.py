"""What happened, as events: one closed list, to the log, to the counters, to whoever follows.

Only this module writes them. No event holds a password, and no value can break out of its line.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, unique
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from mailward.guard.feed import Feed
from mailward.guard.funnel import Funnel
from mailward.rules.addresses import address_name
from mailward.rules.model import Attempt, Ban, Instant, Outcome, Reason

OTHERS = "others"
MAX_REPORTERS = 100
"""So many names of reporters are counted apart, and all others together."""

Value = str | int | float | bool | None

_log = logging.getLogger("mailward")


@unique
class Event(Enum):
    """Every event there is. Names are stable: operators grep for them."""

    TALLY_EVICTED = "tally.evicted"
    AUTH_FAILED = "auth.failed"
    AUTH_SUCCEEDED = "auth.succeeded"
    AUTH_REFUSED = "auth.refused"
    AUTH_UNAVAILABLE = "auth.unavailable"
    BAN_ADDED = "ban.added"
    BAN_LIFTED = "ban.lifted"
    BAN_EXPIRED = "ban.expired"
    BAN_RENEWED = "ban.renewed"
    CONNECTION_DROPPED = "connection.dropped"
    CONNECTION_TIMEOUT = "connection.timeout"
    CONFIG_RELOADED = "config.reloaded"
    CONFIG_REJECTED = "config.rejected"
    STORE_DEGRADED = "store.degraded"
    STORE_RECOVERED = "store.recovered"

    __hash__ = object.__hash__  # an enum's own is slow, and each event is counted


_OUTCOMES = MappingProxyType(
    {
        Outcome.FAILED: Event.AUTH_FAILED,
        Outcome.SUCCEEDED: Event.AUTH_SUCCEEDED,
        Outcome.UNAVAILABLE: Event.AUTH_UNAVAILABLE,
        Outcome.EXPIRED: Event.AUTH_REFUSED,
    }
)

# A quiet day's log is about attacks: logins that succeed are the mail server's own news.
_LEVELS: Mapping[Event, int] = MappingProxyType(
    {
        Event.AUTH_SUCCEEDED: logging.DEBUG,
        Event.CONNECTION_TIMEOUT: logging.DEBUG,
        Event.TALLY_EVICTED: logging.WARNING,
        Event.AUTH_UNAVAILABLE: logging.WARNING,
        Event.CONFIG_REJECTED: logging.ERROR,
        Event.STORE_DEGRADED: logging.ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. Printed it is a line of ``name=value`` that no value can break.

    >>> str(Entry(Event.AUTH_FAILED, Instant(0.0), {"login": "a b", "service": "imap"}))
    'auth.failed login="a b" service=imap'
    """

    event: Event
    time: Instant
    fields: Mapping[str, Value]

    def __str__(self) -> str:
        return " ".join(
            [self.event.value, *[f"{name}={_printable(v)}" for name, v in self.fields.items()]]
        )


class Lines(Protocol):
    """The operator's log, as the journal writes it."""

    def tell(self, level: int, entry: Entry) -> None:
        """Write the line of *entry*, whose *level* is one of logging's."""
        ...


class LoggedLines:
    """Lines as any library's: each is a record that goes through logging."""

    def tell(self, level: int, entry: Entry) -> None:
        _log.log(level, entry)


@dataclass(slots=True)
class Journal:
    """Takes the events in. *counts* are by event and service since the start.

    *reported* are those among them that other programs have seen: these name themselves.
    *funnel* looks at the logins among them. *lines* get what the log's level lets through.
    """

    lines: Lines = field(default_factory=LoggedLines)
    entries: Feed[Entry] = field(default_factory=Feed)
    counts: Counter[tuple[Event, str]] = field(default_factory=Counter)
    reported: Counter[tuple[Event, str]] = field(default_factory=Counter)
    funnel: Funnel = field(default_factory=Funnel)
    _reporters: set[str] = field(default_factory=set)

    def write(self, event: Event, now: Instant, **fields: Value) -> None:
        """Record one event; fields that are ``None`` or empty are left out."""
        self.counts[event, str(fields.get("service", ""))] += 1
        self._tell(event, now, fields)

    def _tell(self, event: Event, now: Instant, fields: Mapping[str, Value]) -> None:
        if event is Event.AUTH_SUCCEEDED and fields.get("login"):
            self.funnel.note(str(fields.get("address")), str(fields["login"]), now)
        level = _LEVELS.get(event, logging.INFO)
        is_logged = _log.isEnabledFor(level)
        if not (is_logged or self.entries.followed):
            return
        known = {name: value for name, value in fields.items() if value not in (None, "")}
        entry = Entry(event, now, known)
        if is_logged:
            self.lines.tell(level, entry)
        self.entries.publish(entry)

    def attempt(
        self, outcome: Outcome, attempt: Attempt, now: Instant, *, observed: bool = False
    ) -> None:
        """Record what became of *attempt*; *observed*: it would have been refused."""
        reason = "expired" if outcome is Outcome.EXPIRED else None
        self._write_attempt(_OUTCOMES[outcome], attempt, now, reason, observed=observed)

    def refusal(self, attempt: Attempt, ban: Ban, now: Instant) -> None:
        """Record that *attempt* went no further, because of *ban*."""
        self._write_attempt(Event.AUTH_REFUSED, attempt, now, ban.subject.kind.value)

    def ban(self, event: Event, ban: Ban, now: Instant, *, observed: bool = False) -> None:
        """Record what happened to *ban*; *observed*: it stops nobody."""
        self.write(
            event,
            now,
            **{ban.subject.kind.value: ban.subject.name},
            reason=ban.reason.value,
            failures=ban.failures or None,
            until=None if ban.until is None else utc(ban.until),
            observed=observed or None,
        )

    def many_bans(
        self, event: Event, count: int, now: Instant, reason: Reason = Reason.MANUAL
    ) -> None:
        """Record in one line what happened by hand to *count* bans: no list floods the log."""
        self.write(event, now, reason=reason.value, count=count)
        self.counts[event, ""] += count - 1

    def _write_attempt(
        self,
        event: Event,
        attempt: Attempt,
        now: Instant,
        reason: str | None,
        *,
        observed: bool = False,
    ) -> None:
        service = self.counted_as(attempt)
        self.counts[event, service] += 1
        if attempt.is_reported:
            self.reported[event, service] += 1
        fields: dict[str, Value] = {
            "service": attempt.service,
            "listener": attempt.listener,
            "address": address_name(attempt.address),
            attempt.kind.value: attempt.login,
            "reason": reason,
            "session": attempt.session,
            "observed": observed or None,
        }
        self._tell(event, now, fields)

    def counted_as(self, attempt: Attempt) -> str:
        """The service of *attempt*, or :data:`OTHERS`: whoever makes up names fills no memory."""
        if not attempt.is_reported or attempt.service in self._reporters:
            return attempt.service
        if len(self._reporters) >= MAX_REPORTERS:
            return OTHERS
        self._reporters.add(attempt.service)
        return attempt.service


def utc(instant: Instant) -> str:
    """An instant as the log writes it.

    >>> utc(Instant(0.5))
    '1970-01-01T00:00:00.500000Z'
    """
    second = math.floor(instant)
    microsecond = round((instant - second) * 1e6)
    if microsecond == 1_000_000:  # noqa: PLR2004 -- microseconds of a second
        second, microsecond = second + 1, 0
    return f"{_utc_second(second)}.{microsecond:06d}Z"


@lru_cache
def _utc_second(second: int) -> str:
    """Made once: a flood brings thousands of lines in one second."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


# Every printable character of ASCII but the blank, the quote, the sign and the backslash.
_is_plain = re.compile(r"[!#-<>-\[\]-~]+").fullmatch


def _printable(value: Value) -> str:
    match value:
        case str() if _is_plain(value):  # nearly every value
            return value
        case str():
            text = value
        case bool():
            text = json.dumps(value)
        case float():
            text = f"{value:.6f}".rstrip("0").rstrip(".")
        case int() | None:
            text = str(value)
    if text and text.isprintable() and not set(text) & set(' "=\\'):
        return text
    return json.dumps(text)
