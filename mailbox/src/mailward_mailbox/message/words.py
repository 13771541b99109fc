"""Encoded words in header fields (RFC 2047)."""

from __future__ import annotations

import binascii
import re
import unicodedata
from base64 import b64decode

from mailward_mailbox.message.charsets import decoded

_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?\s]*)\?=")
MAX_COMPOSED_CHARS = 1_000
"""A longer text is left as it is: the time to compose its characters grows with its square."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def decode_words(text: str) -> str:
    """The *text* with encoded words decoded.

    >>> decode_words("=?utf-8?q?gr=C3=BC?= =?UTF-8?B?w58=?= you")
    'grüß you'
    """
    if "=?" not in text:
        return text
    pieces: list[str] = []
    at = 0
    held, charset = bytearray(), ""  # words of one character set: some cut characters in two
    for match in _WORD.finditer(text):
        between = text[at : match.start()]
        octets = _octets(match[2], match[3])
        if octets is None:
            continue
        if held and (between.strip() or match[1].lower() != charset):
            pieces.append(_shown(bytes(held), charset))
            held.clear()
        if between.strip() or not charset:
            pieces.append(between)
        held += octets
        charset, at = match[1].lower(), match.end()
    pieces += [_shown(bytes(held), charset), text[at:]]
    return "".join(pieces)


def composed(text: str) -> str:
    """The *text* in NFC."""
    return unicodedata.normalize("NFC", text) if len(text) <= MAX_COMPOSED_CHARS else text


def _octets(encoding: str, text: str) -> bytes | None:
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        return None
    if encoding in "qQ":
        return binascii.a2b_qp(raw, header=True)
    try:
        return b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return None


def _shown(octets: bytes, charset: str) -> str:
    return _CONTROL.sub("", decoded(octets, charset)[0]) if octets else ""
