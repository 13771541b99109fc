"""The whole at a glance: what the daemon is doing, and who keeps it busy."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass

from mailward.admin.control import Control
from mailward.admin.views import Json, ban_row, limit_text, moment, term_text
from mailward.guard import operations
from mailward.guard.journal import Event
from mailward.guard.service import Guard
from mailward.rules.model import Ban, Instant, Outcome, Subject, SubjectKind
from mailward.rules.subjects import spelled

_BITE = 1_000  # subjects counted between two looks at the connections
_LAST_FAILURES = 100  # a row of the busiest tells of so many, not of all

OUTCOMES = {
    Event.AUTH_FAILED: "failed",
    Event.AUTH_SUCCEEDED: "succeeded",
    Event.AUTH_REFUSED: "refused",
    Event.AUTH_UNAVAILABLE: "unavailable",
}


def status_view(control: Control) -> Json:
    """What an operator wants to know first."""
    guard, now = control.guard, control.clock()
    policy, writer, loaded = guard.policy, guard.writer, control.keys.loaded
    attempts, crowd = guard.observed.attempts, control.crowd()
    return {
        "version": control.version,
        "started": moment(control.started),
        "uptime_seconds": int(now - control.started),
        "doors": [dict(row) for row in control.doors()],
        "connections": {
            "waiting": crowd.waiting,
            "in": crowd.present - crowd.waiting,
            "max-waiting": crowd.max_waiting,
            "lowered-from": crowd.lowered_from,
        },
        "store": {
            "state": "degraded" if writer.degraded else "ok",
            "reason": writer.degraded,
            "behind": writer.behind,
        },
        "policy": {
            "fail2ban": limit_text(policy.address_limit),
            "login-fail2ban": limit_text(policy.login_limit),
            "ban-period": term_text(policy.address_term),
            "login-ban-period": term_text(policy.login_term),
            "ipv4-prefix": policy.prefixes.ipv4_bits,
            "ipv6-prefix": policy.prefixes.ipv6_bits,
            "allowed-networks": len(policy.allowed),
        },
        "observe": policy.observe,
        "bans": {
            "all": len(guard.mirror),
            "file": len(policy.blocked),
            "observed": sum(operations.stops_nobody(guard, kind) for kind in SubjectKind),
        },
        "observed": {
            outcome.value: sum(n for (what, _), n in attempts.items() if what is outcome)
            for outcome in Outcome
        },
        "counted": {kind.value: len(tallies) for kind, tallies in guard.tallies.items()},
        "under_way": guard.reservations.under_way,
        "dropped": guard.drops.total,
        "services": _by_service(guard),
        "file": loaded.name,
        "faults": [str(fault) for fault in loaded.faults],
        "warnings": list(control.warnings()),
        "pending": list(loaded.pending),
    }


def row_of(guard: Guard, ban: Ban) -> Json:
    """*ban* as it stands with *guard*."""
    fixed = operations.is_fixed(guard, ban)
    return ban_row(ban, fixed=fixed, observed=guard.falling.only_observes(ban, guard.policy))


def _by_service(guard: Guard) -> dict[str, dict[str, int]]:
    """How many attempts each service has seen since the start, by what became of them."""
    services: dict[str, dict[str, int]] = {}
    for (event, service), count in guard.journal.counts.items():
        outcome = OUTCOMES.get(event)
        if outcome is not None:
            services.setdefault(service, dict.fromkeys(OUTCOMES.values(), 0))[outcome] = count
    return services


@dataclass(frozen=True, slots=True, order=True)
class _Busy:
    failures: int
    name: str


async def top_view(control: Control, at_most: int) -> Json:
    """The addresses and the logins with the most failures inside their windows."""
    now = control.clock()
    return {
        "addresses": [
            await _busy_row(control.guard, SubjectKind.ADDRESS, busy, now)
            for busy in await _busiest(control.guard, SubjectKind.ADDRESS, at_most, now)
        ],
        "logins": [
            await _busy_row(control.guard, SubjectKind.LOGIN, busy, now)
            for busy in await _busiest(control.guard, SubjectKind.LOGIN, at_most, now)
        ],
    }


async def _busiest(guard: Guard, kind: SubjectKind, at_most: int, now: Instant) -> list[_Busy]:
    limit = guard.policy.limit(kind)
    if limit is None:
        return []
    names = list(guard.tallies[kind].names())
    busiest: list[_Busy] = []
    for start in range(0, len(names), _BITE):
        bite = (
            _Busy(guard.tallies[kind].count(name, limit, now), name)
            for name in names[start : start + _BITE]
        )
        busiest = heapq.nlargest(at_most, [*busiest, *bite])
        await asyncio.sleep(0)
    return [busy for busy in busiest if busy.failures]


async def _busy_row(guard: Guard, kind: SubjectKind, busy: _Busy, now: Instant) -> Json:
    subject = Subject(kind, busy.name)
    failures = await guard.history.failures(subject, _LAST_FAILURES)
    ban = operations.covering_ban(guard, subject, now)
    return {
        "subject": spelled(subject),
        "failures": busy.failures,
        "limit": limit_text(guard.policy.limit(kind)),
        "ban": None if ban is None else row_of(guard, ban),
        "services": sorted({failure.service for failure in failures if failure.service}),
        "counterparts": list(
            dict.fromkeys(f.counterpart for f in reversed(failures) if f.counterpart)
        ),
        "last": moment(failures[-1].at) if failures else None,
    }
