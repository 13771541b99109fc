"""What every store promises. ``tests/conformance`` is the other half of this file.

A store keeps what must outlive the process: failures, bans, settings, facts, reports. It judges
nothing: the guard counts in memory and tells the store, in order, what has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from mailward.rules.model import Ban, Failure, Instant, Subject


class StoreError(Exception):
    """The store cannot answer; the message says what an operator can do about it."""


class UnusableStoreError(StoreError):
    """The store cannot be used until an operator has done what the message says."""


class FailureAdded(NamedTuple):
    """*subject* failed once more. A failure that counts for two subjects is two changes."""

    subject: Subject
    failure: Failure


@dataclass(frozen=True, slots=True)
class TallyCleared:
    """Every failure of *subject* added before this change is forgotten."""

    subject: Subject


@dataclass(frozen=True, slots=True)
class ClockSetBack:
    """What is later than *now* is of now: the clock that said otherwise was wrong.

    Failures happened now. Bans began now, and keep their length.
    """

    now: Instant


@dataclass(frozen=True, slots=True)
class ClockMoved:
    """All instants are *seconds* later (or earlier): the clock they were read from was off by that.

    Those of failures, bans, reports and tokens.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class BanPut:
    """*ban* takes the place of any ban on the same subject."""

    ban: Ban


@dataclass(frozen=True, slots=True)
class BanRemoved:
    """There is no ban on exactly *subject* any more."""

    subject: Subject


@dataclass(frozen=True, slots=True)
class SettingPut:
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class SettingDeleted:
    key: str


@dataclass(frozen=True, slots=True)
class FactPut:
    """Something learnt that is worth knowing at the next start (a backend's capabilities)."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ReportTaken:
    """The report whose id has *digest* was taken *at* that moment."""

    digest: bytes
    at: Instant


@dataclass(frozen=True, slots=True)
class ReportForgotten:
    """Nobody has to know any more that this report was taken."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class TokenAccepted:
    """The token with *digest* was right *at* that moment."""

    digest: bytes
    at: Instant


@dataclass(frozen=True, slots=True)
class TokenForgotten:
    """That this token was right is of no use any more."""

    digest: bytes


Change = (
    FailureAdded
    | TallyCleared
    | ClockSetBack
    | ClockMoved
    | BanPut
    | BanRemoved
    | SettingPut
    | SettingDeleted
    | FactPut
    | ReportTaken
    | ReportForgotten
    | TokenAccepted
    | TokenForgotten
)


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a store holds, for the start. Instants, reports and tokens are oldest first.

    Of the subjects of one kind those come first whose last failure is the oldest.
    """

    failures: Mapping[Subject, Sequence[Instant]] = field(default_factory=dict)
    bans: Sequence[Ban] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[bytes, Instant] = field(default_factory=dict)
    tokens: Mapping[bytes, Instant] = field(default_factory=dict)


class Store(Protocol):
    """One place to keep things. Calls may come from several tasks at once."""

    async def load(self) -> Contents:
        """Everything that is kept.

        Raises:
            StoreError: it cannot be read, or was written by a newer mailward.
        """
        ...

    async def commit(self, changes: Sequence[Change], *, durable: bool) -> None:
        """Apply *changes* in their order, all of them or none.

        With *durable* they survive a power cut once this returns; without, a crash of the process.

        Raises:
            StoreError: nothing was applied.
        """
        ...

    async def failures(self, subject: Subject, at_most: int) -> Sequence[Failure]:
        """The last *at_most* kept failures of *subject*, oldest first.

        Raises:
            StoreError: the store cannot be read.
        """
        ...

    async def forget_before(self, at: Instant, at_most: int) -> int:
        """Drop up to *at_most* failures that are not younger than *at*; return how many went.

        Those of an earlier commit go before those of a later one.

        Raises:
            StoreError: nothing was dropped.
        """
        ...

    async def close(self) -> None:
        """Let go of everything. Closing twice is harmless."""
        ...
