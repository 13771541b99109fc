"""Ports that lead past the listeners: which sockets there are, and which are warned about."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pytest

from mailward.settings.bypasses import bypasses, listening
from mailward.settings.configuration import Bind
from tests.settings.sample import configured

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
REST = "00000000:00000000 00:00000000 00000000     0        0 27641 1 0000 100 0 0 10 0\n"
CONFIGURATION = """
[server.listener.imap]
protocol = "imap"
bind = ["0.0.0.0:143", "[::]:143"]
allow-plaintext = true
backend = "dovecot"

[server.listener.pop]
protocol = "tcp"
bind = ["0.0.0.0:110"]
backend = "pop"

[backend.dovecot]
address = "127.0.0.1:10143"

[backend.pop]
address = "10.0.0.5:110"
"""
SIEVE = """
[server.listener.sieve]
protocol = "managesieve"
bind = ["0.0.0.0:4191"]
allow-plaintext = true
backend = "dovecot"
"""


def row(address: bytes, port: int, state: str = "0A") -> str:
    words = [address[at : at + 4] for at in range(0, len(address), 4)]
    told = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
    return f"   0: {told}:{port:04X} 00000000:0000 {state} {REST}"


def warned(
    sockets: Iterable[Bind],
    text: str = CONFIGURATION,
    *,
    ours: tuple[Bind, ...] = (),
    here: tuple[str, ...] = ("dovecot", "pop"),
) -> str:
    return "".join(bypasses(configured(text), sockets, ours, here))


def test_sockets_that_listen_are_read_and_connections_are_not() -> None:
    table = [
        HEADING,
        row(b"\x7f\x00\x00\x01", 8080),
        row(b"\x00\x00\x00\x00", 143),
        row(b"\x0a\x00\x00\x05", 50_000, "01"),
        "what no system says",
    ]
    assert list(listening(table)) == [Bind("127.0.0.1", 8080), Bind("0.0.0.0", 143)]
    six = [HEADING, row(bytes(16), 993), row(bytes(15) + b"\x01", 25)]
    assert list(listening(six)) == [Bind("::", 993), Bind("::1", 25)]
    assert list(listening([])) == list(listening([HEADING])) == []


@pytest.mark.parametrize("port", [110, 143, 465, 587, 993, 995, 4190])
def test_a_mail_port_that_another_program_has_is_warned_about(port: int) -> None:
    assert f" at 192.0.2.7:{port}, past mailward" in warned([Bind("192.0.2.7", port)])


def test_what_is_in_order_is_not_warned_about() -> None:
    usual = [
        *(Bind("0.0.0.0", 143), Bind("::", 143), Bind("0.0.0.0", 110)),  # the listeners
        *(Bind("127.0.0.1", 10_143), Bind("::1", 993), Bind("::ffff:127.0.0.1", 995)),
        Bind("10.0.0.5", 110),  # where the backend is meant to be
        *(Bind("0.0.0.0", 25), Bind("0.0.0.0", 22), Bind("::", 2000)),
    ]
    assert warned(usual) == ""
    assert warned([Bind("0.0.0.0", 587)], ours=(Bind("0.0.0.0", 587),)) == ""


def test_the_old_port_of_managesieve_matters_where_that_is_spoken() -> None:
    assert " at [::]:2000, past" in warned([Bind("::", 2000)], CONFIGURATION + SIEVE)


def test_a_backend_that_takes_proxy_headers_from_anywhere_is_warned_about() -> None:
    assert " at 0.0.0.0:10143, past" in warned([Bind("0.0.0.0", 10_143)])


def test_ports_of_a_machine_without_a_backend_are_not_warned_about() -> None:
    assert warned([Bind("0.0.0.0", 993)], here=()) == ""
    unused = CONFIGURATION + '[backend.other]\naddress = "127.0.0.1:1"\n'
    assert warned([Bind("0.0.0.0", 993)], unused, here=("other",)) == ""


def test_many_are_not_all_named() -> None:
    many = [Bind(f"192.0.2.{number}", 993) for number in range(1, 21)]
    assert "192.0.2.8:993 and 12 more, past" in warned(many)


def test_a_mail_server_behind_a_unix_socket_is_on_this_machine_and_has_no_port() -> None:
    text = CONFIGURATION.replace("127.0.0.1:10143", "unix:/run/dovecot.sock")
    said = warned([Bind("0.0.0.0", 993), Bind("0.0.0.0", 0)], text=text)
    assert " at 0.0.0.0:993, past mailward" in said
