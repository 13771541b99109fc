"""Lines of the log: written together at the end of a turn, and never in the way of the mail."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mailward.app.logs import LinesOfATurn


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
    log.addHandler(LinesOfATurn(stream))
    for number in range(3):
        log.warning("line %d", number)
    assert stream.writes == 0
    await asyncio.sleep(0)
    assert (stream.getvalue(), stream.writes) == ("line 0\nline 1\nline 2\n", 1)


def test_where_no_loop_runs_a_line_is_written_at_once(log: logging.Logger) -> None:
    stream = Stream()
    log.addHandler(LinesOfATurn(stream))
    log.warning("here")
    assert stream.getvalue() == "here\n"


async def test_a_log_that_nobody_reads_is_no_trouble_of_the_loop(log: logging.Logger) -> None:
    stream = Stream(broken=True)
    log.addHandler(LinesOfATurn(stream))
    troubles: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: troubles.append(told))
    log.warning("lost")
    for _ in range(5):
        await asyncio.sleep(0)
    assert (stream.writes, troubles) == (1, [])


def test_what_is_said_last_is_not_lost() -> None:
    program = """
import asyncio, logging, sys
from mailward.app.logs import LinesOfATurn
logging.getLogger().addHandler(LinesOfATurn(sys.stdout))
async def end(): logging.error("the end")
asyncio.run(end())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "the end\n"
