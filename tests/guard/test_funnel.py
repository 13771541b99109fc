"""One address that makes most of the logins: an unconfigured proxy, told once an hour."""

from __future__ import annotations

from mailward.guard.funnel import (
    MAX_SOURCES,
    MIN_LOGINS,
    MIN_NAMES,
    PERIOD_SECONDS,
    Funnel,
    OneSource,
)
from mailward.guard.journal import Event, Journal
from mailward.rules.addresses import NetworkTable, parse_network
from mailward.rules.model import Instant, Network
from mailward.rules.policy import Policy

NOON = Instant(1_790_000_000.0)
PROXY = "192.0.2.1"


def at(seconds: float) -> Instant:
    return Instant(NOON + seconds)


def crowd(funnel: Funnel, logins: int, address: str = PROXY, now: Instant = NOON) -> None:
    for number in range(logins):
        funnel.note(address, f"user{number}", now)


def table(*networks: str) -> NetworkTable[Network]:
    table: NetworkTable[Network] = NetworkTable()
    for network in map(parse_network, networks):
        table.put(network, network)
    return table


def allowing(*networks: str) -> Policy:
    return Policy(allowed=table(*networks))


def test_one_address_with_most_of_the_logins_is_found() -> None:
    funnel = Funnel()
    crowd(funnel, 80)
    for number in range(20):
        funnel.note(f"198.51.100.{number}", "ada", NOON)
    one = funnel.found(Policy(), NOON)
    assert one == OneSource(PROXY, 80, 100)
    assert f"Add server.proxy.trusted-networks.{PROXY} and let it send PROXY headers" in str(one)
    assert f"add server.security.allowed-networks.{PROXY}" in str(one)
    funnel.note("198.51.100.99", "ada", NOON)
    assert funnel.found(Policy(), NOON) is None


def test_few_logins_or_few_names_are_no_proxy() -> None:
    funnel = Funnel()
    crowd(funnel, MIN_LOGINS - 1)
    assert funnel.found(Policy(), NOON) is None
    crowd(funnel, 1)
    assert funnel.found(Policy(), NOON) is not None
    family = Funnel()
    for number in range(10 * MIN_LOGINS):
        family.note(PROXY, f"user{number % (MIN_NAMES - 1)}", NOON)
    assert family.found(Policy(), NOON) is None


def test_an_address_that_is_allowed_is_meant() -> None:
    funnel = Funnel()
    crowd(funnel, MIN_LOGINS)
    assert funnel.found(allowing("192.0.2.0/24"), NOON) is None
    assert funnel.found(allowing("198.51.100.0/24"), NOON) is not None


def test_a_trusted_one_is_told_to_say_whose_logins_they_are() -> None:
    funnel = Funnel()
    crowd(funnel, MIN_LOGINS)
    one = funnel.found(Policy(trusted=table("192.0.2.0/24")), NOON)
    assert one == OneSource(PROXY, MIN_LOGINS, MIN_LOGINS, is_trusted=True)
    assert "does not tell whose they are though it is trusted" in str(one)
    assert "trusted-networks" not in str(one)


def test_it_is_told_once_an_hour_while_it_lasts() -> None:
    funnel = Funnel()
    told = []
    for minute in range(180):
        now = at(60.0 * minute)
        crowd(funnel, MIN_LOGINS, now=now)
        told += [minute] * (funnel.news(Policy(), now) is not None)
    assert told == [0, 60, 120]


def test_it_is_shown_for_an_hour_after_the_last_and_no_longer() -> None:
    funnel = Funnel()
    crowd(funnel, MIN_LOGINS)
    assert funnel.found(Policy(), at(PERIOD_SECONDS + 1)) is not None
    assert funnel.found(Policy(), at(3 * PERIOD_SECONDS)) is None


def test_a_flood_of_addresses_takes_bounded_room() -> None:
    funnel = Funnel()
    crowd(funnel, MIN_LOGINS)
    for number in range(2 * MAX_SOURCES):
        funnel.note(f"10.0.{number // 256}.{number % 256}", "ada", NOON)
    assert len(funnel._sources) == MAX_SOURCES  # noqa: SLF001 -- room is what the claim is about
    assert funnel.found(Policy(), NOON) is None


def test_the_journal_lets_it_see_logins_that_succeed() -> None:
    journal = Journal()
    for number in range(2 * MIN_LOGINS):
        journal.write(Event.AUTH_FAILED, NOON, address="203.0.113.9", login=f"user{number}")
        journal.write(Event.AUTH_SUCCEEDED, NOON, address="198.51.100.1")  # by a token
    assert journal.funnel.found(Policy(), NOON) is None
    for number in range(MIN_LOGINS):
        journal.write(Event.AUTH_SUCCEEDED, NOON, address=PROXY, login=f"user{number}")
    assert journal.funnel.found(Policy(), NOON) == OneSource(PROXY, MIN_LOGINS, MIN_LOGINS)
