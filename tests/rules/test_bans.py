from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.rules.addresses import network_subject, subject_network
from mailward.rules.bans import BanTable
from mailward.rules.model import Ban, Instant, Reason, Subject, SubjectKind
from tests.rules import oracle

NOW = Instant(1_790_000_000.0)


def subject(text: str) -> Subject:
    return network_subject(ip_network(text))


def ban(who: Subject, until: float | None = None) -> Ban:
    end = None if until is None else Instant(NOW + until)
    return Ban(who, Reason.MANUAL, Instant(NOW - 100), end)


# Two addresses, some of their neighbours, and every network around them; a few logins.


@st.composite
def addresses(draw: st.DrawFn) -> oracle.Address:
    base = draw(st.sampled_from([ip_address("203.0.113.9"), ip_address("2001:db8::9")]))
    flipped = int(base) ^ draw(
        st.just(0) | st.integers(0, base.max_prefixlen - 1).map(lambda n: 1 << n)
    )
    return IPv4Address(flipped) if isinstance(base, IPv4Address) else IPv6Address(flipped)


@st.composite
def networks(draw: st.DrawFn) -> oracle.Network:
    address = draw(addresses())
    return ip_network((address, draw(st.integers(0, address.max_prefixlen))), strict=False)


NAMED = st.builds(
    Subject,
    st.sampled_from([SubjectKind.LOGIN, SubjectKind.OPERATOR]),
    st.sampled_from(["ada", "203.0.113.9"]),
)
SUBJECTS = networks().map(network_subject) | NAMED
BANS = st.builds(ban, SUBJECTS, st.none() | st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]))
STEPS = st.lists(BANS | SUBJECTS, max_size=25)


def in_force(bans: list[Ban], now: Instant) -> list[Ban]:
    return [ban for ban in bans if ban.until is None or now < ban.until]


def longest(bans: list[Ban]) -> float | None:
    """The end of the ban that ends last; ``-1`` where there is none."""
    if any(ban.until is None for ban in bans):
        return None
    return max((ban.until for ban in bans if ban.until is not None), default=-1)


@given(STEPS, addresses(), SUBJECTS, st.sampled_from([0.0, 0.5, 1.5]))
def test_the_table_says_what_a_search_through_all_bans_says(
    steps: list[Ban | Subject], address: oracle.Address, asked: Subject, later: float
) -> None:
    table, known = BanTable(), dict[Subject, Ban]()
    for step in steps:
        match step:
            case Ban():
                table.put(step)
                known[step.subject] = step
            case Subject():
                assert table.remove(step) == known.pop(step, None)
    now = Instant(NOW + later)
    everything = list(known.values())
    assert len(table) == len(everything)
    assert set(table) == set(everything)
    assert table.on(asked) == known.get(asked)

    holding = [
        ban
        for ban in everything
        if ban.subject.kind is SubjectKind.ADDRESS
        and oracle.holds(subject_network(ban.subject), address)
    ]
    found = table.covering_address(address, now)
    assert (found.until if found else -1) == longest(in_force(holding, now))
    assert found is None or found in holding

    enclosing = [ban for ban in everything if encloses(ban.subject, asked)]
    found = table.covering(asked, now)
    assert (found.until if found else -1) == longest(in_force(enclosing, now))
    assert found is None or found in enclosing
    if asked.kind is SubjectKind.ADDRESS:
        assert set(table.over(subject_network(asked), now)) == set(in_force(enclosing, now))


def encloses(outer: Subject, inner: Subject) -> bool:
    if outer.kind is SubjectKind.ADDRESS and inner.kind is SubjectKind.ADDRESS:
        return oracle.encloses(subject_network(outer), subject_network(inner))
    return outer == inner


def test_a_ban_ends_exactly_at_its_end() -> None:
    table = BanTable()
    table.put(ban(subject("192.0.2.1"), 10))
    address = ip_address("192.0.2.1")
    assert table.covering_address(address, Instant(NOW + 9.999999)) is not None
    assert table.covering_address(address, Instant(NOW + 10)) is None
    assert table.on(subject("192.0.2.1")) is not None


def test_of_several_bans_the_one_that_lasts_longest_is_told() -> None:
    for ends in ([10, 30, 20], [30, 10, 20], [10, None, 20], [None, 10, 20]):
        table = BanTable()
        for network, until in zip(("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"), ends, strict=True):
            table.put(ban(subject(network), until))
        told = table.covering_address(ip_address("10.1.2.3"), NOW)
        assert told is not None
        assert told.until == (None if None in ends else NOW + 30)


def test_a_wider_ban_goes_on_where_a_narrower_one_is_lifted() -> None:
    table = BanTable()
    table.put(ban(subject("10.0.0.0/8")))
    table.put(ban(subject("10.1.2.3"), 60))
    table.remove(subject("10.1.2.3"))
    found = table.covering_address(ip_address("10.1.2.3"), NOW)
    assert found is not None
    assert found.subject == subject("10.0.0.0/8")


def test_lifting_a_wider_ban_leaves_the_narrower_one() -> None:
    table = BanTable()
    table.put(ban(subject("10.0.0.0/8")))
    table.put(ban(subject("10.1.2.3")))
    table.remove(subject("10.0.0.0/8"))
    assert table.covering_address(ip_address("10.1.2.3"), NOW) is not None
    assert table.covering_address(ip_address("10.1.2.4"), NOW) is None


def test_a_banned_login_that_is_spelled_like_an_address_bans_no_address() -> None:
    table = BanTable()
    table.put(ban(Subject(SubjectKind.LOGIN, "203.0.113.9")))
    assert table.covering_address(ip_address("203.0.113.9"), NOW) is None
    assert table.covering(Subject(SubjectKind.OPERATOR, "203.0.113.9"), NOW) is None
    assert table.covering(Subject(SubjectKind.LOGIN, "203.0.113.9"), NOW) is not None


@pytest.mark.parametrize("everything", ["0.0.0.0/0", "::/0"])
def test_a_ban_on_everybody_is_one_of_its_version(everything: str) -> None:
    table = BanTable()
    table.put(ban(subject(everything)))
    for text in ("192.0.2.1", "2001:db8::1"):
        address = ip_address(text)
        covered = table.covering_address(address, NOW) is not None
        assert covered == (address.version == ip_network(everything).version)
