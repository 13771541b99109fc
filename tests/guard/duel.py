"""A guard and its oracle, side by side: each step is done to both, then they have to agree.

``Duel`` has one method for each thing that can happen to a guard; whoever drives it (Hypothesis in
``test_machine``, dice in ``interleavings``) chooses which, when and with what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from mailward.guard import operations
from mailward.guard.journal import Journal
from mailward.guard.reservations import Refused, Screening, Ticket
from mailward.guard.service import Guard
from mailward.guard.shared import SharedAddresses
from mailward.guard.sweep import Sweep
from mailward.rules.judge import Banish, Verdict
from mailward.rules.model import Attempt, Ban, Instant, Login, Outcome, Reason, SubjectKind
from mailward.stores.port import Store
from tests.guard.oracle import (
    ADDRESS,
    SHARED_LOGINS,
    SHARED_SECONDS,
    WHILE_FULL,
    Blocked,
    Kept,
    Name,
    Oracle,
    Rules,
    Try,
    is_in_turn,
)
from tests.guard.spelling import KINDS, START, name_of, policy_of, subject_of

TICK = 1 / 1024  # all instants are multiples of it, so every sum and difference is exact
ADDRESSES = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
LOGINS = ("ada", "grace", None)
NETWORKS = ("192.0.2.1", "192.0.2.0/24", "2001:db8::/64", "2001:db8::/32", "2001:db8::1")
ADDRESS_OF = {text: ip_address(text) for text in ADDRESSES}
SMALL_ROOM = 3


@dataclass(eq=False)
class Guess:
    """An attempt from its arrival to its settlement."""

    arrived: int
    attempt: Try
    screening: asyncio.Task[Screening]


@dataclass(frozen=True)
class Fall:
    """Whether a ban falls now: who was at a new limit already may have been banned before."""

    must: bool
    may: bool

    def explains(self, verdict: Verdict) -> bool:
        """Whether *verdict* is a ban, which it may be or has to be."""
        is_ban = isinstance(verdict, Banish)
        assert self.must <= is_ban <= self.may
        return is_ban


class Duel:
    """*make_store* opens the store; called again it opens what the one before has kept."""

    def __init__(self, make_store: Callable[[], Store], rules: Rules) -> None:
        self._make_store = make_store
        self.oracle = Oracle(rules, START)
        self.waiting: list[Guess] = []
        self.under_way: list[tuple[Guess, Ticket]] = []
        self._arrivals = 0
        self._is_stale = False
        self._were_held: set[Name] = set()
        """The addresses that no limit kept back before the step under way."""
        self._may_be_stored = [self.oracle.as_of_now()]
        """What a crash may leave: the state after any step that was not waited for."""
        self._unjudged = True

    @property
    def now(self) -> Instant:
        return Instant(self.oracle.now)

    async def start(self) -> None:
        self._store = self._make_store()
        contents = await self._store.load()
        policy = policy_of(self.oracle.rules)
        shared = SharedAddresses(SHARED_LOGINS, SHARED_SECONDS)
        self.guard = Guard(self._store, policy, Journal(), contents, self.now, shared)
        self._sweep = Sweep(self.guard)
        self._writing = asyncio.get_running_loop().create_task(self.guard.writer.run())
        await asyncio.sleep(0)

    async def stop(self, *, crash: bool = False) -> None:
        for guess in self.waiting:
            guess.screening.cancel()
        await asyncio.gather(*(g.screening for g in self.waiting), return_exceptions=True)
        self.waiting, self.under_way, self.oracle.guesses = [], [], []
        if crash:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing
            await self._store.close()
        else:
            await self.guard.writer.close()
            await self._writing

    # -- what can happen -----------------------------------------------------------------------

    async def arrive(self, attempt: Try) -> None:
        """Somebody offers credentials: he is passed on, refused, or waits."""
        self._arrivals += 1
        screening = self.guard.screen(self._attempt(attempt), self.now)
        task = asyncio.get_running_loop().create_task(screening)
        self.waiting.append(Guess(self._arrivals, attempt, task))
        await self.agree()

    async def settle(self, which: int, outcome: Outcome, *, leaver: int | None = None) -> None:
        """The backend answers a guess; *leaver* goes from the line in that very moment."""
        if not self.under_way:
            return
        self._were_held = self._held()
        guess, ticket = self.under_way.pop(which % len(self.under_way))
        self.oracle.guesses.remove(guess.attempt)
        fall = self._fall(guess.attempt, outcome, self.now)
        settling = asyncio.get_running_loop().create_task(
            self.guard.settle(ticket, outcome, self.now)
        )
        if leaver is not None and self.waiting:
            await asyncio.sleep(0)
            await self._cancel(self.waiting.pop(leaver % len(self.waiting)))
        is_ban = fall.explains(await settling)
        # Who leaves may have had the place for a moment, and whoever it kept back comes later.
        await self.agree(at_once=leaver is not None)
        if is_ban:
            await self._is_on_disk()

    async def settle_together(self, outcomes: list[Outcome]) -> None:
        """Several answers in one turn of the loop."""
        self._were_held = self._held()
        settlements: list[Awaitable[object]] = []
        # In small rooms somebody could be sent out and come back within this one step.
        at_most = 1 if self.oracle.rules.room <= SMALL_ROOM else len(self.under_way)
        for outcome in outcomes[: min(at_most, len(self.under_way))]:
            guess, ticket = self.under_way.pop(0)
            self.oracle.guesses.remove(guess.attempt)
            if outcome is Outcome.FAILED:
                self.oracle.fail(guess.attempt, self.now)
            elif outcome is Outcome.SUCCEEDED:
                self.oracle.succeed(guess.attempt, self.now)
            settlements.append(self.guard.settle(ticket, outcome, self.now))
        await asyncio.gather(*settlements)
        await self.agree(at_once=True)

    async def leave(self, which: int) -> None:
        """Somebody in line goes away, or his time is over."""
        if self.waiting:
            await self._cancel(self.waiting.pop(which % len(self.waiting)))
            await self.agree()

    async def report(self, attempt: Try, outcome: Outcome, at: float) -> None:
        """Another program saw an attempt at *at*."""
        reporting = self.guard.report(self._attempt(attempt), outcome, Instant(at), self.now)
        if self.oracle.is_too_late(at):
            with suppress(ValueError):
                await reporting
                raise AssertionError("an old report was taken")
        else:
            fall = self._fall(attempt, outcome, at)
            fall.explains(await reporting)
        await self.agree()

    async def report_logins(self, address: str, at: float, failures: int) -> None:
        """Several users log in from one address, so that it is shared, and it fails as often."""
        for login in LOGINS:
            await self.report(Try(address, login), Outcome.SUCCEEDED, at)
        for _ in range(failures):
            await self.report(Try(address, None), Outcome.FAILED, at)

    async def ban(self, name: Name, seconds: float | None) -> None:
        until = None if seconds is None else Instant(self.now + seconds)
        try:
            ban = await operations.ban(self.guard, subject_of(name), until, "", self.now)
        except operations.AllowedError:
            assert name[0] == ADDRESS
            assert self.oracle.is_allowed(name[1])
        else:
            if ban.reason is Reason.AUTHENTICATION and self._is_permitted(ban):
                self.oracle.fall(name)  # an old tally was judged first
            self.oracle.ban(name, until)
            await self._is_on_disk()
        await self.agree()

    async def lift(self, name: Name) -> None:
        lifted = await operations.lift(self.guard, subject_of(name), self.now)
        self.oracle.lift(name)
        still = None if lifted.still is None else lifted.still.subject
        assert (still is not None) == self.oracle.is_covered(name)
        await self.agree()
        await self._is_on_disk()

    async def reload(self, rules: Rules) -> None:
        self.guard.adopt(policy_of(rules), self.now)
        self._take_permitted_bans()  # by the old rules still
        if not rules.is_same_trial(self.oracle.rules):
            self.oracle.observed.clear()
            self.oracle.over.clear()
            for seen in self._may_be_stored:
                seen.observed.clear()
        self.oracle.rules = rules
        self.oracle.renewable.clear()
        self.oracle.let_go()
        for seen in self._may_be_stored:
            seen.rules = rules
            seen.let_go()
        self._resolve()
        self._unjudged, self._is_stale = True, False
        await self.agree()
        # A reload is answered when the bans that it ended, by the old terms, are written.
        await self.guard.writer.written()

    async def restart(self, *, crash: bool, back: float = 0.0) -> None:
        """Stop and start; after a crash at most what was not yet written is missing.

        The clock may show *back* seconds less then; what had ended by the old one stays ended.
        """
        if back:
            await self.sweep()
            await self.guard.writer.written()
        candidates = self._may_be_stored if crash else self._may_be_stored[-1:]
        is_behind = crash and self.guard.writer.behind
        for name, failures in self.oracle.taken_along.items():
            ban = self.guard.observed.on(subject_of(name))
            is_unseen = ban is not None and not ban.covers(self.now)
            if is_unseen or is_behind:  # nobody has looked at its end, or the store has not heard
                for candidate in candidates:
                    candidate.kept.once_out.setdefault(name, []).extend(failures)
        await self.stop(crash=crash)
        self._store = self._make_store()
        found = await self._stored(self._store)
        await self._store.close()
        for candidate in reversed(candidates):
            if candidate.agrees_with(found):
                self.oracle.kept = candidate.kept
                break
        else:
            raise AssertionError(f"lost or made up: {found} is none of {candidates}")
        self._believe(found)
        self._may_be_stored = [self.oracle.as_of_now()]
        self.oracle.set_back(self.now - back)
        self._may_be_stored[0].now = self.oracle.now
        self.oracle.observed.clear()
        self.oracle.successes.clear()
        self.oracle.presumed.clear()
        await self.start()
        self.oracle.over.clear()
        if back:
            self._resolve()  # before it is asked who is at the limit: a window may be full again
        if self.oracle.rules.hold:
            self.oracle.presumed = {
                name: self.now + SHARED_SECONDS
                for name in self._names()
                if name[0] == ADDRESS
                and name[1] in self.guard.tallies[KINDS[ADDRESS]]
                and self.oracle.is_at_limit(name)
                and self.guard.mirror.on(subject_of(name)) is None
                and not self.oracle.covers_network(name[1])
            }
        self.oracle.renewable = {
            name_of(ban.subject)
            for ban in self.guard.mirror.kept()
            if self.oracle.rules.observe
            or (self.oracle.rules.hold and ban.subject.kind is SubjectKind.ADDRESS)
            if not ban.covers(self.now)
            and ban.reason is Reason.AUTHENTICATION
            and self.oracle.rules.terms[ban.subject.kind.value] == WHILE_FULL
        }
        self._unjudged, self._is_stale = True, False
        await self.agree()

    async def sweep(self) -> None:
        await self._sweep.once(self.now)
        self._is_stale = False
        await self.agree()
        if self._unjudged:
            at_limit = [name for name in self._names() if self.oracle.has_to_be_banned(name)]
            assert all(map(self.oracle.is_known, at_limit)), at_limit
        self._unjudged = False

    async def clock(self, seconds: float) -> None:
        """Time goes by."""
        self.oracle.clock(self.now + seconds)
        for seen in self._may_be_stored:
            seen.clock(self.oracle.now, is_stored=True)
        self._is_stale = True
        await self.agree()

    def edges(self) -> list[float]:
        """The seconds from now at which something ends."""
        moments = [ban.until for ban in self.oracle.in_force().values() if ban.until]
        for name, failures in self.oracle.kept.failures.items():
            limit = self.oracle.rules.limits[name[0]]
            moments += [at + limit[1] for at in failures] if limit else []
        moments += [at + SHARED_SECONDS for at, _, _ in self.oracle.successes]
        moments += self.oracle.presumed.values()
        return sorted({moment - self.now for moment in moments if moment > self.now})

    # -- agreement -----------------------------------------------------------------------------

    async def agree(self, *, at_once: bool = False) -> None:
        """Let everybody who can move do so, and compare.

        With *at_once* several things have happened: who was served may be banned by now, and
        nobody can tell from the end alone who was due at which moment.
        """
        for _ in range(3):
            await asyncio.sleep(0)
        assert self._take_permitted_bans() == []
        self._agree_on_what_is_observed()
        self._take_evictions()
        self._take_served(at_once=at_once)
        bans = {
            name_of(ban.subject): (ban.until, ban.reason is Reason.MANUAL)
            for ban in self.guard.mirror.kept()
            if ban.covers(self.now)
        }
        expected = self.oracle.in_force()
        assert bans == {name: (ban.until, ban.by_hand) for name, ban in expected.items()}
        for text, address in ADDRESS_OF.items():
            ban = self.guard.admit(address, self.now)
            assert (ban is not None) == self.oracle.shuts_out(text)
        for name in self._names():
            self._agree_on(name)
        # The end of a ban is written when somebody has looked at it.
        ended = any(not ban.covers(self.now) for ban in self.guard.mirror.kept())
        older = self._may_be_stored if ended or self.guard.writer.behind else []
        self._may_be_stored = [*older, self.oracle.as_of_now()]

    def _agree_on(self, name: Name) -> None:
        subject = subject_of(name)
        assert self.guard.reservations.held(subject) == self.oracle.under_way(name)
        limit = self.guard.policy.limit(subject.kind)
        known = (self.guard.mirror.on(subject), self.guard.observed.on(subject))
        if limit is None or any(ban and not ban.covers(self.now) for ban in known):
            return  # what a ban that is over takes with it goes when somebody looks
        tally = self.guard.tallies[subject.kind]
        assert tally.count(subject.name, limit, self.now) == len(self.oracle.window(name)), name

    def _take_permitted_bans(self) -> list[Ban]:
        """An old tally may be judged by a new limit at any moment; what else came is returned."""
        known = self.oracle.in_force()
        unexplained = []
        for ban in self.guard.mirror.kept():
            name = name_of(ban.subject)
            if name in known or not ban.covers(self.now):
                continue
            if self._is_permitted(ban):
                self.oracle.kept.bans[name] = Blocked(ban.until, by_hand=False)
            else:
                unexplained.append(ban)
        over = {name: self.guard.mirror.on(subject_of(name)) for name in self.oracle.renewable}
        self.oracle.renewable = {n for n, ban in over.items() if ban and not ban.covers(self.now)}
        return unexplained

    def _agree_on_what_is_observed(self) -> None:
        """A ban that would fall may be noticed late; one that is noticed has to be one."""
        found = {name_of(b.subject): b.until for b in self.guard.observed if b.covers(self.now)}
        for name, until in found.items():
            if name not in self.oracle.would_be():
                assert self.oracle.rules.observe or self.oracle.is_held(name)
                assert self.oracle.has_to_be_banned(name), name
                assert until == self.oracle.may_be_banned_until(name)
                self.oracle.observed[name] = Blocked(until, by_hand=False)
        assert found == {name: ban.until for name, ban in self.oracle.would_be().items()}
        over = {name: self.guard.observed.on(subject_of(name)) for name in self.oracle.over}
        self.oracle.over = {n for n, ban in over.items() if ban and not ban.covers(self.now)}

    def _is_permitted(self, ban: Ban) -> bool:
        """Whether *ban* is what follows from an old tally by the rules of now."""
        name = name_of(ban.subject)
        due = self.oracle.has_to_be_banned(name)
        if self.oracle.rules.observe and name not in self.oracle.renewable:
            return False  # a trial leaves nothing behind
        if self.oracle.is_held(name):
            return False  # it falls by a failure, and the oracle has seen all of these
        return due and ban.until == self.oracle.may_be_banned_until(name)

    def _fall(self, attempt: Try, outcome: Outcome, at: float) -> Fall:
        """What has to follow, and what may, from *outcome*."""
        if outcome is Outcome.SUCCEEDED:
            self.oracle.succeed(attempt, at)
        if outcome is not Outcome.FAILED:
            return Fall(must=False, may=False)
        unbanned = set(self.oracle.subjects(attempt)) - self.oracle.in_force().keys()
        due = any(map(self.oracle.is_at_limit, unbanned))
        is_ban = self.oracle.fail(attempt, at)
        return Fall(must=is_ban and not due, may=is_ban)

    def _take_evictions(self) -> None:
        if self.oracle.rules.room > SMALL_ROOM:
            return
        for tallies in self.guard.tallies.values():
            assert len(tallies) <= SMALL_ROOM
        for name in list(self.oracle.kept.failures):
            is_counted = self.oracle.window(name) or self.oracle.rules.limits[name[0]] is None
            if is_counted and name[1] not in self.guard.tallies[KINDS[name[0]]]:
                self.oracle.evict(name)
                self._is_stale = True  # a place that nobody is told of before the next sweep

    def _take_served(self, *, at_once: bool) -> None:
        served: list[tuple[int, Try]] = []
        for guess in [guess for guess in self.waiting if guess.screening.done()]:
            self.waiting.remove(guess)
            match guess.screening.result():
                case Refused():
                    assert self.oracle.refuses(guess.attempt), guess
                case Ticket() as ticket:
                    assert at_once or not self.oracle.refuses(guess.attempt), guess
                    self.under_way.append((guess, ticket))
                    self.oracle.guesses.append(guess.attempt)
                    served.append((guess.arrived, guess.attempt))
        for _, attempt in served:
            for name in self.oracle.subjects(attempt):
                was_held = at_once and name in self._were_held
                assert was_held or not self.oracle.has_no_place(name, 1), (
                    f"a guess too many for {name}"
                )
        if not self._is_stale:
            waiting = [(guess.arrived, guess.attempt) for guess in self.waiting]
            assert is_in_turn(self.oracle, waiting, () if at_once else served)

    def _held(self) -> set[Name]:
        return {name for name in self._names() if self.oracle.is_held(name)}

    def _resolve(self) -> None:
        """See what is inside a new window; failures that were out once may or may not be."""
        for name in self._names():
            limit = self.oracle.rules.limits[name[0]]
            if limit is None:
                continue
            window = self.guard.tallies[KINDS[name[0]]].window(name[1])
            if not window and self.oracle.rules.room <= SMALL_ROOM:
                continue
            inside = [at for at in window if self.now - at < limit[1]]
            assert self.oracle.takes(name, inside), (name, inside, self.oracle.kept)

    def _believe(self, found: Kept) -> None:
        kept = self.oracle.kept
        kept.bans = dict(found.bans)
        for name in {*kept.failures, *found.failures}:
            if self.oracle.rules.limits[name[0]] is None:
                kept.once_out.setdefault(name, []).extend(kept.failures.pop(name, []))
            else:
                kept.failures[name] = found.failures.get(name, [])

    async def _stored(self, store: Store) -> Kept:
        """What *store* holds that still counts."""
        contents = await store.load()
        kept = Kept()
        for subject, instants in contents.failures.items():
            name, limit = name_of(subject), self.oracle.rules.limits[subject.kind.value]
            if limit is not None:
                kept.failures[name] = [at for at in instants if self.now - at < limit[1]]
        for ban in contents.bans:
            name = name_of(ban.subject)
            by_hand = ban.reason is Reason.MANUAL
            if ban.covers(self.now):
                kept.bans[name] = Blocked(ban.until, by_hand, ban.since)
            elif by_hand or self.oracle.rules.terms[name[0]] != WHILE_FULL:
                kept.failures.pop(name, None)
        return kept

    async def _is_on_disk(self) -> None:
        """What was promised to be durable is."""
        assert (await self._stored(self._store)).bans == self.oracle.in_force()

    async def _cancel(self, guess: Guess) -> None:
        guess.screening.cancel()
        with suppress(asyncio.CancelledError):
            await guess.screening

    def _names(self) -> set[Name]:
        names = {*self.oracle.kept.failures, *self.oracle.kept.once_out}
        return names.union(*map(self.oracle.subjects, self.oracle.guesses))

    def _attempt(self, attempt: Try) -> Attempt:
        login = None if attempt.login is None else Login(attempt.login)
        return Attempt(ADDRESS_OF[attempt.address], login, "imap")
