from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.rules.addresses import (
    NAT64_WELL_KNOWN,
    AddressError,
    NetworkTable,
    Prefixes,
    network_name,
    network_subject,
    parse_address,
    parse_network,
    subject_network,
)
from mailward.rules.model import Subject, SubjectKind
from tests.rules import oracle

OWN_NAT64 = IPv6Network("2001:db8:64::/96")
V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
CARRIED = st.builds(
    lambda start, address: IPv6Address(int(IPv6Address(start)) + int(address)),
    st.sampled_from(["::ffff:0:0", "64:ff9b::", "2001:db8:64::", "64:ff9b:1::", "::"]),
    V4,
)
ADDRESSES: st.SearchStrategy[oracle.Address] = V4 | V6 | CARRIED
V4_NETWORKS = st.builds(lambda a, n: IPv4Network((a, n), strict=False), V4, st.integers(0, 32))
V6_NETWORKS = st.builds(lambda a, n: IPv6Network((a, n), strict=False), V6, st.integers(0, 128))
NETWORKS: st.SearchStrategy[oracle.Network] = V4_NETWORKS | V6_NETWORKS


@given(ADDRESSES, st.sampled_from([(), (NAT64_WELL_KNOWN,), (NAT64_WELL_KNOWN, OWN_NAT64)]))
def test_an_address_that_carries_an_ipv4_address_is_that_one(
    address: oracle.Address, nat64: tuple[IPv6Network, ...]
) -> None:
    assert Prefixes(nat64=nat64).fold(address) == oracle.meant(address, nat64)


@given(ADDRESSES, st.integers(1, 32), st.integers(1, 128))
def test_an_address_is_counted_by_its_prefix(
    address: oracle.Address, v4_bits: int, v6_bits: int
) -> None:
    prefixes = Prefixes(v4_bits, v6_bits)
    folded = prefixes.fold(address)
    network = oracle.counted(folded, v4_bits, v6_bits)
    assert prefixes.network(folded) == network
    assert prefixes.subject(folded) == network_subject(network)


@given(V6, V6)
def test_two_ipv6_addresses_of_one_64_are_one_subject(one: IPv6Address, other: IPv6Address) -> None:
    prefixes = Prefixes(nat64=())
    neighbour = IPv6Address(int(one) >> 64 << 64 | int(other) & (2**64 - 1))
    if neighbour.ipv4_mapped is None and one.ipv4_mapped is None:
        assert prefixes.subject(neighbour) == prefixes.subject(one)


@given(V4)
def test_every_way_of_writing_an_ipv4_address_is_one_subject(address: IPv4Address) -> None:
    prefixes = Prefixes()
    spellings = [str(address), f"::ffff:{address}", f"64:ff9b::{address}"]
    subjects = {prefixes.subject(prefixes.fold(parse_address(text))) for text in spellings}
    assert subjects == {Subject(SubjectKind.ADDRESS, str(address))}


@given(ADDRESSES)
def test_an_address_is_read_as_it_is_written(address: oracle.Address) -> None:
    assert parse_address(str(address)) == oracle.meant(address, ())


@given(NETWORKS)
def test_a_network_survives_being_written_and_read(network: oracle.Network) -> None:
    assert parse_network(network_name(network)) == network
    assert parse_network(str(network)) == network
    assert subject_network(network_subject(network)) == network


@given(NETWORKS, NETWORKS)
def test_two_networks_are_two_subjects(one: oracle.Network, other: oracle.Network) -> None:
    assert (network_subject(one) == network_subject(other)) == (one == other)


@given(V4 | V6, st.integers(0, 128))
def test_host_bits_are_cleared(address: oracle.Address, length: int) -> None:
    length = min(length, address.max_prefixlen)
    network = parse_network(f"{address}/{length}")
    if isinstance(address, IPv4Address) or address.ipv4_mapped is None:
        assert oracle.bits(address).startswith(oracle.prefix(network))
        assert network.prefixlen == length


@given(V4, st.integers(96, 128))
def test_a_mapped_network_is_ipv4(address: IPv4Address, length: int) -> None:
    expected = IPv4Network((address, length - 96), strict=False)
    assert parse_network(f"::ffff:{address}/{length}") == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "300.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4"),
        *("1.2.3.4\n", "fe80::1%eth0", "::1%1", "2001:db8::1::", "12345::", "[::1]", "localhost"),
        *("\uff11.2.3.4", "0x7f000001", "2130706433"),
    ],
)
def test_what_is_no_address_is_refused_with_the_value(text: str) -> None:
    for parse in (parse_address, parse_network):
        with pytest.raises(AddressError) as refused:
            parse(text)
        assert f'"{text}"' in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *("10.0.0.0/33", "10.0.0.0/", "10.0.0.0/255.0.0.0", "10/8", "1.2.3.4/-1", "1.2.3.4/+8"),
        *("/8", "1.2.3.4/٨", "1.2.3.4/8/8", "1.2.3.4/ 8", "2001:db8::/129", "::/0x0"),
        *("1.2.3.4/0000", "::ffff:1.2.3.4/129", "fe80::%eth0/64", "1.2.3.4/1e1", "1.2.3.4/²"),
    ],
)
def test_what_is_no_network_is_refused_with_the_value(text: str) -> None:
    with pytest.raises(AddressError) as refused:
        parse_network(text)
    assert f'"{text}"' in str(refused.value)


def test_a_zone_id_is_named_as_what_is_wrong() -> None:
    with pytest.raises(AddressError, match="zone id"):
        parse_address("fe80::1%eth0")


def test_a_login_names_no_network() -> None:
    with pytest.raises(ValueError, match="no address"):
        subject_network(Subject(SubjectKind.LOGIN, "192.0.2.1"))


# The table. Networks and addresses are near each other, so that they nest.


@st.composite
def near(draw: st.DrawFn) -> oracle.Address:
    """One of two addresses with a few of its bits flipped."""
    base = draw(st.sampled_from([ip_address("192.0.2.1"), ip_address("2001:db8::1")]))
    places = draw(st.lists(st.integers(0, base.max_prefixlen - 1), max_size=2))
    number = int(base)
    for place in places:
        number ^= 1 << place
    return IPv4Address(number) if isinstance(base, IPv4Address) else IPv6Address(number)


@st.composite
def near_networks(draw: st.DrawFn) -> oracle.Network:
    address = draw(near())
    return ip_network((address, draw(st.integers(0, address.max_prefixlen))), strict=False)


@given(
    st.lists(st.tuples(near_networks(), st.booleans()), max_size=30),
    st.lists(near(), min_size=1, max_size=5),
    near_networks(),
)
def test_the_table_finds_what_a_search_through_a_list_finds(
    steps: list[tuple[oracle.Network, bool]], asked: list[oracle.Address], inner: oracle.Network
) -> None:
    table: NetworkTable[int] = NetworkTable()
    known: dict[oracle.Network, int] = {}
    for value, (network, put) in enumerate(steps):
        if put:
            table.put(network, value)
            known[network] = value
        else:
            assert table.remove(network) == known.pop(network, None)
    assert len(table) == len(known)
    assert sorted(table.values()) == sorted(known.values())
    for address in asked:
        found = sorted(value for network, value in known.items() if oracle.holds(network, address))
        assert sorted(table.covering(address)) == found
    enclosing = sorted(value for network, value in known.items() if oracle.encloses(network, inner))
    assert sorted(table.enclosing(inner)) == enclosing
    assert table.get(inner) == known.get(inner)


@pytest.mark.parametrize(
    ("everything", "address", "other"),
    [("0.0.0.0/0", "192.0.2.1", "::1"), ("::/0", "2001:db8::1", "192.0.2.1")],
)
def test_length_zero_holds_every_address_of_its_version(
    everything: str, address: str, other: str
) -> None:
    table: NetworkTable[str] = NetworkTable()
    table.put(ip_network(everything), "all")
    assert list(table.covering(ip_address(address))) == ["all"]
    assert list(table.covering(ip_address(other))) == []


def test_a_value_that_is_false_is_a_value() -> None:
    table: NetworkTable[int] = NetworkTable()
    table.put(ip_network("192.0.2.0/24"), 0)
    assert list(table.covering(ip_address("192.0.2.1"))) == [0]
