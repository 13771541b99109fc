"""Sessions as a program lists and closes them over the API."""

from __future__ import annotations

import pytest

from tests.admin.house import House
from tests.admin.sessions import log_in
from tests.edges.house import until


def test_who_is_logged_in_is_listed_page_by_page(house: House) -> None:
    log_in(house, "ada")
    log_in(house, "192.0.2.1", "2001:db8::7", mailbox="bob")
    log_in(house, None)
    log_in(house, None, is_passage=True)
    first = house.ask("GET", "/api/sessions?limit=2").body
    assert (first["total"], len(first["sessions"])) == (3, 2)
    assert first["sessions"][0] == {
        "session": "0a0b0c0d",
        "address": "192.0.2.1",
        "subject": "ada",
        "login": "ada",
        "mailbox": "ada",
        "listener": "imaps",
        "service": "imap",
        "since": "2026-09-21T14:13:20.000000Z",
        "received": 1_234,
        "sent": 56_789,
    }
    assert first["sessions"][1]["subject"] == "login:192.0.2.1"
    rest = house.ask("GET", f"/api/sessions?limit=2&after={first['next']}").body
    assert [(one["login"], one["subject"]) for one in rest["sessions"]] == [(None, None)]
    assert rest["next"] is None
    of_bob = house.ask("GET", "/api/sessions?subject=BOB").body
    assert [one["login"] for one in of_bob["sessions"]] == ["192.0.2.1"]
    at_an_address = house.ask("GET", "/api/sessions?subject=192.0.2.0/24").body
    assert at_an_address["total"] == 2


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 400),
        ("limit=10001", 400),
        ("after=x", 400),
        ("after=" + "9" * 40, 400),
        ("nope=1", 400),
        ("subject=10.0.0.0/99", 422),
        ("subject=", 422),
    ],
)
def test_a_listing_that_makes_no_sense_is_refused(house: House, query: str, status: int) -> None:
    assert house.ask("GET", f"/api/sessions?{query}").status == status


def test_the_sessions_of_a_subject_are_closed_and_counted(house: House) -> None:
    ours, other = log_in(house, "ada"), log_in(house, "bob", "192.0.2.2")
    told = house.ask("POST", "/api/sessions/close", {"subject": "ADA"})
    assert (told.status, told.body["closed"]) == (200, 1)
    assert told.body["message"] == (
        "1 session of login ada is closed; mail programs log in again by themselves unless the"
        " password is changed or a ban falls."
    )
    assert (ours.is_cut, other.is_cut) == (True, False)
    again = house.ask("POST", "/api/sessions/close", {"subject": "ada"})
    assert (again.status, again.body["closed"]) == (200, 0)
    assert again.body["message"].startswith("No session of login ada is open: it has ended already")
    network = house.ask("POST", "/api/sessions/close", {"subjects": ["192.0.2.0/24"]})
    assert network.body["closed"] == 1
    assert other.is_cut
    assert house.ask("GET", "/api/why/ada").body["ban"] is None


def test_none_is_closed_where_one_subject_is_wrong(house: House) -> None:
    line = log_in(house, "ada")
    for wrong, status in (
        ("10.0.0.0/99", 422),
        ("", 422),
        ("operator:admin", 422),
        ("0.0.0.0/0", 409),
    ):
        told = house.ask("POST", "/api/sessions/close", {"subject": wrong})
        assert told.status == status
        told = house.ask("POST", "/api/sessions/close", {"subjects": ["ada", wrong]})
        assert told.status in {422, 409}
    assert house.ask("POST", "/api/sessions/close", {}).status == 400
    assert not line.is_cut
    everybody = house.ask("POST", "/api/sessions/close", {"subject": "0.0.0.0/0", "yes": True})
    assert (everybody.status, everybody.body["closed"]) == (200, 1)


def test_a_ban_on_a_login_closes_its_sessions_and_one_on_an_address_where_it_is_told_to(
    house: House,
) -> None:
    ada, near, allowed = (
        log_in(house, "ada"),
        log_in(house, "bob", "203.0.113.9"),
        log_in(house, "eve", "203.0.113.200"),
    )
    passage = log_in(house, None, "203.0.113.10", is_passage=True)
    house.ask(
        "POST",
        "/api/settings",
        {"key": "server.security.allowed-networks.203.0.113.128/25", "value": ""},
    )
    assert house.ask("POST", "/api/bans", {"subject": "ada"}).body["closed"] == 1
    assert ada.is_cut
    assert house.ask("POST", "/api/bans", {"subject": "203.0.113.0/24"}).body["closed"] == 0
    assert not near.is_cut
    told = house.ask("POST", "/api/bans", {"subject": "203.0.113.0/24", "close": True})
    assert told.body["closed"] == 2
    assert (near.is_cut, passage.is_cut, allowed.is_cut) == (True, True, False)


def test_a_blocked_login_of_the_settings_closes_its_sessions_too(house: House) -> None:
    line = log_in(house, "ada")
    house.ask("POST", "/api/settings", {"key": "server.security.blocked-logins.ada", "value": ""})
    house.call(until(lambda: line.is_cut))
