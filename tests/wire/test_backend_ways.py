"""What a backend is told before a login, and what it may not say before TLS."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.dialogue import Dialogue, Origin, Send, Unavailable, Upgrade
from mailward.wire.imap.backend import ImapLogin, id_command
from mailward.wire.smtp.backend import (
    MAX_COMMAND_LINE_OCTETS,
    SmtpLogin,
    xclient_command,
)
from mailward.wire.smtp.reply import xtext

IMAP_GO_AHEAD = b"m4 OK go\r\n"
SMTP_GO_AHEAD = b"220 go\r\n"
INJECTED = Unavailable("the backend sent something between STARTTLS and TLS")

ENDS = st.tuples(st.ip_addresses(), st.integers(0, 65_535))
NAMES = st.binary(max_size=255)
XCLIENT_ALL = ["NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN"]


def asked_for_tls(protocol: str) -> tuple[Dialogue, bytes]:
    """A dialogue that waits for the go-ahead to TLS, and that go-ahead."""
    dialogue: Dialogue
    if protocol == "imap":
        dialogue, go_ahead = ImapLogin(None, starttls=True), IMAP_GO_AHEAD
        dialogue.receive_data(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
    else:
        dialogue, go_ahead = SmtpLogin(None, client_name=b"c", starttls=True), SMTP_GO_AHEAD
        dialogue.receive_data(b"220 ready\r\n250 STARTTLS\r\n".replace(b"250 ", b"250-m\r\n250 "))
    sent = b""
    while isinstance(event := dialogue.next_event(), Send):
        sent += event.octets
    assert event is None
    assert sent.endswith(b"STARTTLS\r\n")
    return dialogue, go_ahead


@pytest.mark.parametrize("protocol", ["imap", "smtp"])
@given(behind=st.binary(min_size=1, max_size=50))
def test_what_stands_behind_the_go_ahead_ends_the_dialogue(protocol: str, behind: bytes) -> None:
    dialogue, go_ahead = asked_for_tls(protocol)
    dialogue.receive_data(go_ahead + behind)
    assert dialogue.next_event() == INJECTED
    assert dialogue.next_event() is None


@pytest.mark.parametrize("protocol", ["imap", "smtp"])
@given(behind=st.binary(min_size=1, max_size=50))
def test_so_does_what_comes_after_it_in_plaintext(protocol: str, behind: bytes) -> None:
    dialogue, go_ahead = asked_for_tls(protocol)
    dialogue.receive_data(go_ahead)
    assert dialogue.next_event() == Upgrade()
    dialogue.receive_data(behind)
    dialogue.upgraded()
    assert dialogue.next_event() == INJECTED
    assert dialogue.next_event() is None


@pytest.mark.parametrize("protocol", ["imap", "smtp"])
def test_after_the_handshake_all_is_asked_anew(protocol: str) -> None:
    dialogue, go_ahead = asked_for_tls(protocol)
    dialogue.receive_data(go_ahead)
    assert dialogue.next_event() == Upgrade()
    assert dialogue.next_event() is None
    dialogue.upgraded()
    question = b"m1 CAPABILITY\r\n" if protocol == "imap" else b"EHLO c\r\n"
    assert dialogue.next_event() == Send(question)


@given(source=ENDS, destination=ENDS)
def test_an_id_command_is_read_as_the_pairs_it_was_made_of(
    source: tuple[IPv4Address | IPv6Address, int],
    destination: tuple[IPv4Address | IPv6Address, int],
) -> None:
    line = id_command(b"m5", Origin(source, destination))
    assert line.startswith(b"m5 ID (")
    assert line.endswith(b")")
    inside = line.removeprefix(b"m5 ID (").removesuffix(b")")
    words = re.findall(rb'"([^"\\]*)"', inside)
    assert b" ".join(b'"%b"' % word for word in words) == inside
    assert dict(zip(words[::2], words[1::2], strict=True)) == {
        b"x-originating-ip": str(source[0]).encode(),
        b"x-originating-port": str(source[1]).encode(),
        b"x-connected-ip": str(destination[0]).encode(),
        b"x-connected-port": str(destination[1]).encode(),
    }
    for number, word in enumerate(words):  # RFC 2971 section 3.3
        assert len(word) <= (1_024 if number % 2 else 30)


@given(octets=st.binary(max_size=300))
def test_xtext_is_one_word_and_reads_back(octets: bytes) -> None:
    text = xtext(octets)
    assert re.fullmatch(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", text)
    assert re.sub(rb"\+(..)", lambda found: bytes.fromhex(found[1].decode()), text) == octets


@given(source=ENDS, destination=ENDS, name=NAMES, known=st.sets(st.sampled_from(XCLIENT_ALL)))
def test_xclient_tells_what_is_known_in_one_line(
    source: tuple[IPv4Address | IPv6Address, int],
    destination: tuple[IPv4Address | IPv6Address, int],
    name: bytes,
    known: set[str],
) -> None:
    line = xclient_command(Origin(source, destination), name, known)
    assert len(line) + 2 <= MAX_COMMAND_LINE_OCTETS
    assert not set(line) - set(range(0x20, 0x7F))
    command, *attributes = line.split(b" ")
    assert command == b"XCLIENT"
    told = dict(attribute.split(b"=") for attribute in attributes)
    assert {key.decode() for key in told} <= known
    address, port = source
    prefix = b"IPV6:" if address.version == 6 else b""
    meant = {b"ADDR": prefix + str(address).encode(), b"PORT": b"%d" % port, b"PROTO": b"ESMTP"}
    for key, value in meant.items():
        assert told.get(key, value) == value
        assert (key in told) == (key.decode() in known)
    assert told.get(b"HELO", xtext(name)) == xtext(name)
