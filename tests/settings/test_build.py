"""The whole configuration: what is read, what wins, what is a fault."""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.rules.model import Limit
from mailward.rules.policy import Policy
from mailward.settings.build import build, check_key
from mailward.settings.configuration import (
    Bind,
    Configuration,
    DoorLimits,
    LogFormat,
    LogLevel,
    LogSettings,
    StoreSettings,
    StoreType,
)
from mailward.settings.dialect import Entry, Form
from mailward.settings.errors import SettingsError
from mailward.settings.schema import SCHEMA
from tests.settings.sample import (
    BACKEND,
    IMAP,
    NOW,
    SECURITY,
    WHOLE,
    built,
    configured,
    faults,
    listener,
    policy,
    security,
    stored_faults,
)


def test_an_empty_file_is_a_configuration_with_the_defaults() -> None:
    nothing = configured("")
    assert nothing == Configuration(
        hostname=None,
        policy=nothing.policy,
        listeners=(),
        upstreams={},
        doors=DoorLimits(timedelta(seconds=60), 3, 10_000, 50, has_usual_max_waiting=True),
        store=StoreSettings(StoreType.SQLITE, "mailward.db"),
        socket="mailward.sock",
        log=LogSettings(LogLevel.INFO, LogFormat.TEXT),
    )
    default = Policy()
    assert nothing.policy.address_limit == nothing.policy.login_limit == default.address_limit
    assert nothing.policy.address_term is default.address_term
    assert nothing.policy.login_term is default.login_term
    assert nothing.policy.prefixes == default.prefixes
    assert nothing.policy.naming == default.naming
    assert nothing.policy.max_tracked == default.max_tracked
    assert nothing.policy.blocked == ()


def test_the_other_tables_are_read() -> None:
    configuration = configured("""\
[server.security]
login-timeout = "30s"
max-attempts = 5
max-waiting = 20
max-waiting-per-address = 2
[store]
type = "memory"
path = "/var/lib/other.db"
[management]
socket = "/run/mailward.sock"
[log]
level = "debug"
format = "json"
""")
    assert configuration.doors == DoorLimits(timedelta(seconds=30), 5, 20, 2)
    assert configuration.store == StoreSettings(StoreType.MEMORY, "/var/lib/other.db")
    assert configuration.socket == "/run/mailward.sock"
    assert configuration.log == LogSettings(LogLevel.DEBUG, LogFormat.JSON)


def test_every_fault_is_told_at_once_in_the_order_of_the_lines() -> None:
    found = faults("""\
[server.security]
fail2ban = "100"
blocked-networks = {
  "10.0.0.0/33",
  "192.0.2.1",
  "300.1.1.1",
}
fail2bann = "1/1d"
[server.listener.imap]
protocol = "imapp"
bind = ["127.0.0.1:1143"]
backend = "nowhere"
""")
    assert [fault.split(": ")[0] for fault in found] == [
        f"mail.toml:{line}" for line in (2, 4, 6, 8, 10, 12)
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (security("fail2bann = 1"), "server.security.fail2ban is the nearest"),
        (security("block-networks = 1"), "server.security.blocked-networks is the nearest"),
        ("[server.listener.imap]\nprotocoll = 1", "server.listener.imap.protocol is the nearest"),
        ("[backend.dovecot]\nadress = 1", "backend.dovecot.address is the nearest"),
        ("zzz = 1", "zzz: is no key"),
        ("[zzz]", "zzz: is no key"),
        ("server = 1", "is a table"),
        ("[server]\nsecurity = 1", "is a table"),
        ('[server.listener."my imap"]\nprotocol = "imap"', "an id under server.listener"),
        (security("fail2ban = ['100/1d']"), "server.security.fail2ban takes one value"),
        (security("fail2ban = {}"), "no list or table"),
        (security("fail2ban = { limit = '100/1d' }"), "takes one value"),
        (security('blocked-networks = "10.0.0.0/8"'), 'blocked-networks = { "192.0.2.0/24" }'),
        (security('nat64-prefixes = "x"'), 'nat64-prefixes = { "2001:db8:64::/96" }'),
        (security('domain-aliases = "x"'), 'domain-aliases = { "example.net" = "example.org" }'),
        (listener(IMAP, 'bind = "127.0.0.1:1143"', BACKEND), 'bind = { "127.0.0.1:143" }'),
    ],
)
def test_a_key_that_is_none_is_told_what_might_be_meant(text: str, said: str) -> None:
    assert any(said in fault for fault in faults(text))


def test_a_file_of_unknown_keys_is_read_in_good_time() -> None:
    text = "".join(f"unknown-{number} = 1\n" for number in range(20_000))
    assert len(faults(text)) == 20_000


def test_a_stored_value_wins_over_the_file() -> None:
    limit = policy('fail2ban = "10/1h"', {f"{SECURITY}.fail2ban": "20/1h"}).address_limit
    assert limit == Limit(20, timedelta(hours=1))


def test_a_stored_value_does_not_excuse_a_wrong_one_in_the_file() -> None:
    (fault,) = faults(security('fail2ban = "x"'), {f"{SECURITY}.fail2ban": "20/1h"})
    assert fault.startswith("mail.toml:2: ")


def test_a_stored_listener_joins_those_of_the_file() -> None:
    stored = {
        "server.listener.more.protocol": "imap",
        "server.listener.more.bind.127.0.0.1:2143": "",
        "server.listener.more.backend": "dovecot",
        "server.listener.imap.bind.127.0.0.2:1143": "",
    }
    first, _, last = configured(WHOLE, stored).listeners
    assert first.binds[-1] == Bind("127.0.0.2", 1143)
    assert (last.name, last.binds) == ("more", (Bind("127.0.0.1", 2143),))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("server.security.fail2ban", "x", '"x" is no limit'),
        ("server.security.fail2bann", "1/1d", "is no key"),
        ("server.security.allowed-networks.x", "", '"x" is no IP address'),
        ("server.security.allowed-networks", "10.0.0.0/8", "holds addresses and networks"),
        ("server.security.domain-aliases.a.example", "a.example", "goes in a circle"),
        ("server.listener.imap.backend", "no", 'there is no backend "no"'),
        ("server.listener.imap.bind.192.0.2.1:143", "", "can be reached over the network"),
        ("server.listener.submission.allow-plaintext", "false", "can be reached over the network"),
        ("server.listener.submission.bind.127.0.0.1:1143", "", "listener imap is bound to"),
    ],
)
def test_a_wrong_stored_key_is_left_out_and_told(key: str, value: str, said: str) -> None:
    (found,) = stored_faults(WHOLE, {key: value})
    assert found.startswith(f"(stored): {key}: ")
    assert said in found
    without, with_it = configured(WHOLE), configured(WHOLE, {key: value})
    assert (with_it.listeners, with_it.upstreams) == (without.listeners, without.upstreams)
    assert with_it.policy.address_limit == without.policy.address_limit


def test_what_is_stored_of_a_door_or_backend_and_makes_no_whole_is_left_out() -> None:
    stored = {"server.listener.x.protocol": "imap", "backend.y.client-address": "none"}
    found = stored_faults(WHOLE, stored)
    assert [fault.partition(" needs ")[0] for fault in found] == [
        "(stored): backend.y: is not whole: it",
        "(stored): server.listener.x: is not whole: it",
    ]
    assert len(configured(WHOLE, stored).listeners) == 2


def test_what_hangs_on_a_wrong_stored_key_is_left_out_with_it() -> None:
    stored = {
        "backend.other.address": "nowhere",
        "server.listener.other.protocol": "imap",
        "server.listener.other.bind.127.0.0.1:3143": "",
        "server.listener.other.backend": "other",
    }
    found = stored_faults(WHOLE, stored)
    assert found[0].startswith("(stored): backend.other.address: ")
    assert len(configured(WHOLE, stored).listeners) == 2


def test_bans_are_no_settings() -> None:
    stored = {f"{SECURITY}.blocked-networks.192.0.2.1": "", f"{SECURITY}.blocked-logins.ada": ""}
    result = built("", stored)
    assert result.stored_faults == ()
    assert result.configuration is not None
    assert result.configuration.policy.blocked == ()


FLAT_KEYS = st.builds(
    lambda pattern, name, member: re.sub("<[^i][^>]*>", lambda _: member, pattern).replace(
        "<id>", name
    ),
    st.sampled_from([key.pattern for key in SCHEMA]),
    st.sampled_from(["a", "b", "", "\n"]),
    st.text(max_size=20) | st.sampled_from(["192.0.2.0/24", "127.0.0.1:143", "example.org"]),
)
VALUES = st.text(max_size=20) | st.sampled_from(["imap", "a", "b", "127.0.0.1:143", "example.org"])


@given(
    st.dictionaries(FLAT_KEYS, st.builds(Entry, VALUES, st.just(1), st.sampled_from(Form))),
    st.dictionaries(FLAT_KEYS, VALUES),
)
def test_whatever_the_keys_hold_the_answer_is_faults(
    file: dict[str, Entry], stored: dict[str, str]
) -> None:
    result = build(file, stored, NOW)
    assert (result.configuration is None) == bool(result.file_faults)
    for key, value in stored.items():
        with contextlib.suppress(SettingsError):
            check_key(key, value)
