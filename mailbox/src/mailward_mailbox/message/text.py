"""What a part says: its text as a reader sees it (RFC 8621 section 4.1.4, RFC 5173 section 5)."""

from __future__ import annotations

import html
import re

from mailward_mailbox.message.charsets import decoded
from mailward_mailbox.message.parameters import joined
from mailward_mailbox.message.part import Part
from mailward_mailbox.message.transfer import UnknownEncodingError, decode

# Possessive: a "<" without ">" is looked at once, not once for each length its name could have.
_TAG = re.compile(r"<(/?)([A-Za-z]*+)[^<>]*+>")
_LONG_NUMBER = re.compile(r"&#(?:[0-9]{20}|[xX][0-9A-Fa-f]{20})[0-9A-Fa-f]*;?")
"""Of a character that does not exist: the standard library fails at thousands of digits."""
_PIECE_CHARS = 1_048_576
_HIDDEN = frozenset({"head", "script", "style", "title"})


def body_of(part: Part) -> tuple[bytes, bool]:
    """The body decoded, as it stands where the encoding is unknown, and whether it is right."""
    try:
        return decode(part.body_octets(), part.encoding)
    except UnknownEncodingError:
        return part.body_octets(), False


def charset_of(part: Part) -> str | None:
    """The character set of a text; ``None``: the part is no text."""
    if part.kind != "text":
        return None
    return joined(part.params).get("charset", "us-ascii")


def text_of(part: Part, at_most: int | None = None) -> tuple[str, bool]:
    """What it says, with LF for each end of a line, and whether all of it could be read.

    With *at_most* no more than so many octets are decoded.
    """
    octets, is_whole = body_of(part)
    text, is_right = decoded(octets[:at_most], charset_of(part) or "")
    return with_lf(text), is_whole and is_right


def with_lf(text: str) -> str:
    """The text with LF for each CRLF, changed in pieces: no other thread runs while one is."""
    if "\r" not in text:
        return text
    pieces, at = [], 0
    while at < len(text):
        end = at + _PIECE_CHARS
        end += text.endswith("\r", at, end)  # no cut inside of a CRLF
        pieces.append(text[at:end].replace("\r\n", "\n"))
        at = end
    return "".join(pieces)


def plain(part: Part, at_most: int) -> str:
    """What a reader sees of its first *at_most* octets."""
    text, _ = text_of(part, at_most)
    return without_markup(text) if part.type == "text/html" else text


def without_markup(text: str) -> str:
    """What of it is no tag, and is shown.

    >>> without_markup("<title>x</title><p>a&amp;b<script>no</script>")
    '  a&b '
    """
    pieces: list[str] = []
    at, hidden = 0, ""
    for match in _TAG.finditer(text):
        closes, tag = match[1], match[2].lower()
        if not hidden:
            pieces += [text[at : match.start()], " "]
            if not closes and tag in _HIDDEN:
                hidden = tag
        elif closes and tag == hidden:
            hidden = ""
        at = match.end()
    if not hidden:
        pieces.append(text[at:])
    return html.unescape(_LONG_NUMBER.sub("\ufffd", "".join(pieces)))
