from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.rules.limits import MAX_FAILURES
from mailward.rules.model import Instant, Limit
from mailward.rules.tallies import INSTANTS_PER_SUBJECT, Tallies
from tests.rules import oracle

PERIOD = 60.0
LIMIT = Limit(5, timedelta(seconds=PERIOD))
NOON = 1_790_000_000.0


def at(seconds: float) -> Instant:
    return Instant(NOON + seconds)


def fill(tallies: Tallies, *names: str, seconds: float = 0.0) -> list[str]:
    """One failure for each of *names*; whoever had to go."""
    return [gone for name in names for gone in tallies.add(name, LIMIT, at(seconds), at(seconds))]


# Against the naive model: what is counted, and who goes.

NAMES = st.sampled_from([f"user{number}" for number in range(25)])
ADDING = st.tuples(NAMES, st.sampled_from([0.0, 0.5, 7.0, 30.0]), st.sampled_from([0.0, 1.0, 59.0]))


@given(st.integers(1, 22), st.lists(ADDING, max_size=80), st.lists(NAMES, max_size=2, unique=True))
def test_counts_and_evictions_are_those_of_a_list(
    room: int, steps: list[tuple[str, float, float]], somebody: list[str]
) -> None:
    tallies, naive = Tallies(room), oracle.Tracked(room)
    for name in somebody[: max(1, room // 10)]:
        tallies.succeed(name)
        naive.succeeded.add(name)
    now = NOON
    for name, step, late in steps:
        now += step
        gone = tallies.add(name, LIMIT, Instant(now - late), Instant(now))
        naive.add(name, PERIOD, now - late, now)
        for evicted in gone:
            assert naive.is_over_full()
            assert evicted == naive.next_to_go()
            del naive.failures[evicted]
        assert not naive.is_over_full() or naive.next_to_go() is None
        assert {known: list(tallies.window(known)) for known in tallies.names()} == naive.failures
        assert tallies.instants == sum(map(len, naive.failures.values()))
        for known, failures in naive.failures.items():
            inside = [failure for failure in failures if now - failure < PERIOD]
            assert tallies.count(known, LIMIT, Instant(now)) == len(inside)


@given(
    st.lists(st.tuples(NAMES, st.sampled_from(["fail", "succeed", "clear"])), max_size=120),
    st.integers(1, 30),
)
def test_the_newest_tenth_stays_and_who_succeeded_goes_last(
    steps: list[tuple[str, str]], room: int
) -> None:
    tallies, order, succeeded = Tallies(room), list[str](), list[str]()
    for second, (name, step) in enumerate(steps):
        if step == "succeed" and (name in succeeded or len(succeeded) < max(1, room // 10)):
            tallies.succeed(name)
            succeeded.append(name)
        elif step == "clear":
            assert tallies.clear(name) == (name in order)
            order = [known for known in order if known != name]
        elif step == "fail":
            order = [*(known for known in order if known != name), name]
            newest = set(order[-max(1, room // 10) :])
            for gone in fill(tallies, name, seconds=second / 10):
                order.remove(gone)
                assert gone not in newest
                assert gone not in succeeded or set(order) <= newest | set(succeeded)
        assert sorted(tallies.names()) == sorted(order)
        assert len(tallies) == len(order) <= room


@given(st.lists(st.tuples(NAMES, st.integers(1, 200)), max_size=15), st.integers(1, 12))
def test_the_sum_of_kept_failures_is_bounded(steps: list[tuple[str, int]], room: int) -> None:
    tallies = Tallies(room)
    limit = Limit(MAX_FAILURES, timedelta(days=1))
    for name, failures in steps:
        for _ in range(failures):
            tallies.add(name, limit, at(0), at(0))
            alone = len(tallies) == 1
            assert alone or tallies.instants <= room * INSTANTS_PER_SUBJECT
        assert name in tallies
    assert tallies.instants == sum(len(tallies.window(name)) for name in tallies.names())


def test_one_subject_never_holds_more_failures_than_the_highest_limit() -> None:
    tallies = Tallies(100_000)
    limit = Limit(MAX_FAILURES, timedelta(days=1))
    for number in range(MAX_FAILURES + 500):
        tallies.add("ada", limit, at(number / 1_000), at(number / 1_000))
    assert tallies.instants == len(tallies.window("ada")) == MAX_FAILURES
    assert tallies.window("ada")[0] == at(0.5)
    assert tallies.count("ada", limit, at(20)) == MAX_FAILURES


def test_made_up_names_push_each_other_out_and_not_the_one_under_attack() -> None:
    tallies = Tallies(100)
    fill(tallies, "victim", "victim", "victim")
    for number in range(1_000):
        fill(tallies, f"made-up{number}")
    assert tallies.count("victim", LIMIT, at(0)) == 3


def test_a_fresh_attack_cannot_be_hidden_in_a_flood_of_made_up_names() -> None:
    tallies = Tallies(100)
    fill(tallies, *(f"old{number}" for number in range(100)))
    for number in range(200):
        fill(tallies, *(f"made-up{number}-{n}" for n in range(9)))
        fill(tallies, "victim")
    assert tallies.count("victim", LIMIT, at(0)) == 200


def test_somebody_real_stays_where_a_busier_stranger_goes() -> None:
    tallies = Tallies(20)
    tallies.succeed("ada")
    fill(tallies, "ada", "stranger", "stranger")
    gone = [who for n in range(40) for who in fill(tallies, f"other{n}", f"other{n}")]
    assert "ada" in tallies
    assert "stranger" in gone


def test_success_is_remembered_also_if_it_comes_after_the_failures() -> None:
    tallies = Tallies(20)
    fill(tallies, "ada", *(f"n{number}" for number in range(19)))
    tallies.succeed("ada")
    assert "ada" not in fill(tallies, *(f"m{number}" for number in range(30)))


def test_success_clears_nothing() -> None:
    tallies = Tallies(20)
    fill(tallies, "ada", "ada")
    tallies.succeed("ada")
    assert tallies.count("ada", LIMIT, at(0)) == 2


def test_the_next_failure_after_clearing_is_the_first() -> None:
    tallies = Tallies(20)
    fill(tallies, "ada", "ada", "ada")
    assert tallies.clear("ada")
    assert not tallies.clear("ada")
    assert tallies.count("ada", LIMIT, at(0)) == 0
    fill(tallies, "ada")
    assert tallies.count("ada", LIMIT, at(0)) == 1


def test_the_idle_are_forgotten_once_their_last_failure_is_out_and_not_before() -> None:
    tallies = Tallies(20)
    fill(tallies, "ada", "bob", "eve")
    fill(tallies, "ada", seconds=1.0)
    assert tallies.forget_idle(LIMIT, at(59.999999), 10) == []
    assert tallies.forget_idle(LIMIT, at(60), 1) == ["bob"]
    assert tallies.forget_idle(LIMIT, at(60), 10) == ["eve"]
    assert list(tallies.names()) == ["ada"]
    assert tallies.forget_idle(LIMIT, at(61), 10) == ["ada"]
    assert (len(tallies), tallies.instants) == (0, 0)


def test_a_look_at_a_tally_is_a_copy() -> None:
    tallies = Tallies(20)
    fill(tallies, "ada")
    tallies.window("ada").append(at(1))
    assert list(tallies.window("ada")) == [at(0)]
    assert list(tallies.window("nobody")) == []


@pytest.mark.parametrize("room", [1, 5, 10, 99])
def test_less_room_lets_the_least_important_go(room: int) -> None:
    tallies = Tallies(100)
    fill(tallies, *(f"n{number}" for number in range(100)))
    fill(tallies, *(f"n{number}" for number in range(0, 100, 10)))
    gone = tallies.resize(room)
    assert len(tallies) == room == 100 - len(gone)
    assert "n90" in tallies
    assert set(gone).isdisjoint(tallies.names())
