"""Lines of the log: written together at the end of a turn, and never in the way of the mail."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mailward.app.logs import JsonLines, LinesOfATurn, TextLines
from mailward.guard.journal import Entry, Event
from mailward.rules.model import Instant


class Stream(io.StringIO):
    """Where lines go; *broken*: nobody reads them any more."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.broken = broken
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        if self.broken:
            raise BrokenPipeError
        return super().write(text)


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    log = logging.getLogger("mailward.test-of-lines")
    log.propagate = False
    yield log
    log.handlers.clear()


async def test_the_lines_of_a_turn_are_written_together_in_their_order(log: logging.Logger) -> None:
    stream = Stream()
    log.addHandler(LinesOfATurn(stream, TextLines()))
    for number in range(3):
        log.warning("line %d", number)
    assert stream.writes == 0
    await asyncio.sleep(0)
    assert [line[-6:] for line in stream.getvalue().splitlines()] == ["line 0", "line 1", "line 2"]
    assert stream.writes == 1


def test_where_no_loop_runs_a_line_is_written_at_once(log: logging.Logger) -> None:
    stream = Stream()
    log.addHandler(LinesOfATurn(stream, TextLines()))
    log.warning("here")
    assert stream.getvalue().endswith(" here\n")


async def test_a_log_that_nobody_reads_is_no_trouble_of_the_loop(log: logging.Logger) -> None:
    stream = Stream(broken=True)
    log.addHandler(LinesOfATurn(stream, TextLines()))
    troubles: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: troubles.append(told))
    log.warning("lost")
    for _ in range(5):
        await asyncio.sleep(0)
    assert (stream.writes, troubles) == (1, [])


def test_what_is_said_last_is_not_lost() -> None:
    program = """
import asyncio, logging, sys
from mailward.app.logs import LinesOfATurn, TextLines
logging.getLogger().addHandler(LinesOfATurn(sys.stdout, TextLines()))
async def end(): logging.error("the end")
asyncio.run(end())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.endswith(" the end\n")


@pytest.mark.parametrize("form", [TextLines(), JsonLines()])
async def test_an_event_has_the_line_that_its_record_would_have(
    log: logging.Logger, form: TextLines | JsonLines
) -> None:
    stream = Stream()
    lines = LinesOfATurn(stream, form)
    log.addHandler(lines)
    entry = Entry(Event.AUTH_FAILED, Instant(0.0), {"login": "a b", "count": 2, "until": 0.5})
    log.warning(entry)
    lines.tell(logging.WARNING, entry)
    lines.flush()
    logged, told = (_without_time(line) for line in stream.getvalue().splitlines())
    assert logged == told
    assert "warning" in told


async def test_events_and_other_lines_come_in_their_order(log: logging.Logger) -> None:
    stream = Stream()
    lines = LinesOfATurn(stream, TextLines())
    log.addHandler(lines)
    log.warning("before")
    lines.tell(logging.WARNING, Entry(Event.AUTH_FAILED, Instant(0.0), {}))
    log.warning("after")
    lines.flush()
    words = [line.split()[-1] for line in stream.getvalue().splitlines()]
    assert words == ["before", "auth.failed", "after"]


def _without_time(line: str) -> str:
    return re.sub(r"[0-9]{4}-[0-9T:.-]+Z", "", line)
