"""Scripts that were written for Stalwart's server find what they know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin.afar import Far, open_far_house

NETWORKS = "server.security.blocked-networks."
NOTHING: dict[str, list[object]] = {"data": []}


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    with open_far_house(tmp_path) as made:
        yield made


def listed(far: Far, prefix: str) -> list[list[str]]:
    told = far.ask("GET", f"/admin/config/{prefix}")
    assert (told.status, list(told.body)) == (200, ["data"])
    pairs: list[list[str]] = told.body["data"]
    return pairs


def test_keys_are_added_listed_and_deleted(far: Far) -> None:
    pairs = [[f"{NETWORKS}203.0.113.9", ""], [f"{NETWORKS}10.0.0.0/8", "a note"]]
    told = far.ask("POST", "/admin/config", pairs)
    assert (told.status, told.body) == (200, NOTHING)
    assert not far.house.admits("203.0.113.9")
    assert listed(far, NETWORKS) == sorted(pairs)
    assert listed(far, f"{NETWORKS}10.") == [pairs[1]]
    assert far.ask("DELETE", f"/admin/config/{NETWORKS}203.0.113.9").body == NOTHING
    assert far.house.admits("203.0.113.9")


@pytest.mark.parametrize(
    "spelled", ["10.0.0.0/8", "10.0.0.0%2F8", "2001:db8::/32", "2001%3Adb8%3A%3A%2F32"]
)
def test_a_mask_may_be_encoded_or_not(far: Far, spelled: str) -> None:
    for network in ("10.0.0.0/8", "2001:db8::/32"):
        assert far.ask("POST", "/admin/config", [[NETWORKS + network, ""]]).status == 200
    assert len(listed(far, NETWORKS)) == 2
    assert len(listed(far, NETWORKS + spelled)) == 1
    assert far.ask("DELETE", f"/admin/config/{NETWORKS}{spelled}").status == 200
    assert len(listed(far, NETWORKS)) == 1


def test_a_dot_at_the_end_deletes_all_below_and_what_is_not_there_is_no_fault(far: Far) -> None:
    pairs = [[f"{NETWORKS}203.0.113.{n}", ""] for n in range(5)]
    assert far.ask("POST", "/admin/config", pairs).status == 200
    for _ in range(2):
        assert far.ask("DELETE", f"/admin/config/{NETWORKS}").body == NOTHING
    assert listed(far, NETWORKS) == []


def test_one_wrong_key_and_none_is_added(far: Far) -> None:
    told = far.ask("POST", "/admin/config", [[f"{NETWORKS}203.0.113.9", ""], ["no.such.key", ""]])
    assert (told.status, told.kind) == (422, "application/problem+json")
    assert "no.such.key" in told.detail
    assert listed(far, NETWORKS) == []


@pytest.mark.parametrize(
    "body",
    [{}, "x", 1, None, [1], ["a"], [["a"]], [["a", "b", "c"]], [["a", 1]], [[None, ""]], b"[", b""],
)
def test_a_body_that_is_no_list_of_pairs_is_refused(far: Far, body: object) -> None:
    told = far.ask("POST", "/admin/config", b"null" if body is None else body)
    assert (told.status, "[[" in told.detail) == (400, True)


def test_reloads_are_asked_for_with_get(far: Far) -> None:
    for what in ("config", "certificates"):
        told = far.ask("GET", f"/admin/reload/{what}")
        assert (told.status, told.body) == (200, NOTHING)
    far.house.file.write_text("nonsense")
    assert far.ask("GET", "/admin/reload/config").status == 422


def test_the_socket_has_them_too(far: Far) -> None:
    assert far.house.ask("GET", "/admin/config").status == 200
    assert far.house.ask("POST", "/admin/config", [[f"{NETWORKS}203.0.113.9", ""]]).status == 200


def test_the_description_of_the_api_has_every_route(far: Far) -> None:
    told = far.ask("GET", "/api/openapi.json")
    assert told.body["openapi"].startswith("3.1")
    paths = told.body["paths"]
    assert {"get", "post", "delete"} == set(paths["/api/bans"])
    assert "delete" in paths["/admin/config/{key}"]
    described = {(verb, path) for path in paths for verb in paths[path]}
    assert described >= {("get", "/healthz"), ("get", "/api/why/{subject}")}
    for verb, path in described - {("get", "/api/events")}:
        target = path.replace("{key}", "no.key").replace("{subject}", "nobody")
        assert far.ask(verb.upper(), target).status not in {404, 405}
