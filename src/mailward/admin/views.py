"""Domain values as JSON and in sentences: one spelling for the API and the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from mailward.admin.names import ban_key
from mailward.admin.wishes import KEPT_IN_MEMORY
from mailward.guard.journal import Entry
from mailward.guard.operations import Lifted, Why
from mailward.rules.addresses import network_name
from mailward.rules.limits import format_limit, format_period
from mailward.rules.model import Ban, Failure, Instant, Limit, SubjectKind
from mailward.rules.policy import BanTerm, Policy, Term
from mailward.rules.subjects import spelled

Json = Mapping[str, object]

_INSTANTS = frozenset({"until"})  # the fields of events that are moments


def moment(at: Instant) -> str:
    """An instant in UTC (RFC 3339).

    >>> moment(Instant(0.25))
    '1970-01-01T00:00:00.250000Z'
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def ban_row(ban: Ban, *, fixed: bool, observed: bool = False) -> Json:
    """A ban; *fixed*: it stands in the configuration file. *observed*: it stops nobody."""
    subject = ban.subject
    return {
        "subject": spelled(subject),
        "kind": subject.kind.value,
        "name": subject.name,
        "key": ban_key(subject),
        "reason": ban.reason.value,
        "since": moment(ban.since),
        "until": None if ban.until is None else moment(ban.until),
        "failures": ban.failures,
        "services": list(ban.services),
        "counterparts": list(ban.counterparts),
        "note": ban.note,
        "origin": "file" if fixed else "store",
        "observed": observed,
    }


def why_view(why: Why) -> Json:
    return {
        "subject": spelled(why.subject),
        "kind": why.subject.kind.value,
        "ban": (
            None if why.ban is None else ban_row(why.ban, fixed=why.fixed, observed=why.observed)
        ),
        "held": why.held,
        "allowed": None if why.allowed is None else network_name(why.allowed),
        "trusted": None if why.trusted is None else network_name(why.trusted),
        "counted": spelled(why.counted),
        "limit": limit_text(why.limit),
        "count": why.count,
        "failures": [failure_row(failure) for failure in why.failures],
        "under_way": why.under_way,
        "waiting": why.waiting,
        "inside": why.inside.bans,
    }


def stored_view(fields: Json, *, stored: bool) -> Json:
    """What a change led to, and whether it is stored."""
    if stored:
        return {**fields, "stored": True}
    return {**fields, "stored": False, "warning": KEPT_IN_MEMORY}


def lifted_view(lifted: Lifted, message: str, policy: Policy) -> Json:
    still = lifted.still
    return {
        "subject": spelled(lifted.subject),
        "kind": lifted.subject.kind.value,
        "bans": [
            ban_row(
                ban,
                fixed=False,
                observed=ban.subject in lifted.observed or not policy.acts(ban),
            )
            for ban in lifted.bans
        ],
        "had_failures": lifted.had_failures,
        "still": (
            None
            if still is None
            else ban_row(still, fixed=lifted.still_fixed, observed=not policy.acts(still))
        ),
        "inside": lifted.inside.bans,
        "inside_lifted": lifted.inside_lifted,
        "message": message,
    }


def kinds_view(kinds: Iterable[SubjectKind]) -> Json:
    """How many subjects of each kind there are."""
    found = Counter(kinds)
    return {kind.value: found[kind] for kind in SubjectKind}


def failure_row(failure: Failure) -> Json:
    return {
        "at": moment(failure.at),
        "service": failure.service,
        "counterpart": failure.counterpart,
    }


def event_view(entry: Entry) -> Json:
    fields = {
        name: moment(Instant(value)) if name in _INSTANTS and isinstance(value, float) else value
        for name, value in entry.fields.items()
    }
    return {"event": entry.event.value, "time": moment(entry.time), **fields}


def limit_text(limit: Limit | None) -> str:
    """A limit as the configuration has it."""
    return "none" if limit is None else format_limit(limit)


def term_text(term: BanTerm) -> str:
    """How long a ban lasts, as the configuration has it."""
    match term:
        case Term():
            return term.value
        case timedelta():
            return format_period(term)


def until_text(until: Instant | None) -> str:
    """The end of a ban.

    >>> until_text(None), until_text(Instant(86400.5))
    ('until it is lifted', 'until 1970-01-02 00:00:00 UTC')
    """
    if until is None:
        return "until it is lifted"
    return f"until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC"


def listed(words: Iterable[str], at_most: int = 5) -> str:
    """Some of *words*, and how many more there are.

    >>> listed(["a", "b", "c"], at_most=2)
    'a, b and 1 more'
    """
    known = list(words)
    shown = ", ".join(known[:at_most])
    left = len(known) - at_most
    return f"{shown} and {left} more" if left > 0 else shown


def counted(count: int, noun: str) -> str:
    """
    >>> counted(1, "ban"), counted(2, "ban")
    ('1 ban', '2 bans')
    """
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"
