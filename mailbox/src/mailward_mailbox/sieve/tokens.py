"""Cuts a script into words (RFC 5228 section 8.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto, unique

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n]+ | \#[^\n]*(?:\n|\Z) | /\*.*?\*/)
      | (?P<multiline>text:[ \t]*(?:\#[^\r\n]*)?\r?\n (?P<lines>(?:(?!\.\r?\n)[^\n]*\n)*) \.\r?\n)
      | (?P<quoted>"(?:[^"\\]|\\.)*+")
      | (?P<number>[0-9]{1,18}[KMGkmg]?(?![A-Za-z0-9_]))
      | (?P<tag>:[A-Za-z_][A-Za-z0-9_]*)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<mark>[{}()\[\],;])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class SieveError(Exception):
    """A script that is none of ours: where, and what is wrong, in words for its author."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")


@unique
class Kind(Enum):
    """What a word is."""

    STRING = auto()
    NUMBER = auto()
    TAG = auto()
    WORD = auto()
    MARK = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """*text* in lower case where the case means nothing, a number's in digits."""

    kind: Kind
    text: str
    line: int


def tokens(script: str) -> Iterator[Token]:
    """All words, the end of the script last.

    Raises:
        SieveError: something is no word.
    """
    at, line = 0, 1
    while at < len(script):
        found = _TOKEN.match(script, at)
        if found is None:
            raise SieveError(line, "this cannot be read: " + ascii(script[at : at + 20]))
        match found.lastgroup:
            case "multiline":
                yield Token(Kind.STRING, found["lines"].replace("\n..", "\n."), line)
            case "quoted":
                yield Token(Kind.STRING, _ESCAPED.sub(r"\1", found[0][1:-1]), line)
            case "number":
                digits = found[0].rstrip("KMGkmg")
                unit = _UNITS.get(found[0][-1].upper(), 1)
                yield Token(Kind.NUMBER, str(int(digits) * unit), line)
            case "tag":
                yield Token(Kind.TAG, found[0].lower(), line)
            case "word":
                yield Token(Kind.WORD, found[0].lower(), line)
            case "mark":
                yield Token(Kind.MARK, found[0], line)
            case _:
                pass  # blanks and remarks
        line += found[0].count("\n")
        at = found.end()
    yield Token(Kind.END, "the end of the script", line)
