"""What is asked before the guess is in hand, and what an expired token leaves behind."""

from __future__ import annotations

from mailward.guard.journal import Event
from mailward.guard.reservations import Refused
from mailward.rules.judge import Tolerate
from mailward.rules.model import Outcome, Subject, SubjectKind
from tests.guard.conftest import Scene

ADA = Subject(SubjectKind.LOGIN, "ada")


async def test_a_ban_is_told_early_and_nothing_is_reserved_for_asking(scene: Scene) -> None:
    for host in range(1, 4):
        early = scene.guard.refusal(scene.attempt(f"192.0.2.{host}"), scene.now)
        assert early is None
        assert scene.guard.reservations.under_way == 0
        await scene.try_to_log_in(f"192.0.2.{host}")
    refused = scene.guard.refusal(scene.attempt("192.0.2.9"), scene.now)
    assert isinstance(refused, Refused)
    assert refused.ban.subject == ADA
    assert scene.guard.refusal(scene.attempt("192.0.2.9", "grace"), scene.now) is None


async def test_an_expired_token_is_an_event_and_no_failure(scene: Scene) -> None:
    with scene.guard.journal.entries.follow() as news:
        for _ in range(9):
            verdict = await scene.try_to_log_in("192.0.2.1", outcome=Outcome.EXPIRED)
            assert verdict == Tolerate()
        entry = await anext(aiter(news))
    assert entry.event is Event.AUTH_REFUSED
    assert entry.fields["reason"] == "expired"
    assert scene.guard.reservations.under_way == 0
    assert len(scene.guard.tallies[SubjectKind.LOGIN].window("ada")) == 0
