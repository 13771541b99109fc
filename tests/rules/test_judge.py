from __future__ import annotations

import math
from array import array
from datetime import timedelta
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from mailward.rules.addresses import NetworkTable
from mailward.rules.judge import Banish, Tolerate, Verdict, judge
from mailward.rules.limits import count_failures
from mailward.rules.model import (
    Address,
    Attempt,
    Ban,
    Instant,
    Limit,
    Login,
    Network,
    Reason,
    Subject,
    SubjectKind,
)
from mailward.rules.policy import BanTerm, Policy, Term
from tests.rules import oracle
from tests.rules.test_addresses import ADDRESSES

START = 1_790_000_000 * oracle.SECOND
ADA = Subject(SubjectKind.LOGIN, "ada")
EVE = Subject(SubjectKind.ADDRESS, "192.0.2.1")


def allowing(*networks: str) -> NetworkTable[Network]:
    table: NetworkTable[Network] = NetworkTable()
    for text in networks:
        table.put(ip_network(text), ip_network(text))
    return table


def window_of(*microseconds: int) -> array[float]:
    return array("d", sorted((START + offset) / oracle.SECOND for offset in microseconds))


def only_ban(verdict: Verdict) -> Ban:
    assert isinstance(verdict, Banish)
    (ban,) = verdict.bans
    return ban


FAILURES = st.lists(st.integers(0, 10 * oracle.SECOND), max_size=12)
LIMITS = st.none() | st.builds(
    Limit, st.integers(1, 8), st.integers(1, 10).map(lambda s: timedelta(seconds=s))
)
TERMS: st.SearchStrategy[BanTerm] = st.sampled_from([*Term, timedelta(seconds=30)])


@given(FAILURES, FAILURES, LIMITS, LIMITS, TERMS, TERMS, st.integers(0, 20))
def test_exactly_the_subjects_at_their_limit_are_banned(
    of_address: list[int],
    of_login: list[int],
    address_limit: Limit | None,
    login_limit: Limit | None,
    address_term: BanTerm,
    login_term: BanTerm,
    half_seconds: int,
) -> None:
    policy = Policy(address_limit, login_limit, address_term, login_term)
    now = START + half_seconds * oracle.SECOND // 2
    windows = {EVE: window_of(*of_address), ADA: window_of(*of_login)}
    instant = Instant(now / oracle.SECOND)
    expected = {
        subject: len(inside)
        for subject, failures, limit in (
            (EVE, of_address, address_limit),
            (ADA, of_login, login_limit),
        )
        if limit is not None
        for period in [int(limit.period_seconds) * oracle.SECOND]
        for inside in [oracle.inside([START + offset for offset in failures], period, now)]
        if len(inside) >= limit.failures
    }
    match judge(windows, policy, instant):
        case Tolerate():
            assert not expected
        case Banish(bans):
            assert {ban.subject: ban.failures for ban in bans} == expected
            for ban in bans:
                assert (ban.since, ban.reason) == (instant, Reason.AUTHENTICATION)
                assert ban.covers(instant)


@given(FAILURES.filter(bool), st.integers(1, 8), st.integers(1, 10), st.integers(0, 10))
def test_a_login_is_free_when_its_window_no_longer_holds_the_limit(
    failures: list[int], count: int, seconds: int, later: int
) -> None:
    limit = Limit(count, timedelta(seconds=seconds))
    policy = Policy(login_limit=limit)
    window = window_of(*failures)
    now = Instant(window[-1] + later / 2)
    verdict = judge({ADA: window}, policy, now)
    if count_failures(window, limit, now) < count:
        assert verdict == Tolerate()
        return
    end = only_ban(verdict).until
    assert end is not None
    assert count_failures(window, limit, end) < count
    assert count_failures(window, limit, Instant(math.nextafter(end, 0))) >= count


def test_the_ban_falls_on_the_nth_failure_and_not_on_the_one_before() -> None:
    policy = Policy(login_limit=Limit(100, timedelta(days=1)))
    now = Instant(START / oracle.SECOND)
    assert judge({ADA: window_of(*[0] * 99)}, policy, now) == Tolerate()
    ban = only_ban(judge({ADA: window_of(*[0] * 100)}, policy, now))
    assert (ban.subject, ban.failures, ban.until) == (ADA, 100, now + 86_400)


def test_an_address_stays_banned_until_it_is_lifted_or_its_period_is_over() -> None:
    now = Instant(START / oracle.SECOND)
    full = {EVE: window_of(0)}
    limit = Limit(1, timedelta(days=1))
    ends = [
        only_ban(judge(full, Policy(address_limit=limit, address_term=term), now)).until
        for term in (Term.UNTIL_LIFTED, timedelta(hours=1))
    ]
    assert ends == [None, now + 3_600]


# Who is counted.

ALLOWED = ["192.0.2.0/24", "2001:db8::/32", "10.0.0.1/32", "0.0.0.0/1"]


@given(ADDRESSES, st.lists(st.sampled_from(ALLOWED), unique=True), st.booleans())
def test_an_allowed_address_is_never_counted_and_its_logins_are(
    address: Address, allowed: list[str], named: bool
) -> None:
    policy = Policy(allowed=allowing(*allowed))
    folded = policy.prefixes.fold(address)
    is_allowed = any(oracle.holds(ip_network(text), folded) for text in allowed)
    attempt = Attempt(folded, Login("ada") if named else None, "imap")
    expected = [] if is_allowed else [policy.prefixes.subject(folded)]
    assert list(policy.subjects(attempt)) == [*expected, *([ADA] if named else [])]
    assert (policy.allows(folded) is not None) == is_allowed


def test_no_limit_means_that_nothing_of_that_kind_is_counted() -> None:
    attempt = Attempt(ip_address("192.0.2.1"), Login("ada"), "imap")
    assert Policy(address_limit=None).subjects(attempt) == (ADA,)
    assert Policy(login_limit=None).subjects(attempt) == (EVE,)
    assert Policy(address_limit=None, login_limit=None).subjects(attempt) == ()


def test_a_mapped_address_inside_an_allowed_ipv4_network_is_allowed() -> None:
    policy = Policy(allowed=allowing("192.0.2.0/24"))
    address = policy.prefixes.fold(ip_address("::ffff:192.0.2.9"))
    assert policy.allows(address) is not None
    assert policy.allows(policy.prefixes.fold(ip_address("64:ff9b::c000:209"))) is not None
