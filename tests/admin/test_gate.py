"""Who may come in from afar: guesses are counted, and nobody locks the operator out for good."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mailward.admin.gate import MAX_BURST, SECONDS_PER_HASH, Shares
from mailward.rules.model import Instant, Subject, SubjectKind
from tests.admin.afar import HASH, OTHER_HASH, RIGHT, Far, basic, heard, open_far_house
from tests.admin.house import NOON

ADMIN = Subject(SubjectKind.OPERATOR, "admin")
KEY = "server.security.blocked-operators.admin"


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    with open_far_house(tmp_path) as made:
        yield made


def failures(far: Far, subject: str) -> int:
    told = far.house.ask("GET", f"/api/why/{subject}")
    assert told.status == 200
    return int(told.body["count"])


def test_the_operator_comes_in_with_name_and_password(far: Far) -> None:
    told = far.ask("GET", "/healthz")
    assert (told.status, told.body) == (200, {"status": "ok"})
    assert failures(far, "127.0.0.1") == 0


@pytest.mark.parametrize(
    "given",
    [
        None,
        "Bearer abc",
        "Basic",
        "Basic !!!",
        "Basic YWRtaW4=",  # a name without a colon
        "Digest username=admin",
    ],
)
def test_a_request_without_credentials_is_a_401_that_counts_nothing(
    far: Far, given: str | None
) -> None:
    headers = {} if given is None else {"Authorization": given}
    for target in ("/api/status", "/healthz", "/healthz", "/metrics"):
        with closing(far.line()) as line:
            told = line.ask("GET", target, who=None, headers=headers)
            assert line.headers["WWW-Authenticate"] == 'Basic realm="mailward", charset="UTF-8"'
        assert (told.status, told.kind) == (401, "application/problem+json")
        assert told.detail == "You have to authenticate first."
    assert (failures(far, "127.0.0.1"), failures(far, "operator:admin")) == (0, 0)
    assert far.house.admits("127.0.0.1")
    assert not far.house.guard.journal.counts


def test_a_wrong_secret_is_told_so(far: Far) -> None:
    told = far.ask("GET", "/api/status", who=("admin", "wrong"))
    assert (told.status, told.detail) == (401, "Wrong user or secret")


def test_an_address_that_no_limit_bounds_has_so_many_hashes_and_no_more(far: Far) -> None:
    # It is allowed, and each guess is at another name: the guard would let it go on for ever.
    told = Counter(far.guess("wrong", "127.0.1.7", f"user{number}") for number in range(60))
    assert set(told) == {401, 503}
    assert MAX_BURST <= told[401] < MAX_BURST + 10
    assert far.guess(RIGHT[1], "127.0.1.8") == 200
    # The password that was right last needs no hash.
    assert far.guess(RIGHT[1], "127.0.1.7") == 200


def test_hashes_of_one_address_leave_room_for_others_and_come_back_with_time() -> None:
    shares = Shares()
    one, other = (Subject(SubjectKind.ADDRESS, f"203.0.113.{n}") for n in (1, 2))
    assert [shares.take(one, NOON) for _ in range(6)] == [True] * 4 + [False] * 2
    assert shares.take(other, NOON)
    for _ in range(MAX_BURST - 4):
        shares.give_back(one)
        assert shares.take(one, NOON)
    shares.give_back(one)
    assert not shares.take(one, NOON)
    assert not shares.take(one, Instant(NOON + SECONDS_PER_HASH - 0.1))
    assert shares.take(one, Instant(NOON + SECONDS_PER_HASH))
    shares.give_back(one)
    assert not shares.take(one, Instant(NOON + SECONDS_PER_HASH))


def test_addresses_that_guess_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailward.admin.gate.MAX_ADDRESSES", 5)
    shares = Shares()
    for number in range(20):
        address = Subject(SubjectKind.ADDRESS, f"203.0.113.{number}")
        assert shares.take(address, NOON)
        shares.give_back(address)
    assert len(shares) == 5


@pytest.mark.parametrize("target", ["/api/bans", "/no/such/thing", "/healthz", "/admin/config/"])
def test_whatever_is_asked_for_a_stranger_hears_the_same(far: Far, target: str) -> None:
    assert far.ask("GET", target, who=("admin", "wrong")).detail == "Wrong user or secret"


def test_a_wrong_password_counts_for_the_address_and_for_the_operator(far: Far) -> None:
    assert far.ask("GET", "/healthz", who=("Admin", "wrong")).status == 401
    assert (failures(far, "127.0.0.1"), failures(far, "operator:admin")) == (1, 1)
    assert failures(far, "login:admin") == 0
    (failure,) = far.house.ask("GET", "/api/why/operator:admin").body["failures"]
    assert (failure["service"], failure["counterpart"]) == ("manage", "127.0.0.1")


def test_a_name_that_nobody_has_is_answered_and_counted_like_one_that_somebody_has(
    far: Far,
) -> None:
    with closing(far.line()) as known, closing(far.line()) as unknown:
        one = known.ask("GET", "/healthz", who=("admin", "wrong"))
        other = unknown.ask("GET", "/healthz", who=("nobody", RIGHT[1]))
        assert one == other
        assert {**known.headers, "Date": ""} == {**unknown.headers, "Date": ""}
    assert failures(far, "operator:nobody") == 1


def test_the_failure_that_reaches_the_limit_is_answered_and_the_address_is_gone(far: Far) -> None:
    with closing(far.line("127.0.0.2")) as idle:
        assert idle.ask("GET", "/healthz").status == 200
        assert [far.guess(f"guess {n}", "127.0.0.2") for n in range(3)] == [401, 401, 401]
        assert far.guess(RIGHT[1], "127.0.0.2") == 0
        assert idle.is_over()
    (ban,) = far.house.ask("GET", "/api/bans?address=127.0.0.2").body["bans"]
    assert (ban["failures"], ban["services"], ban["counterparts"]) == (3, ["manage"], ["admin"])


def test_a_banned_operator_is_told_to_try_later_from_everywhere_but_the_socket(far: Far) -> None:
    for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        assert far.guess("wrong", source) == 401
    with closing(far.line("127.0.0.5")) as line:
        told = line.ask("GET", "/healthz")
        assert (told.status, told.kind) == (429, "application/problem+json")
        assert 0 < int(line.headers["Retry-After"]) <= 3600
    assert failures(far, "127.0.0.5") == 0, "what the guard itself refused counts for nobody"
    assert far.house.ask("GET", "/api/bans").body["bans"][0]["key"] == KEY
    assert far.house.ask("POST", "/api/lifts", {"subject": "operator:admin"}).status == 200
    assert far.ask("GET", "/healthz", source="127.0.0.5").status == 200


def test_mail_passwords_guessed_for_admin_do_not_ban_the_operator(far: Far) -> None:
    for number in range(3):
        assert far.house.fail(f"203.0.113.{number}", "admin")
    assert far.house.covers(Subject(SubjectKind.LOGIN, "admin"))
    assert far.ask("GET", "/healthz").status == 200


def test_an_operator_is_banned_by_hand_in_every_way_a_login_is(far: Far) -> None:
    house = far.house
    assert house.ask("POST", "/api/settings", {"key": KEY, "value": "gone"}).status == 200
    assert far.ask("GET", "/healthz").status == 429
    assert [s["key"] for s in house.ask("GET", "/api/settings?prefix=" + KEY).body["settings"]] == [
        KEY
    ]
    assert house.ask("GET", "/api/why/operator:admin").body["ban"]["note"] == "gone"
    assert house.ask("DELETE", f"/api/settings?key={KEY}").status == 200
    assert not house.covers(ADMIN)
    assert house.ask("POST", "/api/bans", {"subject": "operator:Admin"}).status == 200
    assert house.covers(ADMIN)
    assert house.ask("DELETE", "/api/bans/operator:admin").status == 200
    assert far.ask("GET", "/healthz").status == 200


def test_an_operator_that_the_file_blocks_is_banned(tmp_path: Path) -> None:
    with open_far_house(tmp_path, 'blocked-operators.Admin = "left"\n') as far:
        assert far.ask("GET", "/healthz").status == 429
        told = far.house.ask("DELETE", f"/api/settings?key={KEY}")
        assert (told.status, "config.toml:2" in told.detail) == (409, True)


def test_an_allowed_address_is_never_counted_but_the_operator_is(far: Far) -> None:
    assert [far.guess("wrong", "127.0.1.7") for _ in range(3)] == [401, 401, 401]
    assert far.guess("wrong", "127.0.1.7") == 429
    assert far.house.admits("127.0.1.7")


@pytest.mark.parametrize("sources", [["127.0.0.9"], [f"127.0.0.{n}" for n in range(10, 40)]])
def test_of_thirty_guesses_at_once_as_many_are_judged_as_the_limit_allows(
    far: Far, sources: list[str]
) -> None:
    with ThreadPoolExecutor(30) as callers:
        guesses = callers.map(
            lambda n: far.guess(f"guess {n}", sources[n % len(sources)]), range(30)
        )
        seen = Counter(guesses)
    assert seen[401] == 3
    assert seen[0] + seen[429] == 27
    assert far.house.guard.reservations.under_way == 0


def test_a_new_secret_holds_at_reload_and_the_old_one_no_longer(far: Far) -> None:
    key = "management.admin.secret"
    assert far.ask("POST", "/api/settings", {"key": key, "value": OTHER_HASH}).status == 200
    assert far.ask("GET", "/healthz").status == 200
    assert far.ask("POST", "/api/reload").status == 200
    assert far.ask("GET", "/healthz").status == 401
    assert far.ask("GET", "/healthz", who=("admin", "another")).status == 200


def test_two_requests_sent_as_one_are_two_guesses_only_if_both_are_answered(far: Far) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: a\r\nAuthorization: {basic('admin', 'x')}\r\n\r\n"
    with far.connect() as connection:
        connection.sendall(request.encode() * 5)
        assert heard(connection).count(b"HTTP/1.1 401") == 1
    assert failures(far, "127.0.0.1") == 1


def test_two_sets_of_credentials_are_none(far: Far) -> None:
    given = f"Authorization: {basic(*RIGHT)}\r\n" * 2
    with far.connect() as connection:
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: a\r\n{given}\r\n".encode())
        assert b" 401 " in heard(connection)


def test_no_password_and_no_hash_is_ever_told(far: Far, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = [
        far.ask("GET", "/healthz", who=("admin", "hunter2")),
        far.ask("GET", "/api/settings"),
        far.ask("GET", "/admin/config"),
        far.ask("GET", "/admin/config/management"),
        far.ask("POST", "/api/settings", {"key": "management.admin.secret", "value": "hunter2"}),
    ]
    assert told[3].body == {"data": [["management.admin.secret", "***"]]}
    assert told[4].status == 422
    everything = f"{told}{caplog.text}"
    assert HASH not in everything
    assert "hunter2" not in everything
    assert RIGHT[1] not in everything
