"""A flood that a stranger causes fills no log: one line a minute for a subject, ten a second."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from mailward.guard.drops import Drops
from mailward.guard.journal import Entry, Event, Journal
from mailward.guard.repeats import LINES_PER_SECOND, MAX_SUBJECTS, Repeats
from mailward.rules.model import (
    Attempt,
    Ban,
    Instant,
    Login,
    Outcome,
    Reason,
    Subject,
    SubjectKind,
)
from tests.guard.conftest import NOON


@dataclass
class Log:
    """The lines that a journal has written."""

    entries: list[Entry] = field(default_factory=list)

    def tell(self, level: int, entry: Entry) -> None:
        self.entries.append(entry)

    def of(self, event: Event) -> list[Entry]:
        return [entry for entry in self.entries if entry.event is event]

    def told(self, event: Event) -> int:
        """How many events its lines tell of."""
        return sum(int(entry.fields.get("count") or 1) for entry in self.of(event))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    caplog.set_level("DEBUG", "mailward")
    return Log()


@pytest.fixture
def journal(log: Log) -> Journal:
    return Journal(log)


def attempt(login: str = "jdoe", address: str = "203.0.113.9", service: str = "imap") -> Attempt:
    return Attempt(ip_address(address), Login(login), service)


def banned(login: str = "jdoe") -> Ban:
    return Ban(Subject(SubjectKind.LOGIN, login), Reason.AUTHENTICATION, NOON, None)


def flood(journal: Journal, seconds: int, a_second: int, *, logins: int = 1) -> Instant:
    """Refusals, and a sweep every second; return the time it is then."""
    for number in range(seconds * a_second):
        now = Instant(NOON + number / a_second)
        if number % a_second == 0:
            journal.report(now)
        login = f"jdoe{number % logins}"
        journal.refusal(attempt(login), banned(login), now)
    return Instant(NOON + seconds)


def test_refusals_of_one_login_are_one_line_at_once_and_one_a_minute(
    journal: Journal, log: Log
) -> None:
    now = flood(journal, seconds=180, a_second=100)
    assert [entry.time - NOON for entry in log.entries] == [0, 60, 120]
    first, second, third = (str(entry) for entry in log.entries)
    assert first == "auth.refused service=imap address=203.0.113.9 login=jdoe0 reason=login"
    assert second == "auth.refused service=imap login=jdoe0 reason=login count=5999"
    assert third == "auth.refused service=imap login=jdoe0 reason=login count=6000"
    journal.report(now)
    assert log.told(Event.AUTH_REFUSED) == 18_000


def test_a_subject_that_is_quiet_for_a_minute_begins_anew(journal: Journal, log: Log) -> None:
    for second in (0, 61, 122):
        journal.report(Instant(NOON + second))
        journal.refusal(attempt(), banned(), Instant(NOON + second))
    assert [entry.fields.get("address") for entry in log.entries] == ["203.0.113.9"] * 3


async def test_counts_and_streams_get_every_refusal(journal: Journal, log: Log) -> None:
    with journal.entries.follow() as follower:
        flood(journal, seconds=1, a_second=500)
        entries = await anext(follower.batches())
    assert len(entries) == 500
    assert all(entry.fields["address"] == "203.0.113.9" for entry in entries)
    assert journal.counts[Event.AUTH_REFUSED, "imap"] == 500
    assert len(log.entries) == 1


def test_made_up_logins_have_ten_lines_a_second_and_every_event_is_accounted_for(
    journal: Journal, log: Log
) -> None:
    now = flood(journal, seconds=150, a_second=200, logins=30_000)
    a_second = Counter(int(entry.time - NOON) for entry in log.of(Event.AUTH_REFUSED))
    assert max(a_second.values()) <= LINES_PER_SECOND
    shortened = log.of(Event.LOG_SHORTENED)
    assert [int(entry.time - NOON) for entry in shortened] == [61, 122]
    assert shortened[0].fields["subjects"] == 10_000  # no more are told apart
    journal.flush(now)
    left_out = sum(int(entry.fields["lines"] or 0) for entry in log.of(Event.LOG_SHORTENED))
    assert log.told(Event.AUTH_REFUSED) + left_out == 30_000


def test_no_flood_of_names_grows_anything(journal: Journal) -> None:
    for number in range(20_000):  # no sweep comes at all
        login = f"jdoe{number}"
        journal.refusal(attempt(login), banned(login), Instant(NOON + number / 10))
    assert len(journal.repeats) == MAX_SUBJECTS
    journal.report(Instant(NOON + 3_000))
    assert len(journal.repeats) == 0


def test_a_flood_of_new_names_does_not_hide_the_count_of_one(journal: Journal, log: Log) -> None:
    for number in range(26_000):
        now = Instant(NOON + number / 200)
        if number % 200 == 100:
            journal.report(now)
        login = "victim" if number % 2 == 0 else f"jdoe{number}"
        journal.refusal(attempt(login), banned(login), now)
    counts = [
        int(entry.fields["count"] or 0)
        for entry in log.of(Event.AUTH_REFUSED)
        if entry.fields["login"] == "victim" and "count" in entry.fields
    ]
    assert len(counts) == 2
    assert sum(counts) > 11_000


def test_no_guess_and_no_ban_is_left_out_or_merged(journal: Journal, log: Log) -> None:
    for number in range(200):
        for outcome in (Outcome.FAILED, Outcome.SUCCEEDED):
            journal.attempt(outcome, attempt(), NOON)
        for event in (Event.BAN_ADDED, Event.BAN_RENEWED, Event.BAN_LIFTED, Event.BAN_EXPIRED):
            journal.ban(event, banned(f"jdoe{number}"), NOON)
    journal.report(Instant(NOON + 60))
    told = Counter(entry.event for entry in log.entries)
    assert told == dict.fromkeys(
        (
            Event.AUTH_FAILED,
            Event.AUTH_SUCCEEDED,
            Event.BAN_ADDED,
            Event.BAN_RENEWED,
            Event.BAN_LIFTED,
            Event.BAN_EXPIRED,
        ),
        200,
    )


def test_what_a_stranger_causes_without_a_guess_is_aggregated(journal: Journal, log: Log) -> None:
    for _ in range(100):
        journal.attempt(Outcome.UNAVAILABLE, attempt(), NOON)
        journal.attempt(Outcome.EXPIRED, attempt(), NOON)
        journal.write(Event.CONNECTION_TIMEOUT, NOON, service="imap", address="203.0.113.9")
        journal.write(Event.TALLY_EVICTED, NOON, count=7)
    assert len(log.entries) == 4
    journal.report(Instant(NOON + 60))
    assert [str(entry) for entry in log.entries[4:]] == [
        "tally.evicted count=693",
        "auth.unavailable service=imap login=jdoe count=99",
        "auth.refused service=imap login=jdoe reason=expired count=99",
        "connection.timeout service=imap address=203.0.113.9 count=99",
    ]


def test_a_line_for_several_services_names_none(journal: Journal, log: Log) -> None:
    for service in ("imap", "imap", "submission"):
        journal.refusal(attempt(service=service), banned(), NOON)
    journal.report(Instant(NOON + 60))
    assert str(log.entries[-1]) == "auth.refused login=jdoe reason=login count=2"


def test_drops_share_the_bound(journal: Journal, log: Log) -> None:
    drops = Drops(journal)
    for second in range(200):
        now = Instant(NOON + second)
        drops.report(now)
        journal.report(now)
        for last in range(100):
            drops.count(ip_address(f"203.0.113.{last}"), "imap", now)
    a_second = Counter(entry.time for entry in log.of(Event.CONNECTION_DROPPED))
    assert max(a_second.values()) <= LINES_PER_SECOND
    drops.flush(Instant(NOON + 200))
    journal.flush(Instant(NOON + 200))
    assert drops.total == 20_000
    left_out = sum(int(entry.fields["lines"] or 0) for entry in log.of(Event.LOG_SHORTENED))
    assert log.told(Event.CONNECTION_DROPPED) + left_out == 20_000


def test_what_is_pending_is_written_at_the_stop_within_the_bound(
    journal: Journal, log: Log
) -> None:
    for second in range(3):
        for number in range(10):
            for _ in range(2 + number):
                login = f"jdoe{second}-{number}"
                journal.refusal(attempt(login), banned(login), Instant(NOON + second))
    assert len(log.entries) == 30
    journal.flush(Instant(NOON + 3))
    assert len(log.of(Event.AUTH_REFUSED)) == 30 + LINES_PER_SECOND
    (shortened,) = log.of(Event.LOG_SHORTENED)
    assert shortened.fields["subjects"] == 20
    assert log.told(Event.AUTH_REFUSED) + int(shortened.fields["lines"] or 0) == 3 * 65


def test_what_is_always_written_is_not_left_out_by_a_flood() -> None:
    repeats = Repeats()
    assert sum(repeats.first(number, NOON) is not None for number in range(100)) == LINES_PER_SECOND
    assert repeats.first("fault", NOON, always=True) is not None
    assert repeats.first("fault", NOON, always=True) is None


def test_a_log_that_wants_no_refusals_counts_none_as_left_out(
    journal: Journal, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR", "mailward")
    now = flood(journal, seconds=100, a_second=100, logins=10_000)
    journal.flush(now)
    assert log.entries == []
