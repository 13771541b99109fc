"""Whatever is done to a store, it holds what the reference holds, also after a restart."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

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
    TallyCleared,
    TokenAccepted,
    TokenForgotten,
)
from mailward.stores.sqlite import SqliteStore

NETWORKS = ["192.0.2.1", "10.0.0.0/8", "0.0.0.0/0", "::", "2001:db8::/64", "::/0"]
BANNABLE = st.sampled_from([Subject(SubjectKind.ADDRESS, name) for name in NETWORKS]) | st.builds(
    Subject,
    st.sampled_from([SubjectKind.LOGIN, SubjectKind.OPERATOR]),
    st.sampled_from(["a", "A", "192.0.2.1"]),
)
SUBJECTS = st.builds(
    Subject, st.sampled_from(SubjectKind), st.sampled_from(["a", "A", "ä", "192.0.2.1", "a'\x00"])
)
INSTANTS = st.sampled_from([1.0, 2.0, 2.5, 3.0, 1_790_000_000.123457]).map(Instant)
TEXTS = st.text(max_size=4)
FEW_TEXTS = st.lists(TEXTS, max_size=2).map(tuple)
KEYS = st.sampled_from(["a", "b", "a.b"])
DIGESTS = st.sampled_from([b"", b"\0", b"0123456789abcdef"])
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(FailureAdded, SUBJECTS, st.builds(Failure, INSTANTS, TEXTS, TEXTS)),
    st.builds(TallyCleared, SUBJECTS),
    st.builds(ClockSetBack, INSTANTS),
    st.builds(ClockMoved, st.sampled_from([-2.0, 0.5, 64.0])),
    st.builds(
        BanPut,
        st.builds(
            Ban,
            on=BANNABLE,
            reason=st.sampled_from(Reason),
            since=INSTANTS,
            until=st.none() | INSTANTS,
            failures=st.integers(0, 10_000),
            services=FEW_TEXTS,
            counterparts=FEW_TEXTS,
            note=TEXTS,
        ),
    ),
    st.builds(BanRemoved, BANNABLE),
    st.builds(SettingPut, KEYS, TEXTS),
    st.builds(SettingDeleted, KEYS),
    st.builds(FactPut, KEYS, TEXTS),
    st.builds(ReportTaken, DIGESTS, INSTANTS),
    st.builds(ReportForgotten, DIGESTS),
    st.builds(TokenAccepted, DIGESTS, INSTANTS),
    st.builds(TokenForgotten, DIGESTS),
)
# Of one commit's failures any may be the first to be forgotten: none or all are asked for.
FORGETTING = st.tuples(INSTANTS, st.sampled_from([0, 100]))


def comparable(contents: Contents) -> tuple[object, ...]:
    return (
        {subject: list(instants) for subject, instants in contents.failures.items()},
        {ban.subject: ban for ban in contents.bans},
        dict(contents.settings),
        dict(contents.facts),
        list(contents.reports.items()),
        list(contents.tokens.items()),
    )


async def same(left: MemoryStore, right: SqliteStore) -> bool:
    subjects = (await left.load()).failures
    told = [(await left.failures(s, 3), await right.failures(s, 3)) for s in subjects]
    return comparable(await left.load()) == comparable(await right.load()) and all(
        list(of_left) == list(of_right) for of_left, of_right in told
    )


@given(st.lists(st.tuples(st.lists(CHANGES, max_size=8), st.booleans(), FORGETTING), max_size=4))
@settings(max_examples=60, deadline=None)
async def test_it_holds_what_the_reference_holds_also_after_a_restart(
    steps: Sequence[tuple[Sequence[Change], bool, tuple[Instant, int]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory, stored = MemoryStore(), SqliteStore(Path(folder) / "mailward.db")
        for changes, durable, (at, at_most) in steps:
            await memory.commit(changes, durable=durable)
            await stored.commit(changes, durable=durable)
            assert await same(memory, stored)
            assert await memory.forget_before(at, at_most) == await stored.forget_before(
                at, at_most
            )
        await stored.close()
        reopened = SqliteStore(Path(folder) / "mailward.db")
        assert await same(memory, reopened)
        await reopened.close()
