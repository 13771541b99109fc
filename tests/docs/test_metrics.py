"""Every metric stands in the reference as it is, and every query of the board is about one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailward.admin.metrics import METRICS, Metric

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "reference.md").read_text().splitlines()
BOARD = ROOT / "packaging" / "grafana.json"
NAMES = {metric.name for metric in METRICS}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_documented_as_it_is(metric: Metric) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    assert f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} |" in LINES


def test_no_metric_is_documented_that_is_not_there() -> None:
    named = {line.split("`")[1] for line in LINES if line.startswith("| `mailward_")}
    assert named == NAMES


def queries() -> Iterator[str]:
    board = json.loads(BOARD.read_text())
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]


@pytest.mark.parametrize("query", list(queries()))
def test_every_query_of_the_board_is_about_metrics_that_exist_and_their_labels(query: str) -> None:
    named = re.findall(r"mailward_\w+", query)
    assert named
    assert set(named) <= NAMES
    known = {label for metric in METRICS if metric.name in named for label in metric.labels}
    used = re.findall(r"(\w+)=~?\"", query)
    for group in re.findall(r"by \(([^)]*)\)", query):
        used += [label.strip() for label in group.split(",")]
    assert set(used) <= known | {"instance"}


def test_every_metric_is_on_the_board() -> None:
    assert {name for query in queries() for name in re.findall(r"mailward_\w+", query)} == NAMES
