"""Whether a key fits a value (RFC 5228 section 2.7), with effort that is counted, not hoped for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailward_mailbox.sieve.script import Match, Matcher

MAX_EFFORT = 50_000_000
"""Characters looked at, in all: well under a second."""

_TAKING_APART = 20
"""So many characters can be looked at while one of a pattern is."""
_LOWER = bytes(octet + 32 if 65 <= octet <= 90 else octet for octet in range(256))  # noqa: PLR2004 -- A, Z
_PIECE = re.compile(r"(\*)|(\?)|\\(.)|([^*?\\]+|\\\Z)", re.DOTALL)


class EffortError(Exception):
    """A script takes more than a message is worth."""


class Effort:
    """What one run may still look at."""

    def __init__(self) -> None:
        self._left = MAX_EFFORT

    def spend(self, characters: int) -> None:
        """Raises:
        EffortError: it is too much.
        """
        self._left -= characters + 100
        if self._left < 0:
            raise EffortError("it takes too long")


def fits(matcher: Matcher, value: str, effort: Effort) -> bool:
    """Whether one of the keys fits *value*."""
    if matcher.folds:
        value = _folded(value)
    for key in matcher.keys:
        wanted = _folded(key) if matcher.folds else key
        effort.spend(len(value) + len(wanted))
        match matcher.match:
            case Match.IS:
                found = value == wanted
            case Match.CONTAINS:
                found = wanted in value
            case Match.MATCHES:
                found = _matches(wanted, value, effort)
        if found:
            return True
    return False


def _folded(text: str) -> str:
    """By i;ascii-casemap (RFC 4790 section 9.2): of the octets of UTF-8 only ASCII's change."""
    return text.encode("utf-8", "surrogatepass").translate(_LOWER).decode("utf-8", "surrogatepass")


def _matches(key: str, value: str, effort: Effort) -> bool:
    """With ``*`` for anything and ``?`` for one character.

    Each piece between two stars has a length that is known: to take the first place where it stands
    is always right, so nothing is tried twice.
    """
    effort.spend(len(key) * _TAKING_APART)
    first, *others = _pieces(key)
    if not others:
        return first.length == len(value) and first.stands(value, 0, effort)
    *middle, last = others
    # The last piece can stand in one place alone.
    end = len(value) - last.length
    if end < first.length or not first.stands(value, 0, effort):
        return False
    if not last.stands(value, end, effort):
        return False
    at = first.length
    for piece in middle:
        at = piece.find(value, at, end, effort)
        if at < 0:
            return False
        at += piece.length
    return True


@dataclass(frozen=True, slots=True)
class _Piece:
    """A pattern without a star: texts with their places in it, and any characters between them."""

    length: int
    texts: Sequence[tuple[int, str]]

    def stands(self, value: str, at: int, effort: Effort) -> bool:
        effort.spend(len(self.texts) * _TAKING_APART)
        return all(value.startswith(text, at + place) for place, text in self.texts)

    def find(self, value: str, at: int, end: int, effort: Effort) -> int:
        """The first place from *at* on where it stands before *end*; -1: there is none."""
        if at + self.length > end:
            return -1
        if not self.texts:
            return at
        offset, longest = max(self.texts, key=lambda one: len(one[1]))
        last = end - self.length + offset + len(longest)
        while True:
            found = value.find(longest, at + offset, last)
            looked_at = (last if found < 0 else found) - at - offset
            effort.spend(max(0, looked_at) * (1 + len(longest) // 8))
            if found < 0:
                return -1
            at = found - offset
            if self.stands(value, at, effort):
                return at
            at += 1


def _pieces(key: str) -> list[_Piece]:
    """What stands before, between and behind the stars."""
    pieces: list[_Piece] = []
    length, texts, text = 0, list[tuple[int, str]](), ""
    for found in _PIECE.finditer(key):
        star, one, escaped, plain = found.groups()
        if (star or one) and text:
            texts.append((length - len(text), text))
            text = ""
        if star:
            pieces.append(_Piece(length, texts))
            length, texts = 0, []
        elif one:
            length += 1
        else:
            text += escaped or plain
            length += len(escaped or plain)
    if text:
        texts.append((length - len(text), text))
    return [*pieces, _Piece(length, texts)]
