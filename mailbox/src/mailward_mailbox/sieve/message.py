"""A message as a script looks at it: fields and text, decoded, and no more of them than is fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailward_mailbox.message.addresses import read_addresses
from mailward_mailbox.message.forms import line_of
from mailward_mailbox.message.header import Header, header_bounds
from mailward_mailbox.message.parse import parse
from mailward_mailbox.message.part import Part
from mailward_mailbox.message.text import text_of
from mailward_mailbox.message.words import decode_words
from mailward_mailbox.sieve.matching import Effort
from mailward_mailbox.sieve.script import Transform

MAX_BODY_OCTETS = 1_048_576
"""Octets of a body that are looked at."""
_DECODING = 20
"""So many characters can be looked at while one is decoded."""


class Looked:
    """One message, of *octets*."""

    def __init__(self, octets: bytes, effort: Effort) -> None:
        end, body = header_bounds(octets, 0, len(octets))
        self._octets = octets[: body + MAX_BODY_OCTETS]
        self._body = body
        self._header = Header(octets, 0, end)
        self.size = len(octets)
        self._effort = effort
        self._parts: list[Part] | None = None

    def has(self, name: str) -> bool:
        return self._header.first(name) is not None

    def values(self, name: str) -> Iterator[str]:
        """Each field of that name, with encoded words decoded (RFC 5228 section 2.7.2)."""
        for line in self._lines(name):
            yield decode_words(line)

    def addresses(self, name: str) -> Iterator[str]:
        for line in self._lines(name):
            for address in read_addresses(line):
                yield address.email

    def body(self, transform: Transform, types: Sequence[str]) -> Iterator[str]:
        """The texts of the body, as RFC 5173 section 5 has them."""
        match transform:
            case Transform.RAW:
                body = self._octets[self._body :]
                self._effort.spend(len(body))
                yield body.decode("utf-8", "replace")
            case Transform.TEXT:
                yield from self._texts(("text",))
            case Transform.CONTENT:
                yield from self._texts(types)

    def _lines(self, name: str) -> Iterator[str]:
        for value in self._header.all(name):
            self._effort.spend(len(value) * _DECODING)
            yield line_of(value)

    def _texts(self, types: Sequence[str]) -> Iterator[str]:
        if self._parts is None:
            self._effort.spend((len(self._octets) - self._body) * _DECODING)
            self._parts = [part for part in parse(self._octets).walk() if not part.parts]
        for part in self._parts:
            if not {"", part.kind, part.type}.isdisjoint(types):
                self._effort.spend(part.size)
                yield text_of(part)[0]
