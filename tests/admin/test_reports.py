"""What other programs report over the API, and what they ask."""

from __future__ import annotations

import time as clock
from pathlib import Path

import pytest

from tests.admin.afar import open_far_house
from tests.admin.house import House, Told
from tests.admin.test_forms import is_problem

HOUR = 3_600


def report(house: House, **fields: object) -> Told:
    return house.ask("POST", "/api/failures", fields)


def test_a_reported_failure_counts_like_any_other(house: House) -> None:
    for _ in range(2):
        house.fail("203.0.113.9", "ada")
    told = house.ask(
        "POST", "/api/failures", {"address": "203.0.113.9", "login": "Ada", "service": "webmail"}
    )
    assert told.body["counted"] == ["203.0.113.9", "ada"]
    assert [ban["subject"] for ban in told.body["bans"]] == ["203.0.113.9", "ada"]
    assert not house.admits("203.0.113.9")


def test_a_reported_failure_without_a_login_counts_for_the_address_alone(house: House) -> None:
    told = house.ask("POST", "/api/failures", {"address": "203.0.113.9", "service": "webmail"})
    assert told.body["counted"] == ["203.0.113.9"]


def test_an_allowed_address_is_not_counted_but_its_login_is(house: House) -> None:
    fields = {"address": "192.0.2.1", "login": "ada", "service": "webmail"}
    assert house.ask("POST", "/api/failures", fields).body["counted"] == ["ada"]


def test_a_reported_success_counts_for_nobody(house: House) -> None:
    fields = {"address": "203.0.113.9", "login": "ada", "service": "webmail"}
    assert house.ask("POST", "/api/successes", fields).body["counted"] == []
    assert house.ask("GET", "/api/why/203.0.113.9").body["count"] == 0


@pytest.mark.parametrize(
    "time", [1_789_999_400, 1_789_999_400.5, "2026-09-21T14:03:20Z", "2026-09-21T16:03:20+02:00"]
)
def test_a_report_may_tell_when_it_was(house: House, time: object) -> None:
    assert report(house, address="203.0.113.9", service="webmail", time=time).status == 200
    (failure,) = house.ask("GET", "/api/why/203.0.113.9").body["failures"]
    assert failure["at"].startswith("2026-09-21T14:03:20")


def test_a_report_from_the_future_is_taken_as_now(house: House) -> None:
    assert report(house, address="203.0.113.9", service="a", time=house.now + 9_999).status == 200
    (failure,) = house.ask("GET", "/api/why/203.0.113.9").body["failures"]
    assert failure["at"] == "2026-09-21T14:13:20.000000Z"


def test_a_report_older_than_the_period_is_refused(house: House) -> None:
    told = report(house, address="203.0.113.9", service="webmail", time=house.now - HOUR)
    assert (told.status, "older" in told.detail) == (422, True)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"address": "nonsense", "service": "webmail"}, 422),
        ({"address": "10.0.0.0/8", "service": "webmail"}, 422),
        ({"address": "203.0.113.9", "service": "Web Mail"}, 422),
        ({"address": "203.0.113.9", "service": "x" * 33}, 422),
        ({"address": "203.0.113.9", "service": ""}, 422),
        ({"address": "203.0.113.9", "service": "a", "login": ""}, 422),
        ({"address": "203.0.113.9"}, 400),
        ({"service": "webmail"}, 400),
        ({"address": 3405803785, "service": "webmail"}, 400),
        ({"address": "203.0.113.9", "service": "a", "time": "yesterday"}, 400),
        ({"address": "203.0.113.9", "service": "a", "time": "2026-09-21T14:03:20"}, 400),
        ({"address": "203.0.113.9", "service": "a", "time": True}, 400),
        ({"address": "203.0.113.9", "service": "a", "time": 1e300}, 400),
        ({"address": "203.0.113.9", "service": "a", "time": 10**400}, 400),
        ({"address": "203.0.113.9", "service": "a", "time": -(10**400)}, 400),
        ({"address": "203.0.113.9", "service": "a", "password": "x"}, 400),
    ],
)
def test_a_wrong_report_counts_for_nobody(
    house: House, fields: dict[str, object], status: int
) -> None:
    assert report(house, **fields).status == status
    assert house.ask("GET", "/api/top").body["addresses"] == []


# -- twice -----------------------------------------------------------------------------------------


def test_a_report_that_is_repeated_changes_nothing(house: House) -> None:
    fields = {"address": "203.0.113.9", "login": "ada", "service": "vpn", "id": "17"}
    assert report(house, **fields).body["result"] == "accepted"
    again = report(house, **fields)
    assert (again.status, again.body["result"], again.body["counted"]) == (200, "repeated", [])
    assert house.ask("GET", "/api/why/ada").body["count"] == 1
    assert house.ask("POST", "/api/successes", fields).body["result"] == "accepted"
    assert report(house, **{**fields, "service": "vpn2"}).body["result"] == "accepted"


@pytest.mark.parametrize("id_", ["", "x" * 201, 17])
def test_an_id_is_a_text_of_a_bearable_length(house: House, id_: object) -> None:
    assert report(house, address="203.0.113.9", service="vpn", id=id_).status in {400, 422}
    assert report(house, address="203.0.113.9", service="vpn", id="x" * 200).status == 200


def test_the_answer_to_a_report_says_who_is_banned_now(house: House) -> None:
    answers = [report(house, address="203.0.113.9", login="ada", service="vpn") for _ in range(4)]
    assert [answer.body["banned"] for answer in answers] == [
        [],
        [],
        ["203.0.113.9", "ada"],
        ["203.0.113.9", "ada"],
    ]
    told = report(house, address="203.0.113.8", login="ada", service="vpn")
    assert told.body["banned"] == ["ada"]


# -- many at once ----------------------------------------------------------------------------------


def batch(house: House, *reports: object) -> Told:
    return house.ask("POST", "/api/failures", {"reports": list(reports)})


def test_a_batch_is_taken_as_far_as_it_is_right(house: House) -> None:
    right = {"address": "203.0.113.9", "login": "ada", "service": "vpn"}
    told = batch(
        house,
        {**right, "id": "1", "time": house.now - 5},
        {**right, "id": "1"},
        {**right, "id": "2", "time": house.now - HOUR},
        {**right, "id": "3", "pasword": "x"},
        {**right, "id": "4", "address": "here"},
        {**right, "id": "5", "login": ""},
        {**right, "id": "6", "service": "Web Mail"},
        {"service": "vpn"},
        17,
        {**right, "id": ["x"]},
        {**right, "id": "x" * 201},
        {**right, "id": "7", "time": "yesterday"},
        {**right, "id": "8", "time": house.now + 99},
    )
    assert told.status == 200
    assert [row["result"] for row in told.body["reports"]] == [
        "accepted",
        "repeated",
        *["refused"] * 10,
        "accepted",
    ]
    assert [row["id"] for row in told.body["reports"]] == [
        *("1", "1", "2", "3", "4", "5", "6", None, None, None, None, "7", "8")
    ]
    words = [
        *("older", 'unknown field "pasword"', '"here" is no IP', "empty", '"Web Mail"'),
        *('"address" is missing', "JSON object", '"id" must be a string', "1 to 200", '"time"'),
    ]
    for row, word in zip(told.body["reports"][2:12], words, strict=True):
        assert word in row["why"]
    assert (told.body["accepted"], told.body["repeated"], told.body["refused"]) == (2, 1, 10)
    failures = house.ask("GET", "/api/why/ada").body["failures"]
    assert [failure["at"][11:19] for failure in failures] == ["14:13:15", "14:13:20"]


def test_a_batch_says_which_bans_fell_and_each_report_who_is_banned(house: House) -> None:
    one = {"address": "203.0.113.9", "service": "vpn"}
    told = batch(house, *[one] * 4, {"address": "203.0.113.8", "service": "vpn"})
    assert [(ban["subject"], ban["failures"]) for ban in told.body["bans"]] == [("203.0.113.9", 3)]
    assert [row["banned"] for row in told.body["reports"]] == [*[["203.0.113.9"]] * 4, []]
    assert not house.admits("203.0.113.9")


def test_an_empty_batch_is_nothing(house: House) -> None:
    assert batch(house).body["reports"] == []


def test_a_batch_of_successes_counts_for_nobody(house: House) -> None:
    one = {"address": "203.0.113.9", "login": "ada", "service": "vpn"}
    told = house.ask("POST", "/api/successes", {"reports": [one] * 5})
    assert (told.body["accepted"], told.body["bans"]) == (5, [])
    assert house.ask("GET", "/api/status").body["services"]["vpn"]["succeeded"] == 5


@pytest.mark.parametrize(
    "body",
    [
        {"reports": {}},
        {"reports": "x"},
        {"reports": [], "address": "203.0.113.9"},
        {"reports": [], "service": "vpn"},
        {"report": []},
    ],
)
def test_a_batch_is_one_list_and_nothing_else(house: House, body: object) -> None:
    assert is_problem(house.ask("POST", "/api/failures", body), 400)


def test_ten_thousand_are_taken_at_once_and_one_more_is_refused_as_a_whole(house: House) -> None:
    def some(count: int) -> list[dict[str, object]]:
        return [
            {
                "address": f"203.0.{number // 250}.{number % 250}",
                "login": f"user{number}@example.org",
                "service": "vpn",
                "id": f"{number:036}",
                "time": "2026-09-21T14:03:20.123456Z",
            }
            for number in range(count)
        ]

    told = batch(house, *some(10_001))
    assert is_problem(told, 413)
    assert "10000" in told.detail
    assert house.ask("GET", "/api/top").body["addresses"] == []
    assert batch(house, *some(10_000)).body["accepted"] == 10_000
    assert batch(house, *some(10_000)).body["repeated"] == 10_000


def test_ten_thousand_bans_at_once_take_seconds_and_all_are_stored(house: House) -> None:
    reports = [
        {"address": f"198.18.{number // 250}.{number % 250}", "service": "vpn"}
        for number in range(3_333)
        for _ in range(3)
    ]
    began = clock.monotonic()
    told = batch(house, *reports)
    assert len(told.body["bans"]) == 3_333
    assert len(house.call(house.store.load()).bans) == 3_333
    assert clock.monotonic() - began < 30


def test_over_the_socket_a_body_of_sixteen_megabytes_is_read_and_a_larger_one_is_not(
    house: House,
) -> None:
    body = b'{"reports": []}'
    assert house.ask("POST", "/api/failures", body + b" " * (16_000_000 - len(body))).status == 200
    assert is_problem(house.ask("POST", "/api/failures", body + b" " * 16_000_000), 413)


@pytest.mark.parametrize("padding", [b"", b" " * 60_000])
@pytest.mark.parametrize(
    "body",
    [
        b'{"reports": [',
        b'{"reports": [{"address": "\\ud800", "service": "vpn"}]}',
        b'{"reports": [{"service": "a", "service": "vpn"}]}',
        b'{"reports": [NaN]}',
        b'{"reports": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_a_batch_that_is_no_json_is_refused_as_a_whole(
    house: House, body: bytes, padding: bytes
) -> None:
    assert is_problem(house.ask("POST", "/api/failures", body + padding), 400)


def test_a_large_batch_may_come_from_afar_and_a_large_anything_else_may_not(
    tmp_path: Path,
) -> None:
    with open_far_house(tmp_path) as far:
        body = b'{"reports": []}' + b" " * 2_000_000
        assert far.ask("POST", "/api/failures", body).status == 200
        assert is_problem(far.ask("POST", "/api/lifts", body), 413)
        assert is_problem(far.ask("POST", "/api/failures", body * 5), 413)


def test_while_the_store_is_away_a_batch_counts_in_memory_and_says_so(house: House) -> None:
    house.store.full = True
    told = batch(house, *[{"address": "203.0.113.9", "service": "vpn"}] * 3)
    assert (told.body["stored"], told.body["accepted"]) == (False, 3)
    assert not house.admits("203.0.113.9")


# -- asking ----------------------------------------------------------------------------------------


def test_a_check_tells_whether_the_address_or_the_login_is_banned(house: House) -> None:
    for _ in range(3):
        house.fail("203.0.113.9", "ada")

    def banned(query: str) -> list[str]:
        told = house.ask("GET", f"/api/check?{query}").body
        assert told["banned"] == bool(told["bans"])
        return [ban["subject"] for ban in told["bans"]]

    assert banned("address=203.0.113.9") == ["203.0.113.9"]
    assert banned("address=203.0.113.9&login=Ada") == ["203.0.113.9", "ada"]
    assert banned("address=203.0.113.8&login=ada") == ["ada"]
    assert banned("address=203.0.113.8&login=bob") == []
    assert banned("address=198.51.100.7") == ["198.51.100.0/24"], "it stands in the file"
    assert banned("address=::ffff:203.0.113.9") == ["203.0.113.9"]
    assert banned("address=192.0.2.1&login=root@example.org") == ["root@example.org"]


def test_a_check_never_finds_an_allowed_address_banned(house: House) -> None:
    house.ask("POST", "/api/bans", {"subject": "192.0.0.0/16"})
    assert house.ask("GET", "/api/check?address=192.0.2.1").body["banned"] is False
    assert house.ask("GET", "/api/check?address=192.0.3.1").body["banned"] is True


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("login=ada", 400),
        ("address=here", 422),
        ("address=10.0.0.0/8", 422),
        ("address=203.0.113.9&login=", 422),
        ("address=203.0.113.9&service=vpn", 400),
        ("address=203.0.113.9&address=203.0.113.8", 400),
        ("address=fe80::1%25eth0", 422),
    ],
)
def test_a_check_that_makes_no_sense_is_refused(house: House, query: str, status: int) -> None:
    assert is_problem(house.ask("GET", f"/api/check?{query}"), status)


def test_under_observation_a_report_bans_nobody_and_the_check_says_so(house: House) -> None:
    house.ask("POST", "/api/settings", {"key": "server.security.observe", "value": "true"})
    house.ask("POST", "/api/reload")
    for _ in range(5):
        told = report(house, address="203.0.113.9", login="ada", service="vpn")
        assert (told.body["counted"], told.body["banned"]) == (["203.0.113.9", "ada"], [])
    check = house.ask("GET", "/api/check?address=203.0.113.9&login=ada")
    assert check.body == {"banned": False, "bans": []}
    bans = house.ask("GET", "/api/bans").body["bans"]
    assert {ban["subject"] for ban in bans if ban["observed"]} == {"203.0.113.9", "ada"}
