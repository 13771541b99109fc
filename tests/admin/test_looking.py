"""What an operator is shown."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.admin.house import House, UnixConnection, open_house

HOUR = 3_600.0


def test_why_tells_the_whole_story_of_an_address(house: House) -> None:
    house.fail("203.0.113.9", "ada", "imap")
    house.later(60)
    house.fail("203.0.113.9", "bob", "submission")
    house.later(60)
    house.fail("203.0.113.9", None, "submission")
    why = house.ask("GET", "/api/why/203.0.113.9").body
    assert (why["count"], why["limit"], why["counted"]) == (3, "3/1h", "203.0.113.9")
    assert why["ban"]["reason"] == "authentication"
    assert why["ban"]["since"] == "2026-09-21T14:15:20.000000Z"
    assert why["ban"]["services"] == ["imap", "submission"]
    assert why["failures"] == [
        {"at": "2026-09-21T14:13:20.000000Z", "service": "imap", "counterpart": "ada"},
        {"at": "2026-09-21T14:14:20.000000Z", "service": "submission", "counterpart": "bob"},
        {"at": "2026-09-21T14:15:20.000000Z", "service": "submission", "counterpart": ""},
    ]


def test_why_of_one_address_in_a_banned_prefix_finds_the_ban(house: House) -> None:
    while house.fail("2001:db8:5::1"):
        pass
    why = house.ask("GET", "/api/why/2001:DB8:5:0::99").body
    assert (why["subject"], why["counted"]) == ("2001:db8:5::99", "2001:db8:5::/64")
    assert why["ban"]["subject"] == "2001:db8:5::/64"


def test_why_names_what_allows_and_what_stands_in_the_file(house: House) -> None:
    assert house.ask("GET", "/api/why/192.0.2.3").body["allowed"] == "192.0.2.0/28"
    assert house.ask("GET", "/api/why/198.51.100.7").body["ban"]["origin"] == "file"
    assert house.ask("GET", "/api/why/nobody@example.org").body["ban"] is None


def test_why_of_a_proxy_says_that_it_is_trusted(house: House) -> None:
    assert house.ask("GET", "/api/why/192.0.2.3").body["trusted"] is None
    house.ask("POST", "/api/settings", {"key": "server.proxy.trusted-networks.192.0.2.0/24"})
    house.ask("POST", "/api/reload")
    assert house.ask("GET", "/api/why/192.0.2.3").body["trusted"] == "192.0.2.0/24"


def test_why_of_nothing_is_refused(house: House) -> None:
    assert house.ask("GET", "/api/why/10.0.0.0%2F33").status == 422
    assert house.ask("GET", "/api/why/").status == 404


def test_who_attacks_a_login_is_told(house: House) -> None:
    house.fail("203.0.113.1", "ada")
    house.fail("203.0.113.2", "ada")
    house.fail("203.0.113.2", "bob")
    (ada, bob) = house.ask("GET", "/api/top").body["logins"]
    assert (ada["subject"], ada["failures"]) == ("ada", 2)
    assert ada["counterparts"] == ["203.0.113.2", "203.0.113.1"]
    assert (bob["subject"], bob["failures"], bob["ban"]) == ("bob", 1, None)


def test_the_busiest_come_first_and_no_more_than_asked_for(house: House) -> None:
    for number in range(1, 6):
        house.fail(f"203.0.113.{number}", f"login{number}")
    house.fail("203.0.113.4", "other")
    rows = house.ask("GET", "/api/top?count=2").body["addresses"]
    assert (rows[0]["subject"], len(rows)) == ("203.0.113.4", 2)
    house.later(HOUR)
    assert house.ask("GET", "/api/top").body == {"addresses": [], "logins": []}
    for wrong in ("0", "101", "-1", "x", "1e3", "٣"):
        assert house.ask("GET", f"/api/top?count={_quoted(wrong)}").status == 400


def test_the_status_counts_attempts_by_service(house: House) -> None:
    for _ in range(4):
        house.fail("203.0.113.9", "ada", "imap")
    house.fail("203.0.113.10", "bob", "submission")
    status = house.ask("GET", "/api/status").body
    assert status["services"]["imap"] == {
        "failed": 3,
        "succeeded": 0,
        "refused": 1,
        "unavailable": 0,
    }
    assert status["services"]["submission"]["failed"] == 1
    assert status["counted"]["address"] == 2
    assert status["bans"] == {"all": 4, "file": 2, "observed": 0}
    assert status["policy"]["fail2ban"] == "3/1h"


def test_the_status_shows_doors_and_age(house: House) -> None:
    house.doors = [{"listener": "imap", "bind": "127.0.0.1:143", "state": "up"}]
    house.later(90)
    status = house.ask("GET", "/api/status").body
    assert status["doors"] == [{"listener": "imap", "bind": "127.0.0.1:143", "state": "up"}]
    assert (status["version"], status["uptime_seconds"]) == ("1.2.3", 90)


# -- events ----------------------------------------------------------------------------------------


def test_events_come_as_they_happen(house: House) -> None:
    with closing(UnixConnection(house.socket)) as line:
        line.request("GET", "/api/events")
        stream = line.getresponse()
        assert stream.headers.get_content_type() == "text/event-stream"
        assert stream.readline().startswith(b":")
        house.fail("203.0.113.9", "ada")
        lines = [stream.readline() for _ in range(4)]
        assert (lines[0], lines[2]) == (b"\n", b"event: auth.failed\n")
        event = json.loads(lines[3].removeprefix(b"data: "))
        assert event == {
            "event": "auth.failed",
            "time": "2026-09-21T14:13:20.000000Z",
            "service": "imap",
            "address": "203.0.113.9",
            "login": "ada",
        }


def test_the_end_of_a_ban_is_a_moment_in_its_event(house: House) -> None:
    with closing(UnixConnection(house.socket)) as line:
        line.request("GET", "/api/events")
        stream = line.getresponse()
        stream.readline()
        house.ask("POST", "/api/bans", {"subject": "203.0.113.9", "for": "1h"})
        stream.readline()
        stream.readline()
        assert stream.readline() == b"event: ban.added\n"
        event = json.loads(stream.readline().removeprefix(b"data: "))
        assert event["until"] == "2026-09-21T15:13:20.000000Z"


def test_a_silent_stream_stays_alive_and_misses_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailward.admin.events.KEEP_ALIVE_SECONDS", 0.02)
    with closing(UnixConnection(house.socket)) as line:
        line.request("GET", "/api/events")
        stream = line.getresponse()
        assert [stream.readline() for _ in range(4)][2] == b": still here\n"
        house.fail("203.0.113.9", "ada")
        house.fail("203.0.113.9", "bob")
        heard: list[bytes] = []
        while len(heard) < 2:
            heard += [line for line in [stream.readline()] if line.startswith(b"data: ")]
        assert [json.loads(data[6:])["login"] for data in heard] == ["ada", "bob"]
    for _ in range(1_000):
        if not house.guard.journal.entries.followed:
            break
        house.fail("192.0.2.1")
    assert not house.guard.journal.entries.followed, "who has hung up is forgotten"


def test_the_last_events_are_told_first_and_none_twice(house: House) -> None:
    for name in ("ada", "bob", "cyd"):
        house.fail("203.0.113.9", name)
    assert _logins(house, "last=2&follow=false") == ["cyd"], "and the ban that fell"
    assert _logins(house, "last=1000&follow=false") == ["ada", "bob", "cyd"]
    assert _logins(house, "follow=false") == []
    with closing(UnixConnection(house.socket)) as line:
        line.request("GET", "/api/events?last=1000")
        stream = line.getresponse()
        house.fail("203.0.113.10", "dan")
        heard: list[bytes] = []
        while len(heard) < 5:
            heard += [line for line in [stream.readline()] if line.startswith(b"data: ")]
    assert [json.loads(data[6:])["event"] for data in heard] == [
        *("auth.failed", "auth.failed", "auth.failed", "ban.added", "auth.failed")
    ]


def test_who_comes_back_gets_what_was_missed(house: House) -> None:
    house.fail("203.0.113.9", "ada")
    told = house.ask("GET", "/api/events?last=1&follow=false").body.decode()
    (seen,) = [line[4:] for line in told.splitlines() if line.startswith("id: ")]
    house.fail("203.0.113.9", "bob")
    assert _logins(house, "follow=false", seen) == ["bob"]
    assert _logins(house, "follow=false", f"0{seen}") == ["ada", "bob"], "of another life"
    assert _logins(house, "follow=false", "junk") == ["ada", "bob"]
    assert _logins(house, "follow=false", f"{seen}{'9' * 5000}") == []


def test_a_flood_of_refusals_drives_out_no_event(house: House) -> None:
    house.fail("203.0.113.9", "ada")
    house.ask("POST", "/api/bans", {"subject": "bob"})
    for _ in range(1_200):
        house.fail("203.0.113.10", "bob")
    assert "ada" in _logins(house, "last=1000&follow=false")
    assert len(house.guard.journal.kept) < 10


@pytest.mark.parametrize("query", ["last=1001", "last=x", "follow=1", "lst=1"])
def test_a_wrong_query_of_events_is_refused(house: House, query: str) -> None:
    assert house.ask("GET", f"/api/events?{query}").status == 400


def _logins(house: House, query: str, seen: str | None = None) -> list[str]:
    """The logins of the failures that are told."""
    with closing(UnixConnection(house.socket)) as line:
        line.request("GET", f"/api/events?{query}", headers={"Last-Event-ID": seen} if seen else {})
        lines = line.getresponse().read().decode().splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    return [event["login"] for event in events if event["event"] == "auth.failed"]


def test_a_follower_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        line = UnixConnection(house.socket)
        line.request("GET", "/api/events")
        stream = line.getresponse()
        stream.readline()
    # The house has seen to it that all of it is gone, with this stream still open.
    with closing(line), pytest.raises(http.client.IncompleteRead):
        stream.read()


def _quoted(text: str) -> str:
    return "".join(f"%{octet:02X}" for octet in text.encode())
