"""Lists of addresses (RFC 5322 section 3.4), as far as they can be understood."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mailward_mailbox.message.words import decode_words

MAX_ADDRESSES = 10_000

_LEXEME = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<quoted>"(?:[^"\\]|\\.)*+(?:"|\\?\Z))
    | (?P<literal>\[[^\[\]]*(?:\]|\Z))
    | (?P<mark>[(),:;<>@])
    | (?P<atom>[^\s"(),:;<>@\[]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PAIR = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mailbox:
    name: str | None
    email: str

    def shown(self) -> dict[str, object]:
        return {"name": self.name, "email": self.email}


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses that stand together; those of no group have no *name*."""

    name: str | None
    members: list[Mailbox] = field(default_factory=list)

    def shown(self) -> dict[str, object]:
        return {"name": self.name, "addresses": [one.shown() for one in self.members]}


def read_addresses(text: str) -> list[Mailbox]:
    """All of them, without their groups.

    >>> read_addresses('"James" <james@a.example>, Friends: jane@a.example;')[1]
    Mailbox(name=None, email='jane@a.example')
    """
    return [mailbox for group in read_groups(text) for mailbox in group.members]


def read_groups(text: str) -> list[Group]:
    groups: list[Group] = []
    named: Group | None = None
    words: list[tuple[str, str]] = []
    angle: str | None = None
    count = 0

    def add() -> None:
        nonlocal angle, count
        mailbox = _mailbox(words, angle)
        words.clear()
        angle = None
        if mailbox is None or count >= MAX_ADDRESSES:
            return
        count += 1
        if named is not None:
            named.members.append(mailbox)
            return
        if not groups or groups[-1].name is not None:
            groups.append(Group(None))
        groups[-1].members.append(mailbox)

    lexemes = _lexemes(text)
    for kind, value in lexemes:
        match kind, value:
            case "mark", ",":
                add()
            case "mark", ";":
                add()
                named = None
            case "mark", ":" if named is None and angle is None and len(groups) < MAX_ADDRESSES:
                named = Group(_phrase(words) or "")
                words.clear()
                groups.append(named)
            case "mark", "<":
                angle = _angle(lexemes)
            case _:
                words.append((kind, value))
    add()
    return groups


def _lexemes(text: str) -> Iterator[tuple[str, str]]:
    """What it is made of; comments are left out, but for the blank that they are."""
    depth = 0
    for match in _LEXEME.finditer(text):
        kind, value = match.lastgroup or "", match[0]
        if value == "(":
            depth += 1
            if depth == 1:
                yield "space", " "
        elif value == ")" and depth:
            depth -= 1
        elif not depth:
            yield kind, value


def _angle(lexemes: Iterator[tuple[str, str]]) -> str:
    """What stands up to the closing bracket, without a route."""
    inside: list[str] = []
    for kind, value in lexemes:
        if kind == "mark" and value == ">":
            break
        if kind == "mark" and value == ":" and inside[:1] == ["@"]:
            inside.clear()
        elif kind != "space":
            inside.append(value)
    return "".join(inside)


def _mailbox(words: Sequence[tuple[str, str]], angle: str | None) -> Mailbox | None:
    if angle is not None:
        name = _phrase(words)
        return Mailbox(name or None, angle) if angle or name else None
    email = "".join(value for kind, value in words if kind != "space")
    if not email:
        return None
    if "@" not in email:
        return Mailbox(None, _phrase(words))  # nobody can say what it was to be
    return Mailbox(None, email)


def _phrase(words: Sequence[tuple[str, str]]) -> str:
    """A name, unquoted and decoded."""
    pieces: list[str] = []
    run: list[str] = []
    for kind, value in words:
        if kind == "quoted":
            pieces.append(decode_words("".join(run)))
            run.clear()
            pieces.append(_PAIR.sub(r"\1", value[1:].removesuffix('"')))
        else:
            run.append(value)
    pieces.append(decode_words("".join(run)))
    return " ".join("".join(pieces).split())
