"""``GET /api/bans`` page by page, in an order; without ``limit`` it is as it ever was."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest

from mailward.admin.paging import Order, page
from mailward.rules.model import Ban, Instant, Reason
from mailward.rules.numbers import IPV4_MARK, NetworkNumber
from tests.admin.house import House


def listed(house: House, **query: object) -> Any:
    told = house.ask("GET", f"/api/bans?{urlencode(query)}")
    assert told.status == 200
    return told.body


def ban_some(house: House) -> None:
    """Each a second later, and each to end a day earlier, but for the last one."""
    for number in range(1, 6):
        house.later(1)
        house.ask("POST", "/api/bans", {"subject": f"203.0.113.{number}", "for": f"{9 - number}d"})
    house.later(1)
    while house.fail("203.0.113.77", "ada"):
        pass


def subjects(bans: list[dict[str, Any]]) -> list[str]:
    return [ban["subject"] for ban in bans]


@pytest.mark.parametrize("sort", ["subject", "since", "until", "failures"])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_pages_together_are_the_whole_list_each_ban_once(
    house: House, sort: str, limit: int
) -> None:
    ban_some(house)
    found: list[str] = []
    told = listed(house, limit=limit, sort=sort)
    while True:
        found += subjects(told["bans"])
        assert told["total"] == 9
        if told["next"] is None:
            break
        told = listed(house, limit=limit, sort=sort, after=told["next"])
    assert sorted(found) == sorted(subjects(listed(house)["bans"]))


def test_every_order_has_first_what_one_looks_for(house: House) -> None:
    ban_some(house)
    assert set(subjects(listed(house, limit=2, sort="since")["bans"])) == {"203.0.113.77", "ada"}
    # The login's ends when its window has room again.
    assert subjects(listed(house, limit=2, sort="until")["bans"]) == ["ada", "203.0.113.5"]
    assert subjects(listed(house, limit=1, sort="failures")["bans"]) == ["203.0.113.77"]
    assert subjects(listed(house, limit=1, sort="subject")["bans"]) == ["198.51.100.0/24"]


def test_a_ban_that_goes_between_two_pages_loses_no_other(house: House) -> None:
    ban_some(house)
    first = listed(house, limit=3)
    house.ask("DELETE", f"/api/bans/{first['bans'][-1]['subject']}")
    second = listed(house, limit=100, after=first["next"])
    assert len(first["bans"]) + len(second["bans"]) == 9


def test_pages_are_of_what_is_asked_for(house: House) -> None:
    ban_some(house)
    told = listed(house, limit=100, reason="authentication")
    assert (told["total"], told["next"]) == (2, None)


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=10001", "limit=x", "limit=1&sort=age", "sort=since"),
        *("limit=1&after=x", "after=0.0+address:x", "limit=1&after=nan+x"),
    ],
)
def test_a_page_that_cannot_be_is_refused(house: House, query: str) -> None:
    assert house.ask("GET", f"/api/bans?{query}").status == 400


@pytest.mark.parametrize("order", list(Order))
def test_a_page_is_what_sorting_the_whole_list_would_begin_with(order: Order) -> None:
    numbers = [number * 7919 % 3_001 for number in range(3_001)]
    bans = [
        Ban(NetworkNumber(IPV4_MARK | number), Reason.MANUAL, Instant(number % 10), failures=number)
        for number in numbers
    ]
    wanted = sorted(map(order.place, bans))
    found = asyncio.run(page(bans, order, wanted[999], 20))
    assert [order.place(ban) for ban in found.bans] == wanted[1_000:1_020]
    assert (found.total, found.next) == (3_001, wanted[1_019])
    assert asyncio.run(page(bans, order, wanted[-21], 20)).next is None
