"""The lines of a message as SMTP sends them, changed in pieces that keep the GIL shortly."""

from __future__ import annotations

from collections.abc import Iterator

from mailward.wire.lines import CRLF

_PIECE_OCTETS = 1_048_576


def in_whole_lines(octets: bytes) -> bytes:
    """*octets* with CRLF for each end of a line.

    A message that was submitted has no other. One that IMAP or JMAP stored may, and a relay that
    takes a bare LF for one would find an end of the message in it, and commands behind that.

    >>> in_whole_lines(b"a\\nb\\rc\\r\\n")
    b'a\\r\\nb\\r\\nc\\r\\n'
    """
    pieces, at = [], 0
    while at < len(octets):
        end = at + _PIECE_OCTETS
        end += octets.endswith(b"\r", at, end)  # no cut inside of a CRLF
        pieces.append(_in_whole_lines(octets[at:end]))
        at = end
    return b"".join(pieces)


def stuffed(octets: bytes) -> bytes:
    """The message, whose lines are whole, with a dot before each that begins a line.

    >>> stuffed(b".a\\r\\n..\\r\\nb.")
    b'..a\\r\\n...\\r\\nb.'
    """
    pieces = [piece.replace(b"\r\n.", b"\r\n..") for piece in _pieces(octets)]
    return (b"." if octets.startswith(b".") else b"") + b"".join(pieces)


def unstuffed(octets: bytes | bytearray) -> bytes:
    """The message without those dots (RFC 5321 section 4.5.2).

    >>> unstuffed(b"..a\\r\\n...\\r\\nb.")
    b'.a\\r\\n..\\r\\nb.'
    """
    whole = b"".join(piece.replace(b"\r\n.", CRLF) for piece in _pieces(octets))
    return whole.removeprefix(b".")


def _pieces(octets: bytes | bytearray) -> Iterator[bytes | bytearray]:
    """Pieces that begin with a CRLF, the first aside, so that none ends between CRLF and dot."""
    at = 0
    while at < len(octets):
        end = octets.find(CRLF, at + _PIECE_OCTETS)
        end = len(octets) if end < 0 else end
        yield octets[at:end]
        at = end


def _in_whole_lines(piece: bytes) -> bytes:
    pairs = piece.count(CRLF)
    if piece.count(b"\r") == pairs and piece.count(b"\n") == pairs:
        return piece
    return piece.replace(CRLF, b"\n").replace(b"\r", b"\n").replace(b"\n", CRLF)
