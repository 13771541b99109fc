"""What the schema says of one key: what it takes, what holds without it, when it takes effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Generic, TypeVar

from mailward.settings import readers

T_co = TypeVar("T_co", covariant=True)


@unique
class Shape(Enum):
    """How many values a key holds."""

    ONE = "one"
    LIST = "list"
    """Its members are the last part of the key; a text of theirs is a note."""
    MAP = "map"
    """Like a list, but every member has a value."""


@unique
class Effect(Enum):
    """When a change of a key is felt."""

    NOW = "in force at once"
    RELOAD = "in force at reload-config"
    RESTART = "in force at the next start"


@dataclass(frozen=True, slots=True)
class Key(Generic[T_co]):
    """One line of the schema.

    *pattern* has ``<...>`` where names of the operator stand; *takes* is what may be written, and
    *default* what holds without it (``None``: nothing). *read* makes the value of a text (of a
    member, for a list), *spell* the one spelling of a member. *alias* is another
    pattern that means the same key.
    """

    pattern: str
    takes: str
    help: str
    read: Callable[[str], T_co]
    default: str | None = None
    shape: Shape = Shape.ONE
    effect: Effect = Effect.RELOAD
    spell: Callable[[str], str] = readers.as_written
    alias: str = ""

    @property
    def stem(self) -> str:
        """The pattern without the place of a member."""
        match self.shape:
            case Shape.ONE:
                return self.pattern
            case Shape.LIST | Shape.MAP:
                return self.pattern.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The last part of the stem: how the key is called inside its table."""
        return self.stem.rpartition(".")[2]
