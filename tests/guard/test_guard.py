"""What the guard promises to doors and operators, with a hand-turned clock."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from mailward.guard import operations
from mailward.guard.journal import Event
from mailward.guard.reservations import Refused, Ticket
from mailward.guard.sweep import Sweep
from mailward.rules.judge import Banish, Tolerate
from mailward.rules.model import Ban, Failure, Instant, Outcome, Reason, Subject, SubjectKind
from mailward.rules.policy import Policy, Term
from mailward.stores.port import BanPut, Change, FailureAdded
from tests.guard.conftest import NOON, Scene, allowing, policy

ADA = Subject(SubjectKind.LOGIN, "ada")
HERE = Subject(SubjectKind.ADDRESS, "192.0.2.1")


async def test_the_ban_falls_on_the_nth_failure_and_is_stored_before_it_is_told(
    scene: Scene,
) -> None:
    assert await scene.try_to_log_in("192.0.2.1", "a") == Tolerate()
    assert await scene.try_to_log_in("192.0.2.1", "b") == Tolerate()
    verdict = await scene.try_to_log_in("192.0.2.1", "c")
    assert isinstance(verdict, Banish)
    assert [ban.subject for ban in verdict.bans] == [HERE]
    assert [ban.subject for ban in (await scene.store.load()).bans] == [HERE]
    assert scene.guard.admit(ip_address("192.0.2.1"), scene.now) is not None
    assert scene.guard.admit(ip_address("192.0.2.2"), scene.now) is None


async def test_no_ban_is_shown_before_it_is_stored(scene: Scene) -> None:
    late = Ban(ADA, Reason.MANUAL, scene.now, None)
    # It falls in the moment between the end of a commit and the answer that waited for it.
    scene.store.committed = lambda: scene.guard.impose(late, scene.now)
    scene.guard.impose(Ban(HERE, Reason.MANUAL, scene.now, None), scene.now)
    assert [ban.subject for ban in await operations.bans(scene.guard, scene.now)] == [HERE]
    scene.store.committed = None
    assert [ban.subject for ban in await operations.bans(scene.guard, scene.now)] == [HERE, ADA]


async def test_why_tells_of_no_ban_that_is_not_stored(scene: Scene) -> None:
    scene.store.committed = lambda: scene.guard.impose(
        Ban(ADA, Reason.MANUAL, scene.now, None), scene.now
    )
    scene.guard.impose(Ban(HERE, Reason.MANUAL, scene.now, None), scene.now)
    assert (await operations.why(scene.guard, ADA, scene.now)).ban is None


async def test_a_distributed_attack_on_one_login_ends_for_everybody(scene: Scene) -> None:
    for host in range(1, 4):
        await scene.try_to_log_in(f"192.0.2.{host}")
    refused = await scene.try_to_log_in("198.51.100.9")
    assert isinstance(refused, Refused)
    assert refused.ban.subject == ADA
    assert await scene.try_to_log_in("198.51.100.9", "grace") == Tolerate()


async def test_a_ban_remembers_where_the_failures_came_from(scene: Scene) -> None:
    for host in range(1, 4):
        await scene.try_to_log_in(f"192.0.2.{host}")
    ban = scene.guard.mirror.on(ADA)
    assert ban is not None
    assert ban.counterparts == ("192.0.2.3", "192.0.2.2", "192.0.2.1")
    assert ban.services == ("imap",)
    assert ban.failures == 3


@pytest.mark.parametrize("failures", [1, 5, 100])
async def test_hundreds_of_parallel_attempts_never_make_one_guess_too_many(failures: int) -> None:
    scene = Scene(policy=policy(f"{failures}/1h"))
    await scene.start()
    guesses = 0

    async def attack(number: int) -> None:
        nonlocal guesses
        match await scene.screen(f"192.0.2.{number % 250}"):
            case Ticket() as ticket:
                guesses += 1
                await asyncio.sleep(0)
                await scene.guard.settle(ticket, Outcome.FAILED, scene.now)
            case Refused():
                pass

    await asyncio.gather(*(attack(number) for number in range(300)))
    assert guesses == failures
    assert scene.guard.reservations.under_way == 0
    assert scene.guard.reservations.lines() == []
    await scene.stop()


async def test_who_waits_is_served_in_turn_when_a_guess_was_right(scene: Scene) -> None:
    tickets = [await scene.ticket("192.0.2.1") for _ in range(3)]
    order: list[int] = []

    async def wait(number: int) -> None:
        ticket = await scene.ticket("192.0.2.1")
        order.append(number)
        await scene.guard.settle(ticket, Outcome.SUCCEEDED, scene.now)

    waiting = asyncio.gather(*(wait(number) for number in range(3)))
    await asyncio.sleep(0)
    assert order == []
    for ticket in tickets:
        await scene.guard.settle(ticket, Outcome.SUCCEEDED, scene.now)
    await waiting
    assert order == [0, 1, 2]


async def test_nobody_who_is_under_no_limit_waits_behind_somebody_who_is(scene: Scene) -> None:
    attacker = [await scene.ticket("192.0.2.1", f"guess{n}") for n in range(3)]
    stalled = asyncio.get_running_loop().create_task(scene.screen("192.0.2.1", "ada"))
    await asyncio.sleep(0)
    owner = await scene.ticket("198.51.100.1", "ada")
    await scene.guard.settle(owner, Outcome.SUCCEEDED, scene.now)
    assert not stalled.done()
    for ticket in attacker:
        await scene.guard.settle(ticket, Outcome.UNAVAILABLE, scene.now)
    assert isinstance(await stalled, Ticket)


async def test_leaving_the_line_leaves_no_reservation_behind(scene: Scene) -> None:
    tickets = [await scene.ticket("192.0.2.1") for _ in range(3)]
    loop = asyncio.get_running_loop()
    leaver = loop.create_task(scene.screen("192.0.2.1"))
    winner = loop.create_task(scene.screen("192.0.2.1"))
    await asyncio.sleep(0)
    # The place is won and the client is gone in the same moment.
    await scene.guard.settle(tickets[0], Outcome.SUCCEEDED, scene.now)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert isinstance(await winner, Ticket)
    assert scene.guard.reservations.held(ADA) == 3


async def test_who_leaves_the_line_in_the_moment_it_moves_on_harms_nobody(scene: Scene) -> None:
    tickets = [await scene.ticket("192.0.2.1") for _ in range(3)]
    loop = asyncio.get_running_loop()
    leaver = loop.create_task(scene.screen("192.0.2.1"))
    winner = loop.create_task(scene.screen("192.0.2.1"))
    await asyncio.sleep(0)
    leaver.cancel()
    await scene.guard.settle(tickets[0], Outcome.SUCCEEDED, scene.now)
    assert isinstance(await winner, Ticket)
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert scene.guard.reservations.held(ADA) == 3
    assert scene.guard.reservations.lines() == []


async def test_an_outage_bans_nobody_and_a_success_resets_nothing(scene: Scene) -> None:
    for _ in range(20):
        await scene.try_to_log_in("192.0.2.1", outcome=Outcome.UNAVAILABLE)
    await scene.try_to_log_in("192.0.2.1")
    await scene.try_to_log_in("192.0.2.1")
    await scene.try_to_log_in("192.0.2.1", outcome=Outcome.SUCCEEDED)
    assert isinstance(await scene.try_to_log_in("192.0.2.1"), Banish)


async def test_a_refused_attempt_counts_for_nobody(scene: Scene) -> None:
    for host in range(1, 4):
        await scene.try_to_log_in(f"192.0.2.{host}")
    for _ in range(10):
        await scene.try_to_log_in("198.51.100.9")
    assert scene.guard.admit(ip_address("198.51.100.9"), scene.now) is None
    assert await scene.try_to_log_in("198.51.100.9", "grace") == Tolerate()


async def test_a_banned_login_is_released_when_its_window_has_emptied(scene: Scene) -> None:
    for host in range(1, 4):
        await scene.try_to_log_in(f"192.0.2.{host}")
        scene.later(60)
    scene.now = type(scene.now)(NOON + 3599)
    assert isinstance(await scene.screen("198.51.100.1"), Refused)
    scene.now = type(scene.now)(NOON + 3600)
    ticket = await scene.ticket("198.51.100.1")
    # Two failures are still in the window: the next one is the third again.
    assert isinstance(await scene.guard.settle(ticket, Outcome.FAILED, scene.now), Banish)


async def test_a_ban_with_a_period_of_its_own_takes_the_tally_with_it() -> None:
    scene = Scene(policy=policy("3/1h", address_term=timedelta(minutes=10)))
    await scene.start()
    for name in "abc":
        await scene.try_to_log_in("192.0.2.1", name)
    scene.later(600)
    assert scene.guard.admit(ip_address("192.0.2.1"), scene.now) is None
    for name in "ab":
        assert await scene.try_to_log_in("192.0.2.1", name) == Tolerate()
    assert isinstance(await scene.try_to_log_in("192.0.2.1", "d"), Banish)
    await scene.stop()


async def test_an_expired_ban_leaves_an_event_and_no_row(scene: Scene) -> None:
    for host in range(1, 4):
        await scene.try_to_log_in(f"192.0.2.{host}")
    scene.later(3600)
    await Sweep(scene.guard).once(scene.now)
    await scene.guard.writer.written()
    assert scene.guard.journal.counts[Event.BAN_EXPIRED, ""] == 1
    assert (await scene.store.load()).bans == ()


async def test_lifting_clears_the_tally(scene: Scene) -> None:
    for name in "abc":
        await scene.try_to_log_in("192.0.2.1", name)
    lifted = await operations.lift(scene.guard, HERE, scene.now)
    assert [ban.subject for ban in lifted.bans] == [HERE]
    for name in "de":
        assert await scene.try_to_log_in("192.0.2.1", name) == Tolerate()
    await scene.restart()
    assert isinstance(await scene.try_to_log_in("192.0.2.1", "f"), Banish)


async def test_one_finds_the_ban_on_a_64_by_any_address_in_it(scene: Scene) -> None:
    for host in range(1, 4):
        await scene.try_to_log_in(f"2001:db8::{host}", f"name{host}")
    asked = Subject(SubjectKind.ADDRESS, "2001:db8::7")
    answer = await operations.why(scene.guard, asked, scene.now)
    assert answer.ban is not None
    assert answer.ban.subject.name == "2001:db8::/64"
    assert answer.count == 3
    lifted = await operations.lift(scene.guard, asked, scene.now)
    assert [ban.subject.name for ban in lifted.bans] == ["2001:db8::/64"]
    assert scene.guard.admit(ip_address("2001:db8::1"), scene.now) is None


async def test_lifting_an_address_leaves_a_manual_block_around_it_and_says_so(
    scene: Scene,
) -> None:
    wide = Subject(SubjectKind.ADDRESS, "192.0.2.0/24")
    await operations.ban(scene.guard, wide, None, "by hand", scene.now)
    lifted = await operations.lift(scene.guard, HERE, scene.now)
    assert lifted.bans == ()
    assert lifted.still is not None
    assert lifted.still.subject == wide


async def test_counts_and_bans_outlive_a_restart(scene: Scene) -> None:
    for name in "ab":
        await scene.try_to_log_in("192.0.2.1", name)
    for host in range(1, 4):
        await scene.try_to_log_in(f"198.51.100.{host}", "grace")
    await scene.restart()
    assert isinstance(await scene.screen("203.0.113.1", "grace"), Refused)
    assert isinstance(await scene.try_to_log_in("192.0.2.1", "c"), Banish)


async def test_a_full_disk_bans_and_lifts_nobody_and_is_caught_up_with(scene: Scene) -> None:
    await scene.try_to_log_in("192.0.2.1", "a")
    scene.store.full = True
    await scene.try_to_log_in("192.0.2.1", "b")
    assert isinstance(await scene.try_to_log_in("192.0.2.1", "c"), Banish)
    assert scene.guard.writer.degraded
    assert scene.guard.admit(ip_address("192.0.2.1"), scene.now) is not None
    scene.store.full = False
    await scene.restart()
    assert scene.guard.admit(ip_address("192.0.2.1"), scene.now) is not None
    assert [failure.service for failure in await scene.guard.history.failures(HERE, 9)] == [
        "imap"
    ] * 3


async def test_a_lower_limit_judges_old_tallies_before_anything_is_passed_on(
    scene: Scene,
) -> None:
    for name in "ab":
        await scene.try_to_log_in("192.0.2.1", name)
    scene.guard.adopt(policy("2/1h"), scene.now)
    assert isinstance(await scene.screen("192.0.2.1", "c"), Refused)


async def test_the_sweep_judges_by_a_new_limit_without_waiting_for_an_attempt(
    scene: Scene,
) -> None:
    for name in "ab":
        await scene.try_to_log_in("192.0.2.1", name)
    sweep = Sweep(scene.guard)
    await sweep.once(scene.now)
    assert scene.guard.admit(ip_address("192.0.2.1"), scene.now) is None
    scene.guard.adopt(policy("2/1h"), scene.now)
    await sweep.once(scene.now)
    assert scene.guard.admit(ip_address("192.0.2.1"), scene.now) is not None


async def test_an_allowed_address_is_never_counted_but_its_logins_are() -> None:
    allowed = allowing("192.0.2.0/24")
    scene = Scene(policy=policy("3/1h", allowed=allowed))
    await scene.start()
    for _ in range(3):
        await scene.try_to_log_in("192.0.2.1")
    refused = await scene.try_to_log_in("192.0.2.1")
    assert isinstance(refused, Refused)
    assert refused.ban.subject == ADA
    assert await scene.try_to_log_in("192.0.2.1", "grace") == Tolerate()
    with pytest.raises(operations.AllowedError, match=r"192\.0\.2\.0/24"):
        await operations.ban(scene.guard, HERE, None, "", scene.now)
    await scene.stop()


async def test_the_sweep_bans_no_address_that_is_allowed_by_now(scene: Scene) -> None:
    for name in "ab":
        await scene.try_to_log_in("192.0.2.1", name)
    allowed = allowing("192.0.2.0/24")
    scene.guard.adopt(policy("2/1h", allowed=allowed), scene.now)
    await Sweep(scene.guard).once(scene.now)
    assert await operations.bans(scene.guard, scene.now) == []


async def test_a_ban_that_ends_is_not_renewed_for_an_address_that_is_allowed_by_now() -> None:
    scene = Scene(policy=policy("1/1h", address_term=timedelta(minutes=1)))
    await scene.start()
    await scene.try_to_log_in("192.0.2.1", "a")
    allowed = allowing("192.0.2.1")
    term = Term.UNTIL_WINDOW_EMPTIES
    scene.guard.adopt(policy("1/1h", address_term=term, allowed=allowed), scene.now)
    scene.later(61)
    await Sweep(scene.guard).once(scene.now)
    assert HERE not in [ban.subject for ban in await operations.bans(scene.guard, scene.now)]
    await scene.stop()


async def test_a_short_ban_by_hand_does_not_make_the_automatic_one_a_manual_one(
    scene: Scene,
) -> None:
    tickets = [await scene.ticket("192.0.2.1", name) for name in "abc"]
    minute = type(scene.now)(scene.now + 60)
    await operations.ban(scene.guard, HERE, minute, "", scene.now)
    for ticket in tickets:
        await scene.guard.settle(ticket, Outcome.FAILED, scene.now)
    ban = scene.guard.mirror.on(HERE)
    assert ban is not None
    assert (ban.reason, ban.until) == (Reason.AUTHENTICATION, None)


async def test_a_renewed_ban_keeps_its_story(scene: Scene) -> None:
    for host in range(1, 4):
        await scene.try_to_log_in(f"192.0.2.{host}")
    scene.guard.adopt(policy("3/2h"), scene.now)
    scene.later(3600)
    await Sweep(scene.guard).once(scene.now)
    ban = scene.guard.mirror.on(ADA)
    assert ban is not None
    assert ban.since == NOON
    assert ban.services == ("imap",)
    assert len(ban.counterparts) == 3


async def test_without_a_limit_nobody_is_counted_and_manual_bans_still_hold() -> None:
    scene = Scene(policy=Policy(address_limit=None, login_limit=None))
    await scene.start()
    for _ in range(200):
        assert await scene.try_to_log_in("192.0.2.1") == Tolerate()
    await operations.ban(scene.guard, HERE, None, "enough", scene.now)
    assert isinstance(await scene.screen("192.0.2.1"), Refused)
    await scene.stop()


async def test_a_manual_ban_never_shortens_one_that_lasts_longer(scene: Scene) -> None:
    first = await operations.ban(scene.guard, HERE, None, "for good", scene.now)
    hour = type(scene.now)(scene.now + 3600)
    assert await operations.ban(scene.guard, HERE, hour, "", scene.now) is first


async def test_lifting_all_lifts_the_automatic_bans_only(scene: Scene) -> None:
    other = Subject(SubjectKind.ADDRESS, "203.0.113.0/24")
    await operations.ban(scene.guard, other, None, "", scene.now)
    for name in "abc":
        await scene.try_to_log_in("192.0.2.1", name)
    assert await operations.lift_all(scene.guard, Reason.AUTHENTICATION, scene.now) == 1
    assert [ban.subject for ban in await operations.bans(scene.guard, scene.now)] == [other]


async def test_a_login_ban_that_never_ends_does_not_end() -> None:
    scene = Scene(policy=policy("3/1h", login_term=Term.UNTIL_LIFTED))
    await scene.start()
    for host in range(1, 4):
        await scene.try_to_log_in(f"192.0.2.{host}")
    scene.later(40_000_000)
    await Sweep(scene.guard).once(scene.now)
    assert isinstance(await scene.screen("198.51.100.1"), Refused)
    await scene.stop()


async def test_a_report_from_outside_counts_at_its_own_time(scene: Scene) -> None:
    attempt = scene.attempt("192.0.2.1")
    early = type(scene.now)(scene.now - 3000)
    await scene.guard.report(attempt, Outcome.FAILED, early, scene.now)
    await scene.try_to_log_in("192.0.2.1")
    scene.later(601)
    assert await scene.try_to_log_in("192.0.2.1") == Tolerate()
    with pytest.raises(ValueError, match="older than the period"):
        await scene.guard.report(attempt, Outcome.FAILED, early, scene.now)


async def test_a_flood_of_drops_is_one_line_an_address_and_minute(scene: Scene) -> None:
    address = ip_address("192.0.2.1")
    for _ in range(1000):
        scene.guard.drops.count(address, "imap", scene.now)
    scene.later(61)
    scene.guard.drops.report(scene.now)
    assert scene.guard.journal.counts[Event.CONNECTION_DROPPED, "imap"] == 2
    assert scene.guard.drops.total == 1000


async def test_a_flood_of_names_is_forgotten_first_and_reported_once() -> None:
    scene = Scene(policy=policy("3/1h", "3/1h", max_tracked=100))
    await scene.start()
    await scene.try_to_log_in("192.0.2.1", "ada")
    await scene.try_to_log_in("192.0.2.1", "ada")
    for number in range(300):
        await scene.try_to_log_in(f"10.0.{number // 250}.{number % 250}", f"made-up-{number}")
    assert isinstance(await scene.try_to_log_in("198.51.100.1", "ada"), Banish)
    await Sweep(scene.guard).once(scene.now)
    assert scene.guard.journal.counts[Event.TALLY_EVICTED, ""] == 1
    await scene.stop()


async def test_a_clock_set_back_before_the_start_makes_nobody_younger(scene: Scene) -> None:
    for name in "ab":
        await scene.try_to_log_in("192.0.2.1", name)
    scene.later(-10_000)
    await scene.restart()
    scene.later(3599)
    assert isinstance(await scene.try_to_log_in("192.0.2.1", "c"), Banish)


async def test_a_ban_of_a_clock_that_was_ahead_keeps_its_length(scene: Scene) -> None:
    scene.guard.adopt(replace(scene.policy, address_term=timedelta(seconds=30)), scene.now)
    scene.later(366 * 86_400.0)
    for name in "abc":
        await scene.try_to_log_in("192.0.2.1", name)
    await operations.ban(scene.guard, ADA, Instant(scene.now + 60.0), "", scene.now)
    scene.later(-366 * 86_400.0 + 5)
    for _ in range(2):  # the store has it right, too
        await scene.restart()
        since = {ban.subject: ban.since for ban in await operations.bans(scene.guard, scene.now)}
        assert since == dict.fromkeys(since, NOON + 5)
        scene.now = Instant(NOON + 34)
        assert scene.guard.admit(ip_address("192.0.2.1"), scene.now) is not None
    scene.later(1)
    assert scene.guard.admit(ip_address("192.0.2.1"), scene.now) is None
    scene.later(30)
    assert isinstance(await scene.screen("198.51.100.1"), Ticket)


async def test_a_ban_that_a_crash_left_undescribed_learns_where_its_failures_came_from(
    scene: Scene,
) -> None:
    await scene.stop()
    failures = [Failure(scene.now, service, name) for service, name in ("xa", "yb", "xc")]
    ban = Ban(HERE, Reason.AUTHENTICATION, scene.now, None, failures=3)
    changes: list[Change] = [*(FailureAdded(HERE, failure) for failure in failures), BanPut(ban)]
    await scene.store.commit(changes, durable=True)
    await scene.start()
    await Sweep(scene.guard).once(scene.now)
    told = replace(ban, services=("x", "y"), counterparts=("c", "b", "a"))
    assert await operations.bans(scene.guard, scene.now) == [told]
    await scene.restart()
    assert await operations.bans(scene.guard, scene.now) == [told]
