"""Every metric is on the board, and every query of the board is about metrics there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailward.admin.metrics import METRICS

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "packaging" / "grafana.json"
NAMES = {metric.name for metric in METRICS}


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
