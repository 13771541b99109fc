"""Reads the arguments of FETCH behind the message set (RFC 9051 section 6.4.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailward_mailbox.imap.fetch.items import (
    Attribute,
    BinarySection,
    BinarySize,
    BodySection,
    FetchItem,
    FetchItems,
    Partial,
    SectionPath,
    SectionText,
)
from mailward_mailbox.imap.fetch.strings import string
from mailward_mailbox.imap.words import BadCommandError, ImapWords

MAX_FETCH_ITEMS = 100
"""Different items in one command."""
MAX_FIELD_NAMES = 500
"""Of all HEADER.FIELDS in one command."""

_NAME = re.compile(rb"[A-Za-z0-9.]++")
_SECTION = re.compile(rb"(?:([1-9][0-9]{0,4}+(?:\.[1-9][0-9]{0,4}+){0,40}+)(\.?))?([A-Za-z.]*+)")
_PARTIAL = re.compile(rb"<([0-9]{1,10})\.([1-9][0-9]{0,9})>")
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+\Z')

_FAST = (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE)
_MACROS: dict[bytes, tuple[FetchItem, ...]] = {
    b"FAST": _FAST,
    b"ALL": (*_FAST, Attribute.ENVELOPE),
    b"FULL": (*_FAST, Attribute.ENVELOPE, Attribute.BODY),
}
_RFC822: dict[bytes, tuple[SectionText, bool]] = {
    b"RFC822": (SectionText.ALL, True),
    b"RFC822.HEADER": (SectionText.HEADER, False),
    b"RFC822.TEXT": (SectionText.TEXT, True),
}
_ATTRIBUTES = {one.value: one for one in Attribute}
_WORDS = {one.value: one for one in SectionText}


def parse_fetch_items(words: ImapWords, *, is_uid: bool) -> FetchItems:
    """Items and modifiers to the end of the command; UID and MODSEQ where they are implied.

    Raises:
        BadCommandError: they break the grammar, or are too many.
    """
    reader = _ItemReader(words)
    asked: list[FetchItem] = [Attribute.UID] if is_uid else []
    if words.starts(b"("):
        asked += words.items(reader.item)
    else:
        asked += reader.macro_or_item()
    changed_since = _changed_since(words)
    if changed_since is not None:
        asked.append(Attribute.MODSEQ)
    words.end()
    items = _distinct(asked)
    return FetchItems(items, reader.sets_seen, changed_since)


def _changed_since(words: ImapWords) -> int | None:
    if not words.skip(b" "):
        return None
    words.expect(b"(")
    if words.keyword() != b"CHANGEDSINCE":
        raise BadCommandError("Unknown FETCH modifier")
    words.space()
    modseq = words.number64()
    words.expect(b")")
    return modseq


def _distinct(asked: Iterable[FetchItem]) -> tuple[FetchItem, ...]:
    """Each once: how often an item is named costs nothing."""
    items = tuple(dict.fromkeys(asked))
    names = sum(len(item.fields) for item in items if isinstance(item, BodySection))
    if len(items) > MAX_FETCH_ITEMS or names > MAX_FIELD_NAMES:
        raise BadCommandError("Too many FETCH items")
    return items


class _ItemReader:
    def __init__(self, words: ImapWords) -> None:
        self._words = words
        self.sets_seen = False

    def macro_or_item(self) -> tuple[FetchItem, ...]:
        name = self._name()
        return _MACROS.get(name) or (self._item(name),)

    def item(self) -> FetchItem:
        return self._item(self._name())

    def _name(self) -> bytes:
        found = self._words.match(_NAME)
        if found is None:
            raise BadCommandError("A FETCH item is missing")
        return found[0].upper()

    def _item(self, name: bytes) -> FetchItem:
        if self._words.starts(b"["):
            return self._with_section(name)
        if name in _ATTRIBUTES:
            return _ATTRIBUTES[name]
        if name in _RFC822:
            text, sets_seen = _RFC822[name]
            self.sets_seen |= sets_seen
            return BodySection(name, text=text)
        raise BadCommandError("Unknown FETCH item")

    def _with_section(self, name: bytes) -> FetchItem:
        match name:
            case b"BODY" | b"BODY.PEEK":
                self.sets_seen |= name == b"BODY"
                return self._body()
            case b"BINARY" | b"BINARY.PEEK":
                self.sets_seen |= name == b"BINARY"
                path, section = self._path()
                partial, origin = self._partial()
                return BinarySection(b"BINARY" + section + origin, path, partial)
            case b"BINARY.SIZE":
                path, section = self._path()
                return BinarySize(name + section, path)
            case _:
                raise BadCommandError("Unknown FETCH item")

    def _path(self) -> tuple[SectionPath, bytes]:
        """A section of numbers alone, and how it is written."""
        path, text, written = self._section()
        if text is not SectionText.ALL:
            raise BadCommandError("Invalid section")
        self._words.expect(b"]")
        return path, written + b"]"

    def _section(self) -> tuple[SectionPath, SectionText, bytes]:
        self._words.expect(b"[")
        found = self._words.match(_SECTION)
        if found is None:
            raise BadCommandError("Invalid section")
        numbers, dot, word = found[1] or b"", found[2] or b"", found[3].upper()
        text = _WORDS.get(word)
        if text is None or bool(dot) != bool(numbers and word):
            raise BadCommandError("Invalid section")
        if text is SectionText.MIME and not numbers:
            raise BadCommandError("MIME needs a part")
        path = tuple(map(int, numbers.split(b"."))) if numbers else ()
        return path, text, b"[" + numbers + dot + word

    def _body(self) -> BodySection:
        path, text, written = self._section()
        fields: list[bytes] = []
        if text in (SectionText.FIELDS, SectionText.FIELDS_NOT):
            self._words.space()
            fields = self._words.items(self._words.astring)
            written += b" (" + b" ".join(map(_field_name, fields)) + b")"
        self._words.expect(b"]")
        partial, origin = self._partial()
        names = frozenset(name.decode("latin-1").lower() for name in fields)
        return BodySection(b"BODY" + written + b"]" + origin, path, text, names, partial)

    def _partial(self) -> tuple[Partial | None, bytes]:
        """The part asked for, and how the response names its beginning."""
        if not self._words.starts(b"<"):
            return None, b""
        found = self._words.match(_PARTIAL)
        if found is None:
            raise BadCommandError("Invalid partial")
        first = int(found[1])
        return (first, int(found[2])), b"<%d>" % first


def _field_name(name: bytes) -> bytes:
    return name if _ATOM.match(name) else string(name)
