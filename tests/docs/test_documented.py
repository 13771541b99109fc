"""What there is stands in the reference, and as it is."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailward.admin.api import make_app
from mailward.app.cli.grammar import make_parser
from mailward.guard.journal import Event, Journal
from mailward.settings.key import Key
from mailward.settings.schema import SCHEMA
from tests.admin.house import NOON, House, open_house

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
LINES = REFERENCE.read_text().splitlines()


def row(key: Key[object]) -> str:
    default = "unset" if key.default is None else f"`{key.default}`"
    return f"| `{key.pattern}` | {key.takes} | {default} | {key.effect.value} | {key.help} |"


@pytest.mark.parametrize("key", SCHEMA, ids=lambda key: key.pattern)
def test_every_key_is_documented_as_it_is(key: Key[object]) -> None:
    assert row(key) in LINES


def test_no_key_is_documented_that_is_not_there() -> None:
    known = {key.pattern for key in SCHEMA}
    for line in LINES:
        name = line.removeprefix("| `").partition("`")[0]
        if line.startswith("| `") and name.partition(".")[0] in {"server", "backend", "store"}:
            assert name in known or name in {event.value for event in Event}


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command that does something itself."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001 -- argparse tells its grammar nowhere else
    if not below:
        yield parser
    for action in below:
        for command in action.choices.values():
            yield from commands(command)


@pytest.mark.parametrize("command", [*commands(make_parser())], ids=lambda command: command.prog)
def test_every_command_is_documented_with_its_options(command: argparse.ArgumentParser) -> None:
    starts = (f"### `{command.prog}`", f"### `{command.prog} ")
    heads = [number for number, line in enumerate(LINES) if line.startswith(starts)]
    assert heads, command.prog
    after = LINES[heads[0] + 1 :]
    end = next(number for number, line in enumerate(after) if line.startswith(("## ", "### ")))
    section = "\n".join(LINES[heads[0] : heads[0] + 1 + end])
    everywhere = "\n".join(line for line in LINES if line.startswith("| `--"))
    for action in command._actions:  # noqa: SLF001 -- the same
        for option in action.option_strings:
            assert option == "-h" or option in section or f"`{option}" in everywhere, option


def test_every_route_is_documented(tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        for method, path in routes(house):
            assert any(line.startswith(f"| `{method} {path}` |") for line in LINES), path


def routes(house: House) -> Iterator[tuple[str, str]]:
    for route in make_app(house.control, house.guard.journal).router.routes():
        if route.method != "HEAD" and route.resource is not None:
            yield route.method, route.resource.canonical


@pytest.mark.parametrize("event", Event, ids=lambda event: event.value)
def test_every_event_is_documented_with_its_level(
    event: Event, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "mailward"):
        Journal().write(event, NOON)
    (record,) = caplog.records
    start = f"| `{event.value}` | {record.levelname.lower()} | "
    assert any(line.startswith(start) for line in LINES), start
