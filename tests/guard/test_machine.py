"""Any interleaving of all that can happen to a guard ends as the oracle says, on every store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from mailward.rules.model import Outcome
from mailward.stores.memory import MemoryStore
from mailward.stores.port import Store
from mailward.stores.sqlite import SqliteStore
from tests.guard.duel import ADDRESSES, LOGINS, NETWORKS, SMALL_ROOM, TICK, Duel
from tests.guard.interleavings import play
from tests.guard.oracle import ADDRESS, LOGIN, UNTIL_LIFTED, WHILE_FULL, Name, Rules, Try

LIMITS = st.none() | st.tuples(st.integers(1, 4), st.sampled_from([5.0, 20.0]))
TRIES = st.builds(Try, st.sampled_from(ADDRESSES), st.sampled_from(LOGINS))
OUTCOMES = st.sampled_from([Outcome.FAILED, Outcome.SUCCEEDED, Outcome.UNAVAILABLE])
PLACES = st.integers(0, 7)
SECONDS = st.sampled_from([TICK, 0.5, 1.0, 4.0, 30.0])
NAMES: st.SearchStrategy[Name] = st.tuples(
    st.just(ADDRESS), st.sampled_from((*ADDRESSES, *NETWORKS))
) | st.tuples(st.just(LOGIN), st.sampled_from(["ada", "grace"]))
RULES = st.builds(
    Rules,
    st.fixed_dictionaries({ADDRESS: LIMITS, LOGIN: LIMITS}),
    st.fixed_dictionaries(
        dict.fromkeys((ADDRESS, LOGIN), st.sampled_from([UNTIL_LIFTED, WHILE_FULL, 3.0, 10.0]))
    ),
    v4_bits=st.sampled_from([32, 24]),
    v6_bits=st.sampled_from([64, 48, 128]),
    allowed=st.sampled_from([(), *((text,) for text in NETWORKS)]),
    blocked=st.sampled_from([(), *((text,) for text in NETWORKS)]),
    room=st.sampled_from([1_000_000, SMALL_ROOM]),
    observe=st.sampled_from([False, False, True]),
    hold=st.booleans(),
)


class Interleaving(RuleBasedStateMachine):
    """The steps of a duel, in the order that Hypothesis finds worth trying."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._duel: Duel | None = None

    def store_maker(self) -> Callable[[], Store]:
        store = MemoryStore()
        return lambda: store

    def play(self, step: Coroutine[None, None, None]) -> None:
        self._runner.run(step)

    @property
    def duel(self) -> Duel:
        assert self._duel is not None
        return self._duel

    def teardown(self) -> None:
        if self._duel is not None:
            self.play(self._duel.stop())
        self._runner.close()

    @initialize(rules=RULES)
    def start(self, rules: Rules) -> None:
        self._duel = Duel(self.store_maker(), rules)
        self.play(self._duel.start())

    @rule(attempt=TRIES)
    def arrive(self, attempt: Try) -> None:
        self.play(self.duel.arrive(attempt))

    @rule(attempt=TRIES, times=st.integers(2, 4))
    def fail_again_and_again(self, attempt: Try, times: int) -> None:
        for _ in range(times):
            self.play(self.duel.arrive(attempt))
            self.play(self.duel.settle(-1, Outcome.FAILED))

    @rule(which=PLACES, outcome=OUTCOMES)
    def settle(self, which: int, outcome: Outcome) -> None:
        self.play(self.duel.settle(which, outcome))

    @rule(which=PLACES, outcome=OUTCOMES, leaver=PLACES)
    def settle_while_somebody_leaves(self, which: int, outcome: Outcome, leaver: int) -> None:
        self.play(self.duel.settle(which, outcome, leaver=leaver))

    @rule(outcomes=st.lists(OUTCOMES, min_size=2, max_size=3))
    def settle_together(self, outcomes: list[Outcome]) -> None:
        self.play(self.duel.settle_together(outcomes))

    @rule(which=PLACES)
    def leave(self, which: int) -> None:
        self.play(self.duel.leave(which))

    @rule(attempt=TRIES, outcome=OUTCOMES, age=st.sampled_from([0.0, 4.0, 5.0 - TICK, 5.0, -3.0]))
    def report(self, attempt: Try, outcome: Outcome, age: float) -> None:
        self.play(self.duel.report(attempt, outcome, self.duel.now - age))

    @rule(
        address=st.sampled_from(ADDRESSES),
        age=st.sampled_from([0.0, 4.0]),
        failures=st.integers(0, 4),
    )
    def report_logins(self, address: str, age: float, failures: int) -> None:
        self.play(self.duel.report_logins(address, self.duel.now - age, failures))

    @rule(name=NAMES, seconds=st.sampled_from([None, 2.0, 15.0]))
    def ban(self, name: Name, seconds: float | None) -> None:
        self.play(self.duel.ban(name, seconds))

    @rule(name=NAMES)
    def lift(self, name: Name) -> None:
        self.play(self.duel.lift(name))

    @rule(rules=RULES)
    def reload(self, rules: Rules) -> None:
        self.play(self.duel.reload(rules))

    @rule(crash=st.booleans(), back=st.sampled_from([0.0, 2.0]))
    def restart(self, crash: bool, back: float) -> None:
        self.play(self.duel.restart(crash=crash, back=back))

    @rule()
    def sweep(self) -> None:
        self.play(self.duel.sweep())

    @rule(seconds=SECONDS)
    def clock(self, seconds: float) -> None:
        self.play(self.duel.clock(seconds))

    @rule(which=PLACES, beside=st.sampled_from([-TICK, 0.0, TICK]))
    def clock_to_an_edge(self, which: int, beside: float) -> None:
        edges = self.duel.edges()
        if edges:
            self.play(self.duel.clock(max(TICK, edges[which % len(edges)] + beside)))


class OnDisk(Interleaving):
    """The same with a file: a crash leaves what was committed."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()

    def store_maker(self) -> Callable[[], Store]:
        return partial(SqliteStore, Path(self._folder.name) / "store.db")

    def teardown(self) -> None:
        super().teardown()
        self._folder.cleanup()


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
TestInMemory = Interleaving.TestCase
TestInMemory.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=SLOW
)
TestOnDisk = OnDisk.TestCase
TestOnDisk.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=SLOW
)


@pytest.mark.parametrize("block", range(4))
async def test_hundreds_of_thrown_interleavings_end_as_the_oracle_says(block: int) -> None:
    first = Random().randrange(1_000_000)
    for number in range(50):
        await play(f"{first}-{block}-{number}")
