"""What happened, as events: one closed list, to the log, to the counters, to whoever follows.

Only this module writes them. No event holds a password, and no value can break out of its line.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, unique
from functools import lru_cache, partial
from types import MappingProxyType
from typing import NamedTuple, Protocol

from mailward.guard.feed import Feed
from mailward.guard.funnel import Funnel
from mailward.guard.repeats import LeftOut, Repeats
from mailward.rules.addresses import address_name
from mailward.rules.marks import has_many_marks
from mailward.rules.model import Attempt, Ban, Instant, Outcome, Reason

OTHERS = "others"
MAX_REPORTERS = 100
"""So many names of reporters are counted apart, and all others together."""
MAX_KEPT = 1_000
"""So many events are kept for an operator who looks later; a megabyte at most."""

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
    PROXY_SUSPECTED = "proxy.suspected"
    CONNECTION_DROPPED = "connection.dropped"
    CONNECTION_TIMEOUT = "connection.timeout"
    SESSIONS_CLOSED = "sessions.closed"
    CONFIG_RELOADED = "config.reloaded"
    CONFIG_REJECTED = "config.rejected"
    BACKEND_UNAVAILABLE = "backend.unavailable"
    BACKEND_RECOVERED = "backend.recovered"
    STORE_DEGRADED = "store.degraded"
    STORE_RECOVERED = "store.recovered"
    LOG_SHORTENED = "log.shortened"

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
        Event.LOG_SHORTENED: logging.WARNING,
        Event.CONFIG_REJECTED: logging.ERROR,
        Event.PROXY_SUSPECTED: logging.ERROR,
        Event.BACKEND_UNAVAILABLE: logging.ERROR,
        Event.STORE_DEGRADED: logging.ERROR,
    }
)

_AGGREGATED = frozenset(
    {
        Event.TALLY_EVICTED,
        Event.AUTH_REFUSED,
        Event.AUTH_UNAVAILABLE,
        Event.CONNECTION_DROPPED,
        Event.CONNECTION_TIMEOUT,
    }
)
"""What a stranger can cause as often as he likes. Guesses and bans are not among them: those are
bounded by the limit, and each has its line."""


class _About(NamedTuple):
    """What lines of an event are aggregated by: the subject, *kind* and *name*, and the reason."""

    event: Event
    kind: str = ""
    name: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. Printed it is a line of ``name=value`` that no value can break.

    >>> str(Entry(Event.AUTH_FAILED, Instant(0.0), {"login": "a b", "service": "imap"}))
    'auth.failed login="a b" service=imap'
    """

    event: Event
    time: Instant
    fields: Mapping[str, Value]
    number: int = 0
    """Its place among those that were told since the start."""

    def __str__(self) -> str:
        return " ".join(
            [
                self.event.value,
                *[
                    f"{name}={v if type(v) is str and _is_plain(v) else _printable(v)}"
                    for name, v in self.fields.items()
                ],
            ]
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
    *funnel* looks at the logins among them. *lines* get what the log's level lets through, once
    *repeats* has aggregated it; counts and followers get every event.
    """

    lines: Lines = field(default_factory=LoggedLines)
    entries: Feed[Entry] = field(default_factory=Feed)
    counts: Counter[tuple[Event, str]] = field(default_factory=Counter)
    reported: Counter[tuple[Event, str]] = field(default_factory=Counter)
    funnel: Funnel = field(default_factory=Funnel)
    repeats: Repeats = field(default_factory=Repeats)
    _kept: deque[Entry | Callable[[], Entry]] = field(
        default_factory=lambda: deque(maxlen=MAX_KEPT)
    )
    _told: int = 0
    _reporters: set[str] = field(default_factory=set)

    def write(self, event: Event, now: Instant, **fields: Value) -> None:
        """Record one event; fields that are ``None`` or empty are left out."""
        service = str(fields.get("service", ""))
        self.counts[event, service] += 1
        if event is Event.AUTH_SUCCEEDED and fields.get("login"):
            self.funnel.note(str(fields.get("address")), str(fields["login"]), now)
        about = None
        if event in _AGGREGATED:
            address = str(fields.get("address", ""))
            about = _About(event, "address" if address else "", address)
        count = fields.get("count")
        is_logged = self._is_logged(
            event, about, service, now, count if isinstance(count, int) else 1
        )
        if is_logged or about is None or self.entries.followed:
            known = {name: value for name, value in fields.items() if value not in (None, "")}
            self._tell(event, now, known, is_logged=is_logged, is_kept=is_logged or about is None)

    @property
    def kept(self) -> list[Entry]:
        """The last events, the oldest first.

        An aggregated event is among them as often as it has a line, so no flood drives out the
        rest.
        """
        return [kept if isinstance(kept, Entry) else kept() for kept in self._kept]

    def report(self, now: Instant) -> None:
        """Write the lines with counts that are due at *now*. Call it every second or so."""
        self._say_left_out(self.repeats.report(now), now)

    def flush(self, now: Instant) -> None:
        """Write what was counted and has no line yet: the daemon stops."""
        self._say_left_out(self.repeats.flush(now), now)

    def attempt(
        self, outcome: Outcome, attempt: Attempt, now: Instant, *, observed: bool = False
    ) -> None:
        """Record what became of *attempt*; *observed*: it would have been refused."""
        event = _OUTCOMES[outcome]
        reason = "expired" if outcome is Outcome.EXPIRED else ""
        about = None
        if event in _AGGREGATED and attempt.login:
            about = _About(event, attempt.kind.value, attempt.login, reason)
        elif event in _AGGREGATED:
            about = _About(event, "address", address_name(attempt.address), reason)
        self._write_attempt(event, attempt, now, reason, about, observed=observed)

    def refusal(self, attempt: Attempt, ban: Ban, now: Instant) -> None:
        """Record that *attempt* went no further, because of *ban*."""
        event, kind = Event.AUTH_REFUSED, ban.subject.kind.value
        about = _About(event, kind, ban.subject.name, kind)
        self._write_attempt(event, attempt, now, kind, about)

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
        reason: str,
        about: _About | None,
        *,
        observed: bool = False,
    ) -> None:
        service = self.counted_as(attempt)
        self.counts[event, service] += 1
        if attempt.is_reported:
            self.reported[event, service] += 1
        if event is Event.AUTH_SUCCEEDED and attempt.login:
            self.funnel.note(address_name(attempt.address), attempt.login, now)
        is_logged = self._is_logged(event, about, service, now)
        if is_logged or self.entries.followed:
            fields = _fields(attempt, reason, observed=observed)
            self._tell(event, now, fields, is_logged=is_logged, is_kept=is_logged or about is None)
        elif about is None:
            # Most logins are neither logged nor followed: an entry of them is made when it is read.
            self._told += 1
            number = self._told
            self._kept.append(
                lambda: Entry(event, now, _fields(attempt, reason, observed=observed), number)
            )

    def _is_logged(
        self, event: Event, about: _About | None, service: str, now: Instant, count: int = 1
    ) -> bool:
        """Whether a line is to be written; one that is not is counted where it is aggregated."""
        level = _LEVELS.get(event, logging.INFO)
        if not _log.isEnabledFor(level):
            return False
        if about is None:
            return True
        repeat = self.repeats.first(about, now, service=service, count=count)
        if repeat is None:
            return False
        repeat.again = partial(self._tell_again, about)
        return True

    def _tell(
        self,
        event: Event,
        now: Instant,
        fields: Mapping[str, Value],
        *,
        is_logged: bool,
        is_kept: bool,
    ) -> None:
        self._told += 1
        entry = Entry(event, now, fields, self._told)
        if is_kept:
            self._kept.append(entry)
        if is_logged:
            self.lines.tell(_LEVELS.get(event, logging.INFO), entry)
        self.entries.publish(entry)

    def _tell_again(self, about: _About, count: int, service: str, now: Instant) -> None:
        fields = {"service": service, about.kind: about.name, "reason": about.reason}
        known: dict[str, Value] = {name: value for name, value in fields.items() if value}
        known["count"] = count
        self._told += 1
        entry = Entry(about.event, now, known, self._told)
        self._kept.append(entry)
        self.lines.tell(_LEVELS.get(about.event, logging.INFO), entry)

    def _say_left_out(self, left_out: LeftOut | None, now: Instant) -> None:
        # It is no event of the stream, which has left nothing out.
        if left_out is not None:
            event = Event.LOG_SHORTENED
            numbers = {"lines": left_out.lines, "subjects": left_out.subjects}
            self.lines.tell(_LEVELS[event], Entry(event, now, numbers))

    def counted_as(self, attempt: Attempt) -> str:
        """The service of *attempt*, or :data:`OTHERS`: whoever makes up names fills no memory."""
        if not attempt.is_reported or attempt.service in self._reporters:
            return attempt.service
        if len(self._reporters) >= MAX_REPORTERS:
            return OTHERS
        self._reporters.add(attempt.service)
        return attempt.service


def _fields(attempt: Attempt, reason: str, *, observed: bool) -> dict[str, Value]:
    """What is known of *attempt*, in the order of the log's lines."""
    fields: dict[str, Value] = {"service": attempt.service}
    if attempt.listener:
        fields["listener"] = attempt.listener
    fields["address"] = address_name(attempt.address)
    if attempt.login:
        fields[attempt.kind.value] = attempt.login
    if reason:
        fields["reason"] = reason
    if attempt.session:
        fields["session"] = attempt.session
    if observed:
        fields["observed"] = True
    return fields


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
        case str():
            text = value
        case bool():
            text = json.dumps(value)
        case float():
            text = f"{value:.6f}".rstrip("0").rstrip(".")
        case int() | None:
            text = str(value)
    is_plain = text.isprintable() and not has_many_marks(text)
    if text and is_plain and not set(text) & set(' "=\\'):
        return text
    return json.dumps(text)
