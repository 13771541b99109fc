"""Trusted networks, and the listeners that are for proxies."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mailward.settings.advice import advice
from mailward.settings.build import check_key
from mailward.settings.key import Effect
from tests.settings.sample import built, configured, faults

TRUSTED = '[server.proxy]\ntrusted-networks = { "127.0.0.1", "::ffff:10.0.0.0/104" }\n'
BACKEND = '[backend.b]\naddress = "127.0.0.1:2"\nclient-address = "proxy-v2"\n'
MANAGED = (
    '[management.admin]\nsecret = "$argon2id$v=19$m=65536,t=3,p=4'
    '$c29tZXNhbHQxMjM0NTY$WmluZGVyIGFuZCBmbGludCBhbmQgc3RlZWw"\n'
)
KEY = "server.proxy.trusted-networks"


def listener(protocol: str, *, bind: str = "127.0.0.1:1", more: str = "") -> str:
    backend = "" if protocol == "manage" else 'backend = "b"\n'
    return (
        f'[server.listener.l]\nprotocol = "{protocol}"\nbind = ["{bind}"]\n{backend}'
        f"proxy-protocol = true\n{more}"
    )


def test_whom_the_doors_believe_is_a_matter_of_networks() -> None:
    policy = configured(TRUSTED).policy
    assert set(policy.trusted.values()) == {ip_network("127.0.0.1"), ip_network("10.0.0.0/8")}
    assert policy.trusts(ip_address("10.1.2.3"))
    assert not policy.trusts(ip_address("127.0.0.2"))
    assert not configured("").policy.trusts(ip_address("127.0.0.1"))


def test_a_stored_network_is_trusted_besides_those_of_the_file() -> None:
    policy = configured(TRUSTED, {f"{KEY}.192.0.2.1": "the new one"}).policy
    assert policy.trusts(ip_address("127.0.0.1"))
    assert policy.trusts(ip_address("192.0.2.1"))
    assert check_key(f"{KEY}.192.0.2.1", "").effect is Effect.RELOAD


@pytest.mark.parametrize("protocol", ["imap", "submission", "managesieve", "tcp", "manage"])
def test_every_kind_of_listener_may_be_for_proxies(protocol: str) -> None:
    configuration = configured(TRUSTED + BACKEND + MANAGED + listener(protocol))
    assert [
        *(door.proxy_protocol for door in configuration.listeners),
        *(door.proxy_protocol for door in configuration.passages),
        *(door.proxy_protocol for door in configuration.managers),
    ] == [True]


def test_no_listener_is_for_proxies_unless_it_says_so() -> None:
    text = listener("imap").replace("true", "false")
    assert not configured(BACKEND + text).listeners[0].proxy_protocol
    assert (
        not configured(BACKEND + text.replace("proxy-protocol = false\n", ""))
        .listeners[0]
        .proxy_protocol
    )


def test_a_listener_for_proxies_needs_one_that_is_trusted() -> None:
    (fault,) = faults(BACKEND + listener("imap"))
    assert fault.startswith("mail.toml:8: server.listener.l.proxy-protocol: lets nobody connect")
    assert "add server.proxy.trusted-networks" in fault
    assert faults(BACKEND + listener("imap"), {f"{KEY}.127.0.0.1": ""}) == []


def test_a_stored_key_that_would_shut_everybody_out_is_left_out() -> None:
    text = BACKEND + listener("imap").replace("true", "false")
    result = built(text, {"server.listener.l.proxy-protocol": "true"})
    assert result.configuration is not None
    assert not result.configuration.listeners[0].proxy_protocol
    assert "lets nobody connect" in str(result.stored_faults[0])


def test_behind_a_proxy_that_ends_tls_a_mail_listener_needs_no_certificate() -> None:
    text = TRUSTED + BACKEND + MANAGED
    door = configured(text + listener("imap", bind="0.0.0.0:1")).listeners[0]
    assert not door.allow_plaintext  # passwords are taken where the header tells of TLS
    (fault,) = faults(text + listener("manage", bind="0.0.0.0:1"))
    assert "passwords would be sent unencrypted" in fault


@pytest.mark.parametrize(("network", "version"), [("0.0.0.0/0", 4), ("::/0", 6)])
def test_everybody_is_trusted(network: str, version: int) -> None:
    (warning,) = advice(configured("", {f"{KEY}.{network}": ""}), None)
    assert warning.startswith(f"all of IPv{version} is trusted")
    assert warning.endswith(f"delete {KEY}.{network}")


@pytest.mark.parametrize("wrong", ["proxy", "10.0.0.0/33", "fe80::1%eth0"])
def test_what_is_no_network_is_a_fault(wrong: str) -> None:
    (fault,) = faults(f'[server.proxy]\ntrusted-networks = ["{wrong}"]\n')
    assert wrong in fault
