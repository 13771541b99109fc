"""Words with parameters: Content-Type, Content-Disposition (RFC 2045 section 5.1, RFC 2183)."""

from __future__ import annotations

import re
from itertools import islice
from urllib.parse import unquote_to_bytes

from mailward_mailbox.message.charsets import decoded, read_text

MAX_STRUCTURED_OCTETS = 16_384
"""Of a field that is taken apart; the octets behind them are ignored."""
MAX_PARAMETERS = 64

Parameters = tuple[tuple[str, bytes], ...]
"""Names and values in the order and case in which they are written, values without quotes."""

_TOKEN = rb"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]++"
_TYPE = re.compile(rb"\s*+(%b)\s*+/\s*+(%b)(?=[;\s(]|\Z)" % (_TOKEN, _TOKEN))
_WORD = re.compile(rb"\s*+(%b)" % _TOKEN)
_PARAMETER = re.compile(rb';\s*+([!-:<>-~]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)|([^;]*+))', re.DOTALL)
_COMMENT = re.compile(rb"\s\([^()]*+\)\s*+\Z")
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*?)")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


def read_type(raw: bytes) -> tuple[str, str, Parameters] | None:
    """The type and subtype (in lower case) and parameters of a Content-Type; ``None``: none.

    >>> read_type(b' Text/Plain (so); CHARSET="UTF-8"; name=a b.txt')
    ('text', 'plain', (('CHARSET', b'UTF-8'), ('name', b'a b.txt')))
    """
    line = _line(raw)
    found = _TYPE.match(line)
    if found is None:
        return None
    kind, subtype = (found[number].decode("ascii").lower() for number in (1, 2))
    return kind, subtype, _parameters(line, found.end())


def read_word(raw: bytes) -> tuple[str, Parameters] | None:
    """The word (in lower case) that a field begins with, and its parameters."""
    line = _line(raw)
    found = _WORD.match(line)
    if found is None:
        return None
    return found[1].decode("ascii").lower(), _parameters(line, found.end())


def joined(parameters: Parameters) -> dict[str, str]:
    """The parameters by their names in lower case, those of RFC 2231 put together and decoded.

    The first of a name counts, and one of RFC 2231 before one that is not.

    >>> joined((("name*0*", b"utf-8''%c3"), ("name*1*", b"%a4"), ("name", b"?")))
    {'name': 'ä'}
    """
    plain: dict[str, str] = {}
    sections: dict[str, list[tuple[int, bool, bytes]]] = {}
    for name, value in parameters:
        split = _SECTION.fullmatch(name)
        if split is None or not (split[2] or split[3]):
            plain.setdefault(name.lower(), read_text(value))
        else:
            section = (int(split[2] or 0), bool(split[3]), value)
            sections.setdefault(split[1].lower(), []).append(section)
    return plain | {name: _whole(of_it) for name, of_it in sections.items()}


def _line(raw: bytes) -> bytes:
    """One line without NUL, which no client expects in a parameter."""
    return _FOLD.sub(b"", raw[:MAX_STRUCTURED_OCTETS]).replace(b"\0", b"")


def _parameters(line: bytes, at: int) -> Parameters:
    return tuple(
        (
            found[1].decode("ascii"),
            _PAIR.sub(rb"\1", found[2])
            if found[2] is not None
            else _COMMENT.sub(b"", found[3]).strip(),
        )
        for found in islice(_PARAMETER.finditer(line, at), MAX_PARAMETERS)
    )


def _whole(sections: list[tuple[int, bool, bytes]]) -> str:
    """A parameter in pieces, the first of which may name its character set."""
    octets, charset = b"", "utf-8"
    for number, (_, is_encoded, piece) in enumerate(sorted(sections)):
        value = piece
        if is_encoded and not number and piece.count(b"'") >= 2:  # noqa: PLR2004 -- charset'language'
            name, _, value = piece.split(b"'", 2)
            charset = name.decode("ascii", "replace")
        octets += unquote_to_bytes(value) if is_encoded else value
    return decoded(octets, charset)[0]
