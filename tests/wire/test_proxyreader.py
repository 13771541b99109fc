"""PROXY headers as they come in: what we send is read, what is wrong is a fault, nothing more."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.proxyline import SIGNATURE, TlsFacts, proxy_v1_header, proxy_v2_header
from mailward.wire.proxyreader import (
    MAX_HEADER_OCTETS,
    MAX_LINE_OCTETS,
    Checked,
    HeaderRead,
    HeaderReader,
    Proxied,
    Unreadable,
    crc32c,
)

Endpoint = tuple[IPv4Address | IPv6Address, int]

CLIENT: Endpoint = (ip_address("203.0.113.9"), 50_000)
CLIENT6: Endpoint = (ip_address("2001:db8::9"), 50_000)
DOOR: Endpoint = (ip_address("192.0.2.1"), 143)
V4 = bytes.fromhex("cb007109c0000201c350008f")
WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=64)
FACTS = st.none() | st.builds(TlsFacts, WORDS, WORDS)
ENDPOINTS = st.tuples(st.ip_addresses(), st.integers(0, 65_535))


def read(octets: bytes, cuts: list[int] | None = None) -> tuple[HeaderRead | None, int]:
    """What *octets*, cut at *cuts*, mean, and how many of them were the header's."""
    reader = HeaderReader()
    taken = 0
    edges = [*sorted({cut for cut in cuts or () if 0 < cut < len(octets)}), len(octets)]
    start = 0
    for end in edges:
        count = reader.receive(octets[start:end])
        taken += count
        if reader.result is not None:
            break
        assert count == end - start  # while it is not whole all of it is the header's
        start = end
    return reader.result, taken


def binary(
    body: bytes, *, head: str = "2111", size: int | None = None, signature: bytes = SIGNATURE
) -> bytes:
    length = len(body) if size is None else size
    return signature + bytes.fromhex(head) + struct.pack("!H", length) + body


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def summed(body: bytes, behind: bytes = b"") -> bytes:
    """A header with its right checksum between *body* and *behind*."""
    blank = binary(body + tlv(3, bytes(4)) + behind)
    return blank.replace(tlv(3, bytes(4)), tlv(3, struct.pack("!I", crc32c(blank))))


def mapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


@given(ENDPOINTS, ENDPOINTS, FACTS, st.lists(st.integers(1, 300)), st.binary(max_size=20))
def test_what_we_send_is_read_however_it_is_cut_and_what_follows_is_left_alone(
    source: Endpoint, destination: Endpoint, facts: TlsFacts | None, cuts: list[int], more: bytes
) -> None:
    for header, tls in (
        (proxy_v2_header(source, destination, facts), facts),
        (proxy_v1_header(source, destination), None),
    ):
        result, taken = read(header + more, cuts)
        assert taken == len(header)
        assert isinstance(result, Proxied)
        assert result.tls == tls
        for told, meant in ((result.source, source), (result.destination, destination)):
            assert (mapped(told[0]), told[1]) == (mapped(meant[0]), meant[1])


@given(st.data())
def test_no_prefix_of_a_header_is_one(data: st.DataObject) -> None:
    for header in (
        proxy_v2_header(CLIENT, DOOR, TlsFacts("a", "b")),
        proxy_v1_header(CLIENT, DOOR),
    ):
        size = data.draw(st.integers(0, len(header) - 1))
        assert read(header[:size]) == (None, size)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda octets: SIGNATURE + octets),
        st.binary(max_size=200).map(binary),
        st.binary(max_size=200).map(lambda octets: binary(V4 + octets)),
        st.text(max_size=90).map(lambda text: b"PROXY " + text.encode() + b"\r\n"),
    ),
    st.lists(st.integers(1, 300)),
)
def test_no_octets_raise_and_no_cut_changes_what_they_mean(octets: bytes, cuts: list[int]) -> None:
    whole, taken = read(octets)
    cut, taken_cut = read(octets, cuts)
    assert cut == whole
    if not isinstance(whole, Unreadable):
        assert taken == taken_cut


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        binary(b"", head="2000"),
        binary(V4, head="2011"),
        binary(b"\xff\xff\xff", head="2011"),  # LOCAL: what follows is to be ignored
        binary(b"", head="2100"),
        binary(tlv(4, b"padding"), head="2100"),
        binary(bytes(216), head="2131"),
    ],
)
def test_a_proxy_that_speaks_for_nobody_only_looks_whether_we_are_here(header: bytes) -> None:
    assert read(header + b"a NOOP\r\n") == (Checked(), len(header))


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 143",
        b"PROXY TCP6 2001:DB8:0:0::9 2001:db8::1 0 65535",
    ],
)
def test_version_1_is_read(line: bytes) -> None:
    result, taken = read(line + b"\r\nmore")
    assert isinstance(result, Proxied)
    assert taken == len(line) + 2


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        b"PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 02\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \xb2\r\n",
        b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
        b"PROXY TCP6 fe80::1%0 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2" + b" " * 100 + b"\r\n",
        b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
    ],
)
def test_a_line_that_could_be_read_in_two_ways_is_none(line: bytes) -> None:
    result, taken = read(line)
    assert isinstance(result, Unreadable)
    assert taken <= MAX_LINE_OCTETS


def test_the_longest_line_is_read() -> None:
    longest = b"PROXY UNKNOWN " + b"f" * (MAX_LINE_OCTETS - 16) + b"\r\n"
    assert read(longest) == (Checked(), 107)
    assert isinstance(read(longest[:20] + longest[19:])[0], Unreadable)


@pytest.mark.parametrize(
    "header",
    {
        "of another version": binary(V4, head="1111"),
        "of no version": binary(V4, head="0111"),
        "of another command": binary(V4, head="2211"),
        "of another family": binary(V4, head="2141"),
        "for datagrams": binary(V4, head="2112"),
        "of no transport": binary(V4, head="2110"),
        "shorter than its addresses": binary(V4[:-1]),
        "IPv6, as short as IPv4": binary(V4, head="2121"),
        "AF_UNIX without its names": binary(bytes(215), head="2131"),
        "cut inside the head of an extension": binary(V4 + b"\x04\x00"),
        "cut inside an extension": binary(V4 + b"\x04\x00\x05abcd"),
        "TLS without its facts": binary(V4 + tlv(0x20, b"\x01\0\0\0")),
        "TLS, cut inside": binary(V4 + tlv(0x20, b"\x01\0\0\0\0\x21\0\x09TLS")),
        "TLS of a strange version": binary(V4 + tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"\r\n"))),
        "TLS of a long version": binary(V4 + tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"x" * 65))),
        "with a wrong checksum": binary(V4 + tlv(3, b"abcd")),
        "with a long checksum": binary(V4 + tlv(3, b"abcde")),
        "with two checksums": summed(V4, tlv(3, b"abcd")),
        "beyond the cap": binary(V4 + bytes(MAX_HEADER_OCTETS)),
        "of a length beyond the cap": binary(V4, size=0xFFFF),
        "of another signature": binary(V4, signature=b"\r\n\r\n\0\r\nQUIT\r"),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_binary_header_that_is_wrong_is_none(header: tuple[str, bytes]) -> None:
    assert isinstance(read(header[1])[0], Unreadable)


def test_a_header_is_given_up_as_soon_as_it_can_be_none() -> None:
    assert read(b"G") == (Unreadable("it does not begin as a PROXY header does"), 1)
    assert isinstance(read(b"PROXX")[0], Unreadable)
    assert isinstance(read(SIGNATURE[:5] + b"X")[0], Unreadable)
    assert isinstance(read(binary(b"", size=MAX_HEADER_OCTETS))[0], Unreadable)


def test_the_checksum_is_over_the_whole_header() -> None:
    header = summed(V4, tlv(4, b"padding"))
    assert read(header) == (Proxied(CLIENT, DOOR), len(header))
    kind = 16 + len(V4)  # without it there is no checksum
    for place in {*range(12, len(header))} - {kind}:
        wrong = header[:place] + bytes([header[place] ^ 1]) + header[place + 1 :]
        assert not isinstance(read(wrong)[0], Proxied)


def test_the_largest_header_is_read() -> None:
    padding = tlv(4, bytes(MAX_HEADER_OCTETS - 16 - len(V4) - 3))
    header = binary(V4 + padding)
    assert len(header) == MAX_HEADER_OCTETS
    assert read(header) == (Proxied(CLIENT, DOOR), MAX_HEADER_OCTETS)


@pytest.mark.parametrize(
    ("ssl", "facts"),
    [
        (b"\x01\0\0\0\0", TlsFacts("", "")),
        (b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.2"), TlsFacts("TLSv1.2", "")),
        (b"\x07\0\0\0\0" + tlv(0x22, b"a\xffb") + tlv(0x23, b"AES"), TlsFacts("", "AES")),
        (b"\x00\0\0\0\1" + tlv(0x21, b"TLSv1.2"), None),
    ],
)
def test_what_is_told_of_tls(ssl: bytes, facts: TlsFacts | None) -> None:
    result, _ = read(binary(V4 + tlv(0x20, ssl)))
    assert result == Proxied(CLIENT, DOOR, facts)
