"""What systemd hears of ``mailward serve``, on a socket of the test."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailward.app.systemd import keep_watch, notify, watchdog_seconds
from mailward.rules.model import Failure, Subject
from mailward.stores.memory import MemoryStore
from mailward.stores.port import StoreError

SERVE = [sys.executable, "-m", "mailward.app.cli.main", "serve"]
PERIOD_SECONDS = 0.4
PATIENCE_SECONDS = 20.0


class Manager:
    """Listens as systemd does."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE_SECONDS)
        self._socket.bind("\0" + path[1:] if path.startswith("@") else path)

    def close(self) -> None:
        self._socket.close()

    def hears(self, state: str) -> Mapping[str, str]:
        """All of the next message that says *state*; pulses before it are passed over."""
        while True:
            message = self._socket.recv(4096).decode()
            said = dict(line.split("=", 1) for line in message.splitlines())
            if state in message.splitlines():
                return said
            assert "WATCHDOG" in said, message

    def hears_nothing(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        with pytest.raises(TimeoutError):
            self._socket.recv(4096)
        self._socket.settimeout(PATIENCE_SECONDS)

    def has_heard(self) -> int:
        """How many messages wait to be read; they are gone then."""
        self._socket.setblocking(False)
        count = 0
        try:
            while self._socket.recv(4096):
                count += 1
        except BlockingIOError:
            self._socket.settimeout(PATIENCE_SECONDS)
        return count


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = f"@mailward-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    listening = Manager(path)
    yield listening
    listening.close()


@contextmanager
def daemon(
    folder: Path, manager: Manager, configuration: str = "", **environment: str
) -> Iterator[subprocess.Popen[str]]:
    file = folder / "config.toml"
    file.write_text(configuration)
    with subprocess.Popen(
        [*SERVE, "--config", str(file), "--data", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NOTIFY_SOCKET": manager.path, **environment},
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_it_says_when_it_is_ready_when_it_reloads_and_when_it_stops(
    manager: Manager, tmp_path: Path
) -> None:
    blocked = '[server.security]\nblocked-networks = { "192.0.2.1" }\n'
    with daemon(tmp_path, manager, blocked) as running:
        ready = manager.hears("READY=1")
        assert ready["STATUS"] == "Addresses listened on: 0. Bans in force: 1."
        running.send_signal(signal.SIGHUP)
        # systemd compares this with its own clock: the answer to an older signal does not count.
        assert int(manager.hears("RELOADING=1")["MONOTONIC_USEC"]) > 0
        manager.hears("READY=1")
        running.send_signal(signal.SIGTERM)
        manager.hears("STOPPING=1")
        assert running.wait(10) == 0


def test_a_reload_that_is_refused_ends_too(manager: Manager, tmp_path: Path) -> None:
    with daemon(tmp_path, manager) as running:
        manager.hears("READY=1")
        (tmp_path / "config.toml").write_text("wrong = 1\n")
        running.send_signal(signal.SIGHUP)
        manager.hears("RELOADING=1")
        manager.hears("READY=1")


def test_the_watchdog_hears_of_it_while_it_lives_and_not_while_it_hangs(
    manager: Manager, tmp_path: Path
) -> None:
    period = str(round(PERIOD_SECONDS * 1_000_000))
    with daemon(tmp_path, manager, WATCHDOG_USEC=period) as running:
        manager.hears("READY=1")
        for _ in range(3):
            assert "STATUS" in manager.hears("WATCHDOG=1")
        running.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
        manager.has_heard()
        manager.hears_nothing(2 * PERIOD_SECONDS)
        running.send_signal(signal.SIGCONT)
        manager.hears("WATCHDOG=1")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getppid())}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
)
def test_only_who_is_watched_sends_pulses(
    environment: Mapping[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert watchdog_seconds() == seconds


class Held(MemoryStore):
    """A store that answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def failures(self, subject: Subject, at_most: int) -> Sequence[Failure]:
        self.asked.set()
        await self.let_go.wait()
        return await super().failures(subject, at_most)


class Broken(MemoryStore):
    """A store that has an answer, but no good one."""

    async def failures(self, subject: Subject, at_most: int) -> Sequence[Failure]:
        raise StoreError("its disk is full; make room")


async def hears_in_time(manager: Manager, state: str) -> None:
    await asyncio.get_running_loop().run_in_executor(None, manager.hears, state)


async def test_a_store_that_does_not_answer_is_no_sign_of_life(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.path)
    store = Held()
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(keep_watch(store, PERIOD_SECONDS, lambda: "well"))
        await store.asked.wait()
        assert manager.has_heard() == 0
        store.let_go.set()
        await hears_in_time(manager, "WATCHDOG=1")
        watch.cancel()


async def test_a_store_in_trouble_is_for_an_operator_and_not_for_the_watchdog(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.path)
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(keep_watch(Broken(), PERIOD_SECONDS, lambda: "in trouble"))
        for _ in range(2):
            await hears_in_time(manager, "STATUS=in trouble")
        watch.cancel()


def test_a_service_manager_that_is_gone_or_deaf_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("READY=1")
    deaf = Manager(str(tmp_path / "deaf"))
    monkeypatch.setenv("NOTIFY_SOCKET", deaf.path)
    queued = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 2
    for _ in range(queued):
        notify("WATCHDOG=1")
    assert 0 < deaf.has_heard() <= queued
    deaf.close()
