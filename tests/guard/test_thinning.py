"""While the store is away: what is waited with, and what of it may be let go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mailward.guard.thinning import thinned
from mailward.guard.writer import MAX_WAITING_CHANGES, Writer
from mailward.rules.model import Ban, Failure, Instant, Reason, Subject, SubjectKind
from mailward.stores.memory import MemoryStore
from mailward.stores.port import (
    BanPut,
    BanRemoved,
    Change,
    ClockMoved,
    ClockSetBack,
    Contents,
    FactPut,
    FailureAdded,
    ReportForgotten,
    ReportTaken,
    SettingDeleted,
    SettingPut,
    StoreError,
    TallyCleared,
    TokenAccepted,
    TokenForgotten,
)
from tests.guard.conftest import Scene

SUBJECTS = [Subject(SubjectKind.LOGIN, name) for name in ("ada", "bob")]
NAMES = ["a", "b"]
instants = st.integers(0, 9).map(lambda at: Instant(float(at)))
subjects = st.sampled_from(SUBJECTS)
failures = st.builds(FailureAdded, subjects, st.builds(Failure, instants, st.just(""), st.just("")))
bans = st.builds(Ban, subjects, st.just(Reason.MANUAL), instants)
digests = st.sampled_from([b"1", b"2"])
changes = st.lists(
    st.one_of(
        failures,
        st.builds(TallyCleared, subjects),
        st.builds(ClockSetBack, instants),
        st.builds(ClockMoved, st.sampled_from([-2.0, 0.5, 64.0])),
        st.builds(BanPut, bans),
        st.builds(BanRemoved, subjects),
        st.builds(SettingPut, st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.builds(SettingDeleted, st.sampled_from(NAMES)),
        st.builds(FactPut, st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.builds(ReportTaken, digests, instants),
        st.builds(ReportForgotten, digests),
        st.builds(TokenAccepted, digests, instants),
        st.builds(TokenForgotten, digests),
    ),
    max_size=30,
)


def stored(*batches: Sequence[Change]) -> Contents:
    async def store() -> Contents:
        known = MemoryStore()
        for batch in batches:
            await known.commit(batch, durable=True)
        return await known.load()

    return asyncio.run(store())


@given(before=changes, waiting=changes)
def test_what_is_left_out_as_void_changes_nothing(
    before: list[Change], waiting: list[Change]
) -> None:
    told, thin = stored(before, waiting), stored(before, thinned(waiting, len(waiting)))
    assert told.failures == thin.failures
    assert (set(told.bans), dict(told.settings), dict(told.facts)) == (
        set(thin.bans),
        dict(thin.settings),
        dict(thin.facts),
    )
    assert dict(told.reports) == dict(thin.reports)
    assert dict(told.tokens) == dict(thin.tokens)


@given(waiting=changes, most=st.integers(0, 5))
def test_however_little_there_is_room_for_bans_and_settings_stay(
    waiting: list[Change], most: int
) -> None:
    told, thin = stored(waiting), stored(thinned(waiting, most))
    assert (set(told.bans), dict(told.settings)) == (set(thin.bans), dict(thin.settings))


def test_the_oldest_failures_go_first_then_reports_then_what_was_forgotten() -> None:
    older, newer = (FailureAdded(SUBJECTS[0], Failure(Instant(float(at)), "", "")) for at in (1, 2))
    cleared, taken = TallyCleared(SUBJECTS[1]), ReportTaken(b"1", Instant(1.0))
    row: list[Change] = [cleared, older, taken, newer]
    assert thinned(row, 3) == [cleared, taken, newer]
    assert thinned(row, 2) == [cleared, taken]
    assert thinned(row, 1) == [cleared]
    assert thinned(row, 0) == []


class AwayStore(MemoryStore):
    async def commit(self, changes: Sequence[Change], *, durable: bool) -> None:
        raise StoreError("the disk is full; make room")


async def test_a_long_outage_takes_bounded_memory_whatever_comes(scene: Scene) -> None:
    writer = Writer(AwayStore(), scene.guard.journal)
    for number in range(MAX_WAITING_CHANGES + 1_000):
        writer.note(TallyCleared(Subject(SubjectKind.LOGIN, str(number))), scene.now)
    await writer.close()
    assert MAX_WAITING_CHANGES // 2 < writer.behind < MAX_WAITING_CHANGES
