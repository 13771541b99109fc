"""The keys of the file and the stored ones, put together: values by type, faults by origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mailward.settings.dialect import Entry, Form
from mailward.settings.errors import STORED, Fault
from mailward.settings.key import Key, Shape
from mailward.settings.places import (
    Place,
    UnknownKeyError,
    how_to_list,
    is_table,
    locate,
    table_id,
    why_unknown,
)
from mailward.settings.readers import VALUE_ERRORS
from mailward.settings.schema import BLOCKED_LOGINS, BLOCKED_NETWORKS, BLOCKED_OPERATORS

T = TypeVar("T")

_MAX_EXPLAINED = 50  # finding the nearest key takes a while; a file of junk must not take minutes
_BANS = tuple(f"{key.stem}." for key in (BLOCKED_NETWORKS, BLOCKED_LOGINS, BLOCKED_OPERATORS))


@dataclass(frozen=True, slots=True)
class Given:
    """One key as somebody set it; *line* is ``None`` for a stored one."""

    key: str
    value: str = field(repr=False)  # it may be a secret
    line: int | None
    member: str = ""

    @property
    def is_stored(self) -> bool:
        return self.line is None


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """A value and where it was given."""

    value: T
    given: Given


def is_ban(key: str) -> bool:
    """Whether a stored key would be a ban: those are kept as bans, never as settings."""
    return key.startswith(_BANS)


class Reading:
    """All that was given, in order: the file first, so that what is stored comes last and wins."""

    def __init__(
        self, file: Mapping[str, Entry], stored: Mapping[str, str], name: str | None
    ) -> None:
        self._name = name
        self._explained = 0
        self._given: dict[tuple[str, str], list[Given]] = {}
        self._ids: dict[str, dict[str, list[Given]]] = {}
        self.file_faults: list[Fault] = []
        self.stored_faults: dict[str, Fault] = {}
        """By the stored key that has to be left out."""
        for key, entry in file.items():
            self._take(Given(key, entry.value, entry.line), entry.form)
        for key, value in stored.items():
            self._take(Given(key, value, None), Form.VALUE)

    def ids(self, table: str) -> list[str]:
        """The ids below *table*, in the order of their first keys."""
        return list(self._ids.get(table, {}))

    def all(self, key: Key[T], name: str = "") -> list[Given]:
        """Everything that was given for *key*, unread."""
        return self._given.get((key.pattern, name), [])

    def given(self, key: Key[T], name: str = "") -> Read[T] | None:
        """The value in force, or ``None`` where none was given or every one is wrong."""
        found = None
        for given in self.all(key, name):
            found = self._read(key, given.value, given) or found
        return found

    def one(self, key: Key[T], name: str = "") -> T:
        """The value in force, or the default of a key that has one."""
        found = self.given(key, name)
        if found is not None:
            return found.value
        if key.default is None:
            raise LookupError(f"{key.pattern} has no default")
        return key.read(key.default)

    def optional(self, key: Key[T], name: str = "") -> T | None:
        """The value in force of a key that may be left out."""
        found = self.given(key, name)
        return None if found is None else found.value

    def members(self, key: Key[T], name: str = "") -> Iterator[Read[T]]:
        """The members of a list, of the file and the stored ones."""
        for given in self.all(key, name):
            read = self.member(key, given)
            if read is not None:
                yield read

    def member(self, key: Key[T], given: Given) -> Read[T] | None:
        """One of the members that were *given*, or ``None`` where it is wrong."""
        return self._read(key, given.member, given)

    def pairs(self, key: Key[T], name: str = "") -> Iterator[tuple[str, Read[T]]]:
        """The members of a map with their values."""
        for given in self.all(key, name):
            try:
                member = key.spell(given.member)
            except VALUE_ERRORS as error:
                self.refuse(given, str(error))
                continue
            read = self._read(key, given.value, given)
            if read is not None:
                yield member, read

    def require(self, table: str, name: str, *keys: Key[object]) -> None:
        """What is given under one id is a whole only with all of *keys*."""
        missing = [key for key in keys if not self.all(key, name)]
        if missing:
            wanted = "; ".join(f"{key.name} ({key.takes})" for key in missing)
            self.refuse_all(table, name, f"is not whole: it needs {wanted}")

    def refuse(self, given: Given, message: str) -> None:
        """*given* cannot be used."""
        if given.is_stored:
            self.stored_faults.setdefault(given.key, Fault(STORED, None, given.key, message))
        else:
            self.file_faults.append(Fault(self._name, given.line, given.key, message))

    def refuse_all(self, table: str, name: str, message: str) -> None:
        """What is given under one id does not make a whole."""
        whole = f"{table}.{name}"
        keys = self._ids[table][name]
        if not keys[0].is_stored:
            self.file_faults.append(Fault(self._name, keys[0].line, whole, message))
            return
        for given in keys:
            self.stored_faults.setdefault(given.key, Fault(STORED, None, whole, message))

    def _take(self, given: Given, form: Form) -> None:
        id_of = table_id(given.key)
        if id_of is not None:
            self._ids.setdefault(id_of[0], {}).setdefault(id_of[1], []).append(given)
        if form is Form.EMPTY and is_table(given.key):
            return
        try:
            place = locate(given.key)
        except UnknownKeyError as error:
            self._explained += 1
            few = self._explained <= _MAX_EXPLAINED
            self.refuse(given, why_unknown(given.key) if few else str(error))
            return
        if place.member is not None:
            self._add(place, Given(given.key, given.value, given.line, place.member))
        elif place.key.shape is Shape.ONE and form is not Form.EMPTY:
            self._add(place, given)
        elif place.key.shape is Shape.ONE:
            self.refuse(given, f"takes {place.key.takes}, no list or table")
        elif form is not Form.EMPTY:
            self.refuse(given, how_to_list(place))

    def _add(self, place: Place, given: Given) -> None:
        self._given.setdefault((place.key.pattern, place.id), []).append(given)

    def _read(self, key: Key[T], text: str, given: Given) -> Read[T] | None:
        try:
            return Read(key.read(text), given)
        except VALUE_ERRORS as error:
            self.refuse(given, str(error))
            return None
