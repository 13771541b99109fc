"""The nouns: who tried, as whom, when, and what came of it.

Values only. Nothing here reads a clock, a socket or a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum, unique
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, NamedTuple, NewType

from mailward.rules.numbers import NetworkNumber, name_from_number, number_from_name

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

Instant = NewType("Instant", float)
"""UTC seconds since the Unix epoch, with microseconds.

Differences of two instants of this century are exact in a double, so the window is exact too.
"""

Login = NewType("Login", str)
"""A login name as it is counted, made only by :meth:`mailward.rules.logins.Naming.login`."""


@unique
class SubjectKind(Enum):
    """What a limit counts against. The value is the key prefix: never reuse one."""

    ADDRESS = "address"
    LOGIN = "login"
    OPERATOR = "operator"

    # An enum's own hash is slow, and each ban and failure is counted by its kind.
    __hash__ = object.__hash__


class Subject(NamedTuple):
    """Something that can run out of patience: an address, a network or a login.

    A tuple, as each failure makes some and looks them up a dozen times.
    """

    kind: SubjectKind
    name: str

    @property
    def key(self) -> str:
        """Storage key. The kind comes first, so a login called ``192.0.2.1`` is no address.

        >>> Subject(SubjectKind.LOGIN, "192.0.2.1").key
        'login:192.0.2.1'
        """
        return _KEY_PREFIXES[self.kind] + self.name


_KEY_PREFIXES = {kind: f"{kind.value}:" for kind in SubjectKind}


def subject_from_key(key: str) -> Subject:
    """The inverse of :attr:`Subject.key`.

    Raises:
        ValueError: *key* has no known kind in front.
    """
    kind, colon, name = key.partition(":")
    if not colon:
        raise ValueError(f'"{key}" is no key: it has no kind in front')
    return Subject(SubjectKind(kind), name)


def subject_number(subject: Subject) -> NetworkNumber:
    """The number of the network that an address subject names.

    Raises:
        ValueError: it names none.
    """
    return _recent_number(subject.name)


# One failure is looked up in several tables in a row: its name is read once.
_recent_number = lru_cache(4_096)(number_from_name)


@unique
class Outcome(Enum):
    """What the backend said of the credentials (only ``FAILED`` is ever counted)."""

    FAILED = "failed"
    SUCCEEDED = "succeeded"
    UNAVAILABLE = "unavailable"
    EXPIRED = "expired"
    """A token that was right before is not any more: nobody has guessed."""

    __hash__ = object.__hash__  # as above


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at proving an identity, on any service.

    *address* is folded already (:meth:`mailward.rules.addresses.Prefixes.fold`); *login* is
    ``None`` where the credentials name nobody (a bearer token that cannot be read). *kind* says
    whose name that is: an account's, or an operator's. *is_direct*: the connection itself comes
    from *address*; else somebody who is believed has named it. *is_reported*: another program saw
    it, and named the service. *listener* and *session* are for whoever reads the log.
    """

    address: Address
    login: Login | None
    service: str
    listener: str = ""
    session: str = ""
    kind: Literal[SubjectKind.LOGIN, SubjectKind.OPERATOR] = SubjectKind.LOGIN
    is_direct: bool = False
    is_reported: bool = False

    @property
    def named(self) -> Subject | None:
        """Whom the credentials name."""
        return None if self.login is None else Subject(self.kind, self.login)


class Failure(NamedTuple):
    """One counted failure, as one of its subjects sees it.

    *counterpart* is the name of the subject of the other kind: the login an address tried, the
    address a login was tried from; empty where there was none.
    """

    at: Instant
    service: str
    counterpart: str


@dataclass(frozen=True, slots=True)
class Limit:
    """At most *failures* failures in any *period*; the one that reaches it bans."""

    failures: int
    period: timedelta
    period_seconds: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "period_seconds", self.period.total_seconds())


@unique
class Reason(Enum):
    """Why a subject is banned."""

    AUTHENTICATION = "authentication"
    MANUAL = "manual"

    __hash__ = object.__hash__  # as above


@dataclass(frozen=True, slots=True)
class Ban:
    """A subject that may not try again until *until* (``None``: until an operator lifts it).

    *on* is made from the subject, or from its number where it is an address or network. It keeps
    those as numbers: of a million bans the names would be what takes most memory.
    """

    on: Subject | NetworkNumber
    reason: Reason
    since: Instant
    until: Instant | None = None
    failures: int = 0
    services: tuple[str, ...] = ()
    counterparts: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.on, Subject) and self.on.kind is SubjectKind.ADDRESS:
            object.__setattr__(self, "on", subject_number(self.on))

    @property
    def subject(self) -> Subject:
        """Whom it is on, spelled anew each time."""
        if isinstance(self.on, Subject):
            return self.on
        return Subject(SubjectKind.ADDRESS, name_from_number(self.on))

    @property
    def kind(self) -> SubjectKind:
        """The kind of its subject."""
        return self.on.kind if isinstance(self.on, Subject) else SubjectKind.ADDRESS

    def set_back(self, now: Instant) -> Ban:
        """The same ban, begun at *now* if it began later by a clock that was wrong."""
        if self.since <= now:
            return self
        until = None if self.until is None else Instant(now + (self.until - self.since))
        return replace(self, since=now, until=until)

    def covers(self, now: Instant) -> bool:
        """Whether the ban is in force at *now*; it ends exactly at *until*."""
        return self.until is None or now < self.until

    def outlasts(self, other: Ban) -> bool:
        """Whether it ends later than *other*."""
        return other.until is not None and (self.until is None or self.until > other.until)
