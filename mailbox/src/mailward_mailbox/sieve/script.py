"""What a script is made of: the actions and tests of RFC 5228, RFC 5429 and RFC 5173 we know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, unique


@unique
class Match(Enum):
    """RFC 5228 section 2.7.1."""

    IS = ":is"
    CONTAINS = ":contains"
    MATCHES = ":matches"


@unique
class AddressPart(Enum):
    """RFC 5228 section 2.7.4."""

    ALL = ":all"
    LOCAL = ":localpart"
    DOMAIN = ":domain"


@unique
class Transform(Enum):
    """What of a body is looked at (RFC 5173 section 5)."""

    RAW = ":raw"
    TEXT = ":text"
    CONTENT = ":content"


@dataclass(frozen=True, slots=True)
class Matcher:
    """Whether one of *keys* fits; *folds*: by i;ascii-casemap, else by i;octet."""

    match: Match
    folds: bool
    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class Always:
    """``true`` or ``false``."""

    holds: bool


@dataclass(frozen=True, slots=True)
class Not:
    test: Test


@dataclass(frozen=True, slots=True)
class AllOf:
    tests: Sequence[Test]


@dataclass(frozen=True, slots=True)
class AnyOf:
    tests: Sequence[Test]


@dataclass(frozen=True, slots=True)
class Exists:
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Size:
    is_over: bool
    octets: int


@dataclass(frozen=True, slots=True)
class HeaderIs:
    names: Sequence[str]
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class AddressIs:
    part: AddressPart
    names: Sequence[str]
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class EnvelopeIs:
    part: AddressPart
    names: Sequence[str]
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class BodyIs:
    """*types* are those of ``:content``."""

    transform: Transform
    types: Sequence[str]
    matcher: Matcher


Test = (
    Always | Not | AllOf | AnyOf | Exists | Size | HeaderIs | AddressIs | EnvelopeIs | BodyIs
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keep:
    """Into the inbox."""


@dataclass(frozen=True, slots=True)
class Discard:
    """Nowhere, in silence."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Look no further."""


@dataclass(frozen=True, slots=True)
class FileInto:
    mailbox: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse it, and tell its sender why."""

    why: str


@dataclass(frozen=True, slots=True)
class If:
    """The block behind the first test that holds; ``else`` is a test that always does."""

    branches: Sequence[tuple[Test, Block]]


Command = Keep | Discard | Stop | FileInto | Reject | If
Block = tuple[Command, ...]
