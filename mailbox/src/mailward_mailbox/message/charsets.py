"""Octets that name a character set, and may be wrong."""

from __future__ import annotations

import codecs

PIECE_OCTETS = 1_048_576
"""Decoded in one go: no other thread runs meanwhile."""

# Codecs that are no character sets of mail; some of them take time that grows faster than the text.
_NO_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})
_ALIASES = {"us-ascii": "ascii", "unknown-8bit": "ascii", "iso-8859-8-i": "iso-8859-8"}
_UTF_8 = codecs.getincrementaldecoder("utf-8")


def decoded(octets: bytes, charset: str) -> tuple[str, bool]:
    """The text, with U+FFFD for what is none, and whether there was nothing of that.

    >>> decoded(b"gr\\xfc\\xdfe", "latin1")
    ('grüße', True)
    """
    name = charset.strip().strip("'\"").lower()
    name = _ALIASES.get(name, name)
    if name in {"", "ascii"}:
        return _guessed(octets)
    codec = known_charset(name)
    if codec is None or codec.incrementaldecoder is None:
        return _guessed(octets)[0], False
    try:
        if len(octets) <= PIECE_OCTETS:
            text = _whole(octets.decode(codec.name, "replace"))
        else:
            text = _in_pieces(octets, codec.incrementaldecoder("replace"))
    except (LookupError, ValueError):
        return _guessed(octets)[0], False
    return text, "\ufffd" not in text


def known_charset(name: str) -> codecs.CodecInfo | None:
    """The codec of a character set of mail; ``None``: it is unknown."""
    try:
        codec = codecs.lookup(_ALIASES.get(name.lower(), name))
    except (LookupError, ValueError):
        return None
    is_text = getattr(codec, "_is_text_encoding", True)
    return codec if is_text and codec.name.replace("_", "-") not in _NO_CHARSETS else None


def read_text(raw: bytes) -> str:
    """A header field: UTF-8 (RFC 6532), or what was usual before. No NUL."""
    return _guessed(raw.replace(b"\0", b""))[0]


def _guessed(octets: bytes) -> tuple[str, bool]:
    """Without a name it is mostly UTF-8."""
    if len(octets) <= PIECE_OCTETS:
        text = octets.decode("utf-8", "replace")
    else:
        text = _in_pieces(octets, _UTF_8("replace"))
    return text, "\ufffd" not in text


def _in_pieces(octets: bytes, decoder: codecs.IncrementalDecoder) -> str:
    pieces = [
        decoder.decode(octets[at : at + PIECE_OCTETS], at + PIECE_OCTETS >= len(octets))
        for at in range(0, len(octets), PIECE_OCTETS)
    ]
    return "".join(map(_whole, pieces))


def _whole(text: str) -> str:
    """Without halves of characters, which some codecs let through and JSON does not."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
