"""The keys of a SEARCH command (RFC 9051 section 6.4.4), in the order of what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from mailward_mailbox.imap.reading import ReadExtent
from mailward_mailbox.imap.sequences import SequenceSet


@dataclass(frozen=True, slots=True)
class AllKeys:
    """Every key holds; of none: ALL."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class AnyKey:
    """At least one key holds (OR)."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class NotKey:
    """The key does not hold."""

    key: SearchKey


@dataclass(frozen=True, slots=True)
class HasFlag:
    """The message has the flag; *flag* in the spelling of the standard."""

    flag: str


@dataclass(frozen=True, slots=True)
class InNumbers:
    """The sequence number is in *numbers*; ``$`` are the saved UIDs."""

    numbers: SequenceSet


@dataclass(frozen=True, slots=True)
class InUids:
    """The UID is in *uids*."""

    uids: SequenceSet


@dataclass(frozen=True, slots=True)
class ReceivedIn:
    """The internal date is at least *first* and less than *end*, in seconds since 1970, UTC."""

    first: float
    end: float


@dataclass(frozen=True, slots=True)
class SizeIn:
    """RFC822.SIZE is at least *first* and less than *end* octets."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class ModSeqFrom:
    """The modification sequence is *modseq* or higher (RFC 7162 section 3.1.5)."""

    modseq: int


@dataclass(frozen=True, slots=True)
class HasId:
    """EMAILID or THREADID is *id* (RFC 8474 section 6)."""

    id: str
    is_thread: bool


@dataclass(frozen=True, slots=True)
class SentIn:
    """The day in the Date field is at least *first* and less than *end* (ordinals of days)."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class InField:
    """A header field of *name* (lower case) holds *text* (folded)."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class InBody:
    """The body holds *text* (folded)."""

    text: str


@dataclass(frozen=True, slots=True)
class InMessage:
    """The header or the body holds *text* (folded)."""

    text: str


OfContent = InBody | InMessage
OfHeader = SentIn | InField
OfStored = HasFlag | InNumbers | InUids | ReceivedIn | SizeIn | ModSeqFrom | HasId
SearchKey = AllKeys | AnyKey | NotKey | OfStored | OfHeader | OfContent


def extent(key: SearchKey) -> ReadExtent:
    """How much of a message decides a key; of a list its most expensive one."""
    match key:
        case AllKeys() | AnyKey():
            return max(map(extent, key.keys), default=ReadExtent.NOTHING)
        case NotKey():
            return extent(key.key)
        case SentIn() | InField():
            return ReadExtent.HEADER
        case InBody() | InMessage():
            return ReadExtent.WHOLE
        case HasFlag() | InNumbers() | InUids() | ReceivedIn() | SizeIn() | ModSeqFrom() | HasId():
            return ReadExtent.NOTHING


def all_of(keys: Iterable[SearchKey]) -> SearchKey:
    """Every key once, cheap ones first."""
    ordered = _ordered(keys)
    return ordered[0] if len(ordered) == 1 else AllKeys(ordered)


def any_of(keys: Iterable[SearchKey]) -> SearchKey:
    """Every key once, cheap ones first."""
    ordered = _ordered(keys)
    return ordered[0] if len(ordered) == 1 else AnyKey(ordered)


def _ordered(keys: Iterable[SearchKey]) -> tuple[SearchKey, ...]:
    return tuple(sorted(dict.fromkeys(keys), key=extent))


def leaves(key: SearchKey) -> Iterator[OfStored | OfHeader | OfContent]:
    """All keys in it that hold no other."""
    match key:
        case AllKeys() | AnyKey():
            for one in key.keys:
                yield from leaves(one)
        case NotKey():
            yield from leaves(key.key)
        case _:
            yield key


class ReturnOption(Enum):
    """What RETURN asks for (RFC 4731 section 3.1, RFC 5182 section 2)."""

    MIN = b"MIN"
    MAX = b"MAX"
    ALL = b"ALL"
    COUNT = b"COUNT"
    SAVE = b"SAVE"


@dataclass(frozen=True, slots=True)
class Search:
    """One SEARCH command. *options* are ``None`` without RETURN; ``RETURN ()`` is ALL."""

    key: SearchKey
    options: frozenset[ReturnOption] | None = None
    has_known_charset: bool = True

    @property
    def uses_modseq(self) -> bool:
        """Whether the command enables CONDSTORE (RFC 7162 section 3.1)."""
        return any(isinstance(key, ModSeqFrom) for key in leaves(self.key))

    @property
    def saves(self) -> bool:
        return self.options is not None and ReturnOption.SAVE in self.options
