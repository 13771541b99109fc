"""Bans by hand and lifting them, as a program does it over the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pytest

from mailward.admin.wishes import Asked, Wish
from mailward.guard.bites import keeping_all
from mailward.rules.model import Reason
from mailward.stores.port import Change
from tests.admin.house import FillingStore, House

A_WEEK = 7 * 86_400


def subjects(house: House, query: str = "") -> list[str]:
    return sorted(ban["subject"] for ban in house.ask("GET", f"/api/bans{query}").body["bans"])


def lift(house: House, subject: str) -> int:
    return house.ask("DELETE", f"/api/bans/{quote(subject, safe='')}").status


def test_a_ban_by_hand_is_in_force_when_it_is_answered(house: House) -> None:
    told = house.ask("POST", "/api/bans", {"subject": "203.0.113.9", "note": "a scanner"})
    assert told.status == 200
    assert told.body["stored"] is True
    (ban,) = told.body["bans"]
    assert (ban["subject"], ban["reason"], ban["until"], ban["note"]) == (
        "203.0.113.9",
        "manual",
        None,
        "a scanner",
    )
    assert not house.admits("203.0.113.9")
    assert house.admits("203.0.113.10")


def test_a_ban_is_in_the_store_when_it_is_answered(house: House) -> None:
    house.ask("POST", "/api/bans", {"subject": "203.0.113.9"})
    contents = house.call(house.store.load())
    assert [ban.subject.name for ban in contents.bans] == ["203.0.113.9"]


def test_a_ban_for_a_period_ends_with_it(house: House) -> None:
    house.ask("POST", "/api/bans", {"subject": "203.0.113.9", "for": "1w"})
    house.later(A_WEEK - 1)
    assert not house.admits("203.0.113.9")
    house.later(1)
    assert house.admits("203.0.113.9")
    assert "203.0.113.9" not in subjects(house)


def test_a_shorter_ban_never_shortens_a_longer_one_and_says_so(house: House) -> None:
    house.ask("POST", "/api/bans", {"subject": "203.0.113.9", "for": "2w"})
    (ban,) = house.ask("POST", "/api/bans", {"subject": "203.0.113.9", "for": "1w"}).body["bans"]
    assert ban["until"] == "2026-10-05T14:13:20.000000Z"
    assert "nothing was changed" in ban["message"]


@pytest.mark.parametrize(
    ("typed", "name", "inside"),
    [
        ("10.1.2.3/8", "10.0.0.0/8", "10.200.0.1"),
        ("2001:DB8:0:0::/64", "2001:db8::/64", "2001:db8::ffff"),
        ("address:203.0.113.9", "203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9", "203.0.113.9"),
        ("64:ff9b::203.0.113.9", "203.0.113.9", "203.0.113.9"),
        ("64:ff9b::203.0.113.0/120", "203.0.113.0/24", "203.0.113.77"),
    ],
)
def test_a_network_has_one_name_however_it_is_spelled(
    house: House, typed: str, name: str, inside: str
) -> None:
    (ban,) = house.ask("POST", "/api/bans", {"subject": typed}).body["bans"]
    assert ban["subject"] == name
    assert not house.admits(inside)
    assert lift(house, typed) == 200
    assert house.admits(inside)


def test_a_login_spelled_like_an_address_is_another_subject(house: House) -> None:
    (ban,) = house.ask("POST", "/api/bans", {"subject": "login:203.0.113.9"}).body["bans"]
    assert (ban["subject"], ban["kind"]) == ("login:203.0.113.9", "login")
    assert house.admits("203.0.113.9")
    assert not house.fail("203.0.113.10", "203.0.113.9")
    assert lift(house, "203.0.113.9") == 200
    assert "login:203.0.113.9" in subjects(house), "the address was lifted, not the login"
    assert lift(house, "login:203.0.113.9") == 200
    assert house.fail("203.0.113.10", "203.0.113.9")


@pytest.mark.parametrize("login", ["a/b@example.org", "a%2Fb@x", "ü ñ", "..", "a?b#c", "ADA"])
def test_a_login_of_any_spelling_is_banned_and_lifted(house: House, login: str) -> None:
    (ban,) = house.ask("POST", "/api/bans", {"subject": f"login:{login}"}).body["bans"]
    assert not house.fail("203.0.113.10", login)
    assert lift(house, ban["subject"]) == 200
    assert house.fail("203.0.113.10", login)


def test_everybody_is_banned_only_if_that_is_confirmed(house: House) -> None:
    for everybody in ("0.0.0.0/0", "::/0"):
        told = house.ask("POST", "/api/bans", {"subject": everybody})
        assert told.status == 409
        assert "--yes" in told.detail
        assert house.admits("203.0.113.9")
    assert house.ask("POST", "/api/bans", {"subject": "0.0.0.0/0", "yes": True}).status == 200
    assert not house.admits("203.0.113.9")
    assert house.admits("192.0.2.1"), "allowed networks win"


def test_an_allowed_subject_is_not_banned_and_the_answer_names_what_allows_it(
    house: House,
) -> None:
    told = house.ask("POST", "/api/bans", {"subject": "192.0.2.7"})
    assert told.status == 409
    assert "192.0.2.0/28" in told.detail
    assert subjects(house) == ["198.51.100.0/24", "root@example.org"]


def test_a_ban_around_an_allowed_network_says_what_it_leaves_out(house: House) -> None:
    (ban,) = house.ask("POST", "/api/bans", {"subject": "192.0.0.0/16"}).body["bans"]
    assert "except what is allowed: 192.0.2.0/28" in ban["message"]
    assert house.admits("192.0.2.1")
    assert not house.admits("192.0.3.1")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"subject": "300.1.1.1"}, "300.1.1.1"),
        ({"subject": "10.0.0.0/33"}, "10.0.0.0/33"),
        ({"subject": "fe80::1%eth0"}, "fe80::1%eth0"),
        ({"subject": ""}, "login"),
        ({"subject": "operator:"}, "no name of an operator"),
        ({"subject": "203.0.113.9", "for": "soon"}, '"soon"'),
        ({"subject": "203.0.113.9", "for": "0d"}, '"0d"'),
        ({"subject": "203.0.113.9", "note": "two\nlines"}, "one line"),
        ({"subject": "203.0.113.9", "note": "x" * 501}, "500"),
    ],
)
def test_a_wrong_wish_changes_nothing_and_says_what_is_wrong(
    house: House, body: dict[str, str], word: str
) -> None:
    before = subjects(house)
    told = house.ask("POST", "/api/bans", body)
    assert told.status == 422
    assert word in told.detail
    assert subjects(house) == before


def test_of_many_subjects_all_are_banned_or_none(house: House) -> None:
    wrong = ["203.0.113.1", "10.0.0.0/33", "203.0.113.2", "192.0.2.1", "::/0"]
    told = house.ask("POST", "/api/bans", {"subjects": wrong})
    assert told.status == 422
    assert [fault["index"] for fault in told.body["faults"]] == [1, 3, 4]
    assert house.admits("203.0.113.1")
    many = [f"203.0.113.{number}" for number in range(200)]
    assert len(house.ask("POST", "/api/bans", {"subjects": many}).body["bans"]) == 200
    assert not any(house.admits(address) for address in many)


def test_checking_bans_nobody(house: House) -> None:
    told = house.ask("POST", "/api/bans", {"subjects": ["203.0.113.1"], "check": True})
    assert (told.status, told.body["bans"]) == (200, [])
    assert house.admits("203.0.113.1")


def test_lifting_frees_and_clears_the_tally(house: House) -> None:
    while house.fail("203.0.113.9", "ada"):
        pass
    told = house.ask("DELETE", "/api/bans/203.0.113.9")
    assert [ban["subject"] for ban in told.body["bans"]] == ["203.0.113.9"]
    assert house.fail("203.0.113.9", "bob")
    assert house.fail("203.0.113.9", "bob")
    assert house.admits("203.0.113.9"), "two failures after a lift are two failures"


def test_an_address_inside_a_banned_prefix_lifts_it(house: House) -> None:
    while house.fail("2001:db8:5::1"):
        pass
    assert subjects(house, "?address=2001:db8:5::77") == ["2001:db8:5::/64"]
    told = house.ask("DELETE", "/api/bans/2001:db8:5::77")
    assert [ban["subject"] for ban in told.body["bans"]] == ["2001:db8:5::/64"]
    assert house.admits("2001:db8:5::1")


def test_what_a_wider_block_still_covers_is_told(house: House) -> None:
    house.ask("POST", "/api/bans", {"subjects": ["203.0.113.0/24", "203.0.113.9"]})
    told = house.ask("DELETE", "/api/bans/203.0.113.9")
    assert told.body["still"]["subject"] == "203.0.113.0/24"
    assert "still banned by the ban on network 203.0.113.0/24" in told.body["message"]


def test_what_the_file_blocks_cannot_be_lifted_and_that_is_told(house: House) -> None:
    told = house.ask("DELETE", "/api/bans/198.51.100.0%2F24")
    assert told.body["still"]["origin"] == "file"
    assert "the configuration file" in told.body["message"]
    assert not house.admits("198.51.100.1")


def test_lifting_all_lifts_automatic_bans_and_leaves_those_by_hand(house: House) -> None:
    house.ask("POST", "/api/bans", {"subject": "203.0.113.200"})
    while house.fail("203.0.113.9", "ada"):
        pass
    told = house.ask("DELETE", "/api/bans?reason=authentication")
    assert told.body["message"] == "Lifted 2 automatic bans."
    assert house.admits("203.0.113.9")
    assert not house.admits("203.0.113.200")
    told = house.ask("DELETE", f"/api/bans?reason={Reason.MANUAL.value}")
    assert told.body["message"] == "Lifted 1 manual ban."
    assert house.admits("203.0.113.200")
    assert house.ask("DELETE", "/api/bans").status == 400


def test_bans_are_found_by_what_they_touch(house: House) -> None:
    networks = ["203.0.113.0/24", "203.0.113.9", "2001:db8::/64"]
    house.ask("POST", "/api/bans", {"subjects": [*networks, "ada", "login:203.0.113.9"]})
    assert subjects(house, "?address=203.0.113.9") == ["203.0.113.0/24", "203.0.113.9"]
    assert subjects(house, "?address=203.0.0.0/16") == ["203.0.113.0/24", "203.0.113.9"]
    assert subjects(house, "?address=203.0.113.10") == ["203.0.113.0/24"]
    assert subjects(house, "?address=2001:DB8::5") == ["2001:db8::/64"]
    assert subjects(house, "?login=ADA") == ["ada"]
    assert subjects(house, "?login=203.0.113.9") == ["login:203.0.113.9"]
    assert subjects(house, "?login=ada&address=203.0.113.10") == ["203.0.113.0/24", "ada"]
    assert subjects(house, "?reason=authentication") == []
    assert house.ask("GET", "/api/bans?address=nonsense").status == 422
    assert house.ask("GET", "/api/bans?reason=whim").status == 400


def test_thousands_of_bans_are_listed_whole(house: House) -> None:
    many = [f"10.0.{number // 256}.{number % 256}" for number in range(1_200)]
    house.ask("POST", "/api/bans", {"subjects": many})
    assert len(subjects(house)) == 1_202


def test_while_the_store_is_away_bans_hold_in_memory_and_the_answer_says_so(
    house: House,
) -> None:
    house.store.full = True
    told = house.ask("POST", "/api/bans", {"subject": "203.0.113.9"})
    assert (told.status, told.body["stored"]) == (200, False)
    assert "kept in memory" in told.body["warning"]
    assert not house.admits("203.0.113.9")
    assert house.ask("GET", "/healthz").body == {"status": "degraded"}
    store = house.ask("GET", "/api/status").body["store"]
    assert (store["state"], store["reason"]) == ("degraded", "the disk is full; make room")
    assert store["behind"] >= 1


class Elsewhere(FillingStore):
    """A store that writes on another thread, as the one in a file does."""

    async def commit(self, changes: Sequence[Change], *, durable: bool) -> None:
        pass


def test_a_long_list_of_logins_holds_nobody_up(tmp_path: Path) -> None:
    """Measured in time of the processor, which the machine's other work does not lengthen."""
    longest = 0.0

    async def look() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    async def ban(house: House) -> int:
        wish = Wish([Asked(f"login{number}@example.org") for number in range(60_000)])
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(look())
            banned = await house.control.ban(wish)
            looking.cancel()
        return len(banned.imposed)

    (tmp_path / "config.toml").write_text("")
    house = House(tmp_path, Elsewhere())
    with house.running(), keeping_all():
        assert house.call(ban(house)) == 60_000
    assert longest < 0.05
