"""The guard: the one service every door asks. The rules' judgement, a store's memory.

``admit`` at accept, ``screen`` before the backend is asked, ``settle`` with its answer. Whoever
calls passes the time; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mailward.guard.counts import Counts
from mailward.guard.drops import Drops
from mailward.guard.falling import Falling
from mailward.guard.history import History
from mailward.guard.journal import Event, Journal
from mailward.guard.mirror import BanInForce, Fixing, Mirror
from mailward.guard.observed import Observed
from mailward.guard.reported import Reported
from mailward.guard.reservations import Full, Refused, Reservations, Screening, Step, Ticket
from mailward.guard.sessions import Sessions
from mailward.guard.shared import SharedAddresses
from mailward.guard.writer import Writer
from mailward.rules.addresses import address_name
from mailward.rules.judge import Banish, Tolerate, Verdict, judge
from mailward.rules.model import (
    Address,
    Attempt,
    Ban,
    Failure,
    Instant,
    Login,
    Outcome,
    Reason,
    Subject,
    SubjectKind,
)
from mailward.rules.policy import Policy, Term
from mailward.stores.port import ClockSetBack, Contents, Store


class Guard:
    """Counts, judges and bans for every door of this node.

    *contents* is what *store* held at the start; *now* the time of that.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        journal: Journal,
        contents: Contents,
        now: Instant,
        shared: SharedAddresses | None = None,
    ) -> None:
        self.policy = policy
        self.journal = journal
        self.writer = Writer(store, journal)
        is_later = any(ban.since > now for ban in contents.bans)
        bans = [ban.set_back(now) for ban in contents.bans] if is_later else contents.bans
        self.mirror = Mirror(self.writer, bans, policy.blocked)
        self.observed = Observed()
        shared = SharedAddresses() if shared is None else shared
        self.falling = Falling(self.mirror, self.observed, journal, bans, shared)
        self.reported = Reported(self.writer, contents.reports, now)
        self.drops = Drops(journal)
        self.sessions = Sessions(journal)
        self.reservations = Reservations()
        self.counts = Counts(self.writer, policy.max_tracked)
        self.tallies = self.counts.tallies
        self.history = History(
            store, self.writer, journal, self.tallies, (self.mirror, self.observed)
        )
        self._latest = now
        # The longest idle come first, as if they had been counted here.
        for subject, instants in contents.failures.items():
            is_later = is_later or instants[-1] > now
            self.counts.restore(subject, instants, policy.limit(subject.kind), now)
        if is_later:
            self.writer.note(ClockSetBack(now), now)
        if policy.hold_shared_addresses:
            at_limit = self.counts.at_limit(policy.address_limit, SubjectKind.ADDRESS, now)
            self.falling.presume_held(at_limit, now)

    # -- the three questions of a door ---------------------------------------------------------

    def admit(self, address: Address, now: Instant, *, is_direct: bool = False) -> Ban | None:
        """The ban that forbids *address* (folded) to connect, or ``None``: serve it.

        *is_direct*: the connection itself comes from there; else somebody has named it.
        """
        ban = self.mirror.covering_address(address, now, by_hand=self.policy.observe)
        if ban is None or self.policy.exempts(address, is_direct=is_direct):
            return None
        return ban

    def refusal(self, attempt: Attempt, now: Instant) -> Refused | None:
        """Whether *attempt* is banned already, asked before its guess is in hand."""
        ban = self._ban_on(attempt, now)
        return None if ban is None else self._refused(attempt, ban, now)

    def is_locked(
        self, name: Login | None, now: Instant, kind: SubjectKind = SubjectKind.LOGIN
    ) -> bool:
        """Whether the login (or an operator) *name* is banned by hand, which ends sessions, too."""
        if name is None:
            return False
        return self.mirror.covering(Subject(kind, name), now, by_hand=True) is not None

    async def screen(self, attempt: Attempt, now: Instant) -> Screening:
        """Reserve a guess for *attempt*, waiting for a place as long as the caller lets it.

        A ticket has to be settled, whatever happens. Bound the wait by a time-out around the call.
        """
        match self._step(attempt, now):
            case Full() as full:
                screening = await self.reservations.wait(attempt, full, self._give_up)
            case Ticket() | Refused() as screening:
                pass
        if isinstance(screening, Refused):
            return self._refused(attempt, screening.ban, now)
        return screening

    async def settle(self, ticket: Ticket, outcome: Outcome, now: Instant) -> Verdict:
        """Tell what became of the guess; a ban that follows is durable when this returns."""
        self.reservations.give_back(ticket)
        verdict = self._count(ticket.attempt, ticket.subjects, outcome, now, now)
        self._advance(ticket.subjects, now)
        match verdict:
            case Banish():
                await self._announce(verdict, now)
            case Tolerate():
                pass
        return verdict

    def take(self, attempt: Attempt, outcome: Outcome, at: Instant, now: Instant) -> Verdict:
        """Count what another program saw at *at* (later than *now* is taken as *now*).

        Bans that follow are in force here; :meth:`History.announce` makes them durable and known.

        Raises:
            ValueError: it is older than the period of every limit it could count for.
        """
        at = min(at, now)
        limits = [limit for kind in SubjectKind if (limit := self.policy.limit(kind))]
        if limits and all(now - at >= limit.period_seconds for limit in limits):
            raise ValueError("the report is older than the period of the limit")
        subjects = self.policy.subjects(attempt)
        verdict = self._count(attempt, subjects, outcome, at, now)
        self._advance(subjects, now)
        return verdict

    async def report(
        self, attempt: Attempt, outcome: Outcome, at: Instant, now: Instant
    ) -> Verdict:
        """:meth:`take` one, and announce what follows."""
        verdict = self.take(attempt, outcome, at, now)
        await self._announce(verdict, now)
        return verdict

    # -- bans ----------------------------------------------------------------------------------

    def impose(self, ban: Ban, now: Instant, *, is_noted: bool = True) -> Ban:
        """Bring a manual ban into force; of two on one subject the one that ends later stays.

        An automatic one, which was written down and is read again, takes the place of none that
        lasts as long.

        It is on its way to the store (else the caller notes it): wait for ``writer.written``.
        """
        self.end(ban.subject, now)
        known = self.mirror.on(ban.subject)
        is_by_hand = ban.reason is Reason.MANUAL
        if known is not None and self.policy.acts(known):
            if known.outlasts(ban) and is_by_hand and known.reason is Reason.AUTHENTICATION:
                # What only a manual ban does (it ends sessions) is wished for all the same.
                self.mirror.changes.publish(BanInForce(ban))
            if known.outlasts(ban) or not (is_by_hand or ban.outlasts(known)):
                return known
        if self.observed:
            self.observed.remove(ban.subject)
        self.mirror.put(ban, now, is_noted=is_noted)
        self._advance(self.reservations.lines(), now)
        return ban

    def release(
        self, subjects: Sequence[Subject], now: Instant, *, is_told: bool = True
    ) -> list[Ban]:
        """Lift the store's bans on exactly *subjects*, clear their tallies, return the bans."""
        lifted = []
        for subject in subjects:
            self.end(subject, now)
            self.falling.shared.presume_no_more(subject.name)
            for ban in (self.mirror.on(subject), self.observed.on(subject)):
                if ban is not None:
                    lifted.append(ban)
                    observed = self.falling.only_observes(ban, self.policy)
                    if is_told:
                        self.journal.ban(Event.BAN_LIFTED, ban, now, observed=observed)
            self.mirror.remove(subject, now)
            self.observed.remove(subject)
        for subject in subjects:  # in a run of their own: the store takes runs in one go
            self.counts.clear(subject, now)
        # Not before: nobody who waits is refused for a ban that is about to go.
        self._advance(self.reservations.lines(), now)
        return lifted

    def end(self, subject: Subject, now: Instant) -> None:
        """If the ban on *subject* is over at *now*, remove it with all that follows from that.

        With a ban that had a period of its own the tally goes, as by lifting. One that lasts as
        long as the window is full is renewed where the window still is (the limit is a new one).
        """
        ban = self.mirror.on(subject)
        if ban is not None and not ban.covers(now):
            self.mirror.remove(subject, now)
            observed = not self.policy.acts(ban)
            is_held = self.policy.hold_shared_addresses and self.falling.is_shared(subject, now)
            if renewed := self._after(ban, now, observed=observed, is_held=is_held):
                # An address that is shared by now is held from here on.
                self.observed.put(renewed) if is_held else self.mirror.put(renewed, now)
        ban = self.observed.on(subject) if self.observed else None
        if ban is not None and not ban.covers(now):
            self.observed.remove(subject)
            if renewed := self._after(ban, now, observed=True):
                self.observed.put(renewed)

    def _is_any_ban_over(self, now: Instant) -> bool:
        """Whether there may be a ban to :meth:`end`. There seldom is: no subject needs a look."""
        return self.mirror.has_ended(now) or self.observed.has_ended(now)

    # -- the whole -----------------------------------------------------------------------------

    def adopt(self, policy: Policy, now: Instant, fixing: Fixing | None = None) -> None:
        """Swap the policy; what was counted stays, and is judged by the new limits from now on.

        *fixing* is what ``mirror.compare`` made of its bans, where that was done before.
        """
        if fixing is None and policy.blocked is not self.policy.blocked:
            fixing = self.mirror.compare(policy.blocked)
        for ban in (*self.mirror.ended(now), *self.observed.ended(now)):
            self.end(ban.subject, now)  # by the rules it ended under
        if not policy.is_same_trial(self.policy):
            self.observed.forget()
        self.policy = policy
        if fixing is not None:
            self.mirror.fix(fixing)
        self.reservations.count_anew(policy.subjects)
        self.counts.resize(policy.max_tracked, now)
        self.reservations.line_up_anew(lambda attempt, at: self._step(attempt, now, at))

    def rejudge(self, subject: Subject, now: Instant) -> Ban | None:
        """Ban *subject* if it is at its limit and not banned; the store learns it behind."""
        self.end(subject, now)
        if any(book.covering(subject, now) for book in (self.mirror, self.observed)):
            return None
        match self._judge_anew(subject, now):
            case Tolerate():
                return None
            case Banish(bans):
                ban = next(self.falling.acting(bans, self.policy, now), None)
                if ban is not None:
                    self.mirror.put(ban, now)
                    self.journal.ban(Event.BAN_ADDED, ban, now)
                return ban

    def advance_all(self, now: Instant) -> None:
        """Serve every line: failures that left the window have made places."""
        self._advance(self.reservations.lines(), now)

    # -- inside --------------------------------------------------------------------------------

    def _step(self, attempt: Attempt, now: Instant, arrived: int | None = None) -> Step:
        """One look at *attempt*, which waits since *arrived* and is the first in its line."""
        self._latest = max(self._latest, now)
        if ban := self._ban_on(attempt, now):
            return Refused(ban)
        subjects = self.policy.subjects(attempt)
        is_any_over = self._is_any_ban_over(now)
        for subject in subjects:
            limit = self.policy.limit(subject.kind)
            if limit is None or self.policy.observes(subject.kind):
                continue
            if is_any_over:
                self.end(subject, now)
            failures = self.tallies[subject.kind].count(subject.name, limit, now)
            is_at_limit = failures >= limit.failures
            if self.policy.hold_shared_addresses and self.falling.is_held(
                subject, now, is_at_limit=is_at_limit
            ):
                continue
            if is_at_limit:
                ban = self.rejudge(subject, now) or self.mirror.covering(subject, now)
                if ban is not None:
                    return Refused(ban)
            guesses = failures + self.reservations.held(subject)
            if guesses >= limit.failures or self.reservations.has_earlier(subject, arrived):
                return Full(subject)
        return self.reservations.take(attempt, subjects)

    def _ban_on(self, attempt: Attempt, now: Instant) -> Ban | None:
        ban = self.admit(attempt.address, now, is_direct=attempt.is_direct)
        named = attempt.named
        if ban is not None or named is None:
            return ban
        return self.mirror.covering(named, now, by_hand=self.policy.observes(named.kind))

    def _refused(self, attempt: Attempt, ban: Ban, now: Instant) -> Refused:
        self.journal.refusal(attempt, ban, now)
        return Refused(ban)

    def _give_up(self, ticket: Ticket) -> None:
        self.reservations.give_back(ticket)
        self._advance(ticket.subjects, self._latest)

    def _advance(self, subjects: tuple[Subject, ...] | list[Subject], now: Instant) -> None:
        if self.reservations.has_waiting:
            self.reservations.advance(subjects, lambda attempt, at: self._step(attempt, now, at))

    def _count(
        self,
        attempt: Attempt,
        subjects: tuple[Subject, ...],
        outcome: Outcome,
        at: Instant,
        now: Instant,
    ) -> Verdict:
        may_observe = self.policy.observe or self.policy.hold_shared_addresses
        observed = may_observe and self._would_refuse(attempt, subjects, now)
        self.journal.attempt(outcome, attempt, now, observed=observed)
        if observed:
            self.observed.attempts[outcome, self.journal.counted_as(attempt)] += 1
        match outcome:
            case Outcome.FAILED:
                if self._add_failure(attempt, subjects, at, now):
                    return self._fall(self._judge(subjects, now), now)
                return Tolerate()
            case Outcome.UNAVAILABLE | Outcome.EXPIRED:
                return Tolerate()
            case Outcome.SUCCEEDED:
                for subject in subjects:
                    self.tallies[subject.kind].succeed(subject.name)
                self.falling.note_success(attempt, subjects, at)
                return Tolerate()

    def _add_failure(
        self, attempt: Attempt, subjects: tuple[Subject, ...], at: Instant, now: Instant
    ) -> bool:
        """Count it for each of *subjects*; say whether one of them is at its limit now."""
        is_one_at_limit = False
        is_any_over = self._is_any_ban_over(now)
        for subject in subjects:
            if is_any_over:
                self.end(subject, now)  # before anything is judged: it takes its failures along
            limit = self.policy.limit(subject.kind)
            if limit is None:
                continue
            counterpart = (
                (attempt.login or "")
                if subject.kind is SubjectKind.ADDRESS
                else address_name(attempt.address)
            )
            if now - at < limit.period_seconds:
                self.counts.add(subject, Failure(at, attempt.service, counterpart), limit, now)
            is_one_at_limit |= self.counts.are_at(limit, subject, now)
        return is_one_at_limit

    def _judge_anew(self, subject: Subject, now: Instant) -> Verdict:
        """What a new policy says of old failures; an allowed address has none."""
        return Tolerate() if self.policy.allows_all_of(subject) else self._judge((subject,), now)

    def _judge(self, subjects: tuple[Subject, ...], now: Instant) -> Verdict:
        windows = {subject: self.tallies[subject.kind].window(subject.name) for subject in subjects}
        return judge(windows, self.policy, now)

    def _fall(self, verdict: Verdict, now: Instant) -> Verdict:
        """Bring the bans of *verdict* into force here; what is left of it is news to tell."""
        match verdict:
            case Tolerate():
                return verdict
            case Banish(bans):
                acting = self.falling.acting(bans, self.policy, now)
                fallen = tuple(self._fresh(acting, now))
                for ban in fallen:
                    self.mirror.put(ban, now)
                return Banish(fallen) if fallen else Tolerate()

    def _would_refuse(self, attempt: Attempt, subjects: tuple[Subject, ...], now: Instant) -> bool:
        """Whether *attempt* of *subjects* came so far only because bans are just observed."""
        if self._ban_on(attempt, now) is not None:
            return False  # by hand: it was reported, or under way when that ban fell
        books, address = (self.mirror, self.observed), attempt.address
        if any(book.covering(subject, now) for book in books for subject in subjects):
            return True
        # A ban of before may be on another prefix than the one that is counted now.
        is_exempt = self.policy.exempts(address, is_direct=attempt.is_direct)
        return not is_exempt and self.mirror.covering_address(address, now) is not None

    def _after(
        self, ban: Ban, now: Instant, *, observed: bool, is_held: bool = False
    ) -> Ban | None:
        """What comes after *ban*, which is over: another one, or nothing.

        It was only *observed*; *is_held*: the other one will be.
        """
        if self._follows_window(ban):
            match self._judge_anew(ban.subject, now):
                case Banish(bans):
                    renewed = replace(ban, until=bans[0].until, failures=bans[0].failures)
                    self.journal.ban(Event.BAN_RENEWED, renewed, now, observed=observed or is_held)
                    return renewed
                case Tolerate():
                    pass
        else:
            self.counts.clear(ban.subject, now)
        self.journal.ban(Event.BAN_EXPIRED, ban, now, observed=observed)
        return None

    def _fresh(self, bans: Iterable[Ban], now: Instant) -> Iterator[Ban]:
        for ban in bans:
            known = self.mirror.on(ban.subject)
            if known is None or not known.covers(now):
                yield ban
            elif not known.outlasts(ban) and known.until != ban.until:
                is_same = known.reason is ban.reason
                yield replace(known, until=ban.until, failures=ban.failures) if is_same else ban

    async def _announce(self, verdict: Verdict, now: Instant) -> None:
        match verdict:
            case Tolerate():
                return
            case Banish(bans):
                await self.history.announce(bans, now, now)

    def _follows_window(self, ban: Ban) -> bool:
        return (
            ban.reason is Reason.AUTHENTICATION
            and self.policy.term(ban.subject.kind) is Term.UNTIL_WINDOW_EMPTIES
        )
