"""The commands that a client may give after login, by the book (RFC 5804 sections 2 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto, unique
from types import MappingProxyType

from mailward.wire.managesieve.words import WordError, Words, string_for_server


@unique
class Kind(Enum):
    """What an argument is."""

    STRING = auto()
    PERHAPS = auto()
    """A string that may be left out."""
    NUMBER = auto()


Kinds = tuple[Kind, ...]

_ARGUMENTS: Mapping[bytes, Kinds] = MappingProxyType(
    {
        b"CAPABILITY": (),
        b"CHECKSCRIPT": (Kind.STRING,),
        b"DELETESCRIPT": (Kind.STRING,),
        b"GETSCRIPT": (Kind.STRING,),
        b"HAVESPACE": (Kind.STRING, Kind.NUMBER),
        b"LISTSCRIPTS": (),
        b"LOGOUT": (),
        b"NOOP": (Kind.PERHAPS,),
        b"PUTSCRIPT": (Kind.STRING, Kind.STRING),
        b"RENAMESCRIPT": (Kind.STRING, Kind.STRING),
        b"SETACTIVE": (Kind.STRING,),
    }
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A line of a command, spelled for the server, without its CRLF.

    With *literal*, that many octets follow, and then the arguments that are still to come.
    """

    spelled: bytes
    literal: int | None
    to_come: Kinds


def read_command(line: bytes) -> tuple[bytes, Piece]:
    """The name (in upper case) of the command that *line* begins, and how it is passed on.

    Raises:
        WordError: it is none, or its arguments are not those of the book.
    """
    words = Words(line)
    name = words.name()
    kinds = _ARGUMENTS.get(name)
    if kinds is None:
        raise WordError("Unknown command")
    return name, _read(words, line[: len(name)], kinds)


def read_rest(line: bytes, to_come: Kinds) -> Piece:
    """What follows behind a literal of a command.

    Raises:
        WordError: it is none of the arguments that are *to_come*, or not all of them.
    """
    return _read(Words(line), b"", to_come)


def _read(words: Words, spelled: bytes, to_come: Kinds) -> Piece:
    while not words.is_over:
        if not to_come:
            raise WordError("Too many arguments")
        kind, to_come = to_come[0], to_come[1:]
        words.space()
        match kind:
            case Kind.NUMBER:
                spelled += b" " + words.number()
            case Kind.STRING | Kind.PERHAPS if (size := words.announced()) is not None:
                return Piece(spelled + b" {%d+}" % size, size, to_come)
            case Kind.STRING | Kind.PERHAPS:
                # Some servers give up at an octet above 127 and read on behind the line.
                spelled += b" " + string_for_server(words.string())
    if Kind.STRING in to_come or Kind.NUMBER in to_come:
        raise WordError("An argument is missing")
    return Piece(spelled, None, ())
