"""What can be measured: every metric there is, read at the moment of the scrape.

Reading costs the same however many bans and subjects there are. No label holds what a stranger
has chosen: no address, no login.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mailward.admin.control import Control
from mailward.admin.exposition import Kind, Sample, exposed
from mailward.admin.overview import OUTCOMES
from mailward.guard.journal import Event
from mailward.guard.operations import stops_nobody
from mailward.rules.model import Outcome, Reason, SubjectKind
from mailward.settings.configuration import Management, Passage, Protocol, Web

EXTERNAL = "external"
"""The service of what other programs report: they may call themselves as they like."""

_SERVICES = frozenset(
    service.value for kind in (Protocol, Passage, Web, Management) for service in kind
)
_CHANGES = {
    Event.BAN_ADDED: "added",
    Event.BAN_RENEWED: "renewed",
    Event.BAN_LIFTED: "lifted",
    Event.BAN_EXPIRED: "expired",
}
_RELOADS = {Event.CONFIG_RELOADED: "done", Event.CONFIG_REJECTED: "refused"}
_WELL = frozenset({"ok", "open"})  # the states of doors that serve


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; *labels* are all that its samples have."""

    name: str
    kind: Kind
    help: str
    read: Callable[[Control], Iterable[Sample]]
    labels: tuple[str, ...] = ()


def exposition(control: Control) -> str:
    """All of them, as Prometheus reads it."""
    lines = [
        line
        for metric in METRICS
        for line in exposed(metric.name, metric.kind, metric.help, metric.read(control))
    ]
    return "\n".join(lines) + "\n"


# -- how each is read ----------------------------------------------------------------------------


def _one(read: Callable[[Control], float]) -> Callable[[Control], Iterable[Sample]]:
    return lambda control: [({}, read(control))]


def _build(control: Control) -> Iterator[Sample]:
    yield {"version": control.version, "python": platform.python_version()}, 1


def _label(service: str) -> str:
    return service if service in _SERVICES else EXTERNAL


def _services(control: Control) -> list[str]:
    """The services of the doors: their series are there before anything has happened."""
    return list(dict.fromkeys(str(door["protocol"]) for door in control.doors()))


def _accepted(control: Control) -> Iterator[Sample]:
    accepted = dict.fromkeys(
        ((str(door["listener"]), str(door["protocol"])) for door in control.doors()), 0
    )
    for (listener, service), count in (accepted | dict(control.crowd().accepted)).items():
        yield {"listener": listener, "service": service}, count


def _dropped(control: Control) -> Iterator[Sample]:
    counts = dict.fromkeys(_services(control), 0) | dict(control.guard.drops.by_service)
    for service, count in counts.items():
        yield {"service": service}, count


def _present(control: Control) -> Iterator[Sample]:
    crowd = control.crowd()
    yield {"state": "waiting"}, crowd.waiting
    yield {"state": "in"}, crowd.present - crowd.waiting


def _timeouts(control: Control) -> Iterator[Sample]:
    counts = dict.fromkeys(_services(control), 0)
    for (event, service), count in control.guard.journal.counts.items():
        if event is Event.CONNECTION_TIMEOUT:
            counts[service] = count
    for service, count in counts.items():
        yield {"service": service}, count


def _attempts(control: Control) -> Iterator[Sample]:
    counts: Counter[tuple[str, str]] = Counter()
    for service in _services(control):
        counts.update(dict.fromkeys(((service, outcome) for outcome in OUTCOMES.values()), 0))
    journal = control.guard.journal
    for (event, service), count in journal.counts.items():
        outcome = OUTCOMES.get(event)
        if outcome is not None:
            reported = journal.reported[event, service]  # a reporter may call itself "imap"
            counts[EXTERNAL, outcome] += reported
            counts[_label(service), outcome] += count - reported
    for (service, outcome), count in counts.items():
        yield {"service": service, "outcome": outcome}, count


def _observed_attempts(control: Control) -> Iterator[Sample]:
    counts: Counter[tuple[str, Outcome]] = Counter()
    for (outcome, service), count in control.guard.observed.attempts.items():
        counts[_label(service), outcome] += count
    for (service, outcome), count in counts.items():
        yield {"service": service, "outcome": outcome.value}, count


def _guesses(control: Control) -> Iterator[Sample]:
    reservations = control.guard.reservations
    yield {"state": "under-way"}, reservations.under_way
    yield {"state": "in-line"}, sum(map(reservations.waiting, reservations.lines()))


def _bans(control: Control) -> Iterator[Sample]:
    counts = control.guard.mirror.counts
    for kind in SubjectKind:
        for reason in Reason:
            yield {"kind": kind.value, "reason": reason.value}, counts[kind, reason]


def _observed_bans(control: Control) -> Iterator[Sample]:
    for kind in SubjectKind:
        yield {"kind": kind.value}, stops_nobody(control.guard, kind)


def _ban_changes(control: Control) -> Iterator[Sample]:
    for event, change in _CHANGES.items():
        yield {"change": change}, control.guard.journal.counts[event, ""]


def _subjects(control: Control) -> Iterator[Sample]:
    for kind, tallies in control.guard.tallies.items():
        yield {"kind": kind.value}, len(tallies)


def _failures_kept(control: Control) -> Iterator[Sample]:
    for kind, tallies in control.guard.tallies.items():
        yield {"kind": kind.value}, tallies.instants


def _backends(control: Control) -> Iterator[Sample]:
    doors = {
        (str(door["listener"]), str(door["protocol"]), str(door["backend"])): door["state"]
        for door in control.doors()
        if door["backend"]
    }
    for (listener, service, backend), state in doors.items():
        labels = {"listener": listener, "service": service, "backend": backend}
        yield labels, state in _WELL


def _reloads(control: Control) -> Iterator[Sample]:
    for event, result in _RELOADS.items():
        yield {"result": result}, control.guard.journal.counts[event, ""]


METRICS: tuple[Metric, ...] = (
    Metric(
        "mailward_build_info",
        Kind.GAUGE,
        "Always 1; the labels say what runs.",
        _build,
        ("version", "python"),
    ),
    Metric(
        "mailward_start_time_seconds",
        Kind.GAUGE,
        "When the daemon started, in seconds since 1970.",
        _one(lambda control: control.started),
    ),
    Metric(
        "mailward_connections_total",
        Kind.COUNTER,
        "Connections that came, dropped ones included.",
        _accepted,
        ("listener", "service"),
    ),
    Metric(
        "mailward_connections_dropped_total",
        Kind.COUNTER,
        "Connections of banned addresses that were dropped.",
        _dropped,
        ("service",),
    ),
    Metric(
        "mailward_connections",
        Kind.GAUGE,
        "Connections that are open: waiting to log in, or in (logged in, or passing through).",
        _present,
        ("state",),
    ),
    Metric(
        "mailward_connection_timeouts_total",
        Kind.COUNTER,
        "Connections that did not log in in time.",
        _timeouts,
        ("service",),
    ),
    Metric(
        "mailward_attempts_total",
        Kind.COUNTER,
        "Attempts to log in, by what became of them.",
        _attempts,
        ("service", "outcome"),
    ),
    Metric(
        "mailward_attempts_observed_total",
        Kind.COUNTER,
        "Attempts that an observed ban would have refused, by what became of them.",
        _observed_attempts,
        ("service", "outcome"),
    ),
    Metric(
        "mailward_guesses",
        Kind.GAUGE,
        "Guesses that the mail servers judge now, and those in line for a place.",
        _guesses,
        ("state",),
    ),
    Metric(
        "mailward_observing",
        Kind.GAUGE,
        "1 while server.security.observe is on.",
        _one(lambda control: control.guard.policy.observe),
    ),
    Metric(
        "mailward_bans",
        Kind.GAUGE,
        "Bans of the store and of the file, by kind of subject and reason.",
        _bans,
        ("kind", "reason"),
    ),
    Metric(
        "mailward_bans_observed",
        Kind.GAUGE,
        "Bans that only are observed and stop nobody, by kind of subject.",
        _observed_bans,
        ("kind",),
    ),
    Metric(
        "mailward_ban_changes_total",
        Kind.COUNTER,
        "Bans that were added, renewed, lifted or that expired, observed ones included.",
        _ban_changes,
        ("change",),
    ),
    Metric(
        "mailward_subjects",
        Kind.GAUGE,
        "Subjects with failures that are tracked, by kind.",
        _subjects,
        ("kind",),
    ),
    Metric(
        "mailward_failures_kept",
        Kind.GAUGE,
        "Failures of these subjects that are kept, by kind.",
        _failures_kept,
        ("kind",),
    ),
    Metric(
        "mailward_subjects_evicted_total",
        Kind.COUNTER,
        "Subjects whose failures were forgotten for want of room.",
        _one(lambda control: control.guard.counts.evicted),
    ),
    Metric(
        "mailward_store_degraded",
        Kind.GAUGE,
        "1 while the store cannot be written and all goes on in memory.",
        _one(lambda control: bool(control.guard.writer.degraded)),
    ),
    Metric(
        "mailward_store_changes_waiting",
        Kind.GAUGE,
        "Changes that have not reached the store: how far it lags behind.",
        _one(lambda control: control.guard.writer.behind),
    ),
    Metric(
        "mailward_backend_up",
        Kind.GAUGE,
        "1 while the mail server behind a listener answers as it should.",
        _backends,
        ("listener", "service", "backend"),
    ),
    Metric(
        "mailward_config_reloads_total",
        Kind.COUNTER,
        "Reloads of the configuration, done or refused.",
        _reloads,
        ("result",),
    ),
)
