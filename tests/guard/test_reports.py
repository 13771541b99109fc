"""Reports from outside: late, out of order, twice, by the thousand, and across a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailward.guard import reported
from mailward.guard.journal import Event, Journal
from mailward.guard.reported import report_digest
from mailward.guard.reports import Fate, Report, Taken, bans_on, take_reports
from mailward.guard.service import Guard
from mailward.guard.sweep import Sweep
from mailward.rules.model import Attempt, Instant, Login, Outcome, Subject, SubjectKind
from mailward.rules.policy import Policy
from mailward.stores.memory import MemoryStore
from mailward.stores.sqlite import SqliteStore
from tests.guard.conftest import NOON, Scene, policy
from tests.rules import oracle

HERE = Subject(SubjectKind.ADDRESS, "192.0.2.1")
ADA = Subject(SubjectKind.LOGIN, "ada")
HOUR = 3_600


def failure(
    address: str = "192.0.2.1",
    login: str | None = "ada",
    at: float | None = None,
    id_: str | None = None,
) -> Report:
    attempt = Attempt(ip_address(address), None if login is None else Login(login), "vpn")
    digest = None if id_ is None else report_digest(Outcome.FAILED, "vpn", id_)
    return Report(attempt, Outcome.FAILED, None if at is None else Instant(at), digest)


async def tell(scene: Scene, *reports: Report) -> Taken:
    return await take_reports(scene.guard, reports, lambda: scene.now)


def window(scene: Scene, subject: Subject) -> list[float]:
    return [at - NOON for at in scene.guard.tallies[subject.kind].window(subject.name)]


async def test_a_late_failure_is_counted_at_its_own_instant(scene: Scene) -> None:
    await tell(scene, failure(at=NOON - 10), failure(at=NOON - 1000), failure(at=NOON - 500))
    assert window(scene, HERE) == window(scene, ADA) == [-1000, -500, -10]
    assert scene.guard.mirror.on(ADA) is not None, "three within an hour"


async def test_a_late_failure_counts_only_where_it_is_inside_the_window() -> None:
    scene = Scene(policy=policy("2/1m", "2/1h"))
    await scene.start()
    told = await tell(scene, failure(at=NOON - 60), failure(at=NOON - 59))
    assert told.fates == (Fate.ACCEPTED, Fate.ACCEPTED)
    assert (window(scene, HERE), window(scene, ADA)) == ([-59], [-60, -59])
    assert [ban.subject for ban in told.bans] == [ADA]
    await scene.stop()


async def test_the_ban_of_a_login_ends_by_when_its_failures_were_not_by_when_they_were_told(
    scene: Scene,
) -> None:
    told = await tell(scene, *(failure(f"192.0.2.{n}", at=NOON - 600 * n) for n in (1, 2, 3)))
    assert [(ban.subject, ban.until) for ban in told.bans] == [(ADA, NOON - 1800 + HOUR)]


async def test_a_later_failure_in_the_same_batch_makes_the_ban_of_a_login_longer(
    scene: Scene,
) -> None:
    told = await tell(scene, *(failure(f"192.0.2.{n}", at=NOON - 100 + n) for n in range(5)))
    (ban,) = told.bans
    assert (ban.until, ban.failures) == (NOON - 98 + HOUR, 5)
    assert scene.guard.journal.counts[Event.BAN_ADDED, ""] == 1
    assert scene.guard.journal.counts[Event.BAN_RENEWED, ""] == 0


async def test_what_comes_from_the_future_is_now(scene: Scene) -> None:
    await tell(scene, failure(at=NOON + 9_999))
    assert window(scene, HERE) == [0]


async def test_what_is_too_old_is_refused_by_itself(scene: Scene) -> None:
    told = await tell(scene, failure(at=NOON - HOUR), failure(), failure(at=NOON - HOUR + 1))
    assert told.fates == (Fate.TOO_OLD, Fate.ACCEPTED, Fate.ACCEPTED)
    assert window(scene, HERE) == [-HOUR + 1, 0]


async def test_what_is_told_twice_counts_once(scene: Scene) -> None:
    told = await tell(scene, failure(id_="a"), failure(id_="a"), failure(id_="b"))
    assert told.fates == (Fate.ACCEPTED, Fate.REPEATED, Fate.ACCEPTED)
    assert (await tell(scene, failure(id_="a"))).fates == (Fate.REPEATED,)
    assert window(scene, HERE) == [0, 0]


async def test_without_an_id_each_is_one_of_its_own(scene: Scene) -> None:
    assert (await tell(scene, failure(), failure())).fates == (Fate.ACCEPTED,) * 2


async def test_a_report_that_was_refused_may_come_again(scene: Scene) -> None:
    await tell(scene, failure(at=NOON - HOUR, id_="a"))
    assert (await tell(scene, failure(id_="a"))).fates == (Fate.ACCEPTED,)


def test_two_services_may_give_the_same_ids() -> None:
    triples = [
        (outcome, service, id_)
        for outcome in (Outcome.FAILED, Outcome.SUCCEEDED)
        for service in ("vpn", "vpn1")
        for id_ in ("1", "11", "\0", "")
    ]
    assert len({report_digest(*triple) for triple in triples}) == len(triples)


async def test_ids_are_known_after_a_restart(scene: Scene) -> None:
    await tell(scene, failure(id_="a"))
    await scene.restart()
    assert (await tell(scene, failure(id_="a"))).fates == (Fate.REPEATED,)
    assert window(scene, HERE) == [0]


async def test_ids_are_forgotten_when_their_failures_count_no_more(scene: Scene) -> None:
    await tell(scene, failure(id_="a"))
    scene.later(HOUR - 1)
    await tell(scene, failure(id_="b"))
    await Sweep(scene.guard).once(scene.now)
    assert len(scene.guard.reported) == 2
    scene.later(1)
    await Sweep(scene.guard).once(scene.now)
    assert len(scene.guard.reported) == 1
    assert (await tell(scene, failure(at=NOON, id_="a"))).fates == (Fate.TOO_OLD,)
    await scene.guard.writer.written()
    assert len((await scene.store.load()).reports) == 1


async def test_ids_are_bounded_and_the_first_go_first(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reported, "MAX_REMEMBERED", 3)
    await tell(scene, *(failure(id_=id_) for id_ in "abcd"))
    told = await tell(scene, *(failure(id_=id_) for id_ in "dcba"))
    assert told.fates == (Fate.REPEATED, Fate.REPEATED, Fate.REPEATED, Fate.ACCEPTED)
    await scene.guard.writer.written()
    assert len((await scene.store.load()).reports) == 3


async def test_a_clock_that_was_set_back_keeps_no_id_for_longer(scene: Scene) -> None:
    await tell(scene, failure(id_="a"))
    scene.now = Instant(NOON - 5 * HOUR)
    await scene.restart()
    scene.later(HOUR)
    await Sweep(scene.guard).once(scene.now)
    assert len(scene.guard.reported) == 0


async def test_bans_are_stored_before_the_answer_with_all_they_remember(scene: Scene) -> None:
    told = await tell(scene, *(failure(login=name) for name in "abc"))
    (stored,) = (await scene.store.load()).bans
    assert (stored.subject, told.bans[0].counterparts) == (HERE, ("c", "b", "a"))
    assert told.bans[0].services == ("vpn",)


async def test_whoever_waits_at_a_door_learns_of_a_reported_ban() -> None:
    scene = Scene(policy=policy("2/1h"))
    await scene.start()
    tickets = [await scene.ticket("192.0.2.1") for _ in range(2)]
    waiting = asyncio.get_running_loop().create_task(scene.screen("192.0.2.1"))
    await asyncio.sleep(0)
    await tell(scene, failure(), failure())
    assert waiting.done(), "refused at once, not when the guesses under way are settled"
    await waiting
    for ticket in tickets:
        await scene.guard.settle(ticket, Outcome.UNAVAILABLE, scene.now)
    await scene.stop()


async def test_who_asks_hears_of_both_bans(scene: Scene) -> None:
    await tell(scene, *(failure() for _ in range(3)))
    assert [ban.subject for ban in bans_on(scene.guard, failure().attempt, scene.now)] == [
        HERE,
        ADA,
    ]
    elsewhere = failure("198.51.100.1", None).attempt
    assert bans_on(scene.guard, elsewhere, scene.now) == ()


async def test_a_kill_never_parts_a_failure_from_its_id(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "mailward.db")
    guard = Guard(store, policy("9/1h"), Journal(), await store.load(), NOON)
    writing = asyncio.get_running_loop().create_task(guard.writer.run())
    batch = [failure(id_=str(number)) for number in range(7)]
    await take_reports(guard, batch[:4], lambda: NOON)
    await guard.writer.written()
    await take_reports(guard, batch, lambda: NOON)
    # Killed: what was noted and not written is lost, failures and ids alike.
    writing.cancel()
    await store.close()
    reopened = SqliteStore(tmp_path / "mailward.db")
    contents = await reopened.load()
    assert len(contents.failures[HERE]) == len(contents.reports)
    again = Guard(reopened, policy("9/1h"), Journal(), contents, NOON)
    writing = asyncio.get_running_loop().create_task(again.writer.run())
    await take_reports(again, batch, lambda: NOON)
    assert len(again.tallies[SubjectKind.ADDRESS].window(HERE.name)) == 7
    await again.writer.close()
    await writing


@st.composite
def tellings(draw: st.DrawFn) -> list[oracle.Report]:
    """Failures told at rising moments, each of some time ago (in microseconds)."""
    now, told = 0, []
    for _ in range(draw(st.integers(1, 12))):
        now += draw(st.sampled_from([0, 1, 20, 60]) | st.integers(0, 70)) * oracle.SECOND
        late = draw(st.sampled_from([0, 1, 59, 60, 61]) | st.integers(0, 200)) * oracle.SECOND
        told.append(oracle.Report(now - late, now))
    return told


@given(tellings(), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_late_failures_ban_each_subject_exactly_where_the_definition_says(
    told: Sequence[oracle.Report], of_address: int, of_login: int
) -> None:
    """The address is counted by the minute, the login by two; each at its own limit."""
    rules = policy(f"{of_address}/1m", f"{of_login}/2m")
    fell = asyncio.run(_fell_at(rules, told))
    minute = 60 * oracle.SECOND
    assert fell[HERE] == oracle.falls_at_report(told, of_address, minute)
    assert fell[ADA] == oracle.falls_at_report(told, of_login, 2 * minute)


async def _fell_at(rules: Policy, told: Sequence[oracle.Report]) -> dict[Subject, int | None]:
    store = MemoryStore()
    guard = Guard(store, rules, Journal(), await store.load(), NOON)
    writing = asyncio.get_running_loop().create_task(guard.writer.run())
    fell: dict[Subject, int | None] = {HERE: None, ADA: None}
    for place, (at, now) in enumerate(told):
        moment = Instant(NOON + now / oracle.SECOND)
        report = failure(at=NOON + at / oracle.SECOND)
        taken = await take_reports(guard, [report], lambda moment=moment: moment)  # type: ignore[misc] # a default binds it here
        for ban in taken.bans:
            if fell[ban.subject] is None:
                fell[ban.subject] = place
    await guard.writer.close()
    await writing
    return fell
