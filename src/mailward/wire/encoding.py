"""How SASL spells octets: base64, and the names of GS2 headers. One spelling, nothing else."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

SASL_NAME = rb"(?:[^\x00,=]|=2C|=3D)+"
"""A name as GS2 headers spell it (RFC 5801 section 4), to be part of a pattern."""

_ESCAPE = re.compile(rb"=2C|=3D")
_TO_ESCAPE = re.compile(rb"[,=]")


def decode(text: bytes) -> bytes | None:
    """Strict base64: the one spelling of its octets and nothing else, or ``None``.

    >>> decode(b"YQ=="), decode(b"YR=="), decode(b"YQ"), decode(b"Y Q==")
    (b'a', None, None, None)
    """
    try:
        octets = b64decode(text, validate=True)
    except binascii.Error:
        return None
    # The last digit of a padded group has bits to spare: only one spelling leaves them zero.
    return octets if b64encode(octets) == text else None


def from_sasl_name(text: bytes) -> bytes | None:
    """The name that *text*, which matches SASL_NAME, spells; ``None`` where it is not UTF-8.

    >>> from_sasl_name(b"a=2Cb=3Dc"), from_sasl_name(b"\\xff")
    (b'a,b=c', None)
    """
    name = _ESCAPE.sub(lambda found: b"," if found[0] == b"=2C" else b"=", text)
    try:
        name.decode()
    except UnicodeDecodeError:
        return None
    return name


def to_sasl_name(name: bytes) -> bytes:
    """The inverse of :func:`from_sasl_name`.

    >>> to_sasl_name(b"a,b=c")
    b'a=2Cb=3Dc'
    """
    return _TO_ESCAPE.sub(lambda found: b"=2C" if found[0] == b"," else b"=3D", name)
