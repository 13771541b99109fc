"""What an operator asks of the guard: ban, lift, why. Each answer tells the whole story."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mailward.guard.bites import in_bites
from mailward.guard.inside import Inside, bans_inside
from mailward.guard.journal import Event
from mailward.guard.service import Guard
from mailward.rules.addresses import network_name, subject_network
from mailward.rules.model import (
    Ban,
    Failure,
    Instant,
    Limit,
    Network,
    Reason,
    Subject,
    SubjectKind,
)
from mailward.stores.port import BanPut

MAX_FAILURES_SHOWN = 100
MANY = 100
"""What happens to more bans than so many at once is one event, and not one for each."""
BITE = 250
"""So many subjects of a list are seen to between two looks at the connections."""


class AllowedError(Exception):
    """An allowed subject cannot be banned; the message names what allows it."""


@dataclass(frozen=True, slots=True)
class Lifted:
    """What lifting did: the *bans* that went, failures forgotten, and what still covers it.

    *inside* are the bans that stand inside a network now, *inside_lifted* those that did.
    *observed* are the subjects of those among the bans that stopped nobody.
    """

    subject: Subject
    bans: tuple[Ban, ...]
    observed: frozenset[Subject]
    had_failures: bool
    still: Ban | None
    still_fixed: bool
    inside: Inside
    inside_lifted: int


@dataclass(frozen=True, slots=True)
class Why:
    """All there is to say of a subject.

    *counted* is the subject that its failures are counted for: the /64 of an IPv6 address.
    *trusted* is the network of proxies that it lies in. *observed*: the ban stops nobody; *held*:
    not for a trial, but since the address is shared.
    *inside* are the bans inside a network.
    """

    subject: Subject
    ban: Ban | None
    fixed: bool
    observed: bool
    held: bool
    allowed: Network | None
    trusted: Network | None
    counted: Subject
    limit: Limit | None
    count: int
    failures: tuple[Failure, ...]
    under_way: int
    waiting: int
    inside: Inside


def check_bannable(guard: Guard, subject: Subject) -> None:
    """See that a ban on *subject* would act.

    Raises:
        AllowedError: the whole subject is allowed.
    """
    allowed = guard.policy.allows_all_of(subject)
    if allowed is not None:
        raise AllowedError(
            f"{subject.name} is inside the allowed network {network_name(allowed)}: "
            "allowed networks win over every ban; take it out of allowed-networks first"
        )


async def ban(
    guard: Guard, subject: Subject, until: Instant | None, note: str, now: Instant
) -> Ban:
    """Ban *subject* by hand and return the ban in force (an older one may last longer).

    Raises:
        AllowedError: the whole subject is allowed, so the ban would never act.
    """
    check_bannable(guard, subject)
    (in_force,) = await ban_all(guard, [subject], until, note, now)
    return in_force


async def ban_all(
    guard: Guard, subjects: Sequence[Subject], until: Instant | None, note: str, now: Instant
) -> list[Ban]:
    """The same for a list of any length; the caller has seen that none is allowed.

    They come into force in bites, and are all in the store when this returns: they got there in one
    commit, so that a crash leaves all or none.
    """
    wanted = [Ban(subject, Reason.MANUAL, now, until, note=note) for subject in subjects]
    return await impose_all(guard, wanted, now)


async def impose_all(guard: Guard, wanted: Sequence[Ban], now: Instant) -> list[Ban]:
    """The same for bans that each have an end, a reason and a note of their own."""
    gone, is_alone = guard.mirror.gone, True
    in_force: list[Ban] = []
    async for bite in in_bites(wanted, BITE):
        is_alone = is_alone and guard.mirror.gone == gone
        in_force += [guard.impose(ban, now, is_noted=False) for ban in bite]
        gone = guard.mirror.gone
    added = [ours for ours, theirs in zip(wanted, in_force, strict=True) if theirs is ours]
    await _note_together(guard, added, gone if is_alone else None, now)
    await guard.writer.written()
    if len(added) > MANY:
        guard.journal.many_bans(Event.BAN_ADDED, len(added), now)
    else:
        for ban in added:
            guard.journal.ban(Event.BAN_ADDED, ban, now)
    return in_force


async def _note_together(guard: Guard, bans: Sequence[Ban], gone: int | None, now: Instant) -> None:
    """Send *bans* to the store at once, but for those that have gone again or were replaced.

    *gone* is what the mirror had counted when all of them were in force, if they ever were.
    """
    mirror = guard.mirror
    while True:
        begun, changes = mirror.gone, list[BanPut]()
        async for bite in in_bites(bans):
            # To look each up takes ten times as long, and seldom is there a need.
            changes += [BanPut(b) for b in bite if begun == gone or mirror.on(b.subject) is b]
        if mirror.gone == begun:
            break
    guard.writer.note_all(changes, now)


def liftable(guard: Guard, subject: Subject, now: Instant) -> bool:
    """Whether lifting *subject* would end a ban."""
    targets = list(_targets(guard, subject, now))
    known = (book.on(target) for book in (guard.mirror, guard.observed) for target in targets)
    return any(ban is not None and ban.covers(now) for ban in known)


async def lift(guard: Guard, subject: Subject, now: Instant) -> Lifted:
    """Lift the ban on *subject*, or the automatic ones that cover it, and clear its tally."""
    (lifted,) = await lift_each(guard, [subject], now)
    return lifted


async def lift_each(
    guard: Guard, subjects: Sequence[Subject], now: Instant, *, inside: bool = False
) -> list[Lifted]:
    """The same for each of a list of any length; with *inside* the bans inside them, too."""
    released: list[_Released] = []
    before = (await bans_inside(guard, subjects, now)) if inside else None
    within = [] if before is None else before.kept
    is_told = len(subjects) + len(within) <= MANY
    async for bite in in_bites(subjects, BITE):
        released += _lift_together(guard, bite, now, is_told=is_told)
    count = sum(len(one.bans) for one in released)
    async for bite in in_bites(within, BITE):
        count += len(guard.release(bite, now, is_told=is_told))
    await guard.writer.written()
    if not is_told and count:
        guard.journal.many_bans(Event.BAN_LIFTED, count, now)
    after = await bans_inside(guard, subjects, now)
    lifted = []
    for one in released:
        still = guard.mirror.covering(one.subject, now)
        fixed = still is not None and guard.mirror.is_fixed(still.subject)
        standing = after.of(one.subject)
        gone = 0 if before is None else max(0, before.of(one.subject).bans - standing.bans)
        lifted.append(
            Lifted(
                one.subject,
                tuple(one.bans),
                one.observed,
                one.had_failures,
                still,
                fixed,
                standing,
                gone,
            )
        )
        if len(lifted) % BITE == 0:
            await asyncio.sleep(0)
    return lifted


class _Released(NamedTuple):
    subject: Subject
    bans: list[Ban]
    observed: frozenset[Subject]
    had_failures: bool


def _lift_together(
    guard: Guard, subjects: Sequence[Subject], now: Instant, *, is_told: bool
) -> Iterator[_Released]:
    """Each with its bans, and whether it had failures; what two share is the first one's."""
    targets: dict[Subject, Subject] = {}
    for subject in subjects:
        for target in _targets(guard, subject, now):
            targets.setdefault(target, subject)
    had_failures = {whose for target, whose in targets.items() if _count(guard, target, now)}
    observed = {target for target in targets if guard.observed.on(target) is not None}
    bans: dict[Subject, list[Ban]] = {}
    for ban in guard.release(list(targets), now, is_told=is_told):
        bans.setdefault(targets[ban.subject], []).append(ban)
    for subject in subjects:
        lifted = bans.get(subject, [])
        idle = observed.intersection(ban.subject for ban in lifted)
        yield _Released(subject, lifted, frozenset(idle), subject in had_failures)


async def lift_all(guard: Guard, reason: Reason, now: Instant) -> int:
    """Lift every ban of the store that has *reason*; return how many."""
    subjects: list[Subject] = []
    async for some in in_bites([*guard.mirror.kept(), *guard.observed]):
        subjects += [ban.subject for ban in some if ban.reason is reason and ban.covers(now)]
    count = 0
    async for bite in in_bites(subjects, BITE):
        count += len(guard.release(bite, now, is_told=len(subjects) <= MANY))
    await guard.writer.written()
    if len(subjects) > MANY:
        guard.journal.many_bans(Event.BAN_LIFTED, count, now, reason)
    return count


async def why(guard: Guard, subject: Subject, now: Instant) -> Why:
    """Whether *subject* is banned, by what, and the failures it has."""
    guard.end(subject, now)
    counted = counted_as(guard, subject)
    limit = guard.policy.limit(counted.kind)
    covering = covering_ban(guard, subject, now)
    # That waits for the disk, too: what covers it is looked for before.
    failures = await guard.history.failures(counted, MAX_FAILURES_SHOWN)
    observed = covering is not None and guard.falling.only_observes(covering, guard.policy)
    return Why(
        subject=subject,
        ban=covering,
        fixed=covering is not None and is_fixed(guard, covering),
        observed=observed,
        held=observed and not guard.policy.observes(subject.kind),
        allowed=guard.policy.allows_all_of(subject),
        trusted=guard.policy.trusts_all_of(subject),
        counted=counted,
        limit=limit,
        count=_count(guard, counted, now),
        failures=tuple(f for f in failures if limit and now - f.at < limit.period_seconds),
        under_way=guard.reservations.held(counted),
        waiting=guard.reservations.waiting(counted),
        inside=(await bans_inside(guard, [subject], now)).of(subject),
    )


async def bans(guard: Guard, now: Instant) -> list[Ban]:
    """Every ban in force; those of the store are on disk before they are shown.

    Behind them come those that are only observed.
    """
    found = await _in_force(guard, guard.mirror.listed(), now)
    async for bite in in_bites(guard.observed.listed()):
        found += [ban for ban in bite if ban.covers(now)]
    return found


async def kept_bans(guard: Guard, now: Instant) -> list[Ban]:
    """Those of the store alone, each on disk."""
    return await _in_force(guard, guard.mirror.kept(), now)


async def _in_force(guard: Guard, known: Sequence[Ban], now: Instant) -> list[Ban]:
    """Those of *known* that still are when all of them are on disk."""
    # What falls while the disk is waited for is not among them: it would not be on it yet.
    mirror, gone = guard.mirror, guard.mirror.gone
    await guard.writer.written()
    found: list[Ban] = []
    async for bite in in_bites(known):
        if mirror.gone == gone:  # as ever: to look each up takes ten times as long
            found += [ban for ban in bite if ban.covers(now)]
        else:
            found += [ban for ban in bite if ban.covers(now) and mirror.has(ban.subject)]
    return found


def stops_nobody(guard: Guard, kind: SubjectKind) -> int:
    """How many bans on subjects of *kind* only are observed; in a trial those of before, too."""
    key = kind, Reason.AUTHENTICATION
    before = guard.mirror.counts[key] if guard.policy.observes(kind) else 0
    return guard.observed.counts[key] + before


def covering_ban(guard: Guard, subject: Subject, now: Instant) -> Ban | None:
    """A ban that covers the whole of *subject*; one that only is observed if no other does."""
    by_hand = guard.policy.observes(subject.kind)
    return (
        guard.mirror.covering(subject, now, by_hand=by_hand)
        or guard.mirror.covering(subject, now)
        or guard.observed.covering(subject, now)
    )


def is_fixed(guard: Guard, ban: Ban) -> bool:
    """Whether *ban* is one of the configuration file."""
    mirror, subject = guard.mirror, ban.subject
    return (
        mirror.on(subject) is not ban
        and guard.observed.on(subject) is not ban
        and mirror.is_fixed(subject)
    )


def counted_as(guard: Guard, subject: Subject) -> Subject:
    """The subject that failures of *subject* are counted for."""
    if subject.kind is SubjectKind.ADDRESS:
        network = subject_network(subject)
        if network.prefixlen == network.max_prefixlen:
            return guard.policy.prefixes.subject(
                guard.policy.prefixes.fold(network.network_address)
            )
    return subject


def _targets(guard: Guard, subject: Subject, now: Instant) -> Iterator[Subject]:
    """*subject*, what it is counted as, and the subjects of automatic bans that cover it."""
    yield subject
    if subject.kind is SubjectKind.ADDRESS:
        counted = counted_as(guard, subject)
        known = guard.mirror.on(counted)
        if known is None or not known.covers(now):
            yield counted
        network = subject_network(subject)
        for covering in guard.mirror.kept_over(network, now):
            if covering.reason is Reason.AUTHENTICATION:
                yield covering.subject
        for covering in guard.observed.over(network, now):
            yield covering.subject


def _count(guard: Guard, subject: Subject, now: Instant) -> int:
    limit = guard.policy.limit(subject.kind)
    return 0 if limit is None else guard.tallies[subject.kind].count(subject.name, limit, now)
