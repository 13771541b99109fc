"""Differences from the oracle that were found once, each as short as it can be told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from mailward.guard import operations
from mailward.guard.reservations import Ticket
from mailward.rules.addresses import Prefixes
from mailward.rules.judge import Tolerate
from mailward.rules.model import Instant, Outcome, Subject, SubjectKind
from mailward.rules.policy import Term
from tests.guard.conftest import Scene, allowing, policy

HERE = Subject(SubjectKind.ADDRESS, "192.0.2.1")
TEN_SECONDS = timedelta(seconds=10)


async def test_a_late_report_does_not_bring_back_a_ban_that_is_over() -> None:
    scene = Scene(policy=policy("2/1m", "2/1h", address_term=TEN_SECONDS))
    await scene.start()
    for name in "ab":
        await scene.try_to_log_in("192.0.2.1", name)
    scene.later(10)
    # Too old to count for the address, not for the login.
    late = Instant(scene.now - 60)
    attempt = scene.attempt("192.0.2.1", "c")
    assert await scene.guard.report(attempt, Outcome.FAILED, late, scene.now) == Tolerate()
    assert scene.guard.mirror.covering(HERE, scene.now) is None
    await scene.stop()


async def test_a_ban_ends_by_the_rules_of_its_end_and_not_by_those_of_a_later_reload() -> None:
    scene = Scene(policy=policy("9/1h", "2/1h", login_term=TEN_SECONDS))
    await scene.start()
    for host in (1, 2):
        await scene.try_to_log_in(f"192.0.2.{host}")
    scene.later(11)
    scene.guard.adopt(policy("9/1h", "2/1h", login_term=Term.UNTIL_WINDOW_EMPTIES), scene.now)
    assert isinstance(await scene.screen("198.51.100.1"), Ticket)
    await scene.stop()


async def test_a_ban_by_hand_does_not_inherit_the_failures_of_one_that_is_over() -> None:
    scene = Scene(policy=policy("2/1h", "9/1h", address_term=TEN_SECONDS))
    await scene.start()
    for name in "ab":
        await scene.try_to_log_in("192.0.2.1", name)
    scene.later(10)
    minute = Instant(scene.now + 60)
    await operations.ban(scene.guard, HERE, minute, "", scene.now)
    attempt = scene.attempt("192.0.2.1", "c")
    verdict = await scene.guard.report(attempt, Outcome.FAILED, scene.now, scene.now)
    assert verdict == Tolerate()
    await scene.stop()


async def test_lifting_an_address_clears_its_network_also_when_the_ban_has_just_ended() -> None:
    limit = policy("2/1m", "9/1h", address_term=Term.UNTIL_WINDOW_EMPTIES)
    scene = Scene(policy=limit)
    await scene.start()
    for host in (1, 2):
        await scene.try_to_log_in(f"2001:db8::{host}", f"name{host}")
        scene.later(30)
    assert await scene.try_to_log_in("2001:db8::3", "c") is not None
    asked = Subject(SubjectKind.ADDRESS, "2001:db8::7")
    answer = await operations.lift(scene.guard, asked, scene.now)
    assert answer.had_failures
    assert (await operations.why(scene.guard, asked, scene.now)).count == 0
    await scene.stop()


async def test_what_was_lifted_does_not_come_back_with_a_longer_period() -> None:
    scene = Scene(policy=policy("9/1m", "9/1h"))
    await scene.start()
    await scene.try_to_log_in("192.0.2.1", "ada")
    scene.later(61)
    scene.guard.tallies[SubjectKind.ADDRESS].clear("192.0.2.1")  # idle: memory is let go
    await operations.lift(scene.guard, HERE, scene.now)
    scene.policy = policy("9/1h", "9/1h")
    await scene.restart()
    assert (await operations.why(scene.guard, HERE, scene.now)).count == 0
    await scene.stop()


async def test_who_goes_over_to_another_line_keeps_his_turn() -> None:
    scene = Scene(policy=policy("1/1h"))
    await scene.start()
    on_ada = await scene.ticket("198.51.100.1", "ada")
    loop = asyncio.get_running_loop()
    first = loop.create_task(scene.screen("192.0.2.1", "ada"))
    await asyncio.sleep(0)
    on_address = await scene.ticket("192.0.2.1", "grace")
    second = loop.create_task(scene.screen("192.0.2.1", "ada"))
    await asyncio.sleep(0)
    # A place with the login: now it is the address that the first one has to wait for.
    await scene.guard.settle(on_ada, Outcome.SUCCEEDED, scene.now)
    await scene.guard.settle(on_address, Outcome.SUCCEEDED, scene.now)
    ticket = await first
    assert isinstance(ticket, Ticket)
    assert not second.done()
    await scene.guard.settle(ticket, Outcome.SUCCEEDED, scene.now)
    assert isinstance(await second, Ticket)
    await scene.stop()


async def test_guesses_under_way_hold_their_places_under_new_prefixes() -> None:
    scene = Scene(policy=policy("2/1h", "9/1h", prefixes=Prefixes(ipv4_bits=24)))
    await scene.start()
    tickets = [await scene.ticket("192.0.2.1", name) for name in "ab"]
    scene.guard.adopt(policy("2/1h", "9/1h"), scene.now)
    waiting = asyncio.get_running_loop().create_task(scene.screen("192.0.2.1", "c"))
    await asyncio.sleep(0)
    assert not waiting.done()
    for ticket in tickets:
        await scene.guard.settle(ticket, Outcome.FAILED, scene.now)
    assert not isinstance(await waiting, Ticket)
    assert scene.guard.reservations.under_way == 0
    await scene.stop()


async def test_who_is_allowed_by_a_reload_waits_for_nobody_any_more() -> None:
    scene = Scene(policy=policy("1/1h"))
    await scene.start()
    await scene.ticket("192.0.2.1", "ada")
    loop = asyncio.get_running_loop()
    first = loop.create_task(scene.screen("192.0.2.1", "grace"))
    await asyncio.sleep(0)
    second = loop.create_task(scene.screen("192.0.2.1", "mary"))
    await asyncio.sleep(0)
    scene.guard.adopt(policy("1/1h", allowed=allowing(HERE.name)), scene.now)
    assert isinstance(await first, Ticket)
    assert isinstance(await second, Ticket)
    await scene.stop()


async def test_a_reload_lets_nobody_in_who_stands_behind_another_in_the_same_line() -> None:
    scene = Scene(policy=policy("1/1h", "1/1h"))
    await scene.start()
    await scene.ticket("192.0.2.1", "ada")
    loop = asyncio.get_running_loop()
    first = loop.create_task(scene.screen("192.0.2.1", "grace"))
    await asyncio.sleep(0)
    on_grace = await scene.ticket("192.0.2.9", "grace")
    second = loop.create_task(scene.screen("192.0.2.1", "grace"))
    await asyncio.sleep(0)
    # The address is free for everybody now; of the two who want the login the first one gets it.
    scene.guard.adopt(policy("1/1h", "1/1h", allowed=allowing(HERE.name)), scene.now)
    assert not first.done()
    await scene.guard.settle(on_grace, Outcome.SUCCEEDED, scene.now)
    ticket = await first
    assert isinstance(ticket, Ticket)
    assert not second.done()
    await scene.guard.settle(ticket, Outcome.SUCCEEDED, scene.now)
    assert isinstance(await second, Ticket)
    await scene.stop()


async def test_nobody_in_line_is_refused_for_a_ban_that_is_being_lifted() -> None:
    scene = Scene(policy=policy("1/1h", "1/1h", prefixes=Prefixes(ipv6_bits=48)))
    await scene.start()
    on_grace = await scene.ticket("192.0.2.9", "grace")
    waiting = asyncio.get_running_loop().create_task(scene.screen("2001:db8::1", "grace"))
    await asyncio.sleep(0)
    await scene.try_to_log_in("2001:db8::2", "ada")
    # The operator names a part of the /48 that is banned, and means the ban.
    await operations.lift(scene.guard, Subject(SubjectKind.ADDRESS, "2001:db8::/64"), scene.now)
    await scene.guard.settle(on_grace, Outcome.SUCCEEDED, scene.now)
    assert isinstance(await waiting, Ticket)
    await scene.stop()
