"""Lines that come through logging are aggregated too, whatever library says them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from mailward.app.logs import JsonLines, LinesOfATurn, TextLines
from mailward.guard.repeats import LINES_PER_SECOND, Repeats
from mailward.rules.model import Instant


@dataclass
class Output:
    """A log whose time is *seconds*."""

    form: TextLines | JsonLines = field(default_factory=TextLines)
    stream: io.StringIO = field(default_factory=io.StringIO)
    repeats: Repeats = field(default_factory=Repeats)
    seconds: float = 1_000.0

    def handler(self) -> LinesOfATurn:
        return LinesOfATurn(self.stream, self.form, self.repeats, lambda: Instant(self.seconds))

    def text(self) -> str:
        return self.stream.getvalue()

    def pass_a_minute(self) -> None:
        self.seconds += 60
        self.repeats.report(Instant(self.seconds))


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture(params=["mailward.session", "asyncio", "aiohttp.server"])
def logger(request: pytest.FixtureRequest, output: Output) -> Iterator[logging.Logger]:
    yield from attached(request.param, output)


@pytest.fixture
def daemon(output: Output) -> Iterator[logging.Logger]:
    yield from attached("mailward.daemon", output)


def attached(name: str, output: Output) -> Iterator[logging.Logger]:
    logger = logging.getLogger(name)
    propagates, level = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(output.handler())
    yield logger
    logger.handlers.clear()
    logger.propagate = propagates
    logger.setLevel(level)


def fail_here() -> None:
    raise ValueError("a fault")


def fail_there() -> None:
    raise ValueError("another fault")


def test_a_traceback_of_one_place_is_written_once_a_minute(
    output: Output, logger: logging.Logger
) -> None:
    for number in range(300):
        for fail in (fail_here, fail_there):
            try:
                fail()
            except ValueError:
                logger.exception("session %d ended by a fault of ours", number)
    assert output.text().count("Traceback") == 2
    output.pass_a_minute()
    assert output.text().count("Traceback") == 4
    assert output.text().count("session 0 ended by a fault of ours (299 more like it)\n") == 2
    assert output.text().count("ValueError: another fault") == 2
    output.pass_a_minute()
    assert output.text().count("Traceback") == 4


def test_no_flood_of_other_lines_hides_a_traceback(output: Output, logger: logging.Logger) -> None:
    for number in range(100):
        logger.warning("trouble", extra={"about": number})
    try:
        fail_here()
    except ValueError:
        logger.exception("a session ended by a fault of ours")
    assert output.text().count(" warning trouble\n") == LINES_PER_SECOND
    assert "ValueError: a fault" in output.text()


def test_lines_are_aggregated_by_their_text_and_what_they_are_about(
    output: Output, logger: logging.Logger
) -> None:
    for number in range(100):
        about = f"203.0.113.{number % 2}"
        logger.warning("session %d of %s closed", number, about, extra={"about": about})
    assert output.text().count("\n") == 2
    output.pass_a_minute()
    assert [line.partition(" warning ")[2] for line in output.text().splitlines()] == [
        "session 0 of 203.0.113.0 closed",
        "session 1 of 203.0.113.1 closed",
        "session 0 of 203.0.113.0 closed (49 more like it)",
        "session 1 of 203.0.113.1 closed (49 more like it)",
    ]


def test_texts_that_always_differ_share_ten_lines_a_second(
    output: Output, logger: logging.Logger
) -> None:
    for number in range(1_000):
        logger.error(f"Fatal error on transport at 0x{number:x}")  # noqa: G004 -- as asyncio does
    assert output.text().count("\n") == LINES_PER_SECOND
    output.seconds += 61
    left_out = output.repeats.report(Instant(output.seconds))
    assert left_out is not None
    assert (left_out.lines, left_out.subjects) == (990, 990)


def test_no_line_of_the_operators_own_doing_is_left_out(
    output: Output, daemon: logging.Logger
) -> None:
    for number in range(100):
        daemon.info("%s (%s) listens on port %d", "imap", "imap", number)
    assert output.text().count("\n") == 100


def test_the_count_is_a_number_in_json() -> None:
    output = Output(JsonLines())
    for logger in attached("mailward.session", output):
        for _ in range(3):
            try:
                fail_here()
            except ValueError:
                logger.exception("broken")
        output.pass_a_minute()
    first, second = (json.loads(line) for line in output.text().splitlines())
    assert "count" not in first
    assert (second["message"], second["count"]) == ("broken", 2)
    assert first["exception"] == second["exception"]
