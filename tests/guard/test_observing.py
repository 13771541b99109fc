"""With ``observe`` on all is counted and judged, and nobody is stopped but by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from mailward.guard import operations
from mailward.guard.journal import Entry, Event
from mailward.guard.reservations import Refused, Ticket
from mailward.guard.sweep import Sweep
from mailward.rules.addresses import Prefixes
from mailward.rules.judge import Tolerate
from mailward.rules.limits import parse_limit
from mailward.rules.model import Attempt, Ban, Login, Outcome, Reason, Subject, SubjectKind
from mailward.rules.policy import Policy
from tests.guard.conftest import Scene, policy

HERE = Subject(SubjectKind.ADDRESS, "192.0.2.1")
ADA = Subject(SubjectKind.LOGIN, "ada")
TRIAL = policy("3/1h", observe=True)


@pytest.fixture
async def trial() -> AsyncIterator[Scene]:
    made = Scene(policy=TRIAL)
    await made.start()
    yield made
    await made.stop()


async def fail(scene: Scene, times: int, address: str = "192.0.2.1", login: str = "ada") -> None:
    for _ in range(times):
        assert await scene.try_to_log_in(address, login) == Tolerate()


def would_be(scene: Scene) -> list[str]:
    return sorted(ban.subject.key for ban in scene.guard.observed if ban.covers(scene.now))


def is_admitted(scene: Scene, address: str = "192.0.2.1") -> bool:
    return scene.guard.admit(ip_address(address), scene.now) is None


def adopt(scene: Scene, changed: Policy) -> None:
    scene.guard.adopt(changed, scene.now)


async def test_nobody_is_dropped_refused_or_told_that_it_was_the_last_guess(trial: Scene) -> None:
    await fail(trial, 50)
    assert is_admitted(trial)
    assert would_be(trial) == ["address:192.0.2.1", "login:ada"]
    assert list(trial.guard.mirror) == []
    assert (await trial.store.load()).bans == ()


async def test_nobody_waits_for_a_guess_under_way(trial: Scene) -> None:
    tickets = [await trial.ticket("192.0.2.1") for _ in range(50)]
    assert trial.guard.reservations.lines() == []
    for ticket in tickets:
        await trial.guard.settle(ticket, Outcome.FAILED, trial.now)
    assert would_be(trial) == ["address:192.0.2.1", "login:ada"]


async def test_the_ban_that_would_fall_is_told_once_on_the_nth_failure(trial: Scene) -> None:
    with trial.guard.journal.entries.follow() as follower:
        await fail(trial, 5)
        entries: list[Entry] = await anext(aiter(follower.batches()))
    bans = [entry for entry in entries if entry.event is Event.BAN_ADDED]
    assert [(ban.fields["failures"], ban.fields["observed"]) for ban in bans] == [(3, True)] * 2
    marked = [e.fields.get("observed", False) for e in entries if e.event is Event.AUTH_FAILED]
    assert marked == [False, False, False, True, True]
    assert "observed=true" in str(bans[0])


async def test_owners_who_would_have_been_locked_out_are_counted(trial: Scene) -> None:
    await fail(trial, 3)
    assert await trial.try_to_log_in("198.51.100.9", "ada", Outcome.SUCCEEDED) == Tolerate()
    assert trial.guard.observed.attempts == {(Outcome.SUCCEEDED, "imap"): 1}


async def test_an_attempt_that_a_ban_by_hand_stops_anyway_is_not_counted_among_them(
    trial: Scene,
) -> None:
    under_way = await trial.ticket("192.0.2.1")
    await operations.ban(trial.guard, HERE, None, "", trial.now)
    await trial.guard.settle(under_way, Outcome.FAILED, trial.now)
    reported = Attempt(ip_address("192.0.2.1"), Login("eve"), "vpn", listener="report")
    await trial.guard.report(reported, Outcome.FAILED, trial.now, trial.now)
    assert trial.guard.observed.attempts == {}


async def test_bans_of_before_are_counted_among_those_that_stop_nobody(scene: Scene) -> None:
    for login in ("a", "b", "c"):
        await scene.try_to_log_in("192.0.2.1", login)
    assert operations.stops_nobody(scene.guard, SubjectKind.ADDRESS) == 0
    adopt(scene, replace(TRIAL, prefixes=Prefixes(ipv4_bits=24)))
    assert operations.stops_nobody(scene.guard, SubjectKind.ADDRESS) == 1
    await scene.try_to_log_in("192.0.2.1")
    assert scene.guard.observed.attempts == {(Outcome.FAILED, "imap"): 1}
    await scene.try_to_log_in("192.0.2.7", "d")
    assert scene.guard.observed.attempts == {(Outcome.FAILED, "imap"): 1}


async def test_an_observed_ban_that_is_over_takes_its_failures_along_in_the_last_moment() -> None:
    ends = replace(TRIAL, address_term=timedelta(minutes=10), login_limit=None)
    scene = Scene(policy=ends)
    await scene.start()
    await fail(scene, 3)
    scene.later(600)
    adopt(scene, replace(ends, observe=False))
    await Sweep(scene.guard).once(scene.now)
    assert is_admitted(scene)
    await scene.stop()


async def test_an_observed_ban_that_is_renewed_again_and_again_takes_no_more_room(
    trial: Scene,
) -> None:
    ban = Ban(ADA, Reason.AUTHENTICATION, trial.now, None, 3)
    for _ in range(1_000):
        trial.guard.observed.put(ban)
    assert list(trial.guard.observed.undescribed(1_000)) == [ban]


async def test_a_ban_by_hand_acts_and_so_does_one_of_the_file(trial: Scene) -> None:
    await operations.ban(trial.guard, HERE, None, "", trial.now)
    await operations.ban(trial.guard, ADA, None, "", trial.now)
    assert not is_admitted(trial)
    assert isinstance(await trial.try_to_log_in("198.51.100.9"), Refused)


async def test_a_short_ban_by_hand_acts_where_a_long_one_only_is_observed(scene: Scene) -> None:
    for login in ("a", "b", "c"):
        await scene.try_to_log_in("192.0.2.1", login)
    adopt(scene, TRIAL)
    assert is_admitted(scene)
    until = scene.now + 60.0
    await operations.ban(scene.guard, HERE, type(scene.now)(until), "", scene.now)
    assert not is_admitted(scene)


async def test_a_network_blocked_by_hand_acts_though_a_longer_observed_ban_covers_it_too(
    scene: Scene,
) -> None:
    for login in ("a", "b", "c"):
        await scene.try_to_log_in("192.0.2.1", login)
    adopt(scene, TRIAL)
    around = Subject(SubjectKind.ADDRESS, "192.0.2.0/24")
    until = type(scene.now)(scene.now + 60.0)
    await operations.ban(scene.guard, around, until, "", scene.now)
    assert not is_admitted(scene)


async def test_automatic_bans_from_before_stop_nobody_meanwhile_and_act_again_afterwards(
    scene: Scene,
) -> None:
    for login in ("a", "b", "c"):
        await scene.try_to_log_in("192.0.2.1", login)
    adopt(scene, TRIAL)
    assert is_admitted(scene)
    assert await scene.try_to_log_in("192.0.2.1") == Tolerate()
    adopt(scene, scene.policy)
    assert not is_admitted(scene)


async def test_who_waits_when_the_trial_begins_waits_no_longer(scene: Scene) -> None:
    tickets = [await scene.ticket("192.0.2.1") for _ in range(3)]
    waiting = asyncio.get_running_loop().create_task(scene.screen("192.0.2.1"))
    await asyncio.sleep(0)
    adopt(scene, TRIAL)
    last = await waiting
    assert isinstance(last, Ticket)
    for ticket in (*tickets, last):
        await scene.guard.settle(ticket, Outcome.UNAVAILABLE, scene.now)


async def test_at_the_end_of_a_trial_all_is_judged_anew(trial: Scene) -> None:
    await fail(trial, 3, "192.0.2.1", "old")
    trial.later(3_600)
    await fail(trial, 3, "192.0.2.2", "new")
    assert "address:192.0.2.1" in would_be(trial)  # until it is lifted
    adopt(trial, replace(TRIAL, observe=False))
    await Sweep(trial.guard).once(trial.now)
    assert would_be(trial) == []
    assert is_admitted(trial, "192.0.2.1")  # its failures are too old by now
    assert not is_admitted(trial, "192.0.2.2")


async def test_the_next_attempt_is_refused_even_before_anybody_has_judged_anew(
    trial: Scene,
) -> None:
    await fail(trial, 3)
    adopt(trial, replace(TRIAL, observe=False))
    assert isinstance(await trial.try_to_log_in("192.0.2.1"), Refused)


async def test_another_limit_begins_another_trial_with_the_same_failures(trial: Scene) -> None:
    await fail(trial, 4)
    adopt(trial, replace(TRIAL, address_limit=parse_limit("5/1h"), login_limit=None))
    await Sweep(trial.guard).once(trial.now)
    assert would_be(trial) == []
    await fail(trial, 1)
    assert would_be(trial) == ["address:192.0.2.1"]


async def test_a_reload_that_changes_nothing_of_it_keeps_what_was_observed(trial: Scene) -> None:
    await fail(trial, 3)
    since = {ban.subject: ban.since for ban in trial.guard.observed}
    trial.later(10)
    adopt(trial, replace(TRIAL, max_tracked=5_000))
    assert {ban.subject: ban.since for ban in trial.guard.observed} == since


async def test_after_a_restart_the_same_subjects_are_found_again(trial: Scene) -> None:
    await fail(trial, 3)
    await trial.restart()
    assert would_be(trial) == []
    await Sweep(trial.guard).once(trial.now)
    assert would_be(trial) == ["address:192.0.2.1", "login:ada"]


async def test_an_observed_ban_ends_and_takes_its_failures_along_as_a_real_one_does() -> None:
    scene = Scene(policy=replace(TRIAL, address_term=timedelta(minutes=10), login_limit=None))
    await scene.start()
    await fail(scene, 5)
    scene.later(600)
    await Sweep(scene.guard).once(scene.now)
    assert would_be(scene) == []
    await fail(scene, 2)
    assert would_be(scene) == []
    await fail(scene, 1)
    assert would_be(scene) == ["address:192.0.2.1"]
    await scene.stop()


async def test_it_remembers_where_the_failures_came_from(trial: Scene) -> None:
    await fail(trial, 3)
    await Sweep(trial.guard).once(trial.now)
    ban = trial.guard.observed.on(HERE)
    assert ban is not None
    assert (ban.services, ban.counterparts) == (("imap",), ("ada",))


async def test_lifting_forgets_the_failures_and_why_says_that_it_only_is_observed(
    trial: Scene,
) -> None:
    await fail(trial, 3)
    told = await operations.why(trial.guard, HERE, trial.now)
    assert (told.observed, told.count) == (True, 3)
    lifted = await operations.lift(trial.guard, HERE, trial.now)
    assert [ban.subject for ban in lifted.bans] == [HERE]
    assert would_be(trial) == ["login:ada"]
    await operations.lift_all(trial.guard, lifted.bans[0].reason, trial.now)
    assert would_be(trial) == []


async def test_operators_guess_no_more_often_than_the_limit_says_in_a_trial_too(
    trial: Scene,
) -> None:
    name = Login("admin")
    for number in range(4):
        attempt = Attempt(
            ip_address(f"192.0.2.{number}"), name, "manage", kind=SubjectKind.OPERATOR
        )
        screening = await trial.guard.screen(attempt, trial.now)
        if isinstance(screening, Refused):
            break
        await trial.guard.settle(screening, Outcome.FAILED, trial.now)
    assert number == 3
