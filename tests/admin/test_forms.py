"""Whatever is sent, the answer has the one form, and nothing breaks."""

from __future__ import annotations

import pytest

from tests.admin.house import House, Told


def is_problem(told: Told, status: int) -> bool:
    return (
        told.status == status
        and told.kind == "application/problem+json"
        and told.body["type"] == "about:blank"
        and told.body["status"] == status
        and bool(told.body["title"])
        and bool(told.body["detail"])
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b'"203.0.113.9"',
        b"null",
        b"\xff\xfe",
        b'{"subject": "a", "subject": "b"}',
        b'{"subject": "\\ud800"}',
        b'{"subject": NaN}',
        b'{"subject": 1e999}',
        b'{"subject": ' + b"9" * 5_000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_body_that_is_no_json_object_is_refused(house: House, body: bytes) -> None:
    assert is_problem(house.ask("POST", "/api/bans", body), 400)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "subject"),
        ({"subject": 5}, '"subject" must be a string'),
        ({"subject": ["a"]}, '"subject" must be a string'),
        ({"subjects": "a"}, '"subjects" must be a list of strings'),
        ({"subjects": []}, '"subjects" must be a list of strings'),
        ({"subjects": ["a", 1]}, '"subjects" must be a list of strings'),
        ({"subject": "a", "subjects": ["b"]}, "either"),
        ({"subject": "a", "yes": "true"}, '"yes" must be true or false'),
        ({"subject": "a", "yes": None}, '"yes" must be true or false'),
        ({"subject": "a", "for": 3600}, '"for" must be a string'),
        ({"subject": "a", "fro": "1h"}, 'unknown field "fro"'),
    ],
)
def test_fields_have_their_types_and_no_others_are_taken(
    house: House, body: dict[str, object], word: str
) -> None:
    told = house.ask("POST", "/api/bans", body)
    assert is_problem(told, 400)
    assert word in told.detail
    assert len(house.ask("GET", "/api/bans").body["bans"]) == 2


def test_unknown_paths_and_methods_are_told(house: House) -> None:
    assert is_problem(house.ask("GET", "/"), 404)
    assert is_problem(house.ask("GET", "/api/nothing"), 404)
    told = house.ask("PUT", "/api/bans", {})
    assert is_problem(told, 405)
    assert told.detail == "use DELETE, GET, HEAD, POST"


@pytest.mark.parametrize(
    "target",
    [
        "/healthz?x=1",
        "/api/status?x=1",
        "/api/bans?adress=203.0.113.9",
        "/api/bans?address=a&address=b",
        "/api/settings?prefix=a&x=b",
        "/api/top?n=5",
        "/api/why/ada?x=1",
    ],
)
def test_a_query_holds_known_fields_only(house: House, target: str) -> None:
    assert is_problem(house.ask("GET", target), 400)


def test_a_body_over_the_most_that_a_list_may_be_is_refused(house: House) -> None:
    told = house.ask("POST", "/api/bans", b" " * 16_000_001)
    assert is_problem(told, 413)
    body = b'{"subject": "203.0.113.9"}'
    assert house.ask("POST", "/api/bans", body + b" " * (1_000_000 - len(body))).status == 200


def test_a_key_is_deleted_by_query_or_by_body(house: House) -> None:
    for number in (1, 2):
        key = f"server.security.blocked-networks.203.0.113.{number}"
        house.ask("POST", "/api/settings", {"key": key})
    stem = "server.security.blocked-networks.203.0.113"
    assert house.ask("DELETE", f"/api/settings?key={stem}.1").status == 200
    assert house.ask("DELETE", "/api/settings", {"key": f"{stem}.2"}).status == 200
    assert is_problem(house.ask("DELETE", "/api/settings"), 400)
    assert is_problem(house.ask("DELETE", f"/api/settings?key={stem}.1"), 404)
