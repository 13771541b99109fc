"""What the guard remembers of tokens, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailward.guard.tokens import DIGEST_OCTETS, LEAST_SECONDS, WRITE_AGAIN_SECONDS, Tokens
from mailward.rules.model import Instant, Login
from tests.guard.conftest import NOON, Scene, policy

ADA, GRACE = Login("ada"), Login("grace")


def test_a_token_is_known_for_its_login_alone() -> None:
    tokens = Tokens(b"key")
    tokens.accepted(ADA, b"token", NOON)
    assert tokens.was_accepted(ADA, b"token")
    assert not tokens.was_accepted(GRACE, b"token")
    assert not tokens.was_accepted(None, b"token")
    assert not tokens.was_accepted(ADA, b"other")


@given(
    one=st.tuples(st.none() | st.text(max_size=4), st.binary(max_size=4)),
    other=st.tuples(st.none() | st.text(max_size=4), st.binary(max_size=4)),
)
def test_no_name_and_token_can_be_read_as_another_pair(
    one: tuple[str | None, bytes], other: tuple[str | None, bytes]
) -> None:
    tokens = Tokens(b"key")
    tokens.accepted(None if one[0] is None else Login(one[0]), one[1], NOON)
    # Nobody is called nothing: without a name and with an empty one is the same.
    same = (one[0] or "", one[1]) == (other[0] or "", other[1])
    assert tokens.was_accepted(None if other[0] is None else Login(other[0]), other[1]) is same


def test_when_it_is_full_what_was_used_longest_ago_goes() -> None:
    tokens = Tokens(b"key", at_most=3)
    for token in (b"1", b"2", b"3", b"1", b"4"):
        tokens.accepted(ADA, token, NOON)
    assert len(tokens) == 3
    assert [token for token in (b"1", b"2", b"3", b"4") if tokens.was_accepted(ADA, token)] == [
        b"1",
        b"3",
        b"4",
    ]


def test_only_digests_under_the_key_are_kept() -> None:
    kept = []
    for key in (b"one key", b"another"):
        tokens = Tokens(key)
        tokens.accepted(ADA, b"a-secret-token", NOON)
        assert b"a-secret-token" not in repr(vars(tokens)).encode()
        kept += list(vars(tokens)["_accepted"])
    assert len(set(kept)) == 2
    assert all(len(digest) == DIGEST_OCTETS for digest in kept)


def kept_by(scene: Scene) -> Tokens:
    return Tokens(b"key", at_most=3, writer=scene.guard.writer)


async def stored(scene: Scene) -> list[float]:
    await scene.guard.writer.written()
    return list((await scene.store.load()).tokens.values())


async def test_a_good_token_is_stored_and_known_after_a_restart(scene: Scene) -> None:
    kept_by(scene).accepted(ADA, b"token", NOON)
    await scene.restart()
    known = (await scene.store.load()).tokens
    assert Tokens(b"key", known=known).was_accepted(ADA, b"token")
    assert not Tokens(b"key", known=known).was_accepted(GRACE, b"token")
    assert not Tokens(b"another key", known=known).was_accepted(ADA, b"token")


async def test_one_that_is_used_all_the_time_is_seldom_written(scene: Scene) -> None:
    tokens = kept_by(scene)
    for second in range(int(2 * WRITE_AGAIN_SECONDS)):
        tokens.accepted(ADA, b"token", Instant(NOON + second))
        assert scene.guard.writer.behind <= 1 + second // WRITE_AGAIN_SECONDS
    assert await stored(scene) == [NOON + WRITE_AGAIN_SECONDS]


async def test_what_goes_from_memory_goes_from_the_store(scene: Scene) -> None:
    tokens = kept_by(scene)
    for number in range(10):
        tokens.accepted(ADA, b"%d" % number, Instant(NOON + number))
    assert await stored(scene) == [NOON + 7, NOON + 8, NOON + 9]


async def test_it_is_forgotten_after_the_period_of_the_limit_and_a_day_at_least(
    scene: Scene,
) -> None:
    for limit, seconds in (("3/1h", LEAST_SECONDS), ("3/2d", 2 * 86_400.0)):
        tokens = kept_by(scene)
        tokens.accepted(ADA, b"token", NOON)
        tokens.forget_old(policy(limit), Instant(NOON + seconds - 1), 9)
        assert tokens.was_accepted(ADA, b"token")
        tokens.forget_old(policy(limit), Instant(NOON + seconds), 9)
        assert not tokens.was_accepted(ADA, b"token")
        assert await stored(scene) == []
