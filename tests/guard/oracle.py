"""What the guard must do, said plainly: lists of failures, a list of bans, guesses under way.

Written from the rules, not from the guard. It keeps no index, ends bans at their very moment and
looks at everything each time. Where the rules leave the guard a choice (when exactly an old tally
is judged by a new limit, who is forgotten when there is no room) it says what is permitted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import ip_address, ip_network

from tests.rules.oracle import counted, encloses, inside_seconds

ADDRESS, LOGIN = "address", "login"
Name = tuple[str, str]
"""A subject: its kind and its name."""

SHARED_LOGINS, SHARED_SECONDS = 2, 10.0
"""With so many different logins that succeeded within so long an address is shared (here: few)."""

UNTIL_LIFTED, WHILE_FULL = "until lifted", "while the window is full"


@dataclass(frozen=True)
class Rules:
    """What an operator has configured; a limit is (failures, seconds)."""

    limits: dict[str, tuple[int, float] | None]
    terms: dict[str, str | float]
    v4_bits: int = 32
    v6_bits: int = 64
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    room: int = 1_000_000
    observe: bool = False
    hold: bool = False

    def is_same_trial(self, other: Rules) -> bool:
        """Whether what was observed under *other* still holds."""
        return (self.observe or self.hold) and self == replace(
            other, allowed=self.allowed, blocked=self.blocked, room=self.room
        )


@dataclass(frozen=True)
class Try:
    """Who tries to log in as whom."""

    address: str
    login: str | None


@dataclass(frozen=True)
class Blocked:
    """A ban; *since* is what the store has, and only asked for when a clock turns out wrong."""

    until: float | None
    by_hand: bool
    since: float = field(default=0.0, compare=False)

    def holds(self, now: float) -> bool:
        return self.until is None or now < self.until


@dataclass
class Kept:
    """What must outlive a restart. *once_out* were outside the window at some time.

    Whether those come back when the period gets longer is left to the guard.
    """

    failures: dict[Name, list[float]] = field(default_factory=dict)
    once_out: dict[Name, list[float]] = field(default_factory=dict)
    bans: dict[Name, Blocked] = field(default_factory=dict)

    def copy(self) -> Kept:
        return Kept(
            {name: [*failures] for name, failures in self.failures.items()},
            {name: [*failures] for name, failures in self.once_out.items()},
            dict(self.bans),
        )


@dataclass
class Oracle:
    rules: Rules
    now: float
    kept: Kept = field(default_factory=Kept)
    guesses: list[Try] = field(default_factory=list)
    """Those that were passed on and not answered yet."""
    observed: dict[Name, Blocked] = field(default_factory=dict)
    """Bans that would have fallen; they stop nobody and outlive no restart."""
    renewable: set[Name] = field(default_factory=set)
    """In a trial: whose ban of before is over, but may last longer as its window is full."""
    over: set[Name] = field(default_factory=set)
    """The same of those that are observed."""
    successes: list[tuple[float, Name, str]] = field(default_factory=list)
    """When, from which address, and as whom somebody logged in since the start."""
    presumed: dict[Name, float] = field(default_factory=dict)
    """Addresses that were held at the last stop, and until when they pass for shared."""
    taken_along: dict[Name, list[float]] = field(default_factory=dict)
    """The failures that the last observed ban took along at its end; a restart may come before."""

    # -- who is who ----------------------------------------------------------------------------

    def subject_of(self, address: str) -> Name:
        return ADDRESS, counted_as(address, self.rules.v4_bits, self.rules.v6_bits)

    def is_allowed(self, network: str) -> bool:
        """Whether the whole of *network*, or an address, is allowed."""
        return any(is_inside(network, text) for text in self.rules.allowed)

    def subjects(self, attempt: Try) -> list[Name]:
        found: list[Name] = []
        if self.rules.limits[ADDRESS] and not self.is_allowed(attempt.address):
            found.append(self.subject_of(attempt.address))
        if self.rules.limits[LOGIN] and attempt.login is not None:
            found.append((LOGIN, attempt.login))
        return found

    # -- who is banned -------------------------------------------------------------------------

    def in_force(self) -> dict[Name, Blocked]:
        return {name: ban for name, ban in self.kept.bans.items() if ban.holds(self.now)}

    def acting(self) -> dict[Name, Blocked]:
        """Those that stop somebody: in a trial what was done by hand, and nothing else."""
        bans = self.in_force()
        return {n: ban for n, ban in bans.items() if ban.by_hand or not self.rules.observe}

    def would_be(self) -> dict[Name, Blocked]:
        return {name: ban for name, ban in self.observed.items() if ban.holds(self.now)}

    def covers_network(
        self, network: str, bans: Iterable[Name] | None = None, *, by_file: bool = True
    ) -> bool:
        known = self.in_force() if bans is None else bans
        banned = [name for kind, name in known if kind == ADDRESS]
        blocked = self.rules.blocked if by_file else ()
        return any(is_inside(network, text) for text in (*banned, *blocked))

    def is_known(self, name: Name) -> bool:
        """Whether there is a ban on *name* or around it, be it one that only is observed."""
        if name[0] == ADDRESS:
            return self.covers_network(name[1], [*self.in_force(), *self.would_be()])
        return name in self.in_force() or name in self.would_be()

    def shuts_out(self, address: str) -> bool:
        """Whether a connection from *address* is dropped."""
        return self.covers_network(address, self.acting()) and not self.is_allowed(address)

    def refuses(self, attempt: Try) -> bool:
        """Whether *attempt* may not be passed on, as far as bans go."""
        return self.shuts_out(attempt.address) or (LOGIN, attempt.login) in self.acting()

    def is_covered(self, name: Name) -> bool:
        if name[0] == ADDRESS:
            return self.covers_network(name[1])
        return name in self.in_force()

    # -- what is counted -----------------------------------------------------------------------

    def window(self, name: Name) -> list[float]:
        limit = self.rules.limits[name[0]]
        if limit is None:
            return []
        return inside_seconds(self.kept.failures.get(name, ()), limit[1], self.now)

    def has_to_be_banned(self, name: Name) -> bool:
        """Whether *name* is at its limit and not a network that is allowed as a whole."""
        if name[0] == ADDRESS and self.is_allowed(name[1]):
            return False
        return self.is_at_limit(name)

    def is_at_limit(self, name: Name) -> bool:
        limit = self.rules.limits[name[0]]
        return limit is not None and len(self.window(name)) >= limit[0]

    def is_shared(self, name: Name) -> bool:
        """Whether so many logins succeeded from *name* of late that its ban would hit many."""
        logins = {
            login
            for at, address, login in self.successes
            if address == name and self.now - at < SHARED_SECONDS
        }
        return len(logins) >= SHARED_LOGINS or self.now < self.presumed.get(name, self.now)

    def is_held(self, name: Name) -> bool:
        """Whether *name* is judged by its failures alone: it is shared, or was when it got full."""
        if not self.rules.hold or name[0] != ADDRESS:
            return False
        has_ban = self.is_observed(name) or name in self.over
        return self.is_shared(name) or (has_ban and self.is_at_limit(name))

    def is_observed(self, name: Name) -> bool:
        """Whether a ban on *name* or around it is only observed."""
        return self.covers_network(name[1], self.would_be(), by_file=False)

    def under_way(self, name: Name) -> int:
        return sum(name in self.subjects(guess) for guess in self.guesses)

    def has_no_place(self, name: Name, without: int = 0) -> bool:
        """Whether failures and guesses under way, *without* so many of these, reach the limit."""
        limit = self.rules.limits[name[0]]
        held = self.under_way(name) - without
        is_full = limit is not None and len(self.window(name)) + held >= limit[0]
        return is_full and not self.rules.observe and not self.is_held(name)

    def may_be_banned_until(self, name: Name) -> float | None:
        """The end of a ban that falls now on a subject that is at its limit."""
        limit = self.rules.limits[name[0]]
        assert limit is not None
        match self.rules.terms[name[0]]:
            case str(term) if term == UNTIL_LIFTED:
                return None
            case str():
                return self.window(name)[-limit[0]] + limit[1]
            case float(period):
                return self.now + period

    # -- what happens --------------------------------------------------------------------------

    def fail(self, attempt: Try, at: float) -> bool:
        """One wrong guess, seen at *at*; whether a ban falls or gets longer."""
        at = min(at, self.now)
        names = self.subjects(attempt)
        for name in names:
            self.renew(name)
            limit = self.rules.limits[name[0]]
            if limit is not None and self.now - at < limit[1]:
                self.kept.failures.setdefault(name, []).append(at)
        fell = [self.fall(name) for name in names if self.is_at_limit(name)]
        return any(fell)

    def succeed(self, attempt: Try, at: float) -> None:
        """A right password, seen at *at*."""
        names = [name for name in self.subjects(attempt) if name[0] == ADDRESS]
        if attempt.login is not None:
            self.successes += [(min(at, self.now), name, attempt.login) for name in names]

    def is_too_late(self, at: float) -> bool:
        """Whether a failure of *at* can count for nobody any more."""
        periods = [limit[1] for limit in self.rules.limits.values() if limit]
        return bool(periods) and all(self.now - min(at, self.now) >= p for p in periods)

    def renew(self, name: Name) -> None:
        """A ban of before a trial, and one that is observed, last while their window is full."""
        books = (self.kept.bans, self.renewable), (self.observed, self.over)
        for bans, over in books:
            if name in over and self.is_at_limit(name):
                is_held = self.rules.hold and name[0] == ADDRESS and self.is_shared(name)
                book = self.observed if is_held else bans
                book[name] = Blocked(self.may_be_banned_until(name), by_hand=False)
            over.discard(name)

    def fall(self, name: Name) -> bool:
        until = self.may_be_banned_until(name)
        if self.rules.observe:
            if not self.is_known(name):
                self.observed[name] = Blocked(until, by_hand=False)
            return False
        if self.rules.hold and name[0] == ADDRESS:
            if self.is_shared(name):
                if not self.is_known(name):
                    self.observed[name] = Blocked(until, by_hand=False)
                return False
            self.observed.pop(name, None)
        known = self.in_force().get(name)
        if known and (known.until is None or (until is not None and until <= known.until)):
            return False
        self.kept.bans[name] = Blocked(until, by_hand=False)
        return True

    def ban(self, name: Name, until: float | None) -> None:
        """By hand: of two bans on one subject the one that ends later stays."""
        known = self.acting().get(name)
        if known and until is not None and (known.until is None or known.until > until):
            return
        self.kept.bans[name] = Blocked(until, by_hand=True)
        self.observed.pop(name, None)
        self.over.discard(name)

    def lift(self, name: Name) -> None:
        """Lift what stands on *name*, and the automatic bans around an address."""
        targets = [name]
        if name[0] == ADDRESS:
            if "/" not in name[1]:
                its_own = self.subject_of(name[1])
                ban = self.in_force().get(its_own)
                targets += [] if ban and ban.by_hand else [its_own]
            targets += [
                other
                for other, ban in self.in_force().items()
                if other[0] == ADDRESS and not ban.by_hand and is_inside(name[1], other[1])
            ]
            targets += [n for n in self.would_be() if n[0] == ADDRESS and is_inside(name[1], n[1])]
        for target in targets:
            self.kept.bans.pop(target, None)
            self.observed.pop(target, None)
            self.over.discard(target)
            self.renewable.discard(target)
            self.presumed.pop(target, None)
            self.forget(target)

    def forget(self, name: Name) -> None:
        self.kept.failures.pop(name, None)
        self.kept.once_out.pop(name, None)

    def evict(self, name: Name) -> None:
        """There was no room: the guard counts none of these, a store may still hold some."""
        self.kept.once_out.setdefault(name, []).extend(self.kept.failures.pop(name, ()))

    def clock(self, now: float, *, is_stored: bool = False) -> None:
        """Time goes on to *now*: what ends on the way ends at its moment.

        For what *is_stored* that an end clears a tally may not have been written yet.
        """
        self.now = now
        for name, ban in list(self.kept.bans.items()):
            if ban.holds(now):
                continue
            del self.kept.bans[name]
            if ban.by_hand or self.rules.terms[name[0]] != WHILE_FULL:
                self.evict(name) if is_stored else self.forget(name)
            elif self.rules.observe or (self.rules.hold and name[0] == ADDRESS):
                self.renewable.add(name)
        for name, ban in list(self.observed.items()):
            if ban.holds(now):
                continue
            del self.observed[name]
            if self.rules.terms[name[0]] == WHILE_FULL:
                self.over.add(name)
            else:
                gone = self.kept.failures.get(name, []), self.kept.once_out.get(name, [])
                self.taken_along[name] = [*gone[0], *gone[1]]
                self.evict(name) if is_stored else self.forget(name)
        self.let_go()

    def let_go(self) -> None:
        """What has left its window is not counted any more."""
        for name, failures in self.kept.failures.items():
            out = self.kept.once_out.setdefault(name, [])
            if self.rules.limits[name[0]] is None:
                out += [at for at in failures if at not in out]  # nobody promises to keep these
                continue
            inside = self.window(name)
            out += (Counter(failures) - Counter(inside)).elements()
            self.kept.failures[name] = inside

    def set_back(self, now: float) -> None:
        """A start at which the clock shows less than what was written: that is of now.

        Bans that began later begin now, and keep their length.
        """
        self.now = now
        for name, ban in self.kept.bans.items():
            if ban.since > now and ban.until is not None:
                until = now + (ban.until - ban.since)
                self.kept.bans[name] = replace(ban, until=until, since=now)
        for windows in (self.kept.failures, self.kept.once_out):
            for name, failures in windows.items():
                windows[name] = [min(at, now) for at in failures]

    # -- what is permitted ---------------------------------------------------------------------

    def takes(self, name: Name, found: Sequence[float]) -> bool:
        """Whether the guard may have *found* inside its window after a reload; believe it then."""
        must, have = Counter(self.window(name)), Counter(found)
        may = must + Counter(self.kept.once_out.get(name, ()))
        if must - have or have - may:
            return False
        self.kept.failures[name] = sorted(found)
        return True

    def agrees_with(self, stored: Kept) -> bool:
        """Whether *stored* is what a store may hold of this, seen at this moment."""
        if self.in_force() != stored.bans:
            return False
        for name in {*self.kept.failures, *stored.failures}:
            if self.rules.limits[name[0]] is None:
                continue
            failures = Counter(self.window(name))
            out = Counter(self.kept.once_out.get(name, ()))
            have = Counter(stored.failures.get(name, ()))
            if (failures - out) - have or have - (failures + out):
                return False
        return True

    def as_of_now(self) -> Oracle:
        """What is kept, as it stands."""
        return Oracle(self.rules, self.now, self.kept.copy(), observed=dict(self.observed))


@cache
def counted_as(address: str, v4_bits: int, v6_bits: int) -> str:
    network = counted(ip_address(address), v4_bits, v6_bits)
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


@cache
def is_inside(inner: str, outer: str) -> bool:
    return encloses(ip_network(outer), ip_network(inner))


def is_in_turn(
    oracle: Oracle, waiting: Iterable[tuple[int, Try]], served: Sequence[tuple[int, Try]]
) -> bool:
    """Whether nobody who still waits was passed over for somebody who came later."""
    for arrived, attempt in waiting:
        names = oracle.subjects(attempt)
        later = [other for when, other in served if when > arrived]
        if not any(
            oracle.has_no_place(name, sum(name in oracle.subjects(other) for other in later))
            for name in names
        ):
            return False
    return True
