"""Octets that say what character set they are in, and lie."""

from __future__ import annotations

import codecs

# Codecs that are no character sets of mail; some of them take time that grows faster than the text.
_NO_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})
_ALIASES = {"us-ascii": "ascii", "unknown-8bit": "ascii", "iso-8859-8-i": "iso-8859-8"}


def decoded(octets: bytes, charset: str) -> tuple[str, bool]:
    """The text, with U+FFFD for what is none, and whether there was nothing of that.

    >>> decoded(b"gr\\xfc\\xdfe", "latin1")
    ('grüße', True)
    """
    name = charset.strip().strip("'\"").lower()
    name = _ALIASES.get(name, name)
    if name in {"", "ascii"}:
        return _guessed(octets)
    try:
        codec = codecs.lookup(name)
        if codec.name.replace("_", "-") in _NO_CHARSETS:
            return _guessed(octets)[0], False
        text = octets.decode(name, "replace")
    except (LookupError, ValueError):
        return _guessed(octets)[0], False
    text = _whole(text)
    return text, "\ufffd" not in text


def read_text(raw: bytes) -> str:
    """A header field: UTF-8 (RFC 6532), or what was usual before. No NUL."""
    return _guessed(raw.replace(b"\0", b""))[0]


def _guessed(octets: bytes) -> tuple[str, bool]:
    """Nobody says what it is: it is mostly UTF-8."""
    text = octets.decode("utf-8", "replace")
    return text, "\ufffd" not in text


def _whole(text: str) -> str:
    """Without halves of characters, which some codecs let through and JSON does not."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
