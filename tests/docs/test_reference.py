"""What there is stands in the reference, and as it is."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.table import ROWS
from mailward.app.cli.grammar import make_parser
from mailward.guard.journal import Event, Journal
from mailward.settings.key import Key
from mailward.settings.schema import SCHEMA
from tests.admin.house import NOON
from tests.docs.tables import PAGES, filled, key_row, pages, printed


def lines(name: str) -> list[str]:
    return (PAGES / f"{name}.md").read_text().splitlines()


KEYS, COMMANDS, EVENTS = lines("keys"), lines("commands"), lines("events")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_the_tables_are_as_the_code_has_them(page: Path) -> None:
    text = page.read_text()
    assert text == filled(text), "make docs-reference makes them anew"


def test_tables_of_all_kinds_are_in_the_pages() -> None:
    text = "".join(page.read_text() for page in pages())
    for name in ("keys", "commands", "options", "routes", "metrics", "missed", "machine"):
        assert f"<!-- table: {name}" in text


@pytest.mark.parametrize("script", ROWS)
def test_every_measurement_stands_in_the_page_about_performance(script: str) -> None:
    assert f"<!-- table: measured {script} -->" in pages()[-1].read_text()


@pytest.mark.parametrize("key", SCHEMA, ids=lambda key: key.pattern)
def test_every_key_stands_in_one_table(key: Key[object]) -> None:
    row = printed([("",), key_row(key)]).splitlines()[-1]
    assert KEYS.count(row) == 1


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command that does something itself."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001 -- argparse tells its grammar nowhere else
    if not below:
        yield parser
    for action in below:
        for command in action.choices.values():
            yield from commands(command)


@pytest.mark.parametrize("command", [*commands(make_parser())], ids=lambda command: command.prog)
def test_every_command_is_explained_with_its_options(command: argparse.ArgumentParser) -> None:
    starts = (f"## `{command.prog}`", f"## `{command.prog} ")
    heads = [number for number, line in enumerate(COMMANDS) if line.startswith(starts)]
    assert heads, command.prog
    after = [*COMMANDS[heads[0] + 1 :], "## "]
    end = next(number for number, line in enumerate(after) if line.startswith("## "))
    section = "\n".join(COMMANDS[heads[0] : heads[0] + 1 + end])
    everywhere = "\n".join(line for line in COMMANDS if line.startswith("| `--"))
    for action in command._actions:  # noqa: SLF001 -- the same
        for option in action.option_strings:
            assert option == "-h" or option in section or f"`{option}" in everywhere, option


@pytest.mark.parametrize("event", Event, ids=lambda event: event.value)
def test_every_event_is_explained_with_its_level(
    event: Event, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "mailward"):
        Journal().write(event, NOON)
    (record,) = caplog.records
    start = f"| `{event.value}` | {record.levelname.lower()} | "
    assert any(line.startswith(start) for line in EVENTS), start


def test_no_event_is_explained_that_is_not_there() -> None:
    named = {line.split("`")[1] for line in EVENTS if line.startswith("| `")}
    assert named == {event.value for event in Event}
