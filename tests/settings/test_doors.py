"""Listeners and backends, and what they may not be."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailward.settings.configuration import (
    Bind,
    ClientAddress,
    Listener,
    Protocol,
    Upstream,
)
from tests.settings.sample import BACKEND, IMAP, WHOLE, configured, faults, listener, stored_faults


def test_listeners_and_backends_are_read() -> None:
    configuration = configured(WHOLE)
    assert configuration.hostname == "mail.example.org"
    assert configuration.listeners == (
        Listener(
            "imap", Protocol.IMAP, (Bind("127.0.0.1", 1143), Bind("::1", 1143)), "dovecot", None
        ),
        Listener("submission", Protocol.SUBMISSION, (Bind("0.0.0.0", 1587),), "postfix", True),
    )
    assert configuration.upstreams == {
        "dovecot": Upstream(
            "dovecot",
            "127.0.0.1",
            10_143,
            ClientAddress.PROXY_V2,
            timedelta(seconds=10),
            timedelta(seconds=150),
        ),
        "postfix": Upstream(
            "postfix",
            "::1",
            10_587,
            ClientAddress.NONE,
            timedelta(seconds=5),
            timedelta(minutes=2),
        ),
    }


def test_a_listener_needs_protocol_bind_and_backend() -> None:
    protocols = '"imap", "submission", "managesieve", "smtp", "tcp", "jmap" or "manage"'
    needs = f"protocol ({protocols}); bind (addresses with a port)"
    (fault,) = faults("[server.listener.imap]\n")
    assert fault.startswith(f"mail.toml:1: server.listener.imap: is not whole: it needs {needs}")
    (fault,) = faults(listener(IMAP, "bind = []", BACKEND))
    assert fault.startswith("mail.toml:4: server.listener.l: is not whole: it needs bind")


def test_a_backend_needs_an_address() -> None:
    (fault,) = faults('[backend.dovecot]\nclient-address = "none"\n')
    assert fault.startswith("mail.toml:2: backend.dovecot: is not whole: it needs address")


def test_an_unknown_backend_is_a_fault_that_names_those_there_are() -> None:
    assert faults(listener(IMAP, 'bind = ["127.0.0.1:1143"]', 'backend = "dovecot"')) == [
        'mail.toml:6: server.listener.l.backend: there is no backend "dovecot"; known: b'
    ]


@pytest.mark.parametrize(
    "bound",
    [
        "143", "127.0.0.1", "localhost:143", "*:143", "127.0.0.1:65536", "127.0.0.1:x", ":143",
        "::1:143", "[::1]", "[127.0.0.1]:143", "[fe80::1%lo]:143", "300.1.1.1:143", "",
    ],
)  # fmt: skip
def test_a_wrong_bind_is_a_fault_that_quotes_it(bound: str) -> None:
    (fault,) = faults(listener(IMAP, f'bind = ["{bound}"]', BACKEND))
    assert fault.startswith(f"mail.toml:5: server.listener.l.bind.{bound}")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "300.1.1.1:143", "[::1]", "::1:143",
     "ex ample.org:143", ":143", "[fe80::1%lo]:143", ""],
)  # fmt: skip
def test_a_wrong_backend_address_is_a_fault(address: str) -> None:
    (fault,) = faults(f'[backend.b]\naddress = "{address}"\n')
    assert fault.startswith("mail.toml:2: backend.b.address: ")


def test_a_backend_may_have_a_name_for_an_address() -> None:
    upstream = configured('[backend.b]\naddress = "Mail.Example.org:143"\n').upstreams["b"]
    assert (upstream.host, upstream.port) == ("mail.example.org", 143)
    assert configured('[backend.b]\naddress = "localhost:143"\n').upstreams["b"].host == "localhost"


def test_port_0_may_be_bound_often() -> None:
    binds = 'bind = ["127.0.0.1:0", "127.0.0.2:0", "0.0.0.0:0"]'
    text = listener(IMAP, binds, BACKEND, "allow-plaintext = true")
    assert len(configured(text).listeners[0].binds) == 3


def test_no_plaintext_is_no_plaintext_on_loopback_either() -> None:
    here = 'bind = ["127.0.0.1:1143", "127.0.0.2:1143"]'
    assert configured(listener(IMAP, here, BACKEND)).listeners[0].allow_plaintext is None
    (fault,) = faults(listener(IMAP, here, BACKEND, "allow-plaintext = false"))
    assert fault.endswith(
        "server.listener.l.allow-plaintext: holds at 127.0.0.1:1143 too, where there is no TLS: add"
        " [certificate.default], or leave allow-plaintext out, which is for loopback alone"
    )
    certificate = '\n[certificate.default]\ncert = "c"\nprivate-key = "k"\n'
    text = listener(IMAP, here, BACKEND, "allow-plaintext = false") + certificate
    assert configured(text).listeners[0].allow_plaintext is False


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:1143", "127.0.0.1:1143"),
        ("[::1]:1143", "[0:0::1]:1143"),
        ("0.0.0.0:1143", "127.0.0.1:1143"),
        ("127.0.0.1:1143", "0.0.0.0:1143"),
        ("[::]:1143", "[::1]:1143"),
    ],
)
def test_two_listeners_on_one_bind_are_a_fault(one: str, other: str) -> None:
    text = listener(IMAP, f'bind = ["{one}"]', BACKEND, "allow-plaintext = true") + (
        f'\n[server.listener.m]\nprotocol = "imap"\nbind = ["{other}"]\n'
        'backend = "b"\nallow-plaintext = true\n'
    )
    (fault,) = faults(text)
    assert fault.startswith(f"mail.toml:10: server.listener.m.bind.{other}: listener l is bound")


def test_a_bind_that_is_in_the_file_and_stored_is_one() -> None:
    text = listener(IMAP, 'bind = ["127.0.0.1:1143", "127.0.0.1:01143"]', BACKEND)
    stored = {"server.listener.l.bind.127.0.0.1:1143": ""}
    assert stored_faults(text, stored) == []
    assert configured(text, stored).listeners[0].binds == (Bind("127.0.0.1", 1143),)


def test_a_wildcard_collides_with_an_address_of_its_own_listener() -> None:
    binds = 'bind = ["127.0.0.1:143", "0.0.0.0:143"]'
    (fault,) = faults(listener(IMAP, binds, BACKEND, "allow-plaintext = true"))
    assert "bind.0.0.0.0:143: listener l is bound to 127.0.0.1:143 already" in fault


def test_both_wildcards_may_be_bound_to_one_port() -> None:
    binds = 'bind = ["[::]:143", "0.0.0.0:143"]'
    configured(listener(IMAP, binds, BACKEND, "allow-plaintext = true"))


@pytest.mark.parametrize("bound", ["0.0.0.0:143", "[::]:143", "192.0.2.1:143"])
def test_passwords_never_cross_the_network_unencrypted_unless_allowed(bound: str) -> None:
    binds = f'bind = ["127.0.0.1:1143", "{bound}"]'
    (fault,) = faults(listener(IMAP, binds, BACKEND))
    assert f"bind.{bound}: {bound} can be reached" in fault
    assert "allow-plaintext = true" in fault
    configured(listener(IMAP, binds, BACKEND, "allow-plaintext = true"))
