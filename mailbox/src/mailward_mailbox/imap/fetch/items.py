"""The data items of a FETCH command, without duplicates (RFC 9051 section 6.4.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mailward_mailbox.imap.reading import ReadExtent

Partial = tuple[int, int]
"""The first octet and the number of octets asked for."""
SectionPath = tuple[int, ...]
"""The numbers of a section part; of the message itself none."""


class Attribute(Enum):
    """An item without arguments; its value is its name in the response."""

    UID = b"UID"
    FLAGS = b"FLAGS"
    MODSEQ = b"MODSEQ"
    INTERNALDATE = b"INTERNALDATE"
    SIZE = b"RFC822.SIZE"
    EMAILID = b"EMAILID"
    THREADID = b"THREADID"
    ENVELOPE = b"ENVELOPE"
    BODY = b"BODY"
    BODYSTRUCTURE = b"BODYSTRUCTURE"


class SectionText(Enum):
    """Which octets of a part a section names; ALL stands for the absent word."""

    ALL = b""
    HEADER = b"HEADER"
    FIELDS = b"HEADER.FIELDS"
    FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True)
class BodySection:
    """``BODY[...]`` or one of the RFC822 items; *label* is its name in the response."""

    label: bytes
    path: SectionPath = ()
    text: SectionText = SectionText.ALL
    fields: frozenset[str] = frozenset()
    """In lower case."""
    partial: Partial | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it is the whole message, or a piece of that."""
        return not self.path and self.text is SectionText.ALL


@dataclass(frozen=True, slots=True)
class BinarySection:
    """``BINARY[...]`` (RFC 3516 section 4.2)."""

    label: bytes
    path: SectionPath
    partial: Partial | None = None


@dataclass(frozen=True, slots=True)
class BinarySize:
    """``BINARY.SIZE[...]`` (RFC 3516 section 4.3)."""

    label: bytes
    path: SectionPath


FetchItem = Attribute | BodySection | BinarySection | BinarySize


@dataclass(frozen=True, slots=True)
class FetchItems:
    """What one FETCH command asks for, each item once."""

    items: tuple[FetchItem, ...]
    sets_seen: bool = False
    changed_since: int | None = None
    """CHANGEDSINCE (RFC 7162 section 3.1.4.1)."""

    @property
    def uses_modseq(self) -> bool:
        """Whether the command enables CONDSTORE (RFC 7162 section 3.1)."""
        return Attribute.MODSEQ in self.items

    @property
    def extent(self) -> ReadExtent:
        """What has to be read of each message."""
        return max(map(extent, self.items), default=ReadExtent.NOTHING)

    @property
    def are_streamed(self) -> bool:
        """Whether all sections go out as they are stored, so that no octet is looked at before."""
        return all(
            item.is_everything if isinstance(item, BodySection) else not extent(item)
            for item in self.items
        )

    @property
    def are_spans(self) -> bool:
        """Whether all that is needed of a message is where its parts begin and end."""
        return all(
            item.text not in _FIELDS if isinstance(item, BodySection) else not extent(item)
            for item in self.items
        )


_FIELDS = frozenset({SectionText.FIELDS, SectionText.FIELDS_NOT})
_OF_HEADER = _FIELDS | {SectionText.HEADER}


def extent(item: FetchItem) -> ReadExtent:
    """How much of the message answers *item*."""
    match item:
        case Attribute.ENVELOPE:
            return ReadExtent.HEADER
        case Attribute.BODY | Attribute.BODYSTRUCTURE:
            return ReadExtent.WHOLE
        case Attribute():
            return ReadExtent.NOTHING
        case BodySection():
            return (
                ReadExtent.HEADER if not item.path and item.text in _OF_HEADER else ReadExtent.WHOLE
            )
        case BinarySection() | BinarySize():
            return ReadExtent.WHOLE
