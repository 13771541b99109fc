"""What an operator can ask and change, whatever he talks through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mailward.admin.keys import Keys
from mailward.admin.names import find_subjects, read_subjects
from mailward.admin.views import counted, listed
from mailward.admin.wishes import (
    Asked,
    Complaint,
    Done,
    Refusal,
    RefusedError,
    Unsaid,
    Wish,
    check_note,
    check_subject,
    done,
    read_period,
)
from mailward.backends.accounts import MailboxAccounts
from mailward.guard import operations
from mailward.guard.bites import in_bites
from mailward.guard.ending import Ending
from mailward.guard.operations import BITE, AllowedError, Lifted, Why
from mailward.guard.service import Guard
from mailward.guard.sessions import SessionPage
from mailward.rules.addresses import subject_network
from mailward.rules.model import (
    Ban,
    Instant,
    Network,
    Reason,
    Subject,
    SubjectKind,
)
from mailward.rules.subjects import SubjectError, spelled


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who is at the doors: *waiting* of those *present* are not in.

    *accepted* counts who came since the start, by listener and service. At most *max_waiting* wait
    at once, a number that may have been *lowered_from* the usual one for want of descriptors.
    """

    waiting: int = 0
    present: int = 0
    accepted: Mapping[tuple[str, str], int] = field(default_factory=dict)
    max_waiting: int = 0
    lowered_from: int | None = None


Clock = Callable[[], Instant]
DoorRows = Callable[[], Sequence[Mapping[str, object]]]
Warnings = Callable[[], Sequence[str]]

MAX_COMPLAINTS = 100
"""So many faults of a list are told; who sent junk needs no more to see it."""
MAX_SUBJECTS = 1_000_000
"""The networks of all ranges in one request: a list of them takes seconds and 300 MB."""


@dataclass(frozen=True, slots=True)
class Imposed:
    """What came of a wish for one subject: *ban* is in force, and *is_new* or older than it.

    The networks of *exempt* are allowed, so the ban does not act inside them. With a login that
    *is_unseen* nobody has tried to log in, as far as that is known.
    """

    ban: Ban
    is_new: bool
    exempt: tuple[Network, ...]
    is_unseen: bool


@dataclass(frozen=True, slots=True)
class Banned:
    """What came of a whole wish. So many sessions are *closed*, and so many bans were over before
    they were read (*ended*).
    """

    imposed: Sequence[Imposed] = ()
    closed: int = 0
    ended: int = 0


class Control:
    """The guard as an operator sees it. *keys* are the settings, *doors* gives a row for each door.

    *warnings* are sentences on what is allowed, but seldom meant; *crowd* is who is there;
    *accounts* keeps accounts, where any are kept here. Every change is in the store when it is
    answered, or the answer says that it is not yet.
    """

    def __init__(
        self,
        guard: Guard,
        clock: Clock,
        keys: Keys,
        doors: DoorRows,
        version: str,
        warnings: Warnings = tuple,
        crowd: Callable[[], Crowd] = Crowd,
        accounts: Callable[[], MailboxAccounts | None] = lambda: None,
    ) -> None:
        self.guard = guard
        self.clock = clock
        self.keys = keys
        self.doors = doors
        self.version = version
        self.warnings = warnings
        self.crowd = crowd
        self.accounts = accounts
        self.started = clock()

    @property
    def is_stored(self) -> bool:
        """Whether what was changed just now is in the store."""
        return not self.guard.writer.degraded

    # -- bans ----------------------------------------------------------------------------------

    async def ban(self, wish: Wish) -> Banned:
        """Ban all of the subjects, or none where one of them cannot be.

        Raises:
            RefusedError: the wish is wrong, with a complaint for each subject that is.
        """
        check_note(wish.note)
        period = None if wish.period is None else read_period(wish.period)
        texts = [one.subject for one in wish.asked]
        subjects = await self._checked(texts, lambda text: self._bannable(text, yes=wish.yes))
        if wish.check:
            return Banned()
        now = self.clock()
        until = None if period is None else Instant(now + period.total_seconds())
        lasting: list[Ban] = []
        ending = Ending(self.guard)
        async for pairs in in_bites(list(subjects.items())):
            bans = [_ban(subject, wish.asked[place], until, wish, now) for subject, place in pairs]
            bans = [ban for ban in bans if ban.covers(now)]
            lasting += bans
            # What was banned automatically and is read again ends no session, as it did not then.
            by_hand = [ban.subject for ban in bans if ban.reason is Reason.MANUAL]
            ending.include(by_hand, close=wish.close)
        await ending.look()
        here, unseen = ending.names, set[Subject]()
        async for bite in in_bites(lasting, BITE):
            unseen.update(ban.subject for ban in bite if self._is_unseen(ban, here))
        in_force = await operations.impose_all(self.guard, lasting, now)
        imposed: list[Imposed] = []
        async for both in in_bites(list(zip(lasting, in_force, strict=True))):
            for ours, ban in both:
                subject, is_new = ban.subject, ban.until == ours.until
                exempt = tuple(self._allowed_inside(subject))
                imposed.append(Imposed(ban, is_new, exempt, subject in unseen))
        closed = await ending.end(self.clock())
        return Banned(imposed, closed, ended=len(subjects) - len(lasting))

    async def lift(
        self, texts: Sequence[str], *, inside: bool = False, check: bool = False
    ) -> list[Lifted]:
        """Lift the bans on all of the subjects (and *inside* them), and forget their failures.

        Raises:
            RefusedError: one of them names nothing; nothing was lifted.
        """
        subjects = await self._checked(texts, lambda text: find_subjects(text, self.guard))
        if check:
            return []
        return await operations.lift_each(self.guard, list(subjects), self.clock(), inside=inside)

    async def lift_one(self, text: str, *, inside: bool = False) -> Lifted:
        """The same for one subject alone.

        Raises:
            RefusedError: *text* names none, or a range that is several networks.
        """
        subject = self._one(text)
        (lifted,) = await operations.lift_each(self.guard, [subject], self.clock(), inside=inside)
        return lifted

    async def lift_all(self, reason: Reason) -> Done:
        """Lift every ban of the store that has *reason*."""
        count = await operations.lift_all(self.guard, reason, self.clock())
        match reason:
            case Reason.AUTHENTICATION:
                bans = counted(count, "automatic ban")
            case Reason.MANUAL:
                bans = counted(count, "manual ban")
        return done(f"Lifted {bans}.", stored=self.is_stored)

    async def bans(
        self, address: str | None = None, login: str | None = None, reason: Reason | None = None
    ) -> list[Ban]:
        """The bans in force: all, or those that touch *address* or *login* (or have *reason*).

        A ban touches an address or network if it covers it or lies inside it.

        Raises:
            RefusedError: *address* or *login* is none.
        """
        wanted = [
            subject
            for text, kind in ((address, SubjectKind.ADDRESS), (login, SubjectKind.LOGIN))
            if text is not None
            for subject in self._named(text, kind)
        ]
        bans = await operations.bans(self.guard, self.clock())
        if reason is None and not wanted:
            return bans
        found: list[Ban] = []
        async for bite in in_bites(bans):
            found += [
                ban
                for ban in bite
                if (reason is None or ban.reason is reason)
                and (not wanted or any(_touches(ban.subject, subject) for subject in wanted))
            ]
        return found

    async def sessions(self, whose: str | None, after: int, at_most: int) -> SessionPage:
        """The sessions behind the number *after*: all, or those of a subject.

        Raises:
            RefusedError: *whose* names none.
        """
        subjects = None if whose is None else self._named(whose)
        return await self.guard.sessions.page(subjects, after, at_most)

    async def close_sessions(
        self, texts: Sequence[str], *, yes: bool
    ) -> tuple[Sequence[Subject], int]:
        """End the sessions of all subjects, or of none where one is wrong; how many they were.

        Raises:
            RefusedError: with a complaint for each subject that is wrong.
        """
        subjects = await self._checked(texts, lambda text: self._closable(text, yes=yes))
        return list(subjects), await self.guard.sessions.close(list(subjects), self.clock())

    async def why(self, text: str) -> Why:
        """All there is to say of a subject.

        Raises:
            RefusedError: *text* names none, or a range that is several networks.
        """
        return await operations.why(self.guard, self._one(text), self.clock())

    # -- inside ----------------------------------------------------------------------------------

    async def _checked(
        self, texts: Sequence[str], read: Callable[[str], Sequence[Subject]]
    ) -> Mapping[Subject, int]:
        """The subjects of every text, each once with the last place it has; a range is several.

        Raises:
            RefusedError: with a complaint for each that *read* refuses.
        """
        subjects: dict[Subject, int] = {}
        complaints: list[Complaint] = []
        reasons: set[Refusal] = set()
        seen = 0
        for index, text in enumerate(texts):
            if len(subjects) + len(complaints) - seen >= BITE:
                seen = len(subjects) + len(complaints)
                await asyncio.sleep(0)
            try:
                subjects.update(dict.fromkeys(read(text), index))
            except SubjectError as error:
                reasons.add(Refusal.WRONG)
                complaints.append(Complaint(str(error), index))
            except AllowedError as error:
                reasons.add(Refusal.CONFLICT)
                complaints.append(Complaint(str(error), index))
            except RefusedError as error:
                reasons.add(error.why)
                complaints.append(Complaint(str(error), index))
            if len(subjects) > MAX_SUBJECTS:
                raise RefusedError(
                    Refusal.WRONG,
                    f"the ranges are more than {MAX_SUBJECTS:,} networks; nothing was changed:"
                    " send the list in parts",
                )
        if not complaints:
            return subjects
        why = Refusal.CONFLICT if reasons == {Refusal.CONFLICT} else Refusal.WRONG
        if len(texts) == 1:
            raise RefusedError(why, complaints[0].message)
        raise RefusedError(
            why,
            f"{len(complaints)} of {len(texts)} subjects are refused; nothing was changed",
            complaints[:MAX_COMPLAINTS],
        )

    def _is_unseen(self, ban: Ban, here: Collection[str]) -> bool:
        """Whether nothing is known of the login that is banned: perhaps its name has a slip."""
        return (
            isinstance(ban.on, Subject)
            and ban.on.kind is SubjectKind.LOGIN
            and not self.guard.tallies[ban.on.kind].knows(ban.on.name)
            and not self.guard.mirror.has(ban.on)
            and ban.on.name not in here
        )

    def _bannable(self, text: str, *, yes: bool) -> Sequence[Subject]:
        subjects = read_subjects(text, self.guard.policy)
        for subject in subjects:
            check_subject(subject, yes=yes)
            operations.check_bannable(self.guard, subject)
        return subjects

    def _closable(self, text: str, *, yes: bool) -> Sequence[Subject]:
        subjects = find_subjects(text, self.guard)
        for subject in subjects:
            check_subject(subject, yes=yes)
            if subject.kind is SubjectKind.OPERATOR:
                raise RefusedError(
                    Refusal.WRONG,
                    f"{subject.key} has no session: each request of an operator is asked for the"
                    " password; ban it, or change management.admin",
                )
        return subjects

    def _named(self, text: str, kind: SubjectKind | None = None) -> Sequence[Subject]:
        try:
            return find_subjects(text, self.guard, kind)
        except SubjectError as error:
            raise RefusedError(Refusal.WRONG, str(error)) from None

    def _one(self, text: str) -> Subject:
        subject, *others = self._named(text)
        if others:
            raise RefusedError(
                Refusal.WRONG,
                f'"{text}" is {len(others) + 1} networks; ask for one at a time: '
                f"{listed(map(spelled, (subject, *others)))}",
            )
        return subject

    def _allowed_inside(self, subject: Subject) -> Iterator[Network]:
        if subject.kind is not SubjectKind.ADDRESS:
            return
        network = subject_network(subject)
        if network.prefixlen == network.max_prefixlen:
            return
        for allowed in self.guard.policy.allowed.values():
            if is_inside(allowed, network):
                yield allowed


def _ban(subject: Subject, asked: Asked, until: Instant | None, wish: Wish, now: Instant) -> Ban:
    """The ban that is asked for on *subject*; *until* is when those end that do not say."""
    end = until if asked.until is Unsaid.UNSAID else asked.until
    note = wish.note if asked.note is None else asked.note
    return Ban(subject, asked.reason, now, end, note=note)


def is_inside(inner: Network, outer: Network) -> bool:
    """Whether *outer* holds the whole of *inner*."""
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and inner.network_address in outer
    )


def _touches(banned: Subject, wanted: Subject) -> bool:
    if banned.kind is not wanted.kind or banned.kind is not SubjectKind.ADDRESS:
        return banned == wanted
    ours, theirs = subject_network(banned), subject_network(wanted)
    return is_inside(ours, theirs) or is_inside(theirs, ours)
