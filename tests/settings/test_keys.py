"""Keys as the command line speaks of them: checked before they are stored, and listed."""

from __future__ import annotations

import pytest

from mailward.settings.build import CheckedKey, check_key, effective, members
from mailward.settings.dialect import read_keys
from mailward.settings.errors import SettingsError
from mailward.settings.key import Effect

SECURITY = "server.security"


def listed(text: str, stored: dict[str, str] | None = None) -> list[tuple[str, str, int | None]]:
    known = effective(read_keys(text), stored or {})
    return [key for _, key in sorted(known.items())]


@pytest.mark.parametrize(
    ("key", "spelled"),
    [
        ("blocked-networks.192.168.1.1", "blocked-networks.192.168.1.1"),
        ("blocked-networks.10.1.2.3/8", "blocked-networks.10.0.0.0/8"),
        ("blocked-networks.192.0.2.1/32", "blocked-networks.192.0.2.1"),
        ("blocked-networks.2001:DB8:0::1/64", "blocked-networks.2001:db8::/64"),
        ("blocked-networks.::ffff:192.0.2.1", "blocked-networks.192.0.2.1"),
        ("blocked-networks.0.0.0.0/0", "blocked-networks.0.0.0.0/0"),
        ("allowed-networks.198.51.100.7/24", "allowed-networks.198.51.100.0/24"),
        ("blocked-logins.J.Doe@Example.org", "blocked-logins.J.Doe@Example.org"),
    ],
)
def test_entries_of_the_lists_are_spelled_in_one_way_and_felt_at_once(
    key: str, spelled: str
) -> None:
    expected = CheckedKey(f"{SECURITY}.{spelled}", Effect.NOW)
    assert check_key(f"{SECURITY}.{key}", "") == expected
    assert check_key(expected.key, "a note") == expected


@pytest.mark.parametrize(
    ("key", "value", "effect"),
    [
        ("server.security.fail2ban", "5/1h", Effect.RELOAD),
        ("server.security.domain-aliases.example.net", "example.org", Effect.RELOAD),
        ("server.listener.imap.bind.[::1]:143", "", Effect.RELOAD),
        ("backend.new.address", "[::1]:143", Effect.RELOAD),
        ("store.path", "other.db", Effect.RESTART),
    ],
)
def test_the_answer_says_when_a_key_is_felt(key: str, value: str, effect: Effect) -> None:
    assert check_key(key, value) == CheckedKey(key, effect)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("server.security.fail2ban", "100", '"100" is no limit'),
        ("server.security.fail2ban", "", '"" is no limit'),
        ("server.security.fail2bann", "100/1d", "server.security.fail2ban is the nearest"),
        ("server.security", "", "is a table"),
        ("", "", "is no key"),
        (".", "", "is no key"),
        ("server.security.blocked-networks.300.1.1.1", "", '"300.1.1.1" is no IP address'),
        ("server.security.blocked-networks.10.0.0.0/33", "", "from 0 to 32"),
        ("server.security.blocked-networks.fe80::1%eth0", "", "zone id"),
        ("server.security.blocked-networks", "10.0.0.0/8", "blocked-networks.192.0.2.0/24"),
        ("server.security.blocked-networks.", "", "blocked-networks.192.0.2.0/24"),
        ("server.security.blocked-logins", "ada", "blocked-logins.jdoe@example.org"),
        ("server.security.domain-aliases", "x", "domain-aliases.example.net example.org"),
        ("server.security.domain-aliases.a b", "example.org", '"a b" is no domain name'),
        ("server.security.domain-aliases.example.net", "", "no domain name"),
        ("server.listener.imap.bind", "x", "server.listener.imap.bind.127.0.0.1:143"),
        ("server.listener.imap.bind.x", "", '"x" is no address with a port'),
        ("server.listener.i!.protocol", "imap", "an id under server.listener"),
        ("management.socket", "", "no path"),
    ],
)
def test_a_wrong_key_is_refused_with_what_was_expected(key: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_key(key, value)
    (fault,) = caught.value.faults
    assert said in str(fault)
    assert key in str(fault)


def test_a_refused_secret_is_not_shown() -> None:
    for key in ("management.admin.secret", "management.admin.secret.hunter2", "my-secret"):
        with pytest.raises(SettingsError) as caught:
            check_key(key, "hunter2")
        assert "hunter2" not in str(caught.value)


def test_keys_are_listed_sorted_with_their_origin() -> None:
    text = f'[{SECURITY}]\nfail2ban = "10/1h"\nblocked-networks = {{ "10.1.2.3/8" }}\n'
    stored = {f"{SECURITY}.max-attempts": "5", f"{SECURITY}.allowed-networks.192.0.2.1": ""}
    assert listed(text, stored) == [
        (f"{SECURITY}.allowed-networks.192.0.2.1", "", None),
        (f"{SECURITY}.blocked-networks.10.0.0.0/8", "", 3),
        (f"{SECURITY}.fail2ban", "10/1h", 2),
        (f"{SECURITY}.max-attempts", "5", None),
    ]


def test_of_a_key_in_the_file_and_stored_the_stored_one_is_listed() -> None:
    assert listed("[log]\nlevel = 'info'\n", {"log.level": "debug"}) == [
        ("log.level", "debug", None)
    ]


def test_values_are_listed_as_they_can_be_stored() -> None:
    text = """\
[server.security]
max-attempts = 0x05
ban-closes-sessions = true
ban-period = '4w'
[server.security.blocked-networks]
"192.0.2.1" = "all night"
"""
    for key, value, _ in listed(text):
        assert check_key(key, value).key == key


def test_what_is_wrong_or_empty_is_still_listed_as_it_stands_or_not_at_all() -> None:
    text = f'zzz = 1\n[{SECURITY}]\nblocked-networks = {{ "x" }}\nallowed-networks = {{}}\n'
    assert listed(text) == [(f"{SECURITY}.blocked-networks.x", "", 3), ("zzz", "1", 1)]


def test_a_secret_is_never_listed() -> None:
    for text in ('admin.secret = "hunter2"', 'admin.secret = { "hunter2" }'):
        assert "hunter2" not in str(listed(f"[management]\n{text}\n"))


def test_members_are_what_stands_below_a_key() -> None:
    flat = {"a.b.c": 1, "a.b.d.e": 2, "a.bc": 3, "a.b": 4}
    assert members("a.b", flat) == {"c": 1, "d.e": 2}
