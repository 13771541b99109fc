"""Drives a guard against its oracle with dice: ``python -m tests.guard.interleavings MINUTES``.

Prints how many random interleavings a second were played, or the first that made a difference.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from time import monotonic

from mailward.rules.model import Outcome
from mailward.stores.memory import MemoryStore
from tests.guard.duel import ADDRESSES, LOGINS, NETWORKS, SMALL_ROOM, TICK, Duel
from tests.guard.oracle import ADDRESS, LOGIN, UNTIL_LIFTED, WHILE_FULL, Name, Rules, Try

STEPS = 25
OUTCOMES = [Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED, Outcome.UNAVAILABLE]
PERIODS = (5.0, 20.0)


def some_rules(dice: random.Random) -> Rules:
    """A configuration; most are as operators make them."""

    def limit() -> tuple[int, float] | None:
        if dice.random() < 0.07:
            return None
        return dice.choice((1, 2, 2, 3, 4)), dice.choice(PERIODS)

    def some(texts: tuple[str, ...]) -> tuple[str, ...]:
        return (dice.choice(texts),) if dice.random() < 0.15 else ()

    return Rules(
        {ADDRESS: limit(), LOGIN: limit()},
        {
            ADDRESS: dice.choice((UNTIL_LIFTED, UNTIL_LIFTED, 3.0, 10.0, WHILE_FULL)),
            LOGIN: dice.choice((WHILE_FULL, WHILE_FULL, 3.0, 10.0, UNTIL_LIFTED)),
        },
        v4_bits=dice.choice((32, 32, 24)),
        v6_bits=dice.choice((64, 64, 128, 48)),
        allowed=some(NETWORKS),
        blocked=some(NETWORKS),
        room=dice.choice((1_000_000, 1_000_000, SMALL_ROOM)),
        observe=dice.random() < 0.2,
        hold=dice.random() < 0.4,
    )


def some_try(dice: random.Random) -> Try:
    return Try(
        dice.choice(ADDRESSES[:3] if dice.random() < 0.7 else ADDRESSES), dice.choice(LOGINS)
    )


def some_name(dice: random.Random) -> Name:
    if dice.random() < 0.3:
        return LOGIN, dice.choice(("ada", "grace"))
    return ADDRESS, dice.choice((*ADDRESSES, *NETWORKS))


def some_seconds(dice: random.Random, duel: Duel) -> float:
    """A step of the clock, often one to the very edge of a window or a ban."""
    edges = duel.edges()
    if edges and dice.random() < 0.6:
        return max(TICK, dice.choice(edges[:3]) + dice.choice((-TICK, 0.0, 0.0, 0.0, TICK)))
    return dice.choice((TICK, 0.5, 1.0, 4.0, 30.0))


def some_step(dice: random.Random, duel: Duel) -> Callable[[], Awaitable[None]]:
    at = duel.now - dice.choice((0.0, 0.0, 1.0, 4.0, 5.0 - TICK, 5.0, 19.0, 20.0, -3.0))
    any_place = dice.randrange(1_000)
    failures = dice.randrange(5)
    outcomes = [dice.choice(OUTCOMES) for _ in range(3)]
    steps: list[tuple[int, Callable[[], Awaitable[None]]]] = [
        (40, lambda: duel.arrive(some_try(dice))),
        (22, lambda: duel.settle(any_place, outcomes[0])),
        (4, lambda: duel.settle(any_place, outcomes[0], leaver=any_place)),
        (4, lambda: duel.settle_together(outcomes)),
        (5, lambda: duel.leave(any_place)),
        (8, lambda: duel.report(some_try(dice), outcomes[0], at)),
        (5, lambda: duel.report_logins(dice.choice(ADDRESSES[:3]), at, failures)),
        (3, lambda: duel.ban(some_name(dice), dice.choice((None, 2.0, 15.0)))),
        (3, lambda: duel.lift(some_name(dice))),
        (3, lambda: duel.reload(some_rules(dice))),
        (2, lambda: duel.reload(replace(duel.oracle.rules, observe=dice.random() < 0.6))),
        (2, lambda: duel.restart(crash=dice.random() < 0.6, back=dice.choice((0.0, 0.0, 2.0)))),
        (6, duel.sweep),
        (14, lambda: duel.clock(some_seconds(dice, duel))),
    ]
    weights = [weight for weight, _ in steps]
    return dice.choices([step for _, step in steps], weights)[0]


async def play(seed: str) -> None:
    """One interleaving; the seed tells it all."""
    dice = random.Random(seed)
    store = MemoryStore()
    duel = Duel(lambda: store, some_rules(dice))
    await duel.start()
    for _ in range(STEPS):
        await some_step(dice, duel)()
    await duel.stop()


async def play_for(seconds: float, first: int) -> int:
    """Play until *seconds* are over and say how many there were."""
    end = monotonic() + seconds
    played = 0
    while monotonic() < end:
        seed = f"{first}-{played}"
        try:
            await play(seed)
        except Exception as error:
            traceback.print_exc()
            # As text: what the error holds may not be fit to go from process to process.
            raise SystemExit(f"a difference: play({seed!r})") from error
        played += 1
    return played


def play_alone(seconds: float, first: int) -> int:
    """The same in a process of its own."""
    logging.disable()
    return asyncio.run(play_for(seconds, first))


def main() -> None:
    """Read the arguments and play on every processor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    seconds = asked.minutes * 60
    with ProcessPoolExecutor(asked.jobs) as processes:
        seeds = range(asked.seed, asked.seed + asked.jobs)
        played = sum(processes.map(play_alone, repeat(seconds), seeds))
    rate = played / seconds
    print(f"{played} interleavings of {STEPS} steps, {rate:.0f} a second, no difference")  # noqa: T201 -- a script


if __name__ == "__main__":
    main()
