"""The commands that a client may give after login, by the book (RFC 5804 sections 2 and 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto, unique
from types import MappingProxyType

from mailward.wire.managesieve.words import WordError, Words, string_for_server


@unique
class Kind(Enum):
    """What an argument is."""

    NAME = auto()
    PERHAPS = auto()
    """A name that may be left out."""
    NUMBER = auto()
    SCRIPT = auto()


Kinds = tuple[Kind, ...]

_ARGUMENTS: Mapping[bytes, Kinds] = MappingProxyType(
    {
        b"CAPABILITY": (),
        b"CHECKSCRIPT": (Kind.SCRIPT,),
        b"DELETESCRIPT": (Kind.NAME,),
        b"GETSCRIPT": (Kind.NAME,),
        b"HAVESPACE": (Kind.NAME, Kind.NUMBER),
        b"LISTSCRIPTS": (),
        b"LOGOUT": (),
        b"NOOP": (Kind.PERHAPS,),
        b"PUTSCRIPT": (Kind.NAME, Kind.SCRIPT),
        b"RENAMESCRIPT": (Kind.NAME, Kind.NAME),
        b"SETACTIVE": (Kind.NAME,),
    }
)
# Section 1.6; what stands in a literal is held to it, too. Dovecot gives up at a name that is no
# UTF-8, and takes the literal behind it for commands.
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Command:
    """A command, spelled for the server, without its CRLF.

    With *script* it ends in a literal: that many octets follow, and a CRLF.
    """

    name: bytes
    spelled: bytes
    script: int | None


@dataclass(frozen=True, slots=True)
class Incomplete:
    """So many octets of a name follow, and then what is left of the command."""

    octets: int


def read_command(text: bytes) -> Command | Incomplete:
    """What *text* is: a command, or as much of one as ends where a literal begins.

    Raises:
        WordError: it is none, or its arguments are not those of the book.
    """
    words = Words(text)
    name = words.name()
    to_come = _ARGUMENTS.get(name)
    if to_come is None:
        raise WordError("Unknown command")
    spelled = text[: len(name)]
    while not words.is_over:
        if not to_come:
            raise WordError("Too many arguments")
        kind, to_come = to_come[0], to_come[1:]
        words.space()
        size = words.announced()
        match kind:
            case Kind.NUMBER:
                spelled += b" " + words.number()
            case Kind.SCRIPT if size is not None:
                return Command(name, spelled + b" {%d+}" % size, size)
            case Kind.SCRIPT:
                spelled += b" " + string_for_server(words.string())
            case Kind.NAME | Kind.PERHAPS if size is not None:
                return Incomplete(size)
            case Kind.NAME | Kind.PERHAPS:
                spelled += b" " + _spelled_name(words)
    if to_come and to_come != (Kind.PERHAPS,):
        raise WordError("An argument is missing")
    return Command(name, spelled, None)


def _spelled_name(words: Words) -> bytes:
    is_literal = not words.is_quoted
    name = words.string()
    try:
        is_fit = _NO_NAME.search(name.decode()) is None
    except UnicodeDecodeError:
        is_fit = False
    if not is_fit:
        raise WordError("Malformed name")
    # Some servers give up at an octet above 127 in quotes, and read on behind the line.
    return b"{%d+}\r\n%b" % (len(name), name) if is_literal else string_for_server(name)
