"""Writes a message: headers with encoded words, bodies, multiparts (RFC 5322, 2045, 2047, 2231).

All of it takes time that grows with the length alone, and no line is longer than 998 octets.
"""

from __future__ import annotations

import binascii
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

LINE_CHARS = 76
MAX_TEXT_LINE_OCTETS = 998
"""RFC 5322 section 2.1.1."""
_WORD_OCTETS = 45
"""Of UTF-8, so that an encoded word has 75 characters at most (RFC 2047 section 2)."""
_SEGMENT_CHARS = 60
_PIECE_OCTETS = 57 * 16_384
_UNITS = re.compile(r"(?:%..|.){1,20}")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_SHORT_LINES = re.compile(rb"(?:[^\n]{0,%d}+\n)*+[^\n]{0,%d}+" % ((MAX_TEXT_LINE_OCTETS,) * 2))


@dataclass(frozen=True, slots=True)
class Entity:
    """A part that is to be written: fields without ends of lines, and a body with all of them."""

    fields: Sequence[bytes]
    body: bytes = field(repr=False)


def header_field(name: str, words: Iterable[str]) -> bytes:
    """A field that is folded between *words*, each of which is ASCII and short.

    >>> header_field("To", ["a@b.example,", "c@d.example"])
    b'To: a@b.example, c@d.example'
    """
    lines, line = [], f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > LINE_CHARS and line.strip(" ") and not line.endswith(":"):
            lines.append(line)
            line = ""
        line += f" {word}"
    return "\r\n".join([*lines, line]).encode("ascii")


def text_words(text: str) -> list[str]:
    """The words of a text, encoded where they cannot be written as they are.

    >>> text_words("a b"), text_words("grün")
    (['a', 'b'], ['=?utf-8?b?Z3LDvG4=?='])
    """
    words = text.split(" ")
    is_plain = text.isascii() and "=?" not in text and all(words)
    return words if is_plain and all(len(one) < LINE_CHARS for one in words) else _encoded(text)


def _encoded(text: str) -> list[str]:
    return [
        f"=?utf-8?b?{binascii.b2a_base64(piece, newline=False).decode()}?="
        for piece in _cut(text.encode(), _WORD_OCTETS)
    ]


def address_words(name: str, email: str) -> list[str]:
    """The words of an address; *email* is one that can be written as it is."""
    if not name:
        return [email]
    if _ATOMS.fullmatch(name):
        return [*text_words(name), f"<{email}>"]
    if not name.isascii() or len(name) >= LINE_CHARS:
        return [*_encoded(name), f"<{email}>"]
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"{escaped}"', f"<{email}>"]


def parameter(name: str, value: str) -> Iterator[str]:
    """A parameter in as many pieces as it takes (RFC 2231 section 3)."""
    if value.isascii() and len(value) <= _SEGMENT_CHARS:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        yield f'{name}="{escaped}"'
        return
    pieces = _UNITS.findall(quote(value, safe=""))
    for number, piece in enumerate(pieces):
        charset = "" if number else "utf-8''"
        yield f"{name}*{number}*={charset}{piece}"


def text_entity(subtype: str, text: str) -> Entity:
    """A part that is text; its lines end with LF."""
    octets = text.encode()
    charset = "us-ascii" if text.isascii() else "utf-8"
    content = f"Content-Type: text/{subtype}; charset={charset}".encode()
    if text.isascii() and b"\r" not in octets and _SHORT_LINES.fullmatch(octets):
        encoding, body = b"7bit", octets
        if not body.endswith(b"\n"):
            body += b"\n"
    else:
        encoding, body = b"quoted-printable", b"".join(_quoted_printable(octets))
    return Entity(
        (content, b"Content-Transfer-Encoding: " + encoding), body.replace(b"\n", b"\r\n")
    )


def octets_entity(fields: Sequence[bytes], octets: bytes) -> Entity:
    """A part that is a file."""
    return Entity((*fields, b"Content-Transfer-Encoding: base64"), b"".join(_base64(octets)))


def multipart(subtype: str, parts: Sequence[Entity]) -> Entity:
    boundary = f"={secrets.token_hex(16)}"  # "=" begins no line of what is encoded like that
    pieces = []
    for part in parts:
        pieces.append(f"--{boundary}\r\n".encode())
        pieces += [line + b"\r\n" for line in part.fields]
        pieces += [b"\r\n", part.body, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    content = f'Content-Type: multipart/{subtype}; boundary="{boundary}"'.encode()
    return Entity((content,), b"".join(pieces))


def message(header: Sequence[bytes], entity: Entity) -> bytes:
    lines = (*header, b"MIME-Version: 1.0", *entity.fields)
    return b"".join([*(line + b"\r\n" for line in lines), b"\r\n", entity.body])


def _cut(octets: bytes, at_most: int) -> Iterator[bytes]:
    """Pieces of UTF-8 that cut no character."""
    at = 0
    while at < len(octets):
        end = min(at + at_most, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # noqa: PLR2004 -- its later octets
            end -= 1
        yield octets[at:end]
        at = end


def _quoted_printable(octets: bytes) -> Iterator[bytes]:
    """In pieces: no other thread runs while one is encoded."""
    for at in range(0, len(octets), _PIECE_OCTETS):
        piece = octets[at : at + _PIECE_OCTETS]
        yield binascii.b2a_qp(piece).replace(b"\r", b"=0D")
        if not piece.endswith(b"\n"):
            yield b"=\n"  # no end of a line: the next piece goes on with it


def _base64(octets: bytes) -> Iterator[bytes]:
    for at in range(0, len(octets), _PIECE_OCTETS):
        text = binascii.b2a_base64(octets[at : at + _PIECE_OCTETS], newline=False)
        lines = [text[start : start + LINE_CHARS] for start in range(0, len(text), LINE_CHARS)]
        yield b"\r\n".join([*lines, b""])
