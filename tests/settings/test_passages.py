from __future__ import annotations

import pytest

from mailward.settings.advice import advice
from mailward.settings.configuration import (
    Bind,
    DoorTls,
    Passage,
    PassageListener,
    Protocol,
)
from tests.settings.sample import configured, faults, stored_faults

HERE = 'bind = ["127.0.0.1:25"]'
OPEN = 'bind = ["0.0.0.0:25"]'
CERTIFICATE = '[certificate.default]\ncert = "c.pem"\nprivate-key = "k.pem"\n'


def passage(protocol: str, *lines: str, backend: str = "", more: str = "") -> str:
    body = "\n".join([f'protocol = "{protocol}"', 'backend = "b"', *lines])
    return (
        f'[backend.b]\naddress = "127.0.0.1:10025"\n{backend}\n[server.listener.mx]\n{body}\n{more}'
    )


def test_port_25_and_any_port_are_passages_and_no_doors_for_logins() -> None:
    mx = configured(passage("smtp", OPEN, more=CERTIFICATE))
    tls = DoorTls(implicit=False, certificate="default")
    bind = (Bind("0.0.0.0", 25),)
    assert mx.passages == (PassageListener("mx", Passage.SMTP, bind, "b", None, tls),)
    assert mx.listeners == ()
    (pop,) = configured(passage("tcp", OPEN, more=CERTIFICATE)).passages
    assert (pop.protocol, pop.tls) == (Passage.TCP, None)
    (pops,) = configured(passage("tcp", OPEN, "tls.implicit = true", more=CERTIFICATE)).passages
    assert pops.tls == DoorTls(implicit=True, certificate="default")


def test_no_protocol_is_of_two_kinds() -> None:
    assert not {one.value for one in Protocol} & {one.value for one in Passage}


def test_port_25_on_the_network_needs_a_certificate_or_a_word_that_it_has_none() -> None:
    (fault,) = faults(passage("smtp", OPEN))
    assert fault.startswith("mail.toml:7: server.listener.mx.bind.0.0.0.0:25: 0.0.0.0:25 can be")
    assert "no STARTTLS to offer" in fault
    assert "allow-plaintext = true" in fault
    assert configured(passage("smtp", HERE)).passages[0].tls is None
    said = configured(passage("smtp", OPEN, "allow-plaintext = true"))
    assert said.passages[0].allow_plaintext
    assert any("listener mx offers no STARTTLS" in line for line in advice(said, None))


def test_a_tcp_listener_needs_no_certificate_unless_tls_ends_there() -> None:
    assert configured(passage("tcp", OPEN)).passages[0].tls is None
    (fault,) = faults(passage("tcp", OPEN, "tls.implicit = true"))
    assert fault.endswith("needs a certificate: add [certificate.default]")


@pytest.mark.parametrize("line", ["allow-plaintext = true", 'tls.certificate = "default"'])
def test_what_a_tcp_listener_has_no_use_for_is_a_fault(line: str) -> None:
    (fault,) = faults(passage("tcp", OPEN, line, more=CERTIFICATE))
    assert fault.startswith("mail.toml:8: server.listener.mx.")
    assert "has no use here" in fault


@pytest.mark.parametrize(
    ("protocol", "told", "fits"),
    [
        ("smtp", "none", True),
        ("smtp", "proxy-v1", True),
        ("smtp", "proxy-v2", True),
        ("smtp", "xclient", True),
        ("smtp", "imap-id", False),
        ("tcp", "none", True),
        ("tcp", "proxy-v1", True),
        ("tcp", "proxy-v2", True),
        ("tcp", "xclient", False),
        ("tcp", "imap-id", False),
    ],
)
def test_how_the_client_is_told_has_to_fit(protocol: str, told: str, fits: bool) -> None:
    text = passage(protocol, HERE, backend=f'client-address = "{told}"')
    if fits:
        assert configured(text).upstreams["b"].client_address.value == told
    else:
        (fault,) = faults(text)
        assert fault.startswith("mail.toml:3: backend.b.client-address: ")
        assert f"cannot be told in {protocol}" in fault


def test_starttls_cannot_be_said_where_nothing_is_said() -> None:
    backend = 'tls.mode = "starttls"'
    assert configured(passage("smtp", HERE, backend=backend)).passages
    (fault,) = faults(passage("tcp", HERE, backend=backend))
    assert fault.startswith('mail.toml:3: backend.b.tls.mode: tls = "starttls" cannot be said')
    (fault,) = stored_faults(passage("tcp", HERE), {"backend.b.tls": "starttls"})
    assert "cannot be said in tcp" in fault


def test_a_backend_that_is_not_told_who_connects_is_warned_about() -> None:
    (warning,) = advice(configured(passage("smtp", HERE)), None)
    assert "its own penalties and block lists hit everybody" in warning
