"""``GET /metrics``: what is measured, as Prometheus reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from mailward.admin.exposition import Kind
from mailward.admin.metrics import METRICS
from mailward.guard.journal import MAX_REPORTERS, OTHERS
from tests.admin.house import House

DOOR = {
    "listener": "imap",
    "protocol": "imap",
    "bind": "127.0.0.1:143",
    "backend": "dovecot",
    "state": "ok",
}
_SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')


def scraped(house: House) -> Mapping[str, float]:
    """Every sample, by its name with its labels."""
    told = house.ask("GET", "/metrics")
    assert (told.status, told.kind) == (200, "text/plain")
    samples = {}
    for line in told.body.decode().splitlines():
        if not line.startswith("#"):
            match = _SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            key = f"{name}{{{labels}}}" if labels else name
            assert key not in samples, key
            samples[key] = float(value)
    return samples


def names(samples: Mapping[str, float]) -> set[str]:
    return {key.partition("{")[0] for key in samples}


@pytest.mark.parametrize("service", ["imap", "submission", "managesieve", "jmap", "manage"])
def test_attempts_are_told_by_service_and_outcome(house: House, service: str) -> None:
    house.doors = [DOOR | {"listener": service, "protocol": service}]
    for _ in range(4):
        house.fail("203.0.113.9", "ada", service)
    samples = scraped(house)
    labels = f'service="{service}",outcome='
    assert samples[f'mailward_attempts_total{{{labels}"failed"}}'] == 3
    assert samples[f'mailward_attempts_total{{{labels}"refused"}}'] == 1
    assert samples[f'mailward_attempts_total{{{labels}"succeeded"}}'] == 0


def test_what_others_report_is_one_service_however_they_call_themselves(house: House) -> None:
    for number in range(3):
        house.fail("203.0.113.9", f"login{number}", f"webmail-{number}")
    samples = scraped(house)
    assert samples['mailward_attempts_total{service="external",outcome="failed"}'] == 3
    assert not any("webmail" in key for key in samples)


def test_a_reporter_that_calls_itself_as_a_door_is_called_is_none(house: House) -> None:
    house.doors = [DOOR | {"listener": "a", "protocol": "imap"}]
    house.fail("203.0.113.9", "ada", "imap")
    fields = {"address": "203.0.113.9", "service": "imap"}
    assert house.ask("POST", "/api/failures", fields).status == 200
    samples = scraped(house)
    assert samples['mailward_attempts_total{service="external",outcome="failed"}'] == 1
    assert samples['mailward_attempts_total{service="imap",outcome="failed"}'] == 1


def test_whoever_makes_up_names_of_services_fills_no_memory(house: House) -> None:
    reports = [{"address": f"198.51.7.{n % 250}", "service": f"s{n}"} for n in range(300)]
    assert house.ask("POST", "/api/failures", {"reports": reports}).body["accepted"] == 300
    services = house.ask("GET", "/api/status").body["services"]
    assert len(services) == MAX_REPORTERS + 1
    assert services[OTHERS]["failed"] == 300 - MAX_REPORTERS
    samples = scraped(house)
    assert samples['mailward_attempts_total{service="external",outcome="failed"}'] == 300


def test_bans_are_told_by_kind_and_reason_and_lifting_takes_them_out(house: House) -> None:
    manual = 'mailward_bans{kind="address",reason="manual"}'
    assert scraped(house)[manual] == 1  # that of the file
    house.ask("POST", "/api/bans", {"subjects": ["203.0.113.9", "203.0.113.10"]})
    house.ask("POST", "/api/bans", {"subject": "203.0.113.9", "for": "1d"})
    assert scraped(house)[manual] == 3
    house.ask("DELETE", "/api/bans/203.0.113.9")
    samples = scraped(house)
    assert samples[manual] == 2
    assert samples['mailward_ban_changes_total{change="lifted"}'] == 1
    for _ in range(3):
        house.fail("203.0.113.77", "eve")
    assert scraped(house)['mailward_bans{kind="login",reason="authentication"}'] == 1


def test_a_ban_that_has_ended_is_counted_no_longer(house: House) -> None:
    house.ask("POST", "/api/bans", {"subject": "203.0.113.9", "for": "1h"})
    house.later(3_600)
    house.sweep()
    samples = scraped(house)
    assert samples['mailward_bans{kind="address",reason="manual"}'] == 1
    assert samples['mailward_ban_changes_total{change="expired"}'] == 1


def test_subjects_and_their_failures_are_told(house: House) -> None:
    house.fail("203.0.113.9", "ada")
    house.fail("203.0.113.9", "bob")
    samples = scraped(house)
    assert samples['mailward_subjects{kind="login"}'] == 2
    assert samples['mailward_failures_kept{kind="address"}'] == 2


def test_a_store_that_is_away_is_seen(house: House) -> None:
    house.store.full = True
    house.ask("POST", "/api/bans", {"subject": "203.0.113.9"})
    samples = scraped(house)
    assert samples["mailward_store_degraded"] == 1
    assert samples["mailward_store_changes_waiting"] >= 1


@pytest.mark.parametrize(("state", "up"), [("ok", 1), ("cannot connect", 0), ("not asked yet", 0)])
def test_a_mail_server_that_is_down_is_seen(house: House, state: str, up: int) -> None:
    two_binds = DOOR | {"bind": "[::1]:143", "state": state}
    house.doors = [DOOR | {"state": state}, two_binds]
    labels = 'listener="imap",service="imap",backend="dovecot"'
    assert scraped(house)[f"mailward_backend_up{{{labels}}}"] == up


def test_no_label_holds_what_a_stranger_has_chosen(house: House) -> None:
    house.doors = [DOOR]
    for _ in range(4):
        house.fail("203.0.113.9", "eve@example.org")
    told = house.ask("GET", "/metrics").body.decode()
    assert "203.0.113.9" not in told
    assert "eve" not in told


def test_every_metric_has_the_labels_that_it_says_and_a_name_of_its_kind(house: House) -> None:
    house.doors = [DOOR]
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert metric.help.endswith(".")
        for labels, _ in metric.read(house.control):
            assert tuple(labels) == metric.labels
    everywhere = names(scraped(house)) | {"mailward_attempts_observed_total"}
    assert everywhere == {metric.name for metric in METRICS}


def test_a_hostile_label_cannot_break_out_of_its_line(house: House) -> None:
    house.doors = [DOOR | {"listener": 'a"b\\c\nmailward_bans 7'}]
    key = 'mailward_connections_total{listener="a\\"b\\\\c\\nmailward_bans 7",service="imap"}'
    assert scraped(house)[key] == 0
