"""JMAP, IMAP, submission and ManageSieve: one count for all, exact at the usual limit, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.real.attack import LOCKED_FOR_A_WHILE, Told, guess_together, refusal
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.cyrus import Cyrus
from tests.real.jmap import JmapDoor, jmap_tables
from tests.real.processes import free_port
from tests.real.town import Town

ATTACKER, OWNER = "127.0.0.66", "127.0.0.67"
StartTown = Callable[[str], Town]


@pytest.fixture
def start(mailward: StartMailward, cyrus: Cyrus) -> StartTown:
    def start(limit: str) -> Town:
        jmap = JmapDoor(free_port())
        more = jmap_tables(jmap.port, cyrus.http_port)
        return Town(mailward(f'fail2ban = "{limit}"', more=more), jmap)

    return start


@pytest.mark.parametrize(("count", "period"), [(8, "1h"), (100, "1d")])
def test_the_last_failure_of_an_address_bans_it_at_all_doors(
    start: StartTown, count: int, period: str
) -> None:
    town = start(f"{count}/{period}")
    first = [town.guess(number, f"user{number}", ATTACKER) for number in range(count - 1)]
    assert set(guess_together(first, at_once=8)) == {Told.WRONG}
    assert town.ward.bans() == {}
    assert town.told_everywhere("alice", ATTACKER) == [Told.OK] * 4
    assert town.ward.told("why", ATTACKER)["count"] == count - 1
    assert town.guess(count - 1, "the-last", ATTACKER)() is Told.WRONG
    (ban,) = town.ward.bans().values()
    assert (ban["subject"], ban["failures"]) == (ATTACKER, count)
    assert sorted(ban["services"]) == ["imap", "jmap", "managesieve", "submission"]
    assert town.told_everywhere("alice", ATTACKER) == [Told.DROPPED] * 4
    assert town.told_everywhere("alice", OWNER) == [Told.OK] * 4


@pytest.mark.parametrize(("count", "period"), [(8, "1h"), (100, "1d")])
def test_a_login_that_is_tried_from_everywhere_is_refused_at_all_doors_in_their_own_words(
    start: StartTown, count: int, period: str
) -> None:
    town = start(f"{count}/{period}")
    first = [town.guess(number, "bob", f"127.0.2.{number + 1}") for number in range(count - 1)]
    assert set(guess_together(first, at_once=8)) == {Told.WRONG}
    assert town.told_everywhere("bob", OWNER) == [Told.OK] * 4
    assert town.guess(count - 1, "bob", "127.0.2.250")() is Told.WRONG
    (ban,) = town.ward.bans().values()
    assert (ban["subject"], ban["failures"]) == ("bob", count)
    assert {
        door.service.value: refusal(door, "bob", ACCOUNTS["bob"]) for door in town.ward.doors
    } == {
        "imap": b"a NO [UNAVAILABLE] %b\r\n" % LOCKED_FOR_A_WHILE,
        "submission": b"454 4.7.0 %b\r\n" % LOCKED_FOR_A_WHILE,
        "managesieve": b'NO (TRYLATER) "%b"\r\n' % LOCKED_FOR_A_WHILE,
    }
    refused = town.jmap.ask("/jmap/", "bob", source=OWNER)
    assert refused is not None
    assert (refused.status, refused.json["title"]) == (429, "Too Many Requests")
    assert int(refused.fields["Retry-After"]) > 0
    assert town.told_everywhere("alice", OWNER) == [Told.OK] * 4
