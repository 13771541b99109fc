"""Keys that are added, deleted, listed and reloaded while the daemon runs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from mailward.guard.journal import Event
from mailward.rules.limits import parse_limit
from mailward.rules.model import Subject, SubjectKind
from tests.admin.house import CONFIGURATION, House, Told, open_house

SECURITY = "server.security."
NETWORKS = "server.security.blocked-networks."
LOGINS = "server.security.blocked-logins."
ALLOWED = "server.security.allowed-networks."


def add(house: House, key: str, value: str = "", *, yes: bool = False) -> Told:
    return house.ask("POST", "/api/settings", {"key": key, "value": value, "yes": yes})


def delete(house: House, key: str) -> Told:
    return house.ask("DELETE", f"/api/settings?key={quote(key, safe='')}")


def keys(house: House, prefix: str = "") -> dict[str, str]:
    told = house.ask("GET", f"/api/settings?prefix={quote(prefix, safe='')}")
    return {known["key"]: known["value"] for known in told.body["settings"]}


# -- block lists -----------------------------------------------------------------------------------


def test_a_key_of_a_block_list_is_a_ban_at_once(house: House) -> None:
    told = add(house, f"{NETWORKS}192.168.1.1", "the seed's example")
    assert told.status == 200
    assert told.body["message"].startswith(f"Successfully added key {NETWORKS}192.168.1.1.")
    assert "in force at once" in told.body["message"]
    assert not house.admits("192.168.1.1")
    (ban,) = house.ask("GET", "/api/bans?address=192.168.1.1").body["bans"]
    assert (ban["key"], ban["note"]) == (f"{NETWORKS}192.168.1.1", "the seed's example")


def test_deleting_the_key_lifts_the_ban(house: House) -> None:
    add(house, f"{NETWORKS}192.168.1.1")
    told = delete(house, f"{NETWORKS}192.168.1.1")
    assert told.body["message"].startswith(f"Successfully deleted key {NETWORKS}192.168.1.1.")
    assert house.admits("192.168.1.1")


def test_an_automatic_ban_is_a_key_too(house: House) -> None:
    while house.fail("203.0.113.9", "Ada"):
        pass
    assert f"{NETWORKS}203.0.113.9" in keys(house, NETWORKS)
    assert f"{LOGINS}ada" in keys(house, LOGINS)
    assert delete(house, f"{NETWORKS}203.0.113.9").status == 200
    assert delete(house, f"{LOGINS}ada").status == 200
    assert house.fail("203.0.113.9", "ada")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("10.1.2.3/8", "10.0.0.0/8"), ("2001:DB8:0::1", "2001:db8::1"), ("::/1", "::/1")],
)
def test_a_network_is_found_under_any_spelling(house: House, typed: str, stored: str) -> None:
    told = add(house, NETWORKS + typed)
    assert f"Successfully added key {NETWORKS}{typed}." in told.body["message"]
    assert NETWORKS + stored in keys(house)
    assert delete(house, NETWORKS + typed).status == 200
    assert NETWORKS + stored not in keys(house)


def test_an_address_inside_a_banned_prefix_deletes_it(house: House) -> None:
    while house.fail("2001:db8:5::1"):
        pass
    told = delete(house, f"{NETWORKS}2001:db8:5::1")
    assert "The ban was on 2001:db8:5::/64." in told.body["message"]
    assert house.admits("2001:db8:5::1")


def test_a_blocked_login_may_look_like_an_address(house: House) -> None:
    add(house, f"{LOGINS}203.0.113.9")
    assert house.covers(Subject(SubjectKind.LOGIN, "203.0.113.9"))
    assert house.admits("203.0.113.9")
    assert delete(house, f"{LOGINS}203.0.113.9").status == 200
    assert not house.covers(Subject(SubjectKind.LOGIN, "203.0.113.9"))


def test_everybody_is_blocked_or_allowed_only_if_that_is_confirmed(house: House) -> None:
    for stem in (NETWORKS, ALLOWED):
        for everybody in ("0.0.0.0/0", "::/0"):
            told = add(house, stem + everybody)
            assert (told.status, "--yes" in told.detail) == (409, True)
    assert house.admits("203.0.113.9")
    assert add(house, f"{NETWORKS}0.0.0.0/0", yes=True).status == 200
    assert not house.admits("203.0.113.9")


@pytest.mark.parametrize(
    "key",
    [
        f"{NETWORKS}10.0.0.0/33",
        f"{NETWORKS}300.1.1.1",
        f"{NETWORKS}fe80::1%eth0",
        f"{NETWORKS}nonsense",
        NETWORKS,
        "server.security.blocked-networks",
        f"{ALLOWED}1.2.3",
        "server.security.blocked-operators.",
        "server.securty.fail2ban",
        "store.path",
        "management.socket",
        "",
    ],
)
def test_a_wrong_key_is_refused_and_nothing_changes(house: House, key: str) -> None:
    before = keys(house)
    assert add(house, key, "true").status in {409, 422}
    assert keys(house) == before


def test_an_allowed_network_cannot_be_blocked_and_the_answer_names_it(house: House) -> None:
    told = add(house, f"{NETWORKS}192.0.2.1")
    assert (told.status, "192.0.2.0/28" in told.detail) == (409, True)


# -- allowed networks ------------------------------------------------------------------------------


def test_an_allowed_network_is_in_force_at_once_and_wins_over_bans(house: House) -> None:
    add(house, f"{NETWORKS}203.0.113.0/24")
    told = add(house, f"{ALLOWED}203.0.113.9")
    assert "in force at once" in told.body["message"]
    assert house.admits("203.0.113.9")
    assert not house.admits("203.0.113.10")
    assert delete(house, f"{ALLOWED}203.0.113.9").status == 200
    assert not house.admits("203.0.113.9")


def test_allowing_changes_no_other_setting_before_a_reload(house: House) -> None:
    add(house, f"{SECURITY}fail2ban", "100/1d")
    add(house, f"{ALLOWED}203.0.113.9")
    assert house.guard.policy.address_limit == parse_limit("3/1h")


def test_what_the_file_allows_stays_allowed(house: House) -> None:
    add(house, f"{ALLOWED}192.0.2.0/28")
    told = delete(house, f"{ALLOWED}192.0.2.0/28")
    assert (told.status, "config.toml:5" in told.detail) == (409, True)
    assert delete(house, f"{ALLOWED}192.0.2.0/28").status == 409
    add(house, f"{NETWORKS}192.0.0.0/8")
    assert house.admits("192.0.2.1")


# -- other keys ------------------------------------------------------------------------------------


def test_another_key_waits_for_the_reload_and_the_answer_says_so(house: House) -> None:
    told = add(house, f"{SECURITY}fail2ban", "5/1h")
    assert "in force at reload-config" in told.body["message"]
    assert house.guard.policy.address_limit == parse_limit("3/1h")
    assert house.ask("GET", "/api/status").body["pending"] == [f"{SECURITY}fail2ban"]
    assert house.ask("POST", "/api/reload").status == 200
    assert house.guard.policy.address_limit == parse_limit("5/1h")
    assert house.ask("GET", "/api/status").body["pending"] == []


@pytest.mark.parametrize(
    "rate", ["", "100", "0/1d", "100/0d", "100/1y", "1e3/1d", "100/1d/2", "-1/1d", f"{10**30}/1d"]
)
def test_a_wrong_rate_is_refused_with_what_was_expected(house: House, rate: str) -> None:
    told = add(house, f"{SECURITY}fail2ban", rate)
    assert told.status == 422
    assert f'"{rate}"' in told.detail
    assert keys(house)[f"{SECURITY}fail2ban"] == "3/1h"


def test_a_stored_value_wins_until_it_is_deleted_and_the_file_is_named_then(house: House) -> None:
    add(house, f"{SECURITY}fail2ban", "5/1h")
    assert keys(house)[f"{SECURITY}fail2ban"] == "5/1h"
    told = delete(house, f"{SECURITY}fail2ban")
    assert (told.status, "config.toml:2" in told.detail) == (409, True)
    assert keys(house)[f"{SECURITY}fail2ban"] == "3/1h"


def test_deleting_a_key_that_only_the_file_has_says_so(house: House) -> None:
    for key in (f"{SECURITY}fail2ban", f"{NETWORKS}198.51.100.0/24", f"{LOGINS}root@example.org"):
        told = delete(house, key)
        assert told.status == 409
        assert "config.toml:" in told.detail
        assert key in keys(house)


def test_deleting_what_a_wider_block_covers_says_so(house: House) -> None:
    add(house, f"{NETWORKS}203.0.113.0/24")
    told = delete(house, f"{NETWORKS}203.0.113.9")
    assert (told.status, "203.0.113.0/24 is still blocked" in told.detail) == (409, True)
    assert not house.admits("203.0.113.9")


@pytest.mark.parametrize(
    "key",
    [
        f"{NETWORKS}203.0.113.9",
        f"{LOGINS}ada",
        f"{ALLOWED}203.0.113.9",
        f"{SECURITY}ban-period",
        "no.such.key",
        "no.such.table.",
    ],
)
def test_deleting_an_absent_key_says_that_there_was_none(house: House, key: str) -> None:
    told = delete(house, key)
    assert told.status == 404
    assert f"there was no key {key}" in told.detail


def test_deleting_an_absent_ban_keeps_the_failures(house: House) -> None:
    house.fail("203.0.113.9")
    assert delete(house, f"{NETWORKS}203.0.113.9").status == 404
    assert house.ask("GET", "/api/why/203.0.113.9").body["count"] == 1


# -- whole tables ----------------------------------------------------------------------------------


def test_a_dot_at_the_end_deletes_the_whole_table(tmp_path: Path) -> None:
    with open_house(tmp_path, "") as house:
        for address in ("192.168.1.1", "192.168.1.10", "10.0.0.0/8", "2001:db8::/32"):
            add(house, NETWORKS + address)
        add(house, f"{LOGINS}ada")
        assert delete(house, NETWORKS).status == 200
        assert list(keys(house)) == [f"{LOGINS}ada"]
        assert house.admits("192.168.1.10")
        add(house, f"{ALLOWED}203.0.113.9")
        add(house, f"{SECURITY}fail2ban", "5/1h")
        assert delete(house, "server.").status == 200
        assert keys(house) == {}
        assert len(house.guard.policy.allowed) == 0


def test_a_dot_never_deletes_half_of_a_name(house: House) -> None:
    add(house, f"{NETWORKS}192.168.1.1")
    add(house, f"{NETWORKS}192.168.1.10")
    add(house, f"{LOGINS}ada.lovelace")
    for half in (f"{NETWORKS}192.168.1.", f"{NETWORKS}192.168.", f"{LOGINS}ada.", f"{SECURITY}b"):
        assert delete(house, half).status in {404, 422}
    assert not house.admits("192.168.1.10")
    assert house.covers(Subject(SubjectKind.LOGIN, "ada.lovelace"))


def test_deleting_a_table_names_what_stays_in_the_file(house: House) -> None:
    add(house, f"{NETWORKS}203.0.113.9")
    told = delete(house, NETWORKS)
    assert (told.status, "1 stand in" in told.detail) == (409, True)
    assert house.admits("203.0.113.9")
    assert not house.admits("198.51.100.1")


# -- listing ---------------------------------------------------------------------------------------


def test_the_list_holds_file_and_store_together_with_their_origin(house: House) -> None:
    add(house, f"{SECURITY}ban-period", "4w")
    add(house, f"{NETWORKS}203.0.113.9", "a scanner")
    found = house.ask("GET", "/api/settings").body["settings"]
    assert [known["key"] for known in found] == sorted(known["key"] for known in found)
    origins = {known["key"]: (known["value"], known["origin"]) for known in found}
    assert origins[f"{SECURITY}fail2ban"] == ("3/1h", f"{house.file}:2")
    assert origins[f"{SECURITY}ban-period"] == ("4w", "store")
    assert origins[f"{NETWORKS}203.0.113.9"] == ("a scanner", "store")
    assert origins[f"{NETWORKS}198.51.100.0/24"] == ("", f"{house.file}:3")


def test_the_list_is_cut_by_any_beginning_of_a_key(house: House) -> None:
    assert set(keys(house, f"{SECURITY}blocked-")) == {
        f"{NETWORKS}198.51.100.0/24",
        f"{LOGINS}root@example.org",
    }
    assert keys(house, "nothing") == {}


# -- reloading -------------------------------------------------------------------------------------


def test_a_reload_reads_the_file_anew(house: House) -> None:
    house.file.write_text('[server.security]\nblocked-networks = { "203.0.113.0/24" }\n')
    told = house.ask("POST", "/api/reload")
    assert told.body["message"].startswith("Success.")
    assert house.admits("198.51.100.1")
    assert not house.admits("203.0.113.1")
    assert house.guard.journal.counts.total() == 1


def test_a_lower_limit_bans_who_is_over_it_and_keeps_the_counts(house: House) -> None:
    house.fail("203.0.113.9")
    house.fail("203.0.113.9")
    house.file.write_text('server.security.fail2ban = "2/1h"\n')
    house.ask("POST", "/api/reload")
    assert not house.fail("203.0.113.9"), "nothing is passed on"
    assert not house.admits("203.0.113.9")


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[server\n", ["config.toml:1: "]),
        (
            'server.security.fail2ban = "100/1y"\nserver.hostnam = "x"\n',
            [
                'config.toml:1: server.security.fail2ban: "100/1y"',
                "config.toml:2: server.hostnam: is no key; server.hostname is the nearest",
            ],
        ),
        ('[server.listener.imap]\nprotocol = "imap"\n', ["server.listener.imap: is not whole"]),
    ],
)
def test_a_wrong_file_changes_nothing_and_every_fault_is_told(
    house: House, text: str, faults: list[str]
) -> None:
    house.file.write_text(text)
    told = house.ask("POST", "/api/reload")
    assert told.status == 422
    messages = [fault["message"] for fault in told.body["faults"]]
    assert len(messages) == len(faults)
    for message, fault in zip(messages, faults, strict=True):
        assert fault in message
    assert house.guard.policy.address_limit == parse_limit("3/1h")
    assert not house.admits("198.51.100.1")
    house.file.write_text(CONFIGURATION)
    assert house.ask("POST", "/api/reload").status == 200


def test_a_port_in_use_changes_nothing(house: House) -> None:
    house.in_use = frozenset({"127.0.0.1:143"})
    house.file.write_text(
        'server.security.fail2ban = "9/1h"\n'
        '[server.listener.imap]\nprotocol = "imap"\nbind = "127.0.0.1:143"\nbackend = "b"\n'
        '[backend.b]\naddress = "127.0.0.1:10143"\n'.replace('"127.0.0.1:143"', '["127.0.0.1:143"]')
    )
    told = house.ask("POST", "/api/reload")
    assert (told.status, told.body["faults"][0]["message"][-9:]) == (422, "is in use")
    assert house.guard.policy.address_limit == parse_limit("3/1h")


def test_stored_keys_that_do_not_fit_the_file_stop_the_reload(house: House) -> None:
    add(house, "server.listener.imap.protocol", "imap")
    told = house.ask("POST", "/api/reload")
    assert told.status == 422
    assert told.body["faults"][0]["message"].startswith("(stored): server.listener.imap")
    assert delete(house, "server.listener.").status == 200
    assert house.ask("POST", "/api/reload").status == 200


def test_keys_of_the_next_start_are_named_by_the_reload(house: House) -> None:
    house.file.write_text(f'store.path = "other.db"\nmanagement.socket = "x"\n{CONFIGURATION}')
    told = house.ask("POST", "/api/reload")
    assert told.body["message"].endswith("but store.path, management.socket at the next start.")


def test_there_are_no_certificates_to_reload(house: House) -> None:
    told = house.ask("POST", "/api/reload-certificates")
    assert (told.status, told.body["message"]) == (200, "There are no certificates to reload.")


def test_certificates_are_read_anew_and_a_bad_one_changes_nothing(house: House) -> None:
    house.certificates = 2
    told = house.ask("POST", "/api/reload-certificates")
    assert (told.status, told.body["message"]) == (200, "Success. 2 certificates read anew.")
    house.bad_certificate = "mail.pem has expired on 2026-01-01"
    told = house.ask("POST", "/api/reload-certificates")
    assert told.status == 422
    assert (
        told.body["faults"][0]["message"]
        == "certificate.default: mail.pem has expired on 2026-01-01"
    )


# -- the store -------------------------------------------------------------------------------------


def test_settings_are_in_the_store_when_they_are_answered(house: House) -> None:
    add(house, f"{SECURITY}ban-period", "4w")
    add(house, f"{ALLOWED}203.0.113.9", "the office")
    stored = house.call(house.store.load()).settings
    assert stored == {f"{SECURITY}ban-period": "4w", f"{ALLOWED}203.0.113.9": "the office"}
    delete(house, f"{SECURITY}ban-period")
    assert house.call(house.store.load()).settings == {f"{ALLOWED}203.0.113.9": "the office"}


def test_while_the_store_is_away_a_key_is_kept_in_memory_and_the_answer_says_so(
    house: House,
) -> None:
    house.store.full = True
    told = add(house, f"{SECURITY}ban-period", "4w")
    assert (told.status, told.body["stored"]) == (200, False)
    assert "kept in memory until it is back" in told.body["message"]
    assert keys(house)[f"{SECURITY}ban-period"] == "4w"
    house.call(_recover(house))
    assert house.call(house.store.load()).settings == {f"{SECURITY}ban-period": "4w"}


async def _recover(house: House) -> None:
    with house.guard.journal.entries.follow() as follower:
        house.store.full = False
        async for entry in follower:
            if entry.event is Event.STORE_RECOVERED:
                return


def test_a_key_is_of_bounded_length(house: House) -> None:
    told = add(house, f"{LOGINS}{'x' * 1_100}")
    assert (told.status, "1,100 characters at most" in told.detail) == (422, True)


# -- what a reload would refuse --------------------------------------------------------------------


def test_a_key_that_refers_to_what_is_missing_says_so_at_once(house: House) -> None:
    door = "server.listener.imap."
    assert "is not whole" in add(house, f"{door}protocol", "imap").body["message"]
    add(house, f"{door}bind.127.0.0.1:0")
    told = add(house, f"{door}backend", "dovecot")
    assert told.status == 200
    assert (
        "It is in force at reload-config. As things stand reload-config would be refused:"
        in (told.body["message"])
    )
    assert "dovecot" in told.body["message"].partition("refused:")[2]
    assert keys(house, door)[f"{door}backend"] == "dovecot", "it is stored all the same"
    refused = house.ask("POST", "/api/reload")
    assert refused.status == 422
    assert refused.body["faults"][0]["message"] in told.body["message"]
    told = add(house, "backend.dovecot.address", "127.0.0.1:1")
    assert "would be refused" not in told.body["message"]
    assert "would be refused" in delete(house, "backend.dovecot.").body["message"]
    add(house, "backend.dovecot.address", "127.0.0.1:1")
    told = delete(house, "backend.dovecot.address")
    assert "As things stand reload-config would be refused:" in told.body["message"]


def test_what_is_in_force_at_once_asks_for_no_reload(house: House) -> None:
    add(house, "server.listener.imap.backend", "dovecot")
    for key in (f"{NETWORKS}203.0.113.9", f"{ALLOWED}203.0.113.10"):
        assert "would be refused" not in add(house, key).body["message"]


def test_a_file_that_cannot_be_read_any_more_is_told(house: House) -> None:
    house.file.write_text("[server")
    assert "config.toml:1: " in add(house, f"{SECURITY}ban-period", "4w").body["message"]
