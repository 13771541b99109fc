"""The policy of a configuration, and every wrong value in it."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from mailward.rules.logins import LoginFormat
from mailward.rules.model import Ban, Instant, Limit, Reason
from mailward.rules.policy import Policy, Term
from mailward.settings.build import build
from mailward.settings.dialect import read_keys
from tests.settings.sample import NOW, SECURITY, configured, faults, policy, security, stored_faults


def blocked(policy: Policy) -> dict[str, Ban]:
    return {ban.subject.key: ban for ban in policy.blocked}


def test_the_limit_for_logins_is_that_for_addresses_unless_it_is_set() -> None:
    both = policy('fail2ban = "10/1h"')
    assert both.address_limit == both.login_limit == Limit(10, timedelta(hours=1))
    apart = policy('fail2ban = "10/1h"\nlogin-fail2ban = "20/1d"')
    assert apart.address_limit == Limit(10, timedelta(hours=1))
    assert apart.login_limit == Limit(20, timedelta(days=1))


@pytest.mark.parametrize("off", ['"none"', "false", '"false"', '"NONE"'])
def test_banning_can_be_turned_off(off: str) -> None:
    neither = policy(f"fail2ban = {off}")
    assert neither.address_limit is None
    assert neither.login_limit is None
    logins_alone = policy(f'fail2ban = {off}\nlogin-fail2ban = "5/1h"')
    assert logins_alone.address_limit is None
    assert logins_alone.login_limit == Limit(5, timedelta(hours=1))


def test_how_long_bans_last_is_a_word_or_a_period() -> None:
    words = policy('ban-period = "never"\nlogin-ban-period = "never"')
    assert words.address_term is words.login_term is Term.UNTIL_LIFTED
    assert policy('login-ban-period = "limit"').login_term is Term.UNTIL_WINDOW_EMPTIES
    periods = policy('ban-period = "4w"\nlogin-ban-period = "1h"\nban-closes-sessions = true')
    assert periods.address_term == timedelta(weeks=4)
    assert periods.login_term == timedelta(hours=1)
    assert periods.ban_closes_sessions


def test_networks_of_the_file_are_blocked_by_hand_since_now() -> None:
    bans = blocked(policy('blocked-networks = { "192.168.0.20", "10.1.2.3/8", "::ffff:1.2.3.4" }'))
    assert list(bans) == ["address:192.168.0.20", "address:10.0.0.0/8", "address:1.2.3.4"]
    for ban in bans.values():
        assert (ban.reason, ban.since, ban.until, ban.note) == (Reason.MANUAL, NOW, None, "")


def test_a_blocked_network_may_have_a_note() -> None:
    bans = blocked(
        configured('[server.security.blocked-networks]\n"192.0.2.1" = "all night"\n').policy
    )
    assert bans["address:192.0.2.1"].note == "all night"


def test_a_network_spelled_twice_is_one_ban() -> None:
    assert len(policy('blocked-networks = { "10.0.0.1/8", "10.0.0.2/8" }').blocked) == 1


def test_logins_of_the_file_are_blocked_as_they_are_counted() -> None:
    line = 'default-domain = "example.org"\nblocked-logins = { " Root", "eve@Example.ORG" }'
    assert set(blocked(policy(line))) == {"login:root@example.org", "login:eve@example.org"}


def test_allowed_networks_come_from_the_file_and_from_what_is_stored() -> None:
    both = policy(
        'allowed-networks = { "198.51.100.7" }', {f"{SECURITY}.allowed-networks.10.0.0.0/8": ""}
    )
    assert both.allows(ip_address("198.51.100.7")) == ip_network("198.51.100.7")
    assert both.allows(ip_address("10.1.2.3")) == ip_network("10.0.0.0/8")
    assert both.allows(ip_address("192.0.2.1")) is None


def test_names_are_read_by_the_settings_for_names() -> None:
    naming = policy("""\
default-domain = "B\u00fccher.example"
login-format = "full"
master-separator = "*"
domain-aliases = { "example.net" = "example.org", "Old.Example" = "example.net" }
""").naming
    assert naming.default_domain == "xn--bcher-kva.example"
    assert naming.login(b"Ada") == "ada@xn--bcher-kva.example"
    assert naming.login(b"ada@old.example") == "ada@example.org"
    assert naming.login(b"ada@example.net*root@example.com") == "root@example.com"
    assert policy('login-format = "local-part"').naming.login_format is LoginFormat.LOCAL_PART


def test_other_spellings_of_logins_are_read() -> None:
    naming = policy('login-translation = "%@"\nlogin-detail-separator = "+"\n').naming
    assert naming.login(b"Jdoe+work%example.org") == "jdoe@example.org"


@pytest.mark.parametrize("line", ['login-translation = "%*"', 'login-detail-separator = "*"'])
def test_no_other_character_may_become_the_master_separator(line: str) -> None:
    (fault,) = faults(security(f'{line}\nmaster-separator = "*"'))
    key = line.partition(" ")[0]
    assert fault == (
        f'mail.toml:2: server.security.{key}: "*" is the master-separator; use another character'
    )
    stored = stored_faults(security(line), {f"{SECURITY}.master-separator": "*"})
    said = '"*" is the master-separator; use another character'
    assert stored == [f"(stored): server.security.master-separator: {said}"]


def test_prefixes_are_read() -> None:
    prefixes = policy("""\
ipv4-prefix = 24
ipv6-prefix = 56
nat64-prefixes = { "2001:db8:64::/96" }
max-tracked = 1000
""").prefixes
    assert (prefixes.ipv4_bits, prefixes.ipv6_bits) == (24, 56)
    assert prefixes.fold(ip_address("2001:db8:64::c000:201")) == ip_address("192.0.2.1")
    assert prefixes.fold(ip_address("64:ff9b::c000:201")) == ip_address("192.0.2.1")


@pytest.mark.parametrize(
    "rate",
    ["", "100", "0/1d", "100/0d", "100/1y", "1e3/1d", "100/1d/2", "-1/1d", f"{10**30}/1d",
     f"100/{10**30}d", "100/367d", "10001/1d", "a/b", "/"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["fail2ban", "login-fail2ban"])
def test_a_wrong_rate_is_a_fault_that_quotes_it(key: str, rate: str) -> None:
    (fault,) = faults(security(f'{key} = "{rate}"'))
    assert fault.startswith(f'mail.toml:2: {SECURITY}.{key}: "{rate}"')


@pytest.mark.parametrize(
    "network",
    ["10.0.0.0/33", "300.1.1.1", "fe80::1%eth0", "fe80::%eth0/64", "2001:db8::/129", "10.0.0.0/",
     "10.0.0.0/-1", "10.0.0", "", "example.org", "10.0.0.0/8/8", "010.0.0.1"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["blocked-networks", "allowed-networks", "nat64-prefixes"])
def test_a_wrong_network_is_a_fault_that_quotes_it(key: str, network: str) -> None:
    (fault,) = faults(security(f'{key} = {{ "{network}" }}'))
    assert fault.startswith(f"mail.toml:2: {SECURITY}.{key}.{network}")
    assert f'"{network}"' in fault


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "10.0.0.0/0", "::/0", "::ffff:0:0/96"])
def test_everybody_is_never_blocked_by_the_file(everybody: str) -> None:
    (fault,) = faults(security(f'blocked-networks = {{ "{everybody}" }}'))
    assert "--yes" in fault


def test_a_block_inside_an_allowed_network_is_a_fault() -> None:
    (fault,) = faults(
        security('allowed-networks = { "10.0.0.0/8" }\nblocked-networks = { "10.1.0.0/16" }')
    )
    assert fault == (
        "mail.toml:3: server.security.blocked-networks.10.1.0.0/16: "
        "is inside the allowed network 10.0.0.0/8, which wins"
    )


def test_an_allowed_network_inside_a_block_is_an_exception_and_no_fault() -> None:
    configured(
        security('blocked-networks = { "10.0.0.0/8" }\nallowed-networks = { "10.1.0.0/16" }')
    )


def test_an_allowed_network_that_was_stored_never_makes_the_file_wrong() -> None:
    allowed = policy(
        'blocked-networks = { "10.1.0.0/16" }', {f"{SECURITY}.allowed-networks.10.0.0.0/8": ""}
    )
    assert allowed.allows(ip_address("10.1.2.3")) is not None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ipv4-prefix = 7", "from 8 to 32"),
        ("ipv4-prefix = 33", "from 8 to 32"),
        ("ipv6-prefix = 31", "from 32 to 128"),
        ("ipv6-prefix = 129", "from 32 to 128"),
        ('ipv6-prefix = "/64"', "from 32 to 128"),
        ("max-tracked = 999", "from 1000"),
        ("max-tracked = 100000001", "to 100000000"),
        ("max-attempts = 0", "from 1"),
        ("max-attempts = 1.5", '"1.5"'),
        ("max-waiting = -1", '"-1"'),
        ("max-waiting-per-address = 1e3", '"1e3"'),
        ('login-timeout = "0s"', "too short"),
        ('login-timeout = "2h"', "at most 1h"),
        ("login-timeout = 60", "no unit"),
        ('ban-period = "limit"', '"limit"'),
        ('ban-period = "0d"', "too short"),
        ('login-ban-period = "soon"', '"soon"'),
        ('ban-closes-sessions = "yes"', "neither true nor false"),
        ('login-format = "short"', "use full or local-part"),
        ('default-domain = "no domain"', "no domain name"),
        ('default-domain = ""', "no domain name"),
        ('master-separator = "**"', "one ASCII character"),
        ('master-separator = ""', "one ASCII character"),
        ('master-separator = "@"', "one ASCII character"),
        ('master-separator = "7"', "one ASCII character"),
        ('master-separator = " "', "one ASCII character"),
        ('master-separator = "\u00a7"', "one ASCII character"),
        ('login-translation = "%"', "no list of pairs"),
        ('login-translation = ""', "no list of pairs"),
        ('login-translation = "%@#"', "no list of pairs"),
        ('login-translation = "% "', "no list of pairs"),
        ('login-translation = "\u00a7@"', "no list of pairs"),
        ('login-translation = "a@"', 'maps "a", which stands in names'),
        ('login-translation = ".@"', 'maps ".", which stands in names'),
        ('login-translation = "@%"', 'maps "@", which stands in names'),
        ('login-translation = "%@%#"', 'maps "%" twice'),
        ('login-translation = "%##@"', 'maps "%" to "#", which is mapped itself'),
        ('login-translation = "%%"', 'maps "%" to "%", which is mapped itself'),
        ('login-detail-separator = "++"', "one ASCII character"),
        ('login-detail-separator = "@"', "one ASCII character"),
        ('login-detail-separator = "-"', "stands in names of domains"),
        ('nat64-prefixes = { "2001:db8::/64" }', "length /96"),
        ('nat64-prefixes = { "192.0.2.0/24" }', "length /96"),
        ('blocked-logins = { " " }', "no login name"),
        ('domain-aliases = { "a b" = "example.org" }', "no domain name"),
        ('domain-aliases = { "example.net" = "" }', "no domain name"),
        ('domain-aliases = { "example.net" }', "no domain name"),
    ],
)
def test_a_wrong_value_is_a_fault_that_says_what_is_taken(line: str, said: str) -> None:
    (fault,) = faults(security(line))
    assert fault.startswith("mail.toml:2: server.security.")
    assert said in fault


def test_aliases_in_a_circle_are_faults() -> None:
    found = faults("""\
[server.security.domain-aliases]
"a.example" = "b.example"
"b.example" = "a.example"
"c.example" = "a.example"
"d.example" = "d.example"
""")
    assert [fault.partition(": goes")[0] for fault in found] == [
        "mail.toml:2: server.security.domain-aliases.a.example",
        "mail.toml:3: server.security.domain-aliases.b.example",
        "mail.toml:5: server.security.domain-aliases.d.example",
    ]
    assert "a.example -> b.example -> a.example" in found[0]


def test_an_alias_for_two_domains_is_a_fault() -> None:
    (fault,) = faults(
        security('domain-aliases = { "A.example" = "b.example", "a.example" = "c.example" }')
    )
    assert "a.example stands for b.example already" in fault


def test_a_stored_alias_that_closes_a_circle_leaves_the_alias_of_the_file() -> None:
    stored = {f"{SECURITY}.domain-aliases.b.example": "a.example"}
    naming = policy('domain-aliases = { "a.example" = "b.example" }', stored).naming
    assert naming.login(b"ada@a.example") == "ada@b.example"


def test_a_long_chain_of_aliases_is_followed_to_its_end() -> None:
    chain = "".join(f'"d{n}.example" = "d{n + 1}.example"\n' for n in range(5_000))
    naming = configured(f"[server.security.domain-aliases]\n{chain}").policy.naming
    assert naming.login(b"ada@d0.example") == "ada@d5000.example"


def read_after(before: str, after: str) -> tuple[tuple[Ban, ...], tuple[Ban, ...]]:
    """The bans of two configurations, the second read a minute later."""
    first = configured(before).policy
    now = Instant(NOW + 60)
    second = build(read_keys(after), {}, now, before=first).configuration
    assert second is not None
    return first.blocked, second.policy.blocked


def test_a_network_that_stays_in_the_file_is_banned_since_it_came() -> None:
    text = security('blocked-networks = { "192.0.2.1/24", "10.0.0.0/8" }')
    more = security('blocked-networks = { "192.0.2.1/24", "10.0.0.0/8", "2001:db8::/32" }')
    first, second = read_after(text, more)
    assert all(ban is known for ban, known in zip(second, first, strict=False))
    assert [ban.since - NOW for ban in second] == [0, 0, 60]


def test_another_note_makes_it_another_ban() -> None:
    first, second = read_after(
        security('blocked-networks."10.0.0.0/8" = "scanner"'),
        security('blocked-networks."10.0.0.0/8" = "guesses"'),
    )
    assert [ban.note for ban in first + second] == ["scanner", "guesses"]


def test_what_an_old_text_means_is_asked_anew_where_other_translators_are_known() -> None:
    blocked = 'blocked-networks = { "2001:db8:64::c000:200/120" }\n'
    first, second = read_after(
        security(blocked), security(blocked + 'nat64-prefixes = { "2001:db8:64::/96" }')
    )
    assert [ban.subject.name for ban in first + second] == [
        "2001:db8:64::c000:200/120",
        "192.0.2.0/24",
    ]


def test_a_block_that_was_right_is_refused_once_the_file_allows_it() -> None:
    before = security('blocked-networks = { "192.0.2.0/24" }')
    after = before + 'allowed-networks = { "192.0.2.0/23" }\n'
    result = build(read_keys(after), {}, NOW, before=configured(before).policy)
    assert "which wins" in str(result.file_faults[0])
