"""One response of a ManageSieve server (RFC 5804 section 1.2), and its capabilities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailward.wire.managesieve.words import WordError, Words
from mailward.wire.sasl import others_offered

OWN_IMPLEMENTATION = ("IMPLEMENTATION", "mailward")

_STATUS = re.compile(rb"(OK|NO|BYE)(?= |\Z)", re.IGNORECASE)
_CODE = re.compile(rb"(?P<code>[^\x00-\x20\x7f-\xff(){\"\\]+)(?P<rest>[ )])")
_TOKEN = re.compile(rb"[\x20-\x7e]*\Z")
_UNKNOWN_OFFER = ("SIEVE ", "VERSION 1.0")
_NEVER_SHOWN = {"IMPLEMENTATION", "SASL", "STARTTLS", "XCLIENT", "UNAUTHENTICATE", "OWNER"}
_CARRIED = {"PLAIN", "LOGIN"}


@dataclass(frozen=True, slots=True)
class Status:
    """The end of a response. *code* in upper case, empty where there is none, ``?`` for nonsense.

    *argument* is the string behind the code, *text* the one for people.
    """

    kind: bytes
    code: bytes
    argument: bytes | None
    text: bytes = b""


def read_status(text: bytes) -> Status | None:
    """The status that *text* is; ``None`` where it is none.

    >>> read_status(b'NO (TRYLATER) "Later"')
    Status(kind=b'NO', code=b'TRYLATER', argument=None, text=b'Later')
    """
    found = _STATUS.match(text)
    if found is None:
        return None
    kind = found[1].upper()
    behind = text[found.end() :]
    if not behind.startswith(b" ("):
        return Status(kind, b"", None, _words_for_people(behind))
    code = _CODE.match(behind, 2)
    if code is None:
        return Status(kind, b"?", None)
    if code["rest"] == b")":
        return Status(kind, code["code"].upper(), None, _words_for_people(behind[code.end() :]))
    words = Words(behind[code.end() :])
    try:
        argument = words.string()
    except WordError:
        argument = None
    return Status(kind, code["code"].upper(), argument)


def _words_for_people(behind: bytes) -> bytes:
    """The string at the end of a response; empty where there is none."""
    return read_string(behind.removeprefix(b" ")) or b""


def read_string(text: bytes) -> bytes | None:
    """The one string that *text* is: a challenge. ``None`` where it is none."""
    words = Words(text)
    try:
        string = words.string()
        words.end()
    except WordError:
        return None
    return string


def read_capability(text: bytes) -> str | None:
    """A line of the capabilities: the name, then a blank and the value where there is one.

    ``None`` where *text* is none, or has octets that no capability has.

    >>> read_capability(b'"SASL" "PLAIN LOGIN"'), read_capability(b'"SASL" ""')
    ('SASL PLAIN LOGIN', 'SASL ')
    """
    words = Words(text)
    try:
        capability = words.string()
        if not words.is_over:
            words.space()
            capability += b" " + words.string()
        words.end()
    except WordError:
        return None
    return capability.decode("ascii") if _TOKEN.match(capability) else None


def name_of(capability: str) -> str:
    return capability.partition(" ")[0].upper()


def mechanism_names(offer: Iterable[str]) -> set[str]:
    """The SASL mechanisms among the capabilities, in upper case."""
    return {name for line in offer if name_of(line) == "SASL" for name in line.upper().split()[1:]}


def capabilities_before_login(
    offer: Sequence[str], *, passwords: bool, starttls: bool = False, xclient: bool = False
) -> tuple[tuple[str, str | None], ...]:
    """The names and values that the door shows of the backend's *offer*, and its own.

    >>> shown = capabilities_before_login(["SIEVE fileinto", "SASL PLAIN"], passwords=False)
    >>> shown
    (('IMPLEMENTATION', 'mailward'), ('SIEVE', 'fileinto'), ('SASL', ''))
    """
    shown = []
    for line in offer or _UNKNOWN_OFFER:
        name, blank, value = line.partition(" ")
        if name.upper() not in _NEVER_SHOWN:
            shown.append((name, value if blank else None))
    names = mechanism_names(offer)
    # A password that the client says in one mechanism reaches the backend in the other.
    carried = ("PLAIN", "LOGIN") if not offer or names & _CARRIED else ()
    own = (*others_offered(names), *carried) if passwords else ()
    more = [name for name, is_shown in (("STARTTLS", starttls), ("XCLIENT", xclient)) if is_shown]
    return (
        OWN_IMPLEMENTATION,
        *shown,
        ("SASL", " ".join(own)),
        *((name, None) for name in more),
    )
