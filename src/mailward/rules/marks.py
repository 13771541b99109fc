"""Combining marks: a stranger can pile hundreds on one letter, over the lines around it."""

from __future__ import annotations

import unicodedata

MAX_MARKS = 4
"""So many in a row are printed as they are; no written language stacks more."""


def has_many_marks(text: str) -> bool:
    """Whether more than :data:`MAX_MARKS` combining marks follow one another in *text*.

    >>> has_many_marks("e" + "\u0301" * 4), has_many_marks("e" + "\u0301" * 5)
    (False, True)
    """
    if text.isascii():
        return False
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in {"Mn", "Me"} else 0
        if marks > MAX_MARKS:
            return True
    return False


def with_few_marks(text: str) -> str:
    """*text* with at most :data:`MAX_MARKS` combining marks in a row, to be shown and not read.

    >>> with_few_marks("e" + "\u0301" * 100 + "x") == "e" + "\u0301" * 4 + "...x"
    True
    """
    if text.isascii():
        return text
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in {"Mn", "Me"} else 0
        if marks <= MAX_MARKS:
            kept.append(char)
        elif marks == MAX_MARKS + 1:
            kept.append("...")
    return "".join(kept)
