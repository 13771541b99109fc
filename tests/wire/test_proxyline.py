from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.proxyline import TlsFacts, proxy_v1_header, proxy_v2_header

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
V4 = (IPv4Address("203.0.113.9"), 50_000)
V6 = (IPv6Address("2001:db8::9"), 50_001)
DOOR = (IPv4Address("192.0.2.1"), 143)
DOOR6 = (IPv6Address("2001:db8::1"), 587)


def test_ipv4_is_told_in_12_octets() -> None:
    header = proxy_v2_header(V4, DOOR, None)
    assert header == SIGNATURE + bytes.fromhex("2111000ccb007109c0000201c350008f")


def test_ipv6_is_told_in_36_octets() -> None:
    header = proxy_v2_header(V6, DOOR6, None)
    assert header[:16] == SIGNATURE + bytes.fromhex("21210024")
    assert header[16:] == V6[0].packed + DOOR6[0].packed + bytes.fromhex("c351024b")


@pytest.mark.parametrize(("source", "destination"), [(V4, DOOR6), (V6, DOOR)])
def test_two_families_are_told_as_ipv6(
    source: tuple[IPv4Address | IPv6Address, int],
    destination: tuple[IPv4Address | IPv6Address, int],
) -> None:
    header = proxy_v2_header(source, destination, None)
    assert header[13:16] == bytes.fromhex("210024")
    told = [IPv6Address(header[16:32]), IPv6Address(header[32:48])]
    assert [address.ipv4_mapped or address for address in told] == [source[0], destination[0]]


def test_tls_is_told_with_its_version_and_cipher() -> None:
    header = proxy_v2_header(V4, DOOR, TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256"))
    assert int.from_bytes(header[14:16]) == len(header) - 16
    kind, size = header[28], int.from_bytes(header[29:31])
    assert (kind, size) == (0x20, len(header) - 31)
    assert header[31] == 0x01  # over TLS
    assert header[32:36] != bytes(4)  # without a certificate of its own
    assert header[36:] == b"\x21\x00\x07TLSv1.3" + b"\x23\x00\x16TLS_AES_128_GCM_SHA256"


@given(
    st.tuples(st.ip_addresses(), st.integers(1, 65_535)),
    st.tuples(st.ip_addresses(), st.integers(1, 65_535)),
)
def test_version_1_is_one_line_that_tells_both_ends(
    source: tuple[IPv4Address | IPv6Address, int],
    destination: tuple[IPv4Address | IPv6Address, int],
) -> None:
    header = proxy_v1_header(source, destination)
    assert len(header) <= 107  # section 2.1
    assert header.endswith(b"\r\n")
    keyword, family, *ends = header.decode().removesuffix("\r\n").split(" ")
    versions = {source[0].version, destination[0].version}
    assert (keyword, family) == ("PROXY", "TCP4" if versions == {4} else "TCP6")
    addresses = [ip_address(end) for end in ends[:2]]
    assert {address.version for address in addresses} == {4 if versions == {4} else 6}
    told = [getattr(address, "ipv4_mapped", None) or address for address in addresses]
    meant = [getattr(end[0], "ipv4_mapped", None) or end[0] for end in (source, destination)]
    assert told == meant
    assert [int(port) for port in ends[2:]] == [source[1], destination[1]]
