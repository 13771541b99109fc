"""Lists of subjects in files: as somebody wrote them, or as ``bans`` has printed them."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from mailward.app.cli.failures import FailedError

MAX_SUBJECT_CHARACTERS = 1_000
_MAX_LINE_OCTETS = 10_000_000  # for all of a list whose lines end in CR alone
_MAX_JSON_OCTETS = 500_000_000  # a million bans
_COMMENTS = ("#", ";")
_TERMS = ("until", "reason", "note")


class Named(NamedTuple):
    """A subject as it was given. *place* is where, in a file; *terms* what is said of its ban."""

    text: str
    place: str = ""
    terms: Mapping[str, str | None] = {}


def list_line(ban: Mapping[str, Any]) -> str:
    """A ban as a line of a list: subject, until, reason and note, with tabs between.

    >>> list_line({"subject": "ada", "until": None, "reason": "manual", "note": ""})
    'ada\\tnever\\tmanual'
    """
    cells = (ban["subject"], ban["until"] or "never", ban["reason"], ban["note"])
    return "\t".join(cells).rstrip("\t")


def named_in_file(file: str) -> Iterator[Named]:
    """The subjects of a file: one a line, or the bans of a list in JSON.

    A word that begins with ``#`` or ``;`` begins a comment. Behind a tab come columns as
    :func:`list_line` has them.

    Raises:
        FailedError: it cannot be read, or holds what is no subject.
    """
    lines = enumerate(_lines(file), start=1)
    for number, line in lines:
        if line.lstrip(b"\xef\xbb\xbf \t").startswith((b"[", b"{")) and _is_json(line):
            rest = b"\n".join(chain([line], (more for _, more in lines)))
            yield from _in_json(rest, file)
            return
        if found := _named(line, f"{file}:{number}"):
            yield found


def _is_json(line: bytes) -> bool:
    """Whether a line that begins with a bracket begins a list in JSON, and no address in one."""
    return line.strip().rstrip(b",")[-1:] in (b"[", b"]", b"{", b"}") and b"]:" not in line


def _named(line: bytes, place: str) -> Named | None:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FailedError(f"{place}: this is no UTF-8 text; nothing was changed") from None
    subject, *cells = text.strip("\r\n").lstrip().split("\t", 3)
    words = subject.split()
    comment = next((i for i, word in enumerate(words) if word.startswith(_COMMENTS)), len(words))
    if comment < len(words):
        cells = []
    return _checked(" ".join(words[:comment]), place, _columns(cells))


def _columns(cells: list[str]) -> dict[str, str | None]:
    """What the columns behind the subject say; one that begins a comment ends them."""
    terms: dict[str, str | None] = {}
    for name, cell in zip(_TERMS, cells, strict=False):
        known = cell.strip()
        if known.startswith(_COMMENTS) and (name != "note" or not terms):
            break
        if known:
            terms[name] = None if (name, known) == ("until", "never") else known
    return terms


def _in_json(octets: bytes, file: str) -> Iterator[Named]:
    if len(octets) > _MAX_JSON_OCTETS:
        raise FailedError(f"{file}: this list is too long; nothing was changed")
    try:
        value = json.loads(octets.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise FailedError(
            f"{file}: this is no JSON that can be read; nothing was changed"
        ) from None
    bans = value.get("bans") if isinstance(value, dict) else value
    for number, ban in enumerate(bans if isinstance(bans, list) else [None], start=1):
        place = f"{file}: ban {number}"
        if not isinstance(ban, dict) or not isinstance(ban.get("subject"), str):
            raise FailedError(f"{place}: this is no ban as bans --json has it; nothing was changed")
        if ban.get("observed"):
            continue  # it stops nobody, so it is no ban yet
        terms = {name: ban[name] for name in _TERMS if name in ban}
        found = _checked(ban["subject"], place, terms)
        if found is not None:
            yield found


def _checked(text: str, place: str, terms: Mapping[str, str | None]) -> Named | None:
    if any(unicodedata.category(char) == "Cc" for char in text):
        # Counted, such a name stands under a digest: nobody would see what he has banned.
        raise FailedError(f"{place}: this is no text; nothing was changed")
    if len(text) > MAX_SUBJECT_CHARACTERS:
        raise FailedError(f"{place}: no subject is that long; nothing was changed")
    return Named(text, place, terms) if text else None


def _lines(file: str) -> Iterator[bytes]:
    """Every line, however it ends. A device that never ends one does not fill the memory."""
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as octets:
            while line := octets.readline(_MAX_LINE_OCTETS):
                if len(line) == _MAX_LINE_OCTETS:
                    raise FailedError(f"{file}: this is no list of subjects; nothing was changed")
                yield from line.splitlines()
    except OSError as error:
        raise FailedError(f"{file} cannot be read: {error.strerror}") from None
