"""Lists of addresses (RFC 5322 section 3.4), as far as they can be understood.

For IMAP's ENVELOPE names stay as they are written, for JMAP they are decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from mailward_mailbox.message.header import MAX_HEADER_OCTETS, unfolded
from mailward_mailbox.message.words import composed, decode_words

MAX_ADDRESSES = 10_000
"""Of one field; further ones are not seen."""

Token = tuple[str, str]
"""Its kind and its text: ``space``, ``comment``, ``quoted``, ``literal``, ``mark``, ``atom``."""

_LEXEME = re.compile(
    r"""
      (?P<space>\s++)
    | (?P<quoted>"(?:[^"\\]|\\.)*+(?:"|\\?\Z))
    | (?P<literal>\[[^\[\]]*+(?:\]|\Z))
    | (?P<mark>[(),:;<>@])
    | (?P<atom>[^\s"(),:;<>@\[]++|.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_IN_COMMENT = re.compile(r"[^()\\]++|\\.|.", re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ATOM = rb"""[^\s"(),:;<>@\[\]\\]++"""
_USUAL = re.compile(
    rb"""(?:(?:"([^"\\]++)"|([\w.=?'+-]++(?:[ ][\w.=?'+-]++)*+))[ ])?+(<)?+(%b)@(%b)(?(3)>)\Z"""
    % (_ATOM, _ATOM)
)
"""One address as most are written."""


@dataclass(frozen=True, slots=True)
class EnvelopeAddress:
    """An address as IMAP tells it (RFC 9051 section 7.5.2), in the octets of the field.

    A group begins with one that has a *mailbox*, its name, and no *host*, and ends with one that
    has neither. Of an address whose domain is missing the *host* is empty.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address as JMAP tells it (RFC 8621 section 4.1.2.3)."""

    name: str | None
    email: str

    def shown(self) -> dict[str, object]:
        return {"name": self.name, "email": self.email}


@dataclass(frozen=True, slots=True)
class EmailAddressGroup:
    """Addresses that stand together; those of no group have no *name*."""

    name: str | None
    members: list[EmailAddress] = field(default_factory=list)

    def shown(self) -> dict[str, object]:
        return {"name": self.name, "addresses": [one.shown() for one in self.members]}


def envelope_addresses(raw: bytes) -> list[EnvelopeAddress]:
    """The addresses of a field, whose value is *raw*.

    >>> envelope_addresses(b'"A. B" <a@x>')
    [EnvelopeAddress(name=b'A. B', route=None, mailbox=b'a', host=b'x')]
    """
    line = unfolded(raw[:MAX_HEADER_OCTETS])
    usual = _USUAL.match(line)
    if usual is not None and (usual[3] or not (usual[1] or usual[2])):
        return [EnvelopeAddress(usual[1] or usual[2], None, usual[4], usual[5])]
    return [one.in_envelope() for one in _entries(line.decode("latin-1"))]


def read_addresses(text: str) -> list[EmailAddress]:
    """All addresses of a field, without their groups.

    >>> read_addresses('"James" <james@a.example>, Friends: jane@a.example;')[1]
    EmailAddress(name=None, email='jane@a.example')
    """
    return [address for group in read_groups(text) for address in group.members]


def read_groups(text: str) -> list[EmailAddressGroup]:
    """All addresses of a field in their groups."""
    groups: list[EmailAddressGroup] = []
    is_in_group = False
    for entry in _entries(text):
        if isinstance(entry, _GroupBegin):
            groups.append(EmailAddressGroup(_phrase(entry.words)))
            is_in_group = True
        elif isinstance(entry, _GroupEnd):
            is_in_group = False
        elif (address := entry.address()) is not None:
            if not is_in_group and (not groups or groups[-1].name is not None):
                groups.append(EmailAddressGroup(None))
            groups[-1].members.append(address)
    return groups


@dataclass(frozen=True, slots=True)
class _GroupBegin:
    words: Sequence[Token]

    def in_envelope(self) -> EnvelopeAddress:
        return EnvelopeAddress(None, None, _octets(_as_written(self.words)), None)


@dataclass(frozen=True, slots=True)
class _GroupEnd:
    def in_envelope(self) -> EnvelopeAddress:
        return EnvelopeAddress(None, None, None, None)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One address: *words* before or without the *angle*, and the last *comment* around it."""

    words: Sequence[Token]
    route: str | None
    angle: Sequence[Token] | None
    comment: str

    def in_envelope(self) -> EnvelopeAddress:
        spec = self.words if self.angle is None else self.angle
        name = "" if self.angle is None else _as_written(self.words)
        at = max((place for place, token in enumerate(spec) if token == ("mark", "@")), default=-1)
        local, domain = (_as_written(spec), "") if at < 0 else (_spec(spec[:at]), _spec(spec[at:]))
        return EnvelopeAddress(
            _octets(name or self.comment) or None,
            None if self.route is None else _octets(self.route),
            _octets(local),
            _octets(domain.removeprefix("@")),
        )

    def address(self) -> EmailAddress | None:
        if self.angle is not None:
            name, email = _phrase(self.words), "".join(value for _, value in self.angle)
            return EmailAddress(name or None, email) if email or name else None
        email = "".join(value for kind, value in self.words if kind != "space")
        email = email if "@" in email else _phrase(self.words)
        return EmailAddress(None, email) if email else None


def _entries(text: str) -> Iterator[_Entry | _GroupBegin | _GroupEnd]:
    words: list[Token] = []
    route: str | None = None
    angle: list[Token] | None = None
    comment = ""
    is_in_group = False
    count = 0
    lexemes = _lexemes(text)
    for token in chain(lexemes, (("mark", ","),)):
        match token:
            case ("mark", "," | ";" as mark):
                if angle is not None or any(kind != "space" for kind, _ in words):
                    yield _Entry(words, route, angle, comment)
                    count += 1
                words, route, angle, comment = [], None, None, ""
                if mark == ";" and is_in_group:
                    yield _GroupEnd()
                    is_in_group = False
                if count >= MAX_ADDRESSES:
                    break
            case ("mark", ":") if not is_in_group and angle is None:
                yield _GroupBegin(words)
                words, comment, is_in_group = [], "", True
                count += 1
            case ("mark", "<"):
                route, angle = _angle(lexemes)
            case ("comment", value):
                comment = value
                words.append(("space", " "))
            case _:
                words.append(token)
    if is_in_group:
        yield _GroupEnd()


def _lexemes(text: str) -> Iterator[Token]:
    at = 0
    while (found := _LEXEME.match(text, at)) is not None:
        at = found.end()
        if found[0] == "(":
            comment, at = _comment(text, at)
            yield "comment", comment
        else:
            yield found.lastgroup or "", found[0]


def _comment(text: str, at: int) -> tuple[str, int]:
    """The comment that begins at *at*, with those inside of it, and where it ends."""
    pieces: list[str] = []
    depth = 1
    while (found := _IN_COMMENT.match(text, at)) is not None:
        at = found.end()
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if not depth:
            break
        pieces.append(found[0].removeprefix("\\"))
    return "".join(pieces), at


def _angle(lexemes: Iterator[Token]) -> tuple[str | None, list[Token]]:
    """The route and the address that stand up to the closing bracket."""
    route, inside = None, list[Token]()
    for token in lexemes:
        if token == ("mark", ">"):
            break
        if token == ("mark", ":") and inside[:1] == [("mark", "@")]:
            route = "".join(value for _, value in inside)
            inside.clear()
        elif token[0] not in {"space", "comment"}:
            inside.append(token)
    return route, inside


def _phrase(words: Sequence[Token]) -> str:
    """A name, unquoted and decoded."""
    pieces: list[str] = []
    run: list[str] = []
    for kind, value in words:
        if kind == "quoted":
            pieces.append(decode_words("".join(run)))
            run.clear()
            pieces.append(_unquoted((kind, value)))
        else:
            run.append(value)
    pieces.append(decode_words("".join(run)))
    return composed(" ".join("".join(pieces).split()))


def _as_written(words: Sequence[Token]) -> str:
    """A name, unquoted and not decoded."""
    pieces: list[str] = []
    for kind, value in words:
        if kind != "space":
            pieces.append(_unquoted((kind, value)))
        elif pieces and pieces[-1] != " ":
            pieces.append(" ")
    return "".join(pieces).strip(" ")


def _spec(words: Sequence[Token]) -> str:
    """A part of an address: without blanks and, as IMAP has it, without quotes."""
    return "".join(_unquoted(token) for token in words if token[0] != "space")


def _unquoted(token: Token) -> str:
    kind, value = token
    return _PAIR.sub(r"\1", value[1:].removesuffix('"')) if kind == "quoted" else value


def _octets(text: str) -> bytes:
    return text.encode("latin-1")
