"""Whatever is done to a long list, everybody else has his turn meanwhile."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

import pytest

from mailward.guard import operations
from mailward.guard.bites import BITE, keeping_all, let_go, sorted_in_bites
from mailward.guard.feed import Feed
from mailward.guard.journal import Event
from mailward.rules.model import Ban, Reason, Subject, SubjectKind
from mailward.rules.policy import Policy
from tests.guard.conftest import NOON, Scene

T = TypeVar("T")
MANY = 5_000
LIST = [Subject(SubjectKind.ADDRESS, f"10.0.{n >> 8}.{n & 255}") for n in range(MANY)]


async def turns_during(work: Awaitable[T]) -> tuple[T, int]:
    """What comes of *work*, and how often another task had its turn meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.get_running_loop().create_task(count())
    result = await work
    counting.cancel()
    with suppress(asyncio.CancelledError):
        await counting
    return result, turns


async def test_bans_are_listed_and_lifted_in_turn_with_everybody_else(scene: Scene) -> None:
    await operations.ban_all(scene.guard, LIST, None, "", scene.now)
    for listing in (operations.bans, operations.kept_bans):
        found, turns = await turns_during(listing(scene.guard, scene.now))
        assert len(found) == MANY
        assert turns >= MANY // BITE
    with scene.guard.journal.entries.follow() as follower:
        count, turns = await turns_during(
            operations.lift_all(scene.guard, Reason.MANUAL, scene.now)
        )
        (entry,) = await anext(aiter(follower.batches()))
    assert count == MANY
    assert turns >= MANY // operations.BITE
    assert (entry.event, entry.fields) == (Event.BAN_LIFTED, {"reason": "manual", "count": MANY})


async def test_the_bans_inside_a_network_are_counted_and_lifted_in_turn_with_everybody_else(
    scene: Scene,
) -> None:
    outside = Subject(SubjectKind.ADDRESS, "10.1.0.1")
    await operations.ban_all(scene.guard, [*LIST, outside], None, "", scene.now)
    network = Subject(SubjectKind.ADDRESS, "10.0.0.0/16")
    why, turns = await turns_during(operations.why(scene.guard, network, scene.now))
    assert why.inside == (MANY, 0)
    assert turns >= MANY // BITE
    with scene.guard.journal.entries.follow() as follower:
        (lifted,), turns = await turns_during(
            operations.lift_each(scene.guard, [network], scene.now, inside=True)
        )
        (entry,) = await anext(aiter(follower.batches()))
    assert (lifted.inside_lifted, lifted.inside) == (MANY, (0, 0))
    assert turns >= MANY // operations.BITE
    assert (entry.event, entry.fields) == (Event.BAN_LIFTED, {"reason": "manual", "count": MANY})
    assert [ban.subject for ban in scene.guard.mirror] == [outside]


async def test_a_crash_leaves_all_of_a_list_or_nothing(scene: Scene) -> None:
    banning = asyncio.get_running_loop().create_task(
        operations.ban_all(scene.guard, LIST, None, "", scene.now)
    )
    found: set[int] = set()
    while not banning.done():
        await scene.guard.writer.written()  # as if others waited for their own all the time
        found.add(len((await scene.store.load()).bans))
    await banning
    assert found == {0, MANY}


async def test_what_is_lifted_or_banned_for_longer_in_the_midst_of_a_list_stays_so(
    scene: Scene,
) -> None:
    until = type(scene.now)(scene.now + 60)
    banning = asyncio.get_running_loop().create_task(
        operations.ban_all(scene.guard, LIST, until, "", scene.now)
    )
    for _ in range(5):
        await asyncio.sleep(0)
    assert scene.guard.mirror.on(LIST[2]) is not None
    assert scene.guard.mirror.on(LIST[-1]) is None
    await operations.lift(scene.guard, LIST[1], scene.now)
    await operations.ban(scene.guard, LIST[2], None, "for good", scene.now)
    await banning
    stored = {ban.subject: ban for ban in (await scene.store.load()).bans}
    assert len(stored) == MANY - 1
    assert LIST[1] not in stored
    assert stored[LIST[2]].note == "for good"


async def test_what_is_lifted_while_the_list_is_made_is_not_in_it(scene: Scene) -> None:
    await operations.ban_all(scene.guard, LIST[:3], None, "", scene.now)
    listing = asyncio.get_running_loop().create_task(operations.bans(scene.guard, scene.now))
    await asyncio.sleep(0)
    await operations.lift(scene.guard, LIST[1], scene.now)
    assert [ban.subject for ban in await listing] == [LIST[0], LIST[2]]


@pytest.mark.parametrize("count", [0, 1, 10 * BITE, 25 * BITE + 1])
async def test_a_list_sorted_in_bites_is_sorted(count: int) -> None:
    names = [str(n * 7_919 % 10_007) for n in range(count)]
    assert await sorted_in_bites(names, key=str) == sorted(names)


def blocking(*subjects: Subject) -> Policy:
    return Policy(blocked=tuple(Ban(subject, Reason.MANUAL, NOON) for subject in subjects))


@pytest.mark.parametrize("size", [10, MANY])
async def test_a_new_list_in_the_file_is_in_force_as_a_whole(scene: Scene, size: int) -> None:
    mirror, first, second = scene.guard.mirror, LIST[: size // 2], LIST[size // 2 : size]
    scene.guard.adopt(blocking(*first, LIST[-1]), scene.now)
    with mirror.changes.follow() as news:
        scene.guard.adopt(blocking(*second, LIST[-1]), scene.now)
        told = await anext(news.batches())
    kept = {*second, LIST[-1]}
    assert {subject for subject in LIST if mirror.is_fixed(subject)} == kept
    assert {change.ban.subject for change in told} == kept - {LIST[-1]}
    assert len(mirror) == len(kept)


async def test_a_list_that_is_let_go_goes_in_bites() -> None:
    things: list[object] = [object() for _ in range(MANY)]
    _, turns = await turns_during(let_go(things))
    assert not things
    assert turns >= MANY // (2 * BITE)


async def test_news_that_were_read_are_let_go_with_the_next() -> None:
    feed: Feed[int] = Feed()
    with feed.follow() as news:
        batches = news.batches()
        feed.publish_all(range(MANY))
        told = await anext(batches)
        assert told == list(range(MANY))
        feed.publish(1)
        assert await anext(batches) == [1]
    assert not told


def test_what_is_taken_in_is_not_all_young_at_its_end_and_garbage_is_looked_for_as_before() -> None:
    usual = gc.get_threshold()
    gc.collect()
    with keeping_all():
        kept: list[list[object]] = [[] for _ in range(50 * MANY)]
        young, _, _ = gc.get_count()
    assert young < len(kept) // 10
    assert gc.get_threshold() == usual
    assert gc.isenabled()
