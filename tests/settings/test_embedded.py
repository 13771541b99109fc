"""The embedded mail server in the configuration."""

from __future__ import annotations

import pytest

from mailward.rules.model import Instant
from mailward.settings.build import build
from mailward.settings.configuration import EmbeddedSettings
from mailward.settings.dialect import read_keys
from tests.settings.sample import configured, faults

LISTENER = """
[server.listener.imap]
protocol = "{protocol}"
bind = ["127.0.0.1:1143"]
backend = "embedded"
"""


def test_a_listener_before_the_embedded_server_needs_no_backend_table() -> None:
    text = LISTENER.format(protocol="imap")
    configuration = build(read_keys(text, "x"), {}, Instant(0)).configuration
    assert configuration is not None
    assert configuration.uses_embedded
    assert not configuration.upstreams
    assert configuration.embedded == EmbeddedSettings("embedded", None)


def test_its_keys_are_its_own() -> None:
    text = '[backend.embedded]\nrelay = "relay.example.org:25"\npath = "mine"\n'
    configuration = build(read_keys(text, "x"), {}, Instant(0)).configuration
    assert configuration is not None
    assert configuration.embedded == EmbeddedSettings("mine", ("relay.example.org", 25))
    assert not configuration.uses_embedded


@pytest.mark.parametrize("protocol", ["smtp", "tcp"])
def test_it_does_not_stand_behind_a_door_that_nobody_logs_in_at(protocol: str) -> None:
    (fault,) = faults(LISTENER.format(protocol=protocol))
    assert f"does not speak {protocol}" in fault


@pytest.mark.parametrize(
    "line", ['address = "127.0.0.1:143"', 'tls = "starttls"', 'relay = "x"', 'relay = ":25"']
)
def test_what_makes_no_sense_for_it_is_a_fault(line: str) -> None:
    assert any("backend.embedded." in fault for fault in faults(f"[backend.embedded]\n{line}\n"))


@pytest.mark.parametrize(
    ("text", "octets"),
    [("1GB", 10**9), ("500 mb", 5 * 10**8), ("2TB", 2 * 10**12), ("1000kB", 10**6), ("none", None)],
)
def test_a_quota_is_octets_or_none(text: str, octets: int | None) -> None:
    assert configured(f'[backend.embedded]\nquota = "{text}"\n').embedded.quota == octets


@pytest.mark.parametrize("text", ["", "1", "999kB", "1GiB", "-1GB", "1001TB", "all"])
def test_a_quota_that_is_none_is_a_fault_where_it_stands(text: str) -> None:
    (fault,) = faults(f'[backend.embedded]\nquota = "{text}"\n')
    assert fault.startswith("mail.toml:2: backend.embedded.quota: ")
    assert 'write "500MB", "1GB" or "none"' in fault
