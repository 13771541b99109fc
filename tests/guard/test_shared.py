"""A shared address at its limit: suspected to be a proxy, and held if the operator wants that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.guard import operations
from mailward.guard.falling import MAX_SUSPECTS, NOTE
from mailward.guard.journal import Entry, Event
from mailward.guard.reservations import Refused, Ticket
from mailward.guard.shared import SHARED_LOGINS, SHARED_SECONDS, SharedAddresses
from mailward.guard.sweep import Sweep
from mailward.rules.judge import Banish, Tolerate
from mailward.rules.model import Instant, Login, Outcome, Reason, Subject, SubjectKind
from tests.guard.conftest import NOON, Scene, allowing, policy

GATEWAY = "192.0.2.1"
HERE = Subject(SubjectKind.ADDRESS, GATEWAY)
HOLDING = policy("3/1d", hold_shared_addresses=True)


@pytest.fixture
async def holding() -> AsyncIterator[Scene]:
    made = Scene(policy=HOLDING)
    await made.start()
    yield made
    await made.stop()


async def log_in(scene: Scene, logins: int = SHARED_LOGINS, address: str = GATEWAY) -> None:
    for number in range(logins):
        await scene.try_to_log_in(address, f"user{number}", Outcome.SUCCEEDED)


async def fail(scene: Scene, times: int, address: str = GATEWAY) -> None:
    """Each time with another login, so that only the address comes to its limit."""
    for number in range(times):
        await scene.try_to_log_in(address, f"guess-{address}-{scene.now}-{number}")


def is_admitted(scene: Scene, address: str = GATEWAY) -> bool:
    return scene.guard.admit(ip_address(address), scene.now) is None


def observed(scene: Scene) -> list[str]:
    return [ban.subject.name for ban in scene.guard.observed if ban.covers(scene.now)]


def suspected(scene: Scene) -> list[str]:
    return [str(one) for one in scene.guard.falling.suspected(scene.guard.policy, scene.now)]


async def told(scene: Scene, failures: int) -> list[Entry]:
    """The events that are no attempts while so many guesses fail."""
    with scene.guard.journal.entries.follow() as follower:
        await fail(scene, failures)
        entries: list[Entry] = await anext(aiter(follower.batches()))
    return [entry for entry in entries if entry.event is not Event.AUTH_FAILED]


# -- which addresses are shared ----------------------------------------------------------------


@given(
    successes=st.lists(
        st.tuples(st.sampled_from("abcde"), st.sampled_from([0.0, 3.0, 9.0, 10.0, 11.0, 19.0]))
    ),
    later=st.sampled_from([0.0, 1.0, 9.0, 10.0]),
)
def test_it_is_exact_in_whatever_order_successes_are_told(
    successes: list[tuple[str, float]], later: float
) -> None:
    shared = SharedAddresses(logins=3, period_seconds=10.0)
    for login, at in successes:
        shared.note(GATEWAY, Login(login), Instant(at))
    now = Instant(max((at for _, at in successes), default=0.0) + later)
    of_late = {login for login, at in successes if now - at < 10.0}
    assert shared.is_shared(GATEWAY, now) is (len(of_late) >= 3)


def test_one_login_again_and_again_is_one() -> None:
    shared = SharedAddresses()
    for number in range(100):
        shared.note(GATEWAY, Login(f"user{number % (SHARED_LOGINS - 1)}"), NOON)
    assert not shared.is_shared(GATEWAY, NOON)
    shared.note(GATEWAY, Login("one more"), NOON)
    assert shared.is_shared(GATEWAY, NOON)


def test_many_addresses_and_many_logins_take_bounded_room() -> None:
    shared = SharedAddresses(at_most=100)
    for number in range(1_000):
        shared.note(GATEWAY, Login(f"user{number}"), NOON)
        shared.note(f"10.0.{number // 256}.{number % 256}", Login("ada"), NOON)
    assert len(shared) == 100
    assert shared.is_shared(GATEWAY, NOON)  # what is used goes last
    kept = vars(shared)["_addresses"]
    assert max(map(len, kept.values())) == SHARED_LOGINS
    shared.forget_old(Instant(NOON + SHARED_SECONDS - 1), 1_000)
    assert len(shared) == 100
    shared.forget_old(Instant(NOON + SHARED_SECONDS), 60)
    assert len(shared) == 40


# -- without the key: banned, and said ---------------------------------------------------------


async def test_a_shared_address_at_its_limit_is_banned_and_said_to_be_a_proxy(scene: Scene) -> None:
    await log_in(scene)
    said, banned, *others = await told(scene, 3)
    assert others == []
    assert (said.event, banned.event) == (Event.PROXY_SUSPECTED, Event.BAN_ADDED)
    assert (said.fields["address"], said.fields["failures"]) == (GATEWAY, 3)
    assert f"server.proxy.trusted-networks.{GATEWAY}" in str(said.fields["reason"])
    assert not is_admitted(scene)
    assert suspected(scene) == [said.fields["reason"]]
    assert "locks out everybody" in suspected(scene)[0]
    (ban,) = await operations.bans(scene.guard, scene.now)
    assert ban.note == NOTE


async def test_what_is_not_shared_is_banned_without_a_word(scene: Scene) -> None:
    await log_in(scene, SHARED_LOGINS - 1)
    assert [entry.event for entry in await told(scene, 3)] == [Event.BAN_ADDED]
    assert suspected(scene) == []
    await log_in(scene, address="192.0.2.2")
    scene.later(SHARED_SECONDS)
    await fail(scene, 3, "192.0.2.2")
    assert suspected(scene) == []
    assert not is_admitted(scene, "192.0.2.2")


async def test_names_of_operators_and_tokens_that_name_nobody_are_no_logins(scene: Scene) -> None:
    for number in range(2 * SHARED_LOGINS):
        attempt = scene.attempt(GATEWAY, f"operator{number}")
        operator = replace(attempt, kind=SubjectKind.OPERATOR)
        for one in (operator, scene.attempt(GATEWAY, None)):
            await scene.guard.report(one, Outcome.SUCCEEDED, scene.now, scene.now)
    await fail(scene, 3)
    assert suspected(scene) == []


async def test_it_is_said_until_the_ban_is_gone_or_the_address_allowed(scene: Scene) -> None:
    await log_in(scene)
    await fail(scene, 3)
    scene.guard.adopt(replace(scene.policy, allowed=allowing("192.0.2.0/24")), scene.now)
    assert suspected(scene) == []
    scene.guard.adopt(scene.policy, scene.now)
    assert len(suspected(scene)) == 1
    await scene.restart()
    assert len(suspected(scene)) == 1
    await operations.lift(scene.guard, HERE, scene.now)
    assert suspected(scene) == []


async def test_many_suspects_are_not_all_named_in_the_status(scene: Scene) -> None:
    for number in range(2 * MAX_SUSPECTS):
        await log_in(scene, address=f"192.0.2.{number}")
        await fail(scene, 3, f"192.0.2.{number}")
    assert len(suspected(scene)) == MAX_SUSPECTS


# -- with the key: held ------------------------------------------------------------------------


async def test_a_shared_address_is_only_observed(holding: Scene) -> None:
    await log_in(holding)
    said, would_fall, *others = await told(holding, 10)
    assert others == []
    assert (said.event, would_fall.event) == (Event.PROXY_SUSPECTED, Event.BAN_ADDED)
    assert would_fall.fields["observed"] is said.fields["observed"] is True
    assert is_admitted(holding)
    assert observed(holding) == [GATEWAY]
    assert list(holding.guard.mirror) == []
    assert "only observed" in suspected(holding)[0]
    why = await operations.why(holding.guard, HERE, holding.now)
    assert (why.observed, why.held, why.count) == (True, True, 10)


async def test_each_login_is_still_banned_at_its_limit(holding: Scene) -> None:
    await log_in(holding)
    for _ in range(3):
        await holding.try_to_log_in(GATEWAY, "victim")
    assert isinstance(await holding.try_to_log_in(GATEWAY, "victim"), Refused)
    assert is_admitted(holding)


async def test_a_held_address_takes_no_places(holding: Scene) -> None:
    await log_in(holding)
    tickets = [await holding.ticket(GATEWAY, f"nobody{number}") for number in range(50)]
    for ticket in tickets:
        assert await holding.guard.settle(ticket, Outcome.FAILED, holding.now) == Tolerate()


async def test_who_waits_is_served_when_the_address_becomes_shared(holding: Scene) -> None:
    await log_in(holding, SHARED_LOGINS - 1)
    tickets = [await holding.ticket(GATEWAY, f"nobody{number}") for number in range(3)]
    waiting = asyncio.get_running_loop().create_task(holding.screen(GATEWAY, "one more"))
    await asyncio.sleep(0)
    assert not waiting.done()
    attempt = holding.attempt(GATEWAY, f"user{SHARED_LOGINS}")
    await holding.guard.report(attempt, Outcome.SUCCEEDED, holding.now, holding.now)
    screening = await waiting
    assert isinstance(screening, Ticket)
    for ticket in (*tickets, screening):
        await holding.guard.settle(ticket, Outcome.UNAVAILABLE, holding.now)


async def test_the_ban_falls_at_the_first_failure_after_it_stopped_being_shared(
    holding: Scene,
) -> None:
    await log_in(holding)
    await fail(holding, 5)
    holding.later(SHARED_SECONDS)
    await Sweep(holding.guard).once(holding.now)
    assert is_admitted(holding)  # a quiet night is no failure
    await log_in(holding, 1)
    verdict = await holding.try_to_log_in(GATEWAY, "guessed")
    assert isinstance(verdict, Banish)
    assert not is_admitted(holding)
    assert observed(holding) == []
    (ban,) = await operations.bans(holding.guard, holding.now)
    assert (ban.reason, ban.failures, ban.note) == (Reason.AUTHENTICATION, 6, NOTE)
    assert "locks out everybody" in suspected(holding)[0]


async def test_an_address_that_is_not_shared_is_banned_as_ever(holding: Scene) -> None:
    await log_in(holding, SHARED_LOGINS - 1)
    tickets = [await holding.ticket(GATEWAY, f"nobody{number}") for number in range(3)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await holding.screen(GATEWAY, "one too many")
    for ticket in tickets:
        await holding.guard.settle(ticket, Outcome.FAILED, holding.now)
    assert not is_admitted(holding)


async def test_a_new_attack_after_the_window_is_empty_has_places_again(holding: Scene) -> None:
    await log_in(holding)
    await fail(holding, 5)
    holding.later(86_400.0)
    tickets = [await holding.ticket(GATEWAY, f"nobody{number}") for number in range(3)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await holding.screen(GATEWAY, "one too many")
    for ticket in tickets:
        await holding.guard.settle(ticket, Outcome.FAILED, holding.now)
    assert not is_admitted(holding)


async def test_a_restart_does_not_lock_out_those_who_were_held(holding: Scene) -> None:
    await log_in(holding)
    await fail(holding, 5)
    await fail(holding, 2, "192.0.2.2")
    await holding.restart()
    await Sweep(holding.guard).once(holding.now)
    assert observed(holding) == [GATEWAY]
    assert len(suspected(holding)) == 1
    await fail(holding, 1)
    assert is_admitted(holding)
    await fail(holding, 1, "192.0.2.2")  # it was not held, so it gets no grace
    assert not is_admitted(holding, "192.0.2.2")
    holding.later(SHARED_SECONDS)
    await fail(holding, 1)
    assert not is_admitted(holding)


async def test_a_lifted_address_begins_anew_without_grace(holding: Scene) -> None:
    await log_in(holding)
    await fail(holding, 5)
    await holding.restart()
    lifted = await operations.lift(holding.guard, HERE, holding.now)
    assert lifted.had_failures
    await fail(holding, 3)
    assert not is_admitted(holding)


async def test_lifting_a_held_ban_is_said_to_have_stopped_nobody(holding: Scene) -> None:
    await log_in(holding)
    await fail(holding, 3)
    lifted = await operations.lift(holding.guard, HERE, holding.now)
    assert [ban.subject for ban in lifted.bans] == [HERE]
    assert lifted.observed == {HERE}
    assert observed(holding) == suspected(holding) == []


async def test_a_ban_by_hand_acts_on_a_shared_address(holding: Scene) -> None:
    await log_in(holding)
    await fail(holding, 3)
    await operations.ban(holding.guard, HERE, None, "", holding.now)
    assert not is_admitted(holding)
    assert observed(holding) == []


async def test_without_the_key_those_who_were_held_are_banned(holding: Scene) -> None:
    await log_in(holding)
    await fail(holding, 5)
    holding.guard.adopt(replace(HOLDING, max_tracked=5_000), holding.now)
    assert observed(holding) == [GATEWAY]  # another key changes nothing about it
    holding.guard.adopt(policy("3/1d"), holding.now)
    await Sweep(holding.guard).once(holding.now)
    assert not is_admitted(holding)


async def test_a_held_ban_with_a_period_takes_the_failures_along(holding: Scene) -> None:
    holding.guard.adopt(replace(HOLDING, address_term=timedelta(days=1)), holding.now)
    await log_in(holding)
    await fail(holding, 3)
    holding.later(86_400.0)
    await Sweep(holding.guard).once(holding.now)
    assert observed(holding) == []
    assert len(holding.guard.tallies[SubjectKind.ADDRESS]) == 0
