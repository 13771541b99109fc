"""The arguments of a call, read once: what comes out of here has the type that it should have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.errors import invalid

MAX_ID_CHARS = 255
MAX_INT = 2**53 - 1  # RFC 8620 section 1.3
MAX_MEMBERS = 10_000
"""Of a list or an object; one with more would be read for longer than others should wait."""

_UTC_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z")
# RFC 8621 section 4.1.1
_KEYWORD = re.compile(r"[^\x00-\x20\x7f-\U0010ffff(){\]%*\"\\]{1,255}")

_T = TypeVar("_T")
_D = TypeVar("_D")


class WrongValue(Exception):  # noqa: N818 -- it is no fault of ours
    """A value has not the type that it should have; the message says which one it should."""


class Arguments:
    """The arguments of one call. Each is taken once; what nobody takes is refused.

    All of it raises :class:`MethodError`, ``invalidArguments``.
    """

    def __init__(self, values: Mapping[str, object]) -> None:
        self._left = dict(values)

    def one(self, name: str, read: Callable[[object], _T]) -> _T:
        """An argument that must be there."""
        if name not in self._left:
            raise invalid(f"{name} is missing")
        return self._read(name, read)

    def maybe(self, name: str, read: Callable[[object], _T], default: _D) -> _T | _D:
        """An argument that may be left out; ``null`` is the same as that."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return default
        return self._read(name, read)

    def end(self) -> None:
        """There are no others."""
        if self._left:
            raise invalid(f"nobody knows an argument {next(iter(self._left))[:100]}")

    def _read(self, name: str, read: Callable[[object], _T]) -> _T:
        try:
            return read(self._left.pop(name))
        except WrongValue as error:
            raise invalid(f"{name} is not {error}") from None


def text(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue("a string")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongValue("true or false")
    return value


def integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_INT:
        raise WrongValue("an integer")
    return value


def unsigned(value: object) -> int:
    number = integer(value)
    if number < 0:
        raise WrongValue("an unsigned integer")
    return number


def identifier(value: object) -> str:
    """An id; of one that cannot be there nobody is told more than that it is not."""
    name = text(value)
    if not 1 <= len(name) <= MAX_ID_CHARS:
        raise WrongValue("an id")
    return name


def listed(read: Callable[[object], _T]) -> Callable[[object], list[_T]]:
    def read_all(value: object) -> list[_T]:
        if not isinstance(value, list) or len(value) > MAX_MEMBERS:
            raise WrongValue(f"a list of {MAX_MEMBERS} members at most")
        return [read(one) for one in value]

    return read_all


def mapped(read: Callable[[object], _T]) -> Callable[[object], dict[str, _T]]:
    def read_all(value: object) -> dict[str, _T]:
        return {name: read(one) for name, one in record(value).items()}

    return read_all


def record(value: object) -> dict[str, object]:
    if not isinstance(value, dict) or len(value) > MAX_MEMBERS:
        raise WrongValue(f"an object of {MAX_MEMBERS} members at most")
    return value


def chosen(value: object) -> dict[str, bool]:
    """A set, as JMAP writes it: each member is true."""
    members = mapped(flag)(value)
    if not all(members.values()):
        raise WrongValue("an object whose values are all true")
    return members


def keyword(value: object) -> str:
    """In lower case: to IMAP both are one (RFC 8621 section 4.1.1)."""
    name = text(value)
    if not _KEYWORD.fullmatch(name):
        raise WrongValue("a keyword")
    return name.lower()


def moment(value: object) -> Instant:
    """A UTCDate (RFC 8620 section 1.4)."""
    match = _UTC_DATE.fullmatch(text(value))
    if match is None:
        raise WrongValue("a date in UTC, like 2026-01-31T12:00:00Z")
    try:
        when = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError:
        raise WrongValue("a date that there is") from None
    return Instant(when.timestamp() + float(f"0{match[2] or ''}"))


def utc_date(at: Instant) -> str:
    """How a moment is written.

    >>> utc_date(Instant(0.9))
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")
