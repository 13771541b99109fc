"""What was measured, what was wanted, and whether it was reached: arithmetic, nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum, unique


@unique
class Of(Enum):
    """What a goal looks at."""

    OURS = "ours"
    RATIO = "ratio"


@unique
class Met(Enum):
    """How a goal ended."""

    YES = "yes"
    NO = "NO"
    NO_GOAL = "-"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Goal:
    """At most *limit*, or at least so much: of our own median, or of its ratio to the peer's."""

    of: Of
    limit: float
    at_least: bool = False

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{sign} {self.limit:g}{' x' if self.of is Of.RATIO else ''}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. Of each side every run's figure is kept; *unit* is that of both.

    Without *ours*, or with a *peer* but without *theirs*, it was not measured: *note* says why.
    """

    row: str
    work: str
    unit: str
    ours: tuple[float, ...] = ()
    peer: str = ""
    theirs: tuple[float, ...] = ()
    goals: tuple[Goal, ...] = ()
    note: str = ""

    @property
    def is_measured(self) -> bool:
        return bool(self.ours) and (bool(self.theirs) or not self.peer)

    @property
    def our_median(self) -> float | None:
        return median(self.ours)

    @property
    def their_median(self) -> float | None:
        return median(self.theirs)

    @property
    def ratio(self) -> float | None:
        """Ours divided by theirs."""
        ours, theirs = self.our_median, self.their_median
        return None if ours is None or not theirs else ours / theirs

    @property
    def is_missed(self) -> bool:
        """Whether a goal was not reached, or anything not measured."""
        return not self.is_measured or any(self.met(goal) is not Met.YES for goal in self.goals)

    def met(self, goal: Goal) -> Met:
        match goal.of:
            case Of.OURS:
                reached = self.our_median
            case Of.RATIO:
                reached = self.ratio
        if reached is None:
            return Met.NOT_MEASURED
        is_met = reached >= goal.limit if goal.at_least else reached <= goal.limit
        return Met.YES if is_met else Met.NO


def median(runs: Sequence[float]) -> float | None:
    """The middle of *runs*; ``None`` of none.

    >>> median([3.0, 1.0, 2.0])
    2.0
    """
    return statistics.median(runs) if runs else None


def percentile(figures: Sequence[float], share: float) -> float:
    """The figure that *share* of all *figures* do not exceed.

    >>> percentile([5.0, 1.0, 4.0, 2.0, 3.0], 0.8)
    4.0

    Raises:
        ValueError: there are none.
    """
    if not figures:
        raise ValueError("no figures")
    ordered = sorted(figures)
    return ordered[
        max(0, min(len(ordered) - 1, -(-len(ordered) * round(share * 1e6) // 10**6) - 1))
    ]


def unmeasured(row: str, work: str, why: str) -> Line:
    """The line of what could not be measured."""
    return Line(row, work, "", note=why)


def to_json(line: Line) -> dict[str, object]:
    return asdict(line) | {
        "goals": [{**asdict(goal), "of": goal.of.value} for goal in line.goals],
        "ours_median": line.our_median,
        "theirs_median": line.their_median,
        "ratio": line.ratio,
    }


def from_json(known: Mapping[str, object]) -> Line:
    """The inverse of :func:`to_json`.

    Raises:
        KeyError, TypeError, ValueError: it was not made by that.
    """
    goals = known["goals"]
    if not isinstance(goals, list):
        raise TypeError("goals are a list")
    return Line(
        row=str(known["row"]),
        work=str(known["work"]),
        unit=str(known["unit"]),
        ours=_numbers(known["ours"]),
        peer=str(known["peer"]),
        theirs=_numbers(known["theirs"]),
        goals=tuple(
            Goal(Of(goal["of"]), float(goal["limit"]), bool(goal["at_least"])) for goal in goals
        ),
        note=str(known["note"]),
    )


def _numbers(known: object) -> tuple[float, ...]:
    if not isinstance(known, list | tuple):
        raise TypeError("figures are a list")
    return tuple(float(figure) for figure in known)
