"""The text of a message as SEARCH sees it: decoded, folded, in pieces of bounded length."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import date

from mailward_mailbox.imap.fetch.strings import MONTHS
from mailward_mailbox.imap.search.fold import fold
from mailward_mailbox.message.addresses import envelope_addresses
from mailward_mailbox.message.charsets import decoded, read_text
from mailward_mailbox.message.header import MAX_HEADER_OCTETS, Header, unfolded
from mailward_mailbox.message.parameters import joined
from mailward_mailbox.message.part import Part
from mailward_mailbox.message.transfer import UnknownEncodingError
from mailward_mailbox.message.words import decode_words

PIECE_OCTETS = 131_072
"""Of decoded text, looked at in one go: a few milliseconds."""
MAX_DATE_OCTETS = 200
MAX_COMMENTED_OCTETS = 16_384
"""Of one field with comments, in which addresses are looked for."""

_DATE = re.compile(r"\b(\d{1,2})[ \t-]+([A-Za-z]{3})[A-Za-z]*+[ \t-]+(\d{4}|\d{2})(?!\d)")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_MONTHS = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_CENTURY_FROM = 50  # RFC 5322 section 4.3: years of two digits


def field_text(value: bytes) -> str:
    """The value of a field, its encoded words decoded."""
    return fold(decode_words(read_text(unfolded(value))))


def addresses_text(value: bytes) -> str:
    """The addresses in the value of a field, without what may stand between their words.

    Empty where they stand in the field as they are, which is where it has no comment.
    """
    if b"(" not in value:
        return ""
    found = envelope_addresses(value[:MAX_COMMENTED_OCTETS])
    written = (b"%b@%b" % (one.mailbox, one.host) for one in found if one.mailbox and one.host)
    return fold(read_text(b" ".join(written)))


def header_text(header: Header) -> str:
    """All fields, a line each."""
    end = min(header.end, header.start + MAX_HEADER_OCTETS)
    lines = _FOLD.sub(b"", header.octets[header.start : end])
    return fold(decode_words(read_text(lines)))


def sent_day(header: Header) -> int | None:
    """The ordinal of the day in the Date field, whatever its time and zone.

    ``None``: there is none that can be read.
    """
    text = read_text((header.first("date") or b"")[:MAX_DATE_OCTETS])
    found = _DATE.search(text)
    if found is None:
        return None
    year = int(found[3])
    if len(found[3]) == 2:  # noqa: PLR2004 -- digits
        year += 2_000 if year < _CENTURY_FROM else 1_900
    try:
        return date(year, _MONTHS[found[2].lower()], int(found[1])).toordinal()
    except (KeyError, ValueError):
        return None


def found_in_body(message: Part, texts: Collection[str], *, has_headers: bool) -> frozenset[str]:
    """Those of *texts* that stand in the texts of the body, and in its headers if it *has_headers*.

    BODY matches no field of a header, not of a part or of a message inside either (RFC 9051 section
    6.4.4); TEXT matches them all.
    """
    left, found = set(texts) - {""}, {""}
    overlap = max(map(len, texts), default=1) - 1
    for pieces in _bodies(message, has_headers=has_headers):
        before = ""
        for piece in pieces:
            text = before + piece
            found |= {one for one in left if one in text}
            left -= found
            if not left:
                return frozenset(found) & frozenset(texts)
            before = text[-overlap:] if overlap else ""
    return frozenset(found) & frozenset(texts)


def _bodies(message: Part, *, has_headers: bool) -> Iterator[Iterator[str]]:
    """The pieces of each text, and maybe of the headers of parts and of messages inside."""
    left = [message]
    while left:
        part = left.pop()
        if has_headers and part is not message:
            yield iter((header_text(part.header),))
        if part.message is not None:
            left.append(part.message)
        elif part.parts:
            left.extend(reversed(part.parts))
        elif part.kind == "text":
            yield _pieces(part)


def _pieces(part: Part) -> Iterator[str]:
    try:
        octets = part.decoded()
    except UnknownEncodingError:
        octets = part.body_octets()
    charset = joined(part.params).get("charset", "")
    at = 0
    while at < len(octets):
        end = at + PIECE_OCTETS
        if end < len(octets) and not charset.lower().startswith(("utf-16", "utf-32")):
            end = octets.rfind(b"\n", at, end) + 1 or end  # no character is cut there
        yield fold(decoded(octets[at:end], charset)[0])
        at = end
