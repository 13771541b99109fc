"""Everything the rules read, made once per load and never changed."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, unique

from mailward.rules.addresses import NetworkTable, Prefixes
from mailward.rules.limits import empties_at
from mailward.rules.logins import Naming
from mailward.rules.model import (
    Address,
    Attempt,
    Ban,
    Instant,
    Limit,
    Network,
    Reason,
    Subject,
    SubjectKind,
    subject_number,
)

DEFAULT_LIMIT = Limit(100, timedelta(days=1))
DEFAULT_MAX_TRACKED = 1_000_000


@unique
class Term(Enum):
    """How long an automatic ban lasts, where it is not a period."""

    UNTIL_LIFTED = "never"
    UNTIL_WINDOW_EMPTIES = "limit"


BanTerm = Term | timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """What counts, how much of it, and what follows.

    A limit of ``None`` means: nothing of that kind is counted or banned. *blocked* are the bans
    that the configuration file spells out; *allowed* and *trusted* map each network that is to
    itself. Whoever is trusted is believed who its clients are. To *observe* is to count and to
    judge, and to stop nobody. To *hold_shared_addresses* is to only observe the automatic ban of an
    address while many logins succeed from it.
    """

    address_limit: Limit | None = DEFAULT_LIMIT
    login_limit: Limit | None = DEFAULT_LIMIT
    address_term: BanTerm = Term.UNTIL_LIFTED
    login_term: BanTerm = Term.UNTIL_WINDOW_EMPTIES
    ban_closes_sessions: bool = False
    prefixes: Prefixes = field(default_factory=Prefixes)
    naming: Naming = field(default_factory=Naming)
    allowed: NetworkTable[Network] = field(default_factory=NetworkTable)
    trusted: NetworkTable[Network] = field(default_factory=NetworkTable)
    blocked: tuple[Ban, ...] = ()
    max_tracked: int = DEFAULT_MAX_TRACKED
    observe: bool = False
    hold_shared_addresses: bool = False

    def limit(self, kind: SubjectKind) -> Limit | None:
        match kind:
            case SubjectKind.ADDRESS:
                return self.address_limit
            case SubjectKind.LOGIN | SubjectKind.OPERATOR:
                return self.login_limit

    def term(self, kind: SubjectKind) -> BanTerm:
        match kind:
            case SubjectKind.ADDRESS:
                return self.address_term
            case SubjectKind.LOGIN | SubjectKind.OPERATOR:
                return self.login_term

    def observes(self, kind: SubjectKind) -> bool:
        """Whether subjects of *kind* are only observed.

        Operators never are: the way in to all of this is not opened to guesses for a trial.
        """
        return self.observe and kind is not SubjectKind.OPERATOR

    def acts(self, ban: Ban) -> bool:
        """Whether *ban* stops anybody: what was done by hand always does."""
        return ban.reason is Reason.MANUAL or not self.observes(ban.subject.kind)

    def is_same_trial(self, other: Policy) -> bool:
        """Whether what was observed under *other* still holds."""
        return (self.observe or self.hold_shared_addresses) and (
            self.observe,
            self.hold_shared_addresses,
            self.address_limit,
            self.login_limit,
            self.address_term,
            self.login_term,
            self.prefixes,
            self.naming,
        ) == (
            other.observe,
            other.hold_shared_addresses,
            other.address_limit,
            other.login_limit,
            other.address_term,
            other.login_term,
            other.prefixes,
            other.naming,
        )

    def allows(self, address: Address) -> Network | None:
        """The allowed network that holds *address*, if there is one."""
        found = self.allowed.covering(address)
        return found[0] if found else None

    def trusts(self, address: Address) -> bool:
        """Whether a peer at *address* (folded) is believed who its client is."""
        return bool(self.trusted.covering(address))

    def exempts(self, address: Address, *, is_direct: bool) -> bool:
        """Whether *address* is never counted, never dropped and never one too many.

        A trusted peer is so itself, but nobody it speaks for, even if that one has its address.
        """
        return bool(self.allowed.covering(address)) or (is_direct and self.trusts(address))

    def allows_all_of(self, subject: Subject) -> Network | None:
        """The allowed network that holds the whole of *subject*, if there is one."""
        if subject.kind is not SubjectKind.ADDRESS:
            return None
        found = self.allowed.enclosing_number(subject_number(subject))
        return found[0] if found else None

    def trusts_all_of(self, subject: Subject) -> Network | None:
        """The trusted network that holds the whole of *subject*, if there is one."""
        if subject.kind is not SubjectKind.ADDRESS:
            return None
        found = self.trusted.enclosing_number(subject_number(subject))
        return found[0] if found else None

    def subjects(self, attempt: Attempt) -> tuple[Subject, ...]:
        """The subjects that a failure of *attempt* counts for.

        An exempt address is never counted; a name is, wherever the attempt comes from.
        """
        subjects: tuple[Subject, ...] = ()
        is_exempt = self.exempts(attempt.address, is_direct=attempt.is_direct)
        if self.address_limit is not None and not is_exempt:
            subjects = (self.prefixes.subject(attempt.address),)
        named = attempt.named
        if named is not None and self.limit(named.kind) is not None:
            subjects = (*subjects, named)
        return subjects

    def ban_until(
        self, kind: SubjectKind, limit: Limit, window: array[float], now: Instant
    ) -> Instant | None:
        """When a ban that falls at *now* on a subject with *window* ends."""
        match self.term(kind):
            case Term.UNTIL_LIFTED:
                return None
            case Term.UNTIL_WINDOW_EMPTIES:
                return empties_at(window, limit)
            case timedelta() as period:
                return Instant(now + period.total_seconds())
