"""Content-Transfer-Encodings undone (RFC 2045 section 6), in pieces that keep the GIL shortly."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from types import MappingProxyType

PIECE_OCTETS = 1_048_576
IDENTITIES = frozenset({"7bit", "8bit", "binary"})

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(sorted(set(range(256)) - set(_BASE64)))


class UnknownEncodingError(ValueError):
    """A part has a Content-Transfer-Encoding that no RFC defines; the message is its name."""


def decode(octets: bytes, encoding: str) -> tuple[bytes, bool]:
    """The octets without their encoding, and whether all of them could be read.

    Octets that an encoding does not allow are passed over (RFC 2045 section 6.8).

    Raises:
        UnknownEncodingError: the encoding (in lower case) is unknown.

    >>> decode(b"Z3LD\\r\\nvA!=", "base64")
    (b'gr\\xc3\\xbc', True)
    """
    if encoding in IDENTITIES:
        return octets, True
    known = _DECODERS.get(encoding)
    if known is None:
        raise UnknownEncodingError(encoding)
    return known(octets)


def _from_base64(octets: bytes) -> tuple[bytes, bool]:
    """Up to the padding; a last digit that stands alone says nothing."""
    found, left, is_padded = [], b"", False
    for at in range(0, len(octets), PIECE_OCTETS):
        digits = left + octets[at : at + PIECE_OCTETS].translate(None, _NOT_BASE64)
        digits, padding, _ = digits.partition(b"=")
        whole = len(digits) & ~3
        found.append(binascii.a2b_base64(digits[:whole]))
        left, is_padded = digits[whole:], bool(padding)
        if is_padded:
            break
    if len(left) > 1:
        found.append(binascii.a2b_base64(left + b"=" * (4 - len(left))))
    return b"".join(found), len(left) != 1


def _from_quoted_printable(octets: bytes) -> tuple[bytes, bool]:
    found, at = [], 0
    while at < len(octets):
        end = at + PIECE_OCTETS
        if end < len(octets):
            escape = octets.rfind(b"=", end - 2, end)  # no cut inside of "=0A"
            end = end if escape < 0 else escape
        found.append(binascii.a2b_qp(octets[at:end]))
        at = end
    return b"".join(found), True


_DECODERS: Mapping[str, Callable[[bytes], tuple[bytes, bool]]] = MappingProxyType(
    {"base64": _from_base64, "quoted-printable": _from_quoted_printable}
)
