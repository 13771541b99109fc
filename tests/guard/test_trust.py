"""Trusted networks: allowed as peers, never as the clients that they speak for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mailward.guard import operations
from mailward.guard.reservations import Refused, Ticket
from mailward.rules.judge import Verdict
from mailward.rules.model import Outcome, Subject, SubjectKind
from tests.guard.conftest import Scene, allowing, policy

PROXY = "192.0.2.1"
ADDRESS = ip_address(PROXY)


@pytest.fixture
async def trusting() -> AsyncIterator[Scene]:
    scene = Scene(policy=policy("3/1h", trusted=allowing("192.0.2.0/24")))
    await scene.start()
    yield scene
    await scene.stop()


async def fail(scene: Scene, login: str, *, is_direct: bool) -> Verdict | Refused:
    attempt = replace(scene.attempt(PROXY, login), is_direct=is_direct)
    match await scene.guard.screen(attempt, scene.now):
        case Ticket() as ticket:
            return await scene.guard.settle(ticket, Outcome.FAILED, scene.now)
        case Refused() as refused:
            return refused


def banned(scene: Scene) -> list[str]:
    return [ban.subject.key for ban in scene.guard.mirror]


async def test_a_trusted_peer_is_never_counted(trusting: Scene) -> None:
    for number in range(10):
        await fail(trusting, f"n{number}", is_direct=True)
    assert banned(trusting) == []
    assert not len(trusting.guard.tallies[SubjectKind.ADDRESS])


async def test_its_logins_are_counted_and_refused_there_too(trusting: Scene) -> None:
    for _ in range(3):
        await fail(trusting, "ada", is_direct=True)
    assert banned(trusting) == ["login:ada"]
    assert isinstance(await fail(trusting, "ada", is_direct=True), Refused)


async def test_a_client_it_speaks_for_is_counted_even_with_its_own_address(trusting: Scene) -> None:
    for name in "abc":
        await fail(trusting, name, is_direct=False)
    assert banned(trusting) == [f"address:{PROXY}"]
    assert trusting.guard.admit(ADDRESS, trusting.now) is not None
    assert trusting.guard.admit(ADDRESS, trusting.now, is_direct=True) is None
    assert isinstance(await fail(trusting, "d", is_direct=False), Refused)
    assert not isinstance(await fail(trusting, "d", is_direct=True), Refused)


async def test_no_block_drops_a_trusted_peer(trusting: Scene) -> None:
    everybody = Subject(SubjectKind.ADDRESS, "192.0.0.0/8")
    await operations.ban(trusting.guard, everybody, None, "", trusting.now)
    assert trusting.guard.admit(ADDRESS, trusting.now, is_direct=True) is None
    assert trusting.guard.admit(ADDRESS, trusting.now) is not None


async def test_a_direct_peer_that_is_not_trusted_is_counted_like_any_other(scene: Scene) -> None:
    for name in "abc":
        await fail(scene, name, is_direct=True)
    assert banned(scene) == [f"address:{PROXY}"]
    assert scene.guard.admit(ADDRESS, scene.now, is_direct=True) is not None


async def test_whether_a_guess_under_way_counts_is_for_the_policy_that_settles_it(
    trusting: Scene,
) -> None:
    guard = trusting.guard
    attempt = replace(trusting.attempt(PROXY, "ada"), is_direct=True)
    ticket = await guard.screen(attempt, trusting.now)
    assert isinstance(ticket, Ticket)
    guard.adopt(policy("1/1h"), trusting.now)
    await guard.settle(ticket, Outcome.FAILED, trusting.now)
    assert set(banned(trusting)) == {f"address:{PROXY}", "login:ada"}
