"""Filters and sorts of a ``/query`` (RFC 8620 section 5.5), whatever they are about."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mailward_mailbox.jmap.errors import MethodError
from mailward_mailbox.jmap.values import WrongValue, flag, keyword, listed, record, text

MAX_CONDITIONS = 50
MAX_ORDERS = 10
COLLATIONS = frozenset({"i;ascii-casemap", "i;unicode-casemap"})

_T = TypeVar("_T")
Verdict = bool | None
"""``None``: it cannot be said without the content."""
Condition = Callable[[_T], Verdict]


@dataclass(frozen=True, slots=True)
class Order:
    """One comparator of a sort."""

    name: str
    is_ascending: bool
    keyword: str


def read_filter(
    known: Mapping[str, Callable[[object], Condition[_T]]],
) -> Callable[[object], Condition[_T]]:
    """What reads a filter made of the *known* conditions."""

    def read(value: object) -> Condition[_T]:
        return _Reader(known).read(value)

    return read


def read_sort(known: Collection[str]) -> Callable[[object], list[Order]]:
    """What reads a sort by the *known* properties."""

    def read_one(value: object) -> Order:
        given = record(value)
        name = text(given.get("property"))
        if name not in known:
            raise MethodError("unsupportedSort", f"nothing is sorted by {name[:100]} here")
        needs_keyword = name.endswith("Keyword")
        collation = given.get("collation")
        if collation is not None and text(collation) not in COLLATIONS:
            raise MethodError("unsupportedSort", "nobody knows that collation here")
        return Order(
            name,
            flag(given.get("isAscending", True)),
            keyword(given.get("keyword")) if needs_keyword else "",
        )

    def read(value: object) -> list[Order]:
        orders = listed(read_one)(value)
        if len(orders) > MAX_ORDERS:
            raise MethodError("unsupportedSort", f"{MAX_ORDERS} comparators at most")
        return orders

    return read


class _Reader(Generic[_T]):
    """Reads one filter; *known* are its conditions by their names."""

    def __init__(self, known: Mapping[str, Callable[[object], Condition[_T]]]) -> None:
        self._known = known
        self._count = 0

    def read(self, value: object) -> Condition[_T]:
        given = record(value)
        self._spend()  # one without conditions is asked of each email, too
        if "operator" not in given:
            return _all([self._condition(name, one) for name, one in given.items()])
        if set(given) != {"operator", "conditions"}:
            raise WrongValue("a filter: an operator has conditions, and nothing else")
        conditions = [self.read(one) for one in listed(record)(given["conditions"])]
        match given["operator"]:
            case "AND":
                return _all(conditions)
            case "OR":
                return _not(_all([_not(one) for one in conditions]))
            case "NOT":
                return _all([_not(one) for one in conditions])
            case _:
                raise WrongValue("a filter: its operator is AND, OR or NOT")

    def _spend(self) -> None:
        self._count += 1
        if self._count > MAX_CONDITIONS:
            raise MethodError("unsupportedFilter", f"{MAX_CONDITIONS} conditions at most")

    def _condition(self, name: str, value: object) -> Condition[_T]:
        self._spend()
        if name not in self._known:
            raise MethodError("unsupportedFilter", f"there is no condition {name[:100]}")
        try:
            return self._known[name](value)
        except WrongValue as error:
            raise WrongValue(f"a filter: {name} must be {error}") from None


def _all(conditions: Sequence[Condition[_T]]) -> Condition[_T]:
    def holds(one: _T) -> Verdict:
        is_open = False
        for condition in conditions:
            verdict = condition(one)
            if verdict is False:
                return False
            is_open = is_open or verdict is None
        return None if is_open else True

    return holds


def _not(condition: Condition[_T]) -> Condition[_T]:
    def holds(one: _T) -> Verdict:
        verdict = condition(one)
        return None if verdict is None else not verdict

    return holds
