"""The mail servers behind the doors: TLS in both spellings, and what they can be told."""

from __future__ import annotations

import pytest

from mailward.settings.build import check_key
from mailward.settings.configuration import (
    ClientAddress,
    Encryption,
    Upstream,
    UpstreamTls,
)
from mailward.settings.errors import SettingsError
from tests.settings.sample import BACKEND, IMAP, configured, faults, listener, stored_faults

SUBMISSION = 'protocol = "submission"'
HERE = 'bind = ["127.0.0.1:1"]'


def upstream(lines: str, stored: dict[str, str] | None = None) -> Upstream:
    return configured(f'[backend.b]\naddress = "127.0.0.1:2"\n{lines}', stored).upstreams["b"]


def test_tls_to_a_backend_is_one_word_or_a_table() -> None:
    assert upstream("").tls == UpstreamTls(Encryption.NONE)
    assert upstream('tls = "starttls"').tls == UpstreamTls(Encryption.STARTTLS)
    table = '[backend.b.tls]\nmode = "implicit"\nca = "ca.pem"\nserver-name = "IMAP.example.org"'
    whole = UpstreamTls(Encryption.IMPLICIT, "ca.pem", "imap.example.org")
    assert upstream(table).tls == whole
    dotted = 'tls.mode = "implicit"\ntls.ca = "ca.pem"\ntls.server-name = "imap.example.org"'
    assert upstream(dotted).tls == whole


def test_both_spellings_of_the_mode_are_one_key() -> None:
    assert check_key("backend.b.tls.mode", "starttls").key == "backend.b.tls"
    stored = {"backend.b.tls": "implicit"}
    assert upstream('tls.mode = "starttls"', stored).tls.mode is Encryption.IMPLICIT
    stored = {"backend.b.tls.mode": "implicit", "backend.b.tls.ca": "x"}
    assert upstream('tls = "starttls"', stored).tls == UpstreamTls(Encryption.IMPLICIT, "x")


def test_a_wrong_mode_is_a_fault_where_it_stands() -> None:
    (fault,) = faults('[backend.b]\naddress = "127.0.0.1:2"\n[backend.b.tls]\nmode = "ssl"\n')
    assert fault == (
        'mail.toml:4: backend.b.tls.mode: "ssl" is unknown; use none, starttls or implicit'
    )
    with pytest.raises(SettingsError, match='"ssl" is unknown; use none, starttls or implicit'):
        check_key("backend.b.tls", "ssl")


def test_a_key_beside_those_of_tls_is_none() -> None:
    (fault,) = faults('[backend.b]\naddress = "127.0.0.1:2"\ntls.cert = "x"\n')
    assert fault == "mail.toml:3: backend.b.tls.cert: is no key; backend.b.tls.ca is the nearest"


@pytest.mark.parametrize("line", ['tls.ca = "x"', 'tls.server-name = "imap.example.org"'])
def test_proof_that_nobody_asks_for_is_a_fault(line: str) -> None:
    (fault,) = faults(f'[backend.b]\naddress = "127.0.0.1:2"\n{line}\n')
    assert 'has no use while backend.b.tls is "none"' in fault
    (fault,) = stored_faults('[backend.b]\naddress = "127.0.0.1:2"\n', {"backend.b.tls.ca": "x"})
    assert fault.startswith("(stored): backend.b.tls.ca: has no use")


@pytest.mark.parametrize("name", ["", "300.1.1.1", "a b", "fe80::1%lo"])
def test_a_wrong_server_name_is_a_fault(name: str) -> None:
    lines = (
        f'[backend.b]\naddress = "127.0.0.1:2"\ntls.mode = "starttls"\ntls.server-name = "{name}"\n'
    )
    (fault,) = faults(lines)
    assert fault.startswith("mail.toml:4: backend.b.tls.server-name: ")


def test_a_server_name_may_be_an_address() -> None:
    tls = upstream('tls.mode = "implicit"\ntls.server-name = "2001:DB8::1"').tls
    assert tls.server_name == "2001:db8::1"


def test_an_address_prints_with_its_port() -> None:
    assert upstream("").where == "127.0.0.1:2"
    v6 = configured('[backend.b]\naddress = "[::1]:143"\n').upstreams["b"]
    assert v6.where == "[::1]:143"


@pytest.mark.parametrize(
    ("told", "protocol"),
    [(told, protocol) for told in ClientAddress for protocol in (IMAP, SUBMISSION)],
)
def test_imap_id_is_for_imap_and_xclient_for_submission(told: ClientAddress, protocol: str) -> None:
    text = listener(protocol, HERE, BACKEND).replace(
        "[server", f'client-address = "{told.value}"\n[server'
    )
    alone = {ClientAddress.IMAP_ID: IMAP, ClientAddress.XCLIENT: SUBMISSION}
    alone[ClientAddress.FORWARDED] = 'protocol = "jmap"'
    if alone.get(told, protocol) == protocol:
        assert configured(text).upstreams["b"].client_address is told
    else:
        (fault,) = faults(text)
        assert fault.startswith(
            f'mail.toml:3: backend.b.client-address: client-address = "{told.value}" cannot be told'
        )
        assert 'use "proxy-v2"' in fault


def test_a_stored_client_address_that_does_not_fit_is_left_out() -> None:
    text = listener(IMAP, HERE, BACKEND)
    stored = {"backend.b.client-address": "xclient"}
    (fault,) = stored_faults(text, stored)
    assert fault.startswith("(stored): backend.b.client-address: client-address = ")
    assert configured(text, stored).upstreams["b"].client_address is ClientAddress.NONE


def test_a_stored_backend_that_cannot_be_told_in_the_protocol_is_left_out() -> None:
    text = '[backend.s]\naddress = "127.0.0.1:2"\nclient-address = "xclient"\n'
    text += listener(IMAP, HERE, BACKEND)
    stored = {"server.listener.l.backend": "s"}
    (fault,) = stored_faults(text, stored)
    assert fault.startswith("(stored): server.listener.l.backend: client-address = ")
    assert configured(text, stored).listeners[0].backend == "b"


SOCKET = '[backend.b]\naddress = "unix:/run/mail.sock"\n'


@pytest.mark.parametrize("spoken", ["imap", "submission", "managesieve", "smtp", "tcp", "jmap"])
def test_a_unix_socket_is_an_address_in_every_protocol(spoken: str) -> None:
    door = f'[server.listener.l]\nprotocol = "{spoken}"\nbind = ["127.0.0.1:1"]\nbackend = "b"\n'
    backend = configured(SOCKET + door).upstreams["b"]
    assert (backend.path, backend.where) == ("/run/mail.sock", "unix:/run/mail.sock")


@pytest.mark.parametrize("path", ["", "/" + "s" * 107])
def test_a_path_that_no_socket_can_have_is_a_fault_where_it_stands(path: str) -> None:
    (fault,) = faults(f'[backend.b]\naddress = "unix:{path}"\n')
    assert fault.startswith("mail.toml:2: backend.b.address: ")
    assert ("107 octets, this one has 108" in fault) == bool(path)


def test_tls_over_a_unix_socket_needs_the_name_in_the_certificate() -> None:
    (fault,) = faults(f'{SOCKET}tls.mode = "starttls"\n')
    assert fault.startswith('mail.toml:3: backend.b.tls.mode: tls = "starttls" over a Unix socket')
    assert "needs tls.server-name" in fault
    named = configured(f'{SOCKET}tls.mode = "starttls"\ntls.server-name = "mail.example.org"\n')
    assert named.upstreams["b"].tls.server_name == "mail.example.org"


@pytest.mark.parametrize("path", ["mailward.sock", "./mailward.sock"])
def test_the_management_socket_is_no_mail_server(path: str) -> None:
    (fault,) = faults(f'[backend.b]\naddress = "unix:{path}"\n')
    assert fault.startswith("mail.toml:2: backend.b.address: this is the management socket")
