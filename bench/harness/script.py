"""What every script of the measurements shares: its arguments, its turns, its file of figures."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.harness.figures import Line, to_json, unmeasured
from bench.harness.machine import circumstances
from bench.table import ROWS, lines_table

RESULTS = Path(__file__).resolve().parent.parent / "results"
QUICK_SIZES, FULL_SIZES = (1,), (1, 10, 100)
QUICK_RUNS, FULL_RUNS = 2, 5

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured: at which *sizes* (multiples of the script's own unit), how often.

    *quick*: as little as still shows something, for `make bench-quick`.
    """

    sizes: tuple[int, ...]
    runs: int
    quick: bool


def side_by_side(
    runs: int, ours: Callable[[], T], theirs: Callable[[], U]
) -> tuple[tuple[T, ...], tuple[U, ...]]:
    """Let both sides have their turns alternately: what else runs here disturbs both alike."""
    pairs = []
    for _ in range(runs):
        gc.collect()
        pairs.append((ours(), theirs()))
    return tuple(first for first, _ in pairs), tuple(second for _, second in pairs)


def run(name: str, about: str, measure: Callable[[Extent], Iterator[Line]]) -> int:
    """Measure what the command line asks for, print it, keep it in a file.

    What is known is kept after each line; what fails, or is interrupted, has a line that says so.
    """
    extent, folder = _arguments(name, about)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    where = circumstances()
    lines: list[Line] = []

    def keep(line: Line) -> None:
        lines.append(line)
        seconds = round(time.monotonic() - began, 1)
        print(f"  {line.work}: after {seconds} s", file=sys.stderr)
        kept = where | {
            "script": name,
            "quick": extent.quick,
            "seconds": seconds,
            "lines": [to_json(known) for known in lines],
        }
        (folder / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")

    status = 0
    try:
        for line in measure(extent):
            keep(line)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- the table tells of it
        traceback.print_exc()
        row, what = ROWS[name]
        keep(unmeasured(row, f"{what}: the rest", f"{type(error).__name__}: {error}"))
        status = 1
    print(lines_table(lines))
    return status


def _arguments(name: str, about: str) -> tuple[Extent, Path]:
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=about)
    parser.add_argument(
        "--size",
        type=int,
        nargs="+",
        metavar="TIMES",
        help="multiples of the work; default: 1 10 100, with --quick 1",
    )
    parser.add_argument("--runs", type=int, help="how often; default: 5, with --quick 2")
    parser.add_argument("--quick", action="store_true", help="small, for a first look")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the raw figures")
    given = parser.parse_args()
    sizes: Sequence[int] = given.size or (QUICK_SIZES if given.quick else FULL_SIZES)
    runs: int = given.runs or (QUICK_RUNS if given.quick else FULL_RUNS)
    if min(*sizes, runs, runs) < 1 or max(sizes) > max(FULL_SIZES):
        parser.error("a size is from 1 to 100, and there is at least one run")
    return Extent(tuple(sizes), runs, given.quick), given.results
