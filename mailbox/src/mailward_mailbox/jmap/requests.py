"""One request: read, its references followed, its calls made (RFC 8620 section 3)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from mailward_mailbox.jmap.desk import weight
from mailward_mailbox.jmap.errors import (
    MethodError,
    invalid,
    not_json,
    not_request,
    over_limit,
    unknown_capability,
)
from mailward_mailbox.jmap.limits import (
    CAPABILITIES,
    MAX_CALLS,
    MAX_NESTING,
    MAX_REQUEST_OCTETS,
    MAX_VALUES,
)

MAX_REFERENCES = 100
"""RFC 8620 section 3.7 sets no bound; each may be as large as an answer."""
MAX_CREATED_IDS = 10_000

_STRING_OR_MARK = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([,\[{])', re.DOTALL)
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Call:
    """One method call."""

    name: str
    arguments: dict[str, object]
    id: str


@dataclass(frozen=True, slots=True)
class Request:
    using: frozenset[str]
    calls: Sequence[Call]
    created: dict[str, str] | None


Answer = tuple[str, Mapping[str, object], str]


def read_json(octets: bytes) -> object:
    """What *octets* say in I-JSON (RFC 7493), nested only so deep.

    Raises:
        RequestError: it is none, or too much of it.
    """
    if _has_too_many_values(octets):
        raise over_limit("maxSizeRequest", f"{MAX_VALUES} values at most")
    try:
        value: object = json.loads(
            octets.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):
        raise not_json("this is no I-JSON") from None
    if not _is_flat(value):
        raise not_json("this is nested too deep, or has half a character in it")
    return value


def _has_too_many_values(octets: bytes) -> bool:
    """Whether there are too many, counted before any of them takes memory."""
    if sum(octets.count(mark) for mark in (b",", b"[", b"{")) <= MAX_VALUES:
        return False
    count = 0
    for found in _STRING_OR_MARK.finditer(octets):
        count += found[1] is not None
        if count > MAX_VALUES:
            return True
    return False


def read_request(octets: bytes) -> Request:
    """Raises:
    RequestError: it is none, or too much.
    """
    given = read_json(octets)
    if not isinstance(given, dict):
        raise not_request("a request is an object")
    using, calls = given.get("using"), given.get("methodCalls")
    if not isinstance(using, list) or not all(isinstance(one, str) for one in using):
        raise not_request("using is a list of strings")
    if not isinstance(calls, list):
        raise not_request("methodCalls is a list")
    created = given.get("createdIds")
    if created is not None and not _is_created(created):
        raise not_request("createdIds is an object of ids")
    for name in using:
        if name not in CAPABILITIES:
            raise unknown_capability(name)
    if len(calls) > MAX_CALLS:
        raise over_limit("maxCallsInRequest", f"{MAX_CALLS} calls at most")
    return Request(frozenset(using), [_call(one) for one in calls], created)


def resolve(call: Call, answers: Sequence[Answer], budget: Budget) -> dict[str, object]:
    """The arguments with what they refer to in place (RFC 8620 section 3.7).

    Raises:
        MethodError: there is no such thing, or too much of it.
    """
    resolved: dict[str, object] = {}
    for name, value in call.arguments.items():
        if not name.startswith("#"):
            resolved[name] = value
            continue
        if name[1:] in call.arguments:
            raise invalid(f"both {name[1:][:100]} and a reference for it")
        resolved[name[1:]] = _referred(value, answers, budget)
    return resolved


class Budget:
    """How much the references of one request may bring: one that repeats another doubles it."""

    def __init__(self) -> None:
        self._references = MAX_REFERENCES
        self._weight = MAX_REQUEST_OCTETS

    def spend(self, value: object) -> None:
        """Raises:
        MethodError: it is too much.
        """
        self._references -= 1
        self._weight -= weight(value, self._weight)
        if self._weight < 0 or self._references < 0:
            raise MethodError("invalidResultReference", "the references bring too much")


def _referred(value: object, answers: Sequence[Answer], budget: Budget) -> object:
    match value:
        case {"resultOf": str(call_id), "name": str(name), "path": str(path), **rest} if not rest:
            pass
        case _:
            raise invalid("a reference has resultOf, name and path, all strings")
    result = next((answer for answer in answers if answer[2] == call_id), None)
    if result is None or result[0] != name:
        raise MethodError("invalidResultReference", "there is no such result before this call")
    try:
        found = _at(result[1], _tokens(path))
    except (KeyError, IndexError, ValueError):
        raise MethodError("invalidResultReference", "the path leads nowhere") from None
    budget.spend(found)
    return found


def _tokens(path: str) -> list[str]:
    """The parts of a JSON pointer (RFC 6901)."""
    if not path:
        return []
    if not path.startswith("/"):
        raise ValueError("a path begins with a slash")
    return [token.replace("~1", "/").replace("~0", "~") for token in path[1:].split("/")]


def _at(value: object, tokens: Sequence[str]) -> object:
    for place, token in enumerate(tokens):
        match value:
            case dict() | Mapping():
                value = value[token]
            case list() if token == "*":  # noqa: S105 -- of a path
                return _each(value, tokens[place + 1 :])
            case list():
                if _INDEX.fullmatch(token) is None:
                    raise ValueError("this is no number in a list")
                value = value[int(token)]
            case _:
                raise KeyError(token)
    return value


def _each(values: Sequence[object], tokens: Sequence[str]) -> list[object]:
    """What is there in each; where that is a list its members take its place."""
    found: list[object] = []
    for value in values:
        one = _at(value, tokens)
        if isinstance(one, list):
            found += one
        else:
            found.append(one)
    return found


def _call(value: object) -> Call:
    match value:
        case [str(name), dict(arguments), str(call_id)]:
            return Call(name, arguments, call_id)
        case _:
            raise not_request("a call is a list of a name, arguments and an id")


def _is_created(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MAX_CREATED_IDS
        and all(isinstance(one, str) for one in value.values())
    )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("too large for a number")
    return number


def _is_flat(value: object) -> bool:
    """Whether it is not nested too deep, and no text in it has half a character."""
    level = [value]
    for _ in range(MAX_NESTING):
        below: list[object] = []
        for one in level:
            match one:
                case str() if not _is_unicode(one):
                    return False
                case list():
                    below += one
                case dict():
                    below += one
                    below += one.values()
                case _:
                    pass
        if not below:
            return True
        level = below
    return False


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
