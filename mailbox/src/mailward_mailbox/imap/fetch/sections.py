"""Finds what a section names in a message (RFC 9051 section 6.4.5.1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from mailward_mailbox.imap.fetch.items import Partial, SectionPath, SectionText
from mailward_mailbox.message.part import Part


@dataclass(frozen=True, slots=True)
class Span:
    """Octets of the message as it is stored, from *start* to *end*."""

    start: int
    end: int
    is_binary: bool = False
    """NUL stays: the octets go out as a literal8."""

    def cut(self, partial: Partial | None) -> Span:
        """The octets in it that *partial* names."""
        first, end = bounds(self.end - self.start, partial)
        return Span(self.start + first, self.start + end, self.is_binary)


def bounds(size: int, partial: Partial | None) -> tuple[int, int]:
    """The first and the end of what *partial* names of so many octets."""
    if partial is None:
        return 0, size
    first = min(partial[0], size)
    return first, min(first + partial[1], size)


def outline(part: Part) -> Part:
    """Where the parts begin and end, without octets: small, whatever the message is."""
    return replace(
        part,
        octets=b"",
        params=(),
        mime={},
        parts=tuple(map(outline, part.parts)),
        message=part.message and outline(part.message),
    )


def find_part(root: Part, path: SectionPath) -> Part | None:
    """The part of that number; ``1`` of a message that is no multipart is its text."""
    part: Part | None = None
    around: Part | None = root
    for number in path:
        if part is not None:
            around = part if part.parts else part.message
        part = None if around is None else _numbered(around, number)
        if part is None:
            return None
    return part or root


def _numbered(around: Part, number: int) -> Part | None:
    if around.parts:
        return around.parts[number - 1] if number <= len(around.parts) else None
    return around if number == 1 else None


def find_section(root: Part, path: SectionPath, text: SectionText) -> Part | Span | None:
    """Where the section stands, the message whose fields it names, or ``None``."""
    part = find_part(root, path)
    if part is None:
        return None
    message = part.message if path else root
    match text:
        case SectionText.ALL:
            return Span(part.body_start if path else part.header_start, part.body_end)
        case SectionText.MIME:
            return Span(part.header_start, part.body_start)
        case SectionText.HEADER:
            return message and Span(message.header_start, message.body_start)
        case SectionText.TEXT:
            return message and Span(message.body_start, message.body_end)
        case SectionText.FIELDS | SectionText.FIELDS_NOT:
            return message


def some_fields(message: Part, names: Collection[str], *, is_not: bool) -> bytes:
    """The fields of those *names*, or the others; with the empty line, if there is one."""
    octets = message.octets
    kept = [
        octets[one.start : one.end]
        for one in message.header.fields
        if (one.name.lower() in names) is not is_not
    ]
    if kept and not kept[-1].endswith(b"\n"):
        kept.append(b"\r\n")
    has_empty_line = message.header_end < message.body_start or message.size
    return b"".join([*kept, b"\r\n"] if has_empty_line else kept)
