"""Warnings: each of what is seldom meant, with what to change; none of what is in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailward.settings.advice import advice, fitted
from mailward.settings.configuration import DoorTls
from tests.settings.sample import configured

LISTENER = '[server.listener.l]\nprotocol = "imap"\nbackend = "b"\n'
HERE = LISTENER + 'bind = ["127.0.0.1:1"]\n'
BACKEND = '[backend.b]\naddress = "127.0.0.1:2"\n'
TOLD = BACKEND + 'client-address = "proxy-v2"\n'


def warnings(
    text: str, descriptors: int | None = None, stored: dict[str, str] | None = None
) -> list[str]:
    return list(advice(configured(text, stored), descriptors))


def test_what_is_in_order_is_not_warned_about() -> None:
    assert warnings(HERE + TOLD) == []
    assert warnings("") == []
    assert warnings(HERE + TOLD, descriptors=1_048_576) == []


def test_a_backend_that_is_not_told_who_connects() -> None:
    (warning,) = warnings(HERE + BACKEND)
    assert warning.startswith("backend b is not told who connects")
    assert 'set backend.b.client-address = "proxy-v2"' in warning
    assert warnings(BACKEND) == []  # nobody connects to it


@pytest.mark.parametrize("told", ["imap-id", "proxy-v1", "proxy-v2"])
def test_proxy_v1_matters_only_where_clients_have_tls_and_the_backend_does_not(told: str) -> None:
    plain = configured(HERE + BACKEND + f'client-address = "{told}"\n')
    assert list(advice(plain, None)) == []
    door = replace(plain.listeners[0], tls=DoorTls(implicit=True, certificate="default"))
    found = list(advice(replace(plain, listeners=(door,)), None))
    if told == "proxy-v1":
        (warning,) = found
        assert 'cannot learn by "proxy-v1" that clients of l have TLS' in warning
    else:
        assert found == []
    encrypted = configured(HERE + BACKEND + f'client-address = "{told}"\ntls = "starttls"\n')
    assert list(advice(replace(encrypted, listeners=(door,)), None)) == []


def test_managesieve_to_the_backend_with_tls_from_the_first_byte() -> None:
    sieve = HERE.replace('"imap"', '"managesieve"')
    (warning,) = warnings(sieve + TOLD + 'tls = "implicit"\n')
    assert 'set backend.b.tls = "starttls"' in warning
    assert warnings(sieve + TOLD + 'tls = "starttls"\n') == []
    assert warnings(HERE + TOLD + 'tls = "implicit"\n') == []


@pytest.mark.parametrize(("network", "version"), [("0.0.0.0/0", 4), ("::/0", 6)])
def test_everybody_is_allowed(network: str, version: int) -> None:
    key = f"server.security.allowed-networks.{network}"
    (warning,) = warnings(HERE + TOLD, stored={key: ""})
    assert warning.startswith(f"all of IPv{version} is allowed")
    assert warning.endswith(f"delete {key}")


def test_passwords_unencrypted_over_the_network() -> None:
    bind = 'bind = ["127.0.0.1:1", "0.0.0.0:143", "[2001:db8::1]:143"]\nallow-plaintext = true\n'
    (warning,) = warnings(LISTENER + bind + TOLD)
    assert "unencrypted over the network at 0.0.0.0:143, [2001:db8::1]:143:" in warning
    assert "server.listener.l.allow-plaintext = false" in warning
    assert warnings(HERE + "allow-plaintext = true\n" + TOLD) == []


def test_more_connections_than_descriptors() -> None:
    text = HERE + TOLD + "[server.security]\nmax-waiting = 1000\n"
    assert warnings(text, descriptors=2_064) == []
    (warning,) = warnings(text, descriptors=2_063)
    assert warning.startswith("max-waiting = 1000 may take 2064 descriptors, but the system gives")
    assert warning.endswith("set server.security.max-waiting to 999 or less")
    assert warnings(text.replace("1000", "999"), descriptors=2_063) == []
    assert warnings(text, descriptors=3)[0].endswith("to 1 or less")


def test_the_usual_number_of_connections_is_lowered_to_what_the_descriptors_are_for() -> None:
    usual = configured(HERE + TOLD)
    assert fitted(usual, None) is usual
    assert fitted(usual, 20_064) is usual
    lowered = fitted(usual, 1_064)
    assert (lowered.doors.max_waiting, lowered.doors.lowered_from) == (500, 10_000)
    assert list(advice(lowered, 1_064)) == []
    chosen = configured(HERE + TOLD + "[server.security]\nmax-waiting = 10000\n")
    assert fitted(chosen, 1_064) is chosen


def test_shared_addresses_that_are_held_need_a_limit_for_logins() -> None:
    holding = "[server.security]\nhold-shared-addresses = true\n"
    assert warnings(holding) == []
    (warning,) = warnings(holding + 'login-fail2ban = "none"\n')
    assert "set server.security.login-fail2ban" in warning
