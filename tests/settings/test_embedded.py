"""The embedded mail server in the configuration."""

from __future__ import annotations

import pytest

from mailward.rules.model import Instant
from mailward.settings.build import build
from mailward.settings.configuration import EmbeddedSettings
from mailward.settings.dialect import read_keys
from tests.settings.sample import faults

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
