"""Who connects, as the kernel names him."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from hypothesis import given
from hypothesis.strategies import ip_addresses

from mailward.edges.caller import peer_address
from mailward.rules.model import Address


@given(ip_addresses())
def test_a_peer_has_the_address_that_its_socket_says(address: Address) -> None:
    assert peer_address(str(address)) == ip_address(str(address))


def test_the_zone_of_a_link_local_peer_is_no_part_of_its_address() -> None:
    assert peer_address("fe80::1%eth0") == IPv6Address("fe80::1")
