"""The process of the built-in mail server is started, started again, and never left behind."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mailward.app.mailbox.supervisor import Supervisor
from tests.edges.house import until

PROGRAM = Path(__file__).with_name("program.py")


class Told:
    """What the programs said of themselves, in the log."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def records(self, level: int) -> list[str]:
        return [one.getMessage() for one in self._caplog.records if one.levelno == level]

    def objects(self, level: int) -> list[dict[str, Any]]:
        mark = "mailbox.test: "
        said = self.records(level)
        return [json.loads(line.removeprefix(mark)) for line in said if line.startswith(mark)]

    @property
    def pids(self) -> list[int]:
        return [one["pid"] for one in self.objects(logging.INFO)]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    caplog.set_level(logging.DEBUG, "mailward.mailbox")
    return Told(caplog)


@asynccontextmanager
async def supervised(what: str, pause: float = 0.02) -> AsyncIterator[Supervisor]:
    """A program that does *what*; afterwards it is stopped."""
    command = [sys.executable, str(PROGRAM), what]
    supervisor = Supervisor(command, '{"relay": null}', first_pause_seconds=pause)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.run())
        try:
            yield supervisor
        finally:
            await supervisor.stop()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_is_told_its_settings_at_the_start_and_when_they_change(told: Told) -> None:
    async with supervised("serves") as supervisor:
        await supervisor.settled.wait()
        assert supervisor.fault == ""
        assert told.objects(logging.INFO)[0]["told"] == {"relay": None}
        supervisor.tell('{"relay": "mx.test:25"}')
        await until(lambda: told.objects(logging.WARNING) == [{"told": {"relay": "mx.test:25"}}])
    (pid,) = told.pids
    assert not is_there(pid)


async def test_it_gets_nothing_of_ours_but_its_pipes(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "MAILWARD_CONFIG", "SECRET"):
        monkeypatch.setenv(name, "opensesame")
    inheritable = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        async with supervised("serves") as supervisor:
            await supervisor.settled.wait()
            await until(lambda: bool(told.objects(logging.DEBUG)))
    finally:
        os.close(inheritable)
    (found,) = told.objects(logging.DEBUG)
    assert "opensesame" not in found["environment"].values()
    assert found["descriptors"] == [0, 1, 2]


async def test_killed_it_is_started_again_with_the_newest_settings(told: Told) -> None:
    async with supervised("serves") as supervisor:
        await supervisor.settled.wait()
        supervisor.tell('{"relay": "mx.test:25"}')
        os.kill(told.pids[0], signal.SIGKILL)
        await until(lambda: len(told.pids) == 2)
        assert told.objects(logging.INFO)[1]["told"] == {"relay": "mx.test:25"}
        await until(lambda: supervisor.fault == "")
    (error,) = told.records(logging.ERROR)
    assert error.startswith("the built-in mail server was ended by signal 9 (Killed)")
    assert error.endswith("it is started again in 0.02 s")
    assert "the built-in mail server is ready again" in told.records(logging.WARNING)


async def test_one_that_hangs_is_given_up_and_another_is_started(told: Told) -> None:
    async with supervised("serves") as supervisor:
        await supervisor.settled.wait()
        os.kill(told.pids[0], signal.SIGSTOP)
        supervisor.give_up()
        await until(lambda: len(told.pids) == 2)
    (error,) = told.records(logging.ERROR)
    assert error.startswith("the built-in mail server did not answer any more")


async def test_one_that_dies_at_once_is_tried_later_and_later_and_says_why(told: Told) -> None:
    def ends() -> list[str]:
        return [line for line in told.records(logging.ERROR) if "exit status" in line]

    async with supervised("dies") as supervisor:
        await supervisor.settled.wait()
        await until(lambda: len(ends()) == 3)
        why = (
            "the built-in mail server ended with exit status 78: accounts.db is of a newer version"
        )
        assert supervisor.fault == why
        assert ends() == [
            f"{why}; it is started again in {pause} s" for pause in ("0.02", "0.04", "0.08")
        ]


async def test_what_cannot_be_started_is_an_error_and_no_end() -> None:
    supervisor = Supervisor(["/nowhere/at/all"], "{}", first_pause_seconds=60.0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.run())
        await supervisor.settled.wait()
        why = "the built-in mail server cannot be started: No such file or directory"
        assert supervisor.fault == why
        await supervisor.stop()


async def test_one_that_hangs_is_killed_five_seconds_after_it_was_to_end(told: Told) -> None:
    async with supervised("serves") as supervisor:
        await supervisor.settled.wait()
        (pid,) = told.pids
        os.kill(pid, signal.SIGSTOP)
        began = asyncio.get_running_loop().time()
        await supervisor.stop()
        assert asyncio.get_running_loop().time() - began < 7
    assert not is_there(pid)


async def test_kill_9_of_the_supervisor_leaves_no_process() -> None:
    guardian = await asyncio.create_subprocess_exec(
        *(sys.executable, PROGRAM.with_name("guardian.py")), stderr=asyncio.subprocess.PIPE
    )
    assert guardian.stderr is not None
    line = await guardian.stderr.readline()
    pid = json.loads(line.removeprefix(b"mailbox.test: "))["pid"]
    guardian.kill()
    await guardian.wait()
    await until(lambda: not is_there(pid))
