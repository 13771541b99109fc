"""Mailbox names as IMAP4rev1 writes them: modified UTF-7 (RFC 3501 section 5.1.3).

IMAP4rev2 and UTF8=ACCEPT write UTF-8 instead.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_TO_SHIFT = re.compile(r"[^\x20-\x25\x27-\x7e]+")


def from_utf7(octets: bytes) -> str:
    """The name that *octets* write; a shift that is not valid is kept as it is.

    >>> from_utf7(b"Entw&APw-rfe &- more"), from_utf7(b"a&b"), from_utf7(b"&!!!-")
    ('Entwürfe & more', 'a&b', '&!!!-')
    """
    pieces: list[str] = []
    at = 0
    for found in _SHIFTED.finditer(octets):
        pieces += (_text(octets[at : found.start()]), _unshifted(found[1]))
        at = found.end()
    pieces.append(_text(octets[at:]))
    return "".join(pieces)


def to_utf7(name: str) -> bytes:
    """*name* in modified UTF-7.

    >>> to_utf7("Entwürfe & more")
    b'Entw&APw-rfe &- more'
    """
    return _TO_SHIFT.sub(_shift, name).encode("ascii")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def _unshifted(encoded: bytes) -> str:
    if not encoded:
        return "&"
    try:
        octets = b64decode(encoded.replace(b",", b"/") + b"=" * (-len(encoded) % 4), validate=True)
        return octets.decode("utf-16-be")
    except (binascii.Error, ValueError):
        return f"&{encoded.decode('ascii')}-"


def _shift(found: re.Match[str]) -> str:
    # "&" may stand among others that need a shift, or alone.
    pieces = found[0].split("&")
    return "&-".join(_shifted(piece) for piece in pieces)


def _shifted(text: str) -> str:
    if not text:
        return ""
    encoded = b64encode(text.encode("utf-16-be", "surrogatepass")).rstrip(b"=")
    return f"&{encoded.replace(b'/', b',').decode('ascii')}-"
