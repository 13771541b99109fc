"""A message as a script looks at it: fields and text, decoded, and no more of them than is fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from email.errors import MessageError
from email.header import decode_header, make_header
from email.utils import getaddresses

from mailward_mailbox.jmap.message.bodies import text_of
from mailward_mailbox.jmap.message.mime import Part, read_message
from mailward_mailbox.sieve.matching import Effort
from mailward_mailbox.sieve.script import Transform

MAX_HEADER_OCTETS = 262_144
MAX_BODY_OCTETS = 1_048_576
"""What of a body is looked at."""
MAX_DECODED_CHARACTERS = 8_192
"""Fields that are longer are looked at as they stand."""
_DECODING = 20
"""So many characters can be looked at while one is decoded."""

_END = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_FIELD = re.compile(rb"^([\x21-\x39\x3b-\x7e]+)[ \t]*:((?:[^\n]|\n[ \t])*)", re.MULTILINE)
_FOLD = re.compile(r"\r?\n(?=[ \t])")


class Looked:
    """One message, of *octets*."""

    def __init__(self, octets: bytes, effort: Effort) -> None:
        end = _END.search(octets, 0, MAX_HEADER_OCTETS)
        self._header = octets[: MAX_HEADER_OCTETS if end is None else end.end()]
        self._body = octets[len(self._header) :][:MAX_BODY_OCTETS]
        self.size = len(octets)
        self._effort = effort
        self._walked: list[Part] | None = None
        self._fields: dict[str, list[str]] = {}
        for found in _FIELD.finditer(self._header):
            name = found[1].decode("ascii").lower()
            value = _FOLD.sub("", found[2].decode("utf-8", "replace")).strip()
            self._fields.setdefault(name, []).append(value)

    def has(self, name: str) -> bool:
        return name in self._fields

    def values(self, name: str) -> Iterator[str]:
        """Each field of that name, with encoded words decoded (RFC 5228 section 2.7.2)."""
        for value in self._fields.get(name, ()):
            self._effort.spend(len(value) * _DECODING)
            yield _decoded(value)

    def addresses(self, name: str) -> Iterator[str]:
        for value in self._fields.get(name, ()):
            self._effort.spend(len(value) * _DECODING)
            try:
                found = getaddresses([value[:MAX_DECODED_CHARACTERS]])
            except RecursionError:  # remarks in remarks: no address that anybody could want
                continue
            for _, address in found:
                yield address

    def body(self, transform: Transform, types: Sequence[str]) -> Iterator[str]:
        """The texts of the body, as RFC 5173 section 5 has them."""
        match transform:
            case Transform.RAW:
                self._effort.spend(len(self._body))
                yield self._body.decode("utf-8", "replace")
            case Transform.TEXT:
                yield from self._parts(("text",))
            case Transform.CONTENT:
                yield from self._parts(types)

    def _parts(self, types: Sequence[str]) -> Iterator[str]:
        if self._walked is None:
            self._effort.spend(len(self._body) * _DECODING)
            self._walked = list(read_message(self._header + self._body).walk())
        for part in self._walked:
            kinds = {"", part.type.partition("/")[0], part.type}
            if part.parts is None and kinds.intersection(types):
                yield text_of(part)[0]


def _decoded(value: str) -> str:
    if "=?" not in value or len(value) > MAX_DECODED_CHARACTERS:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (MessageError, LookupError, ValueError):
        return value
