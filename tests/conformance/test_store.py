"""Every store, one contract. A new store joins by adding one line to STORES."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mailward.rules.model import Ban, Failure, Instant, Reason, Subject, SubjectKind
from mailward.stores.memory import MemoryStore
from mailward.stores.port import (
    BanPut,
    BanRemoved,
    Change,
    ClockMoved,
    ClockSetBack,
    FactPut,
    FailureAdded,
    ReportForgotten,
    ReportTaken,
    SettingDeleted,
    SettingPut,
    Store,
    StoreError,
    TallyCleared,
    TokenAccepted,
    TokenForgotten,
)
from mailward.stores.sqlite import SqliteStore

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda folder: SqliteStore(folder / "mailward.db"),
}

EVE = Subject(SubjectKind.ADDRESS, "192.0.2.1")
ADA = Subject(SubjectKind.LOGIN, "ada@example.org")
NOON = Instant(1_790_000_000.0)
BAN = Ban(EVE, Reason.AUTHENTICATION, NOON, None, 100, ("imap", "submission"), ("ada", "bob"))

WEIRD_NAMES = [
    "203.0.113.9",
    "login:ada",
    "address:192.0.2.1",
    "o'brien@example.org",
    'x"; DROP TABLE failure; --',
    "100%_\\",
    "bücher@xn--bcher-kva.example",
    "\U0001f916\u202e",
    "a\x00b",
    " ",
    "",
    "SHA256:" + "0f" * 32,
    "n" * 255,
]


@pytest.fixture(params=sorted(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = STORES[request.param](tmp_path)
    yield store
    await store.close()


def failed(subject: Subject, seconds: float, service: str = "imap", other: str = "") -> Change:
    return FailureAdded(subject, Failure(Instant(NOON + seconds), service, other))


async def instants(store: Store, subject: Subject) -> list[float]:
    """The kept instants of *subject*, in seconds after noon, as a start reads them."""
    return [at - NOON for at in (await store.load()).failures.get(subject, ())]


async def commit(store: Store, *changes: Change) -> None:
    await store.commit(changes, durable=False)


async def test_a_new_store_is_empty(store: Store) -> None:
    contents = await store.load()
    assert not contents.failures
    assert not contents.bans
    assert not contents.settings
    assert not contents.facts
    assert not contents.reports
    assert list(await store.failures(EVE, 10)) == []


async def test_nothing_to_commit_is_no_trouble(store: Store) -> None:
    await store.commit((), durable=True)
    assert not (await store.load()).failures


async def test_failures_are_loaded_oldest_first_also_when_they_came_late(store: Store) -> None:
    await commit(store, failed(EVE, 5), failed(ADA, 6), failed(EVE, 1), failed(EVE, 3.5))
    assert await instants(store, EVE) == [1, 3.5, 5]
    assert await instants(store, ADA) == [6]


async def test_who_failed_last_is_loaded_last_of_his_kind(store: Store) -> None:
    dan = Subject(ADA.kind, "dan")
    await commit(store, failed(ADA, 1), failed(dan, 3), failed(EVE, 2), failed(ADA, 4))
    failures = (await store.load()).failures
    assert [subject for subject in failures if subject.kind is ADA.kind] == [dan, ADA]
    assert len(failures) == 3


async def test_instants_come_back_to_the_last_bit(store: Store) -> None:
    at = Instant(math.nextafter(NOON + 1 / 3, math.inf))
    await commit(store, FailureAdded(EVE, Failure(at, "imap", "")))
    assert list((await store.load()).failures[EVE]) == [at]
    assert (await store.failures(EVE, 1))[0].at == at


async def test_two_failures_at_one_instant_are_two(store: Store) -> None:
    await commit(store, failed(EVE, 1), failed(EVE, 1))
    assert await instants(store, EVE) == [1, 1]


async def test_the_newest_failures_are_told_oldest_first(store: Store) -> None:
    await commit(store, *(failed(EVE, t, f"s{t}", f"who{t}") for t in (4, 1, 3, 2, 5)))
    told = await store.failures(EVE, 3)
    assert [(f.at - NOON, f.service, f.counterpart) for f in told] == [
        (3, "s3", "who3"),
        (4, "s4", "who4"),
        (5, "s5", "who5"),
    ]


async def test_failures_at_one_instant_are_told_in_the_order_they_came(store: Store) -> None:
    await commit(store, *(failed(EVE, 1, service) for service in ("imap", "submission", "jmap")))
    assert [f.service for f in await store.failures(EVE, 9)] == ["imap", "submission", "jmap"]
    assert [f.service for f in await store.failures(EVE, 2)] == ["submission", "jmap"]


async def test_asking_for_no_failures_gives_none(store: Store) -> None:
    await commit(store, failed(EVE, 1))
    assert list(await store.failures(EVE, 0)) == []


async def test_clearing_a_tally_forgets_what_came_before_and_nothing_else(store: Store) -> None:
    await commit(store, failed(EVE, 1), failed(ADA, 1))
    await commit(store, failed(EVE, 2), TallyCleared(EVE), failed(EVE, 3), failed(EVE, 4))
    assert await instants(store, EVE) == [3, 4]
    assert await instants(store, ADA) == [1]


async def test_a_cleared_tally_leaves_no_subject_behind(store: Store) -> None:
    await commit(store, failed(EVE, 1), TallyCleared(EVE), TallyCleared(ADA))
    assert not (await store.load()).failures


async def test_changes_apply_in_their_order(store: Store) -> None:
    await commit(
        store,
        BanPut(BAN),
        BanRemoved(EVE),
        SettingPut("a", "1"),
        SettingPut("a", "2"),
        SettingDeleted("b"),
        SettingPut("b", "3"),
        SettingPut("c", "4"),
        SettingDeleted("c"),
    )
    contents = await store.load()
    assert list(contents.bans) == []
    assert dict(contents.settings) == {"a": "2", "b": "3"}


async def test_a_ban_comes_back_with_all_it_remembers(store: Store) -> None:
    until = Instant(NOON + 0.000001)
    manual = Ban(ADA, Reason.MANUAL, NOON, until, 0, (), (), "leaked list, see mail of 'Bob'\n\t☂")
    await store.commit((BanPut(BAN), BanPut(manual)), durable=True)
    assert set((await store.load()).bans) == {BAN, manual}


async def test_a_ban_takes_the_place_of_one_on_the_same_subject(store: Store) -> None:
    shorter = Ban(EVE, Reason.MANUAL, NOON, Instant(NOON + 60))
    await commit(store, BanPut(BAN))
    await commit(store, BanPut(shorter))
    assert list((await store.load()).bans) == [shorter]


async def test_removing_a_ban_leaves_every_other_and_the_tally(store: Store) -> None:
    wider = Ban(Subject(SubjectKind.ADDRESS, "192.0.2.0/24"), Reason.MANUAL, NOON)
    namesake = Ban(Subject(SubjectKind.LOGIN, EVE.name), Reason.MANUAL, NOON)
    await commit(store, failed(EVE, 1), BanPut(BAN), BanPut(wider), BanPut(namesake))
    await commit(store, BanRemoved(EVE), BanRemoved(ADA))
    assert set((await store.load()).bans) == {wider, namesake}
    assert await instants(store, EVE) == [1]


async def test_settings_and_facts_are_two_things(store: Store) -> None:
    await commit(store, SettingPut("name", "a setting"), FactPut("name", "a fact"))
    await commit(store, FactPut("name", "a newer fact"), FactPut("", ""))
    await commit(store, SettingDeleted("name"))
    contents = await store.load()
    assert dict(contents.settings) == {}
    assert dict(contents.facts) == {"name": "a newer fact", "": ""}


async def test_reports_that_were_taken_come_back_oldest_first_until_they_are_forgotten(
    store: Store,
) -> None:
    later, even_later = Instant(NOON + 1), Instant(NOON + 2)
    await commit(store, ReportTaken(b"b\0", later), ReportTaken(b"a", NOON))
    await commit(store, ReportTaken(b"c", even_later), ReportForgotten(b"unknown"))
    assert list((await store.load()).reports.items()) == [
        (b"a", NOON),
        (b"b\0", later),
        (b"c", even_later),
    ]
    await commit(store, ReportForgotten(b"a"), ReportForgotten(b"c"), ReportTaken(b"c", NOON))
    assert list((await store.load()).reports) == [b"c", b"b\0"]


async def test_tokens_that_were_right_come_back_oldest_first_until_they_are_forgotten(
    store: Store,
) -> None:
    later = Instant(NOON + 1)
    await commit(store, TokenAccepted(b"b\0", later), TokenAccepted(b"a", NOON))
    assert list((await store.load()).tokens.items()) == [(b"a", NOON), (b"b\0", later)]
    await commit(store, TokenForgotten(b"b\0"), TokenForgotten(b"unknown"))
    await commit(store, TokenAccepted(b"a", later))
    assert list((await store.load()).tokens.items()) == [(b"a", later)]


@pytest.mark.parametrize("name", WEIRD_NAMES)
async def test_any_name_is_kept_as_it_is(store: Store, name: str) -> None:
    subject = Subject(SubjectKind.LOGIN, name)
    ban = Ban(subject, Reason.MANUAL, NOON, None, 3, (name,), (name, name), name)
    await commit(store, failed(subject, 1, "imap", name), BanPut(ban), SettingPut(name, name))
    contents = await store.load()
    assert await instants(store, subject) == [1]
    assert [failure.counterpart for failure in await store.failures(subject, 9)] == [name]
    assert list(contents.bans) == [ban]
    assert dict(contents.settings) == {name: name}
    await commit(store, TallyCleared(subject), BanRemoved(subject), SettingDeleted(name))
    assert await store.load() == type(contents)()


async def test_one_name_of_each_kind_is_a_subject_of_its_own(store: Store) -> None:
    subjects = [Subject(kind, "192.0.2.1") for kind in SubjectKind]
    await commit(store, *(failed(who, t) for t, who in enumerate(subjects)))
    assert [await instants(store, who) for who in subjects] == [[0], [1], [2]]


@pytest.mark.parametrize(
    "bad",
    [
        FailureAdded(EVE, Failure(Instant(math.nan), "imap", "")),
        BanPut(Ban(ADA, Reason.MANUAL, Instant(math.nan))),
    ],
    ids=["failure", "ban"],
)
async def test_one_unusable_change_keeps_all_the_others_out(store: Store, bad: Change) -> None:
    await commit(store, failed(EVE, 1), BanPut(BAN), SettingPut("a", "1"))
    before = await store.load()
    around: Sequence[Change] = (
        failed(EVE, 2),
        TallyCleared(EVE),
        BanRemoved(EVE),
        SettingPut("a", "2"),
        bad,
        failed(EVE, 3),
    )
    with pytest.raises(StoreError):
        await store.commit(around, durable=True)
    after = await store.load()
    assert await instants(store, EVE) == [1]
    assert (list(after.bans), after.settings) == (list(before.bans), before.settings)
    await commit(store, failed(EVE, 4))
    assert await instants(store, EVE) == [1, 4]


async def test_old_failures_go_in_the_order_they_came_and_no_more_than_asked(
    store: Store,
) -> None:
    await commit(store, *(failed(EVE, t) for t in range(10)))
    assert await store.forget_before(Instant(NOON + 6), 4) == 4
    assert await instants(store, EVE) == [4, 5, 6, 7, 8, 9]
    assert await store.forget_before(Instant(NOON + 6), 4) == 3
    assert await store.forget_before(Instant(NOON + 6), 4) == 0
    assert await instants(store, EVE) == [7, 8, 9]


async def test_a_failure_exactly_as_old_as_asked_goes(store: Store) -> None:
    await commit(store, failed(EVE, 1), failed(ADA, math.nextafter(NOON + 1, math.inf) - NOON))
    assert await store.forget_before(Instant(NOON + 1), 10) == 1
    assert set((await store.load()).failures) == {ADA}


async def test_a_failure_reported_late_goes_when_its_turn_comes(store: Store) -> None:
    await commit(store, failed(EVE, 5), failed(EVE, 6), failed(EVE, 1))
    assert await store.forget_before(Instant(NOON + 4), 2) == 0
    assert await store.forget_before(Instant(NOON + 5.5), 2) == 1
    assert await store.forget_before(Instant(NOON + 5.5), 2) == 1
    assert await instants(store, EVE) == [6]


async def test_what_was_loaded_does_not_change_with_the_store(store: Store) -> None:
    await commit(store, failed(EVE, 1), BanPut(BAN), SettingPut("a", "1"))
    loaded = await store.load()
    await commit(store, failed(EVE, 2), BanRemoved(EVE), SettingPut("a", "2"))
    assert [at - NOON for at in loaded.failures[EVE]] == [1]
    assert list(loaded.bans) == [BAN]
    assert loaded.settings == {"a": "1"}


async def test_a_list_that_is_emptied_after_the_call_was_kept_whole(store: Store) -> None:
    changes = [failed(EVE, 1), failed(EVE, 2)]
    pending = store.commit(changes, durable=False)
    await pending
    changes.clear()
    assert await instants(store, EVE) == [1, 2]


async def test_thousands_of_changes_in_one_commit_are_all_kept_in_order(store: Store) -> None:
    logins = [Subject(SubjectKind.LOGIN, f"user{number}") for number in range(2_500)]
    bans = [Ban(login, Reason.MANUAL, NOON, note=login.name) for login in logins]
    await commit(
        store,
        *(failed(login, 1) for login in logins),
        *(BanPut(ban) for ban in bans),
        *(SettingPut(login.name, "old") for login in logins),
        *(TallyCleared(login) for login in logins[1:]),
        *(BanRemoved(login) for login in logins[1:]),
        *(SettingPut(login.name, "new") for login in logins),
        *(SettingDeleted(login.name) for login in logins[1:]),
    )
    contents = await store.load()
    assert set(contents.failures) == {logins[0]}
    assert list(contents.bans) == [bans[0]]
    assert contents.settings == {"user0": "new"}


async def test_closing_twice_is_harmless(store: Store) -> None:
    await commit(store, failed(EVE, 1))
    await store.close()
    await store.close()


async def test_failures_of_a_clock_that_was_ahead_are_taken_as_now(store: Store) -> None:
    early, late = Instant(1_000.0), Instant(9_000.0)
    await store.commit(
        [FailureAdded(ADA, Failure(at, "imap", "192.0.2.1")) for at in (early, late)],
        durable=False,
    )
    await store.commit([ClockSetBack(Instant(2_000.0))], durable=False)
    kept = await store.failures(ADA, 9)
    assert [(failure.at, failure.counterpart) for failure in kept] == [
        (1_000.0, "192.0.2.1"),
        (2_000.0, "192.0.2.1"),
    ]


async def test_bans_of_a_clock_that_was_ahead_begin_now_and_keep_their_length(store: Store) -> None:
    early = Ban(EVE, Reason.AUTHENTICATION, Instant(1_000.0), Instant(1_500.0), 3)
    late = Ban(ADA, Reason.AUTHENTICATION, Instant(9_000.0), Instant(9_030.0), 3)
    for_ever = Ban(Subject(SubjectKind.LOGIN, "bob"), Reason.MANUAL, Instant(9_000.0))
    await store.commit([BanPut(early), BanPut(late), BanPut(for_ever)], durable=False)
    await store.commit([ClockSetBack(Instant(2_000.0))], durable=False)
    now = Instant(2_000.0)
    assert set((await store.load()).bans) == {
        early,
        replace(late, since=now, until=Instant(2_030.0)),
        replace(for_ever, since=now),
    }


async def test_all_instants_move_with_the_clock_they_were_read_from(store: Store) -> None:
    ban = Ban(EVE, Reason.AUTHENTICATION, Instant(1_000.0), Instant(1_500.0), 3)
    for_ever = Ban(ADA, Reason.MANUAL, Instant(1_000.0))
    moved: list[Change] = [
        FailureAdded(ADA, Failure(Instant(900.0), "imap", "192.0.2.1")),
        ReportTaken(b"digest", Instant(950.0)),
        BanPut(ban),
        BanPut(for_ever),
        ClockMoved(-500.0),
        FailureAdded(ADA, Failure(Instant(800.0), "imap", "192.0.2.1")),
    ]
    await store.commit(moved, durable=False)
    contents = await store.load()
    assert list(contents.failures[ADA]) == [400.0, 800.0]
    assert contents.reports == {b"digest": 450.0}
    assert set(contents.bans) == {
        replace(ban, since=Instant(500.0), until=Instant(1_000.0)),
        replace(for_ever, since=Instant(500.0)),
    }
