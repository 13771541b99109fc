"""Whether a key fits a value (RFC 5228 section 2.7), with effort that is counted, not hoped for."""

from __future__ import annotations

import re

from mailward_mailbox.sieve.script import Match, Matcher

MAX_EFFORT = 50_000_000
"""Characters looked at, in all: well under a second."""

_COMPILING = 50
"""So many characters can be looked at while one of a pattern is made ready."""
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

    Between the stars each piece has a length that is known: taking the first place where it stands
    is always right, so nothing is ever tried twice.
    """
    effort.spend(len(key) * _COMPILING)
    first, *others = _pieces(key)
    if not others:
        return first.fullmatch(value) is not None
    found = first.match(value)
    if found is None:
        return False
    at = found.end()
    *middle, last = others
    for piece in middle:
        effort.spend((len(value) - at) * (1 + len(piece.pattern) // 8))
        found = piece.search(value, at)
        if found is None:
            return False
        at = found.end()
    # It is as long as it is: there is one place where it can stand at the end.
    begin = len(value) - _length(last.pattern)
    return begin >= at and last.fullmatch(value, begin) is not None


def _pieces(key: str) -> list[re.Pattern[str]]:
    """Patterns without repetition: what stands before, between and behind the stars."""
    pieces = [""]
    for found in _PIECE.finditer(key):
        star, one, escaped, plain = found.groups()
        if star:
            pieces.append("")
        else:
            pieces[-1] += "." if one else re.escape(escaped or plain)
    return [re.compile(piece, re.DOTALL) for piece in pieces]


def _length(pattern: str) -> int:
    """How many characters such a pattern takes."""
    return len(re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL))
