from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.rules.numbers import (
    name_from_number,
    number_from_name,
    number_of,
    place_of,
)

Network = IPv4Network | IPv6Network


@st.composite
def networks(draw: st.DrawFn) -> Network:
    address: IPv4Address | IPv6Address = draw(st.ip_addresses())
    bits = draw(st.integers(0, address.max_prefixlen))
    return ip_network((address, bits), strict=False)


def spelled(network: Network) -> str:
    is_alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if is_alone else str(network)


@given(networks())
def test_a_number_is_spelled_and_read_as_its_network_is(network: Network) -> None:
    number = number_of(network)
    assert name_from_number(number) == spelled(network)
    assert number_from_name(spelled(network)) == number
    assert number_from_name(spelled(network), lambda bare: ip_address(bare).packed) == number
    host_bits = network.max_prefixlen - network.prefixlen
    assert place_of(number) == (network.version == 6, host_bits)


@given(networks(), networks())
def test_no_two_networks_share_a_number(one: Network, other: Network) -> None:
    assert (number_of(one) == number_of(other)) == (one == other)


@given(networks(), st.integers(0, 128))
def test_a_wider_network_has_the_number_shifted_right(network: Network, bits: int) -> None:
    bits = min(bits, network.prefixlen)
    assert number_of(network) >> bits == number_of(network.supernet(prefixlen_diff=bits))


NONE = """- ada 1.2.3 1.2.3.4.5 1.2.3.256 1.2.3.4/33 1.2.3.4/-1 1.2.3.4/ : 1:2:3 1::2::3 :1::
    1:2:3:4:5:6:7:8:9 ::12345 ::g ::/129 1:2:3:4:5:6:7:8::"""


@pytest.mark.parametrize("text", ["", *NONE.split()])
def test_what_is_no_network_has_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        number_from_name(text)
