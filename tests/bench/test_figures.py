"""The arithmetic behind the measurements: medians, ratios, goals, and the table of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.harness.figures import Goal, Line, Met, Of, from_json, percentile, to_json
from bench.table import ROWS, lines_table, read_results

AT_MOST_TWICE = Goal(Of.RATIO, 2.0)
TEN_TIMES = Goal(Of.RATIO, 10.0, at_least=True)
UNDER_TWO = Goal(Of.OURS, 2.0)


def line(ours: tuple[float, ...], theirs: tuple[float, ...] = (), *goals: Goal) -> Line:
    return Line("1", "work", "us", ours, "peer" if theirs else "", theirs, goals)


def test_a_ratio_is_of_medians_so_one_bad_run_changes_nothing() -> None:
    assert line((1.0, 2.0, 900.0), (4.0, 4.0, 4.0)).ratio == 0.5


@pytest.mark.parametrize(
    ("ours", "theirs", "goal", "met"),
    [
        ((4.0,), (2.0,), AT_MOST_TWICE, Met.YES),
        ((4.1,), (2.0,), AT_MOST_TWICE, Met.NO),
        ((20.0,), (2.0,), TEN_TIMES, Met.YES),
        ((19.0,), (2.0,), TEN_TIMES, Met.NO),
        ((2.0,), (), UNDER_TWO, Met.YES),
        ((2.1,), (), UNDER_TWO, Met.NO),
        ((), (2.0,), AT_MOST_TWICE, Met.NOT_MEASURED),
        ((2.0,), (), AT_MOST_TWICE, Met.NOT_MEASURED),
        ((2.0,), (0.0,), AT_MOST_TWICE, Met.NOT_MEASURED),
    ],
)
def test_a_goal_is_met_up_to_its_limit_and_never_without_figures(
    ours: tuple[float, ...], theirs: tuple[float, ...], goal: Goal, met: Met
) -> None:
    assert line(ours, theirs, goal).met(goal) is met


def test_a_line_is_measured_only_if_its_peer_is() -> None:
    assert line((1.0,)).is_measured
    assert not Line("1", "work", "us", (1.0,), "peer", ()).is_measured
    assert not Line("1", "work", "us", (), "peer", (1.0,)).is_measured


def test_the_median_and_the_99th_of_a_hundred() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert percentile(hundred, 0.5) == 50.0
    assert percentile(hundred, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0


def test_a_line_outlives_its_file() -> None:
    before = line((1.0, 2.0), (3.0,), AT_MOST_TWICE, TEN_TIMES)
    assert from_json(json.loads(json.dumps(to_json(before)))) == before


def test_the_table_says_what_was_missed() -> None:
    table = lines_table([line((5.0,), (2.0,), AT_MOST_TWICE, UNDER_TWO)])
    assert "2.50" in table
    assert "<= 2 x, <= 2" in table
    assert "NO, NO" in table


def test_no_row_is_missing_from_the_table_of_an_empty_folder(tmp_path: Path) -> None:
    lines = read_results(tmp_path)
    assert [one.row for one in lines] == [row for row, _ in ROWS.values()]
    assert all("not measured" in row for row in lines_table(lines).splitlines()[2 : 2 + len(ROWS)])


def test_figures_that_cannot_be_read_are_told_like_those_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "rows.drop.json").write_text('{"lines": [{"row": 1}]}')
    assert "no figures" in read_results(tmp_path)[0].note
