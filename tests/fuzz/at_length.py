"""Fuzzes every parser in turn: ``python -m tests.fuzz.at_length MINUTES``.

Prints how many inputs each has read, or the shortest that one of them could not.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import cycle
from time import monotonic

from hypothesis import HealthCheck, given, settings

from tests.fuzz.mutants import mutants
from tests.fuzz.targets import TARGETS, corpus

AT_ONCE = 500


def fuzz(name: str) -> int:
    """Throw some hundred inputs at one parser; say how many it has read."""
    driver, inputs = TARGETS[name]
    read = 0

    @settings(
        max_examples=AT_ONCE,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutants(corpus(inputs)))
    def throw(octets: bytes) -> None:
        nonlocal read
        read += 1
        driver(octets)

    throw()
    return read


def main() -> None:
    """Read the arguments and fuzz."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=1.0)
    parser.add_argument("--only", choices=sorted(TARGETS))
    asked = parser.parse_args()
    end = monotonic() + asked.minutes * 60
    read: Counter[str] = Counter()
    for name in cycle([asked.only] if asked.only else TARGETS):
        if monotonic() > end:
            break
        read[name] += fuzz(name)
    for name, count in sorted(read.items()):
        print(f"{name:20}{count:10} inputs, no fault")  # noqa: T201 -- a script


if __name__ == "__main__":
    main()
