"""Responses of IMAP, read into words, and whether they say what was expected of them.

How a server writes a string (an atom, quoted, a literal), the order of flags, of FETCH items and of
untagged responses is left to it by RFC 9051; all else has to be as expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

ANY = "_"
"""Fits anything where it stands as a word."""
Word: TypeAlias = "str | bytes | list[Word]"
"""An atom, a string, or a list; of a response code the first word is ``[``."""

_LITERAL = re.compile(rb"~?\{(\d+)\+?\}\r\n")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n]|\\.)*)"')
_ATOM = re.compile(rb'(?:[^ ()\[\]"\r\n{]|\[(?:[^]"\r\n]|"[^"]*")*\])+')
_STATUS = {"OK", "NO", "BAD", "BYE", "PREAUTH"}


class Words:
    """The words of one response; literals stand where they belong."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def read(self) -> list[Word]:
        words: list[Word] = []
        while self._at < len(self._octets):
            if self._octets.startswith((b" ", b"\r\n"), self._at):
                self._at += 1 if self._octets[self._at : self._at + 1] == b" " else 2
            elif self._octets.startswith((b")", b"]"), self._at):
                self._at += 1
                return words
            else:
                words.append(self._word())
                if len(words) == 2 and str(words[1]).upper() in _STATUS:
                    return words + self._code()
        return words

    def _code(self) -> list[Word]:
        """The response code, if there is one; the text behind it is for people."""
        if self._octets[self._at : self._at + 2] != b" [":
            return []
        self._at += 2
        return [["[", *self.read()]]

    def _word(self) -> Word:
        octets, at = self._octets, self._at
        if octets[at : at + 1] == b"(":
            self._at += 1
            return self.read()
        if found := _LITERAL.match(octets, at):
            end = found.end() + int(found[1])
            self._at = end
            return octets[found.end() : end]
        if found := _QUOTED.match(octets, at):
            self._at = found.end()
            return re.sub(rb"\\(.)", rb"\1", found[1])
        if (found := _ATOM.match(octets, at)) is None:
            raise ValueError(f"no word of IMAP: {octets[at:]!r}")
        self._at = found.end()
        return found[0].decode("utf-8", "surrogateescape")


def words_of(octets: bytes) -> list[Word]:
    """The words of a response.

    Raises:
        ValueError: it is none.
    """
    return Words(octets).read()


def fits(expected: Word, seen: Word) -> bool:
    """Whether a word says the same; ``NIL`` is no string, and no string is ``NIL``."""
    if expected == ANY:
        return True
    if isinstance(expected, list) or isinstance(seen, list):
        if not (isinstance(expected, list) and isinstance(seen, list)):
            return False
        return _fit_in_order(expected, seen)
    if isinstance(expected, bytes) and isinstance(seen, bytes):
        return expected == seen
    if _is_nil(expected) or _is_nil(seen):
        return _is_nil(expected) and _is_nil(seen)
    return _text(expected) == _text(seen)


def response_fits(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    """Whether a response, its tag or star first, says what was *expected*."""
    if not _fit_in_order(expected[:2], seen[:2]):
        return False
    return _RULES.get(_kind(expected), _fit_in_order)(expected, seen)


def _kind(words: Sequence[Word]) -> str:
    """What kind of response it is; before some kinds there is a number."""
    has_number = len(words) > 2 and (words[1] == ANY or str(words[1]).isdigit())
    word = words[2] if has_number else words[1]
    return str(word).upper()


def _fit_in_order(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    if expected and expected[-1] == "...":
        expected, seen = expected[:-1], seen[: len(expected) - 1]
    return len(expected) == len(seen) and all(map(fits, expected, seen))


def _pairs_fit(expected: Sequence[Word] | Word, seen: Sequence[Word] | Word) -> bool:
    """Whether each expected item is there with that value; others may be, too."""
    assert isinstance(expected, list)
    assert isinstance(seen, list)
    there = {_text(seen[at]): seen[at + 1] for at in range(0, len(seen) - 1, 2)}
    for at in range(0, len(expected), 2):
        name, value = _text(expected[at]), expected[at + 1]
        if name not in there:
            return False
        is_fit = _KINDS.get(name, fits)
        if not is_fit(value, there[name]):
            return False
    return True


def _flags_fit(expected: Word, seen: Word) -> bool:
    """Whether these flags are set and no other; ``\\Recent`` is the server's own."""
    if expected == ANY:
        return True
    assert isinstance(expected, list)
    assert isinstance(seen, list)
    return {_text(one) for one in expected} == {_text(one) for one in seen} - {"\\recent"}


def _structure_fits(expected: Word, seen: Word) -> bool:
    """The same structure; media types, encodings and names of parameters are of any case."""
    return fits(_folded(expected), _folded(seen))


def _date_fits(expected: Word, seen: Word) -> bool:
    """The same date; a day of one digit has a blank or a zero before it."""
    if not isinstance(expected, bytes) or not isinstance(seen, bytes):
        return fits(expected, seen)
    return expected == (b"0" + seen[1:] if seen.startswith(b" ") else seen)


def _folded(word: Word) -> Word:
    if isinstance(word, list):
        return [_folded(one) for one in word]
    return word.lower() if isinstance(word, bytes) else word


_KINDS = {
    "flags": _flags_fit,
    "internaldate": _date_fits,
    "body": _structure_fits,
    "bodystructure": _structure_fits,
}


def _all_in(expected: Word, seen: Word) -> bool:
    if expected == ANY:
        return True
    assert isinstance(expected, list)
    assert isinstance(seen, list)
    return {_text(one) for one in expected} <= {_text(one) for one in seen}


def _same_set(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    """The same numbers; the MODSEQ behind them is a list."""
    numbers = [
        {_text(one) for one in words if not isinstance(one, list)} for words in (expected, seen)
    ]
    lists = [[one for one in words if isinstance(one, list)] for words in (expected, seen)]
    return numbers[0] == numbers[1] and (not lists[0] or _fit_in_order(*lists))


def _esearch_fits(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    """The same items; the tag in parentheses is a list."""
    if ("UID" in expected) != ("UID" in seen):
        return False
    wanted, there = (
        [one for one in words[2:] if one != "UID" and not isinstance(one, list)]
        for words in (expected, seen)
    )
    return len(wanted) == len(there) and _pairs_fit(wanted, there)


def _code_fits(expected: Word, seen: Word) -> bool:
    assert isinstance(expected, list)
    assert isinstance(seen, list)
    if len(expected) == 2 and len(seen) >= 2:
        return fits(expected[1], seen[1])
    if _text(expected[1]) == "permanentflags":
        return _text(seen[1]) == "permanentflags" and _all_in(expected[2], seen[2])
    return _fit_in_order(expected, seen)


def _items_fit(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    return fits(expected[2], seen[2]) and _pairs_fit(expected[3], seen[3])


def _list_fits(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    return _all_in(expected[2], seen[2]) and _fit_in_order(expected[3:], seen[3:])


def _flag_list_fits(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    return _all_in(expected[2], seen[2])


def _capabilities_fit(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    return _all_in(list(expected[2:]), list(seen[2:]))


def _search_fits(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    return _same_set(expected[2:], seen[2:])


def _status_fits(expected: Sequence[Word], seen: Sequence[Word]) -> bool:
    return len(expected) == 2 or (len(seen) > 2 and _code_fits(expected[2], seen[2]))


def _is_nil(word: Word) -> bool:
    return isinstance(word, str) and word.upper() == "NIL"


def _text(word: Word) -> str:
    """An atom or a string, as atoms are compared: letters of any case."""
    assert not isinstance(word, list)
    text = word.decode("utf-8", "surrogateescape") if isinstance(word, bytes) else word
    return text.casefold().replace('"', "")


_RULES: Mapping[str, Callable[[Sequence[Word], Sequence[Word]], bool]] = MappingProxyType(
    {
        "FETCH": _items_fit,
        "STATUS": _items_fit,
        "FLAGS": _flag_list_fits,
        "SEARCH": _search_fits,
        "CAPABILITY": _capabilities_fit,
        "ENABLED": _capabilities_fit,
        "LIST": _list_fits,
        "LSUB": _list_fits,
        "ESEARCH": _esearch_fits,
        **dict.fromkeys(_STATUS, _status_fits),
    }
)
