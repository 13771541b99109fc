"""Renders one FETCH response from a stored message and its octets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from mailward_mailbox.imap.fetch.items import (
    Attribute,
    BinarySection,
    BinarySize,
    BodySection,
    FetchItem,
    SectionPath,
    SectionText,
)
from mailward_mailbox.imap.fetch.sections import (
    Span,
    bounds,
    find_part,
    find_section,
    outline,
    some_fields,
)
from mailward_mailbox.imap.fetch.strings import internal_date, literal8_head, literal_head
from mailward_mailbox.imap.fetch.structure import StructureWriter
from mailward_mailbox.mail.model import Message
from mailward_mailbox.message.header import Header, header_bounds
from mailward_mailbox.message.parse import parse, parse_header
from mailward_mailbox.message.part import Part
from mailward_mailbox.message.transfer import IDENTITIES, UnknownEncodingError, decode

MAX_INLINE_OCTETS = 1_048_576
"""Of the sections in one response; further ones are read again while they are sent."""

_NOT_THERE = b'""'
"""Of a section that the message does not have: empty, as other servers answer."""

Piece = bytes | Span
"""Octets to send, or where they stand in the stored message."""


@dataclass(frozen=True, slots=True)
class FetchedMessage:
    """What one response tells of a *message*. *octets*: all of it, its beginning, or nothing."""

    number: int
    message: Message
    items: tuple[FetchItem, ...]
    flags: bytes = b""
    """As FLAGS shows them."""
    octets: bytes | None = field(default=None, repr=False)
    outline: Part | None = None
    """Its parts, where they are known from before: sections do without octets then."""


@dataclass(frozen=True, slots=True)
class FetchResponse:
    """The pieces of a response in their order."""

    message: Message
    pieces: tuple[Piece, ...] = field(repr=False)
    has_unknown_encoding: bool = False
    """A BINARY item is left out."""
    outline: Part | None = None
    """Of a long message that had to be parsed."""

    @property
    def held(self) -> int:
        """Octets that wait in memory."""
        return sum(len(piece) for piece in self.pieces if isinstance(piece, bytes))


def render(fetched: FetchedMessage, *, is_utf8: bool) -> FetchResponse:
    """The response; sections are :class:`Span` where the octets are not at hand, or are many."""
    return _Renderer(fetched, is_utf8=is_utf8).render()


class _Renderer:
    def __init__(self, fetched: FetchedMessage, *, is_utf8: bool) -> None:
        self._fetched = fetched
        self._structures = StructureWriter(is_utf8=is_utf8)
        self._decoded: dict[SectionPath, bytes] = {}
        self._inline_left = MAX_INLINE_OCTETS

    def render(self) -> FetchResponse:
        pieces: list[Piece] = []
        has_unknown_encoding = False
        for item in self._fetched.items:
            try:
                value = self._value(item)
            except UnknownEncodingError:
                has_unknown_encoding = True
                continue
            label = item.value if isinstance(item, Attribute) else item.label
            pieces += [b" " * bool(pieces) + label + b" ", *value]
        if pieces:
            pieces = [b"* %d FETCH (" % self._fetched.number, *pieces, b")\r\n"]
        return FetchResponse(
            self._fetched.message, _joined(pieces), has_unknown_encoding, self._outline()
        )

    def _outline(self) -> Part | None:
        fetched = self._fetched
        was_parsed = fetched.outline is None and "_root" in self.__dict__
        is_long = fetched.message.size > MAX_INLINE_OCTETS
        return outline(self._root) if was_parsed and is_long else None

    # -- the message ---------------------------------------------------------------------------

    @property
    def _octets(self) -> bytes:
        if self._fetched.octets is None:
            raise ValueError("the octets of the message were not read")
        return self._fetched.octets

    @cached_property
    def _root(self) -> Part:
        return self._fetched.outline or parse(self._octets)

    @cached_property
    def _header(self) -> Header:
        return parse_header(self._octets)

    def _read(self, path: SectionPath, text: SectionText) -> Part | Span | None:
        """The section; those of the message's own header need no more than that."""
        is_of_parts = path or text in (SectionText.ALL, SectionText.TEXT, SectionText.MIME)
        if is_of_parts or self._fetched.outline is not None:
            return find_section(self._root, path, text)
        end, body = header_bounds(self._octets, 0, len(self._octets))
        message = Part(self._octets, "", 0, end, body, body, "text", "plain", (), {})
        return find_section(message, path, text)

    # -- items ---------------------------------------------------------------------------------

    def _value(self, item: FetchItem) -> list[Piece]:
        match item:
            case Attribute():
                return [self._attribute(item)]
            case BodySection():
                return self._section(item)
            case BinarySection():
                return self._binary(item)
            case BinarySize():
                return [b"%d" % self._binary_size(item.path)]

    def _attribute(self, item: Attribute) -> bytes:  # noqa: PLR0911 -- one for each
        message = self._fetched.message
        match item:
            case Attribute.UID:
                return b"%d" % message.uid
            case Attribute.FLAGS:
                return self._fetched.flags
            case Attribute.MODSEQ:
                return b"(%d)" % message.modseq
            case Attribute.INTERNALDATE:
                return internal_date(message.received)
            case Attribute.SIZE:
                return b"%d" % message.size
            case Attribute.EMAILID:
                return b"(%b)" % message.email.encode()
            case Attribute.THREADID:
                return b"(%b)" % message.thread.encode()
            case Attribute.ENVELOPE:
                return self._structures.envelope(self._header)
            case Attribute.BODY | Attribute.BODYSTRUCTURE:
                is_extended = item is Attribute.BODYSTRUCTURE
                return self._structures.body(self._root, is_extended=is_extended)

    def _section(self, item: BodySection) -> list[Piece]:
        found: Part | Span | None
        if item.is_everything:
            found = Span(0, self._fetched.message.size)
        else:
            found = self._read(item.path, item.text)
        match found:
            case None:
                return [_NOT_THERE]
            case Span():
                return self._literal(found.cut(item.partial))
            case Part():
                is_not = item.text is SectionText.FIELDS_NOT
                fields = some_fields(found, item.fields, is_not=is_not)
                first, end = bounds(len(fields), item.partial)
                return [literal_head(end - first), without_nul(fields[first:end])]

    def _literal(self, span: Span) -> list[Piece]:
        size = span.end - span.start
        head = literal8_head(size) if span.is_binary else literal_head(size)
        if self._fetched.octets is None or size > self._inline_left:
            return [head, span]
        self._inline_left -= size
        octets = self._fetched.octets[span.start : span.end]
        return [head, octets if span.is_binary else without_nul(octets)]

    # -- BINARY --------------------------------------------------------------------------------

    def _binary(self, item: BinarySection) -> list[Piece]:
        """Decoded; a literal8 where there is NUL in it, or the sender said that it is binary."""
        found = self._binary_part(item.path)
        if found is None:
            return [_NOT_THERE]
        span, encoding = found
        if encoding in IDENTITIES:
            cut = span.cut(item.partial)
            has_nul = self._octets.find(b"\0", cut.start, cut.end) >= 0
            is_binary = has_nul or encoding == "binary"
            return self._literal(Span(cut.start, cut.end, is_binary=is_binary))
        octets = self._decode(item.path, span, encoding)
        first, end = bounds(len(octets), item.partial)
        octets = octets[first:end]
        head = literal8_head if b"\0" in octets else literal_head
        return [head(end - first), octets]

    def _binary_size(self, path: SectionPath) -> int:
        found = self._binary_part(path)
        if found is None:
            return 0
        span, encoding = found
        if encoding in IDENTITIES:
            return span.end - span.start
        return len(self._decode(path, span, encoding))

    def _binary_part(self, path: SectionPath) -> tuple[Span, str] | None:
        """Where the part stands, and its encoding; messages and multiparts have none."""
        if not path:
            return Span(0, len(self._octets)), "8bit"
        part = find_part(self._root, path)
        if part is None:
            return None
        is_leaf = not part.parts and part.message is None
        return Span(part.body_start, part.body_end), part.encoding if is_leaf else "8bit"

    def _decode(self, path: SectionPath, span: Span, encoding: str) -> bytes:
        if path not in self._decoded:
            self._decoded.clear()  # one of them at a time: it may be as long as the message
            self._decoded[path] = decode(self._octets[span.start : span.end], encoding)[0]
        return self._decoded[path]


def without_nul(octets: bytes) -> bytes:
    """NUL as 0x80, so that the length stays: no string but a literal8 holds NUL."""
    return octets.replace(b"\0", b"\x80")


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    """The same pieces, octets that follow each other in one."""
    joined: list[Piece] = []
    run: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, Span):
            joined += [b"".join(run), piece]
            run.clear()
        else:
            run.append(piece)
    return (*joined, b"".join(run)) if run else tuple(joined)
