"""One run of the built-in mail server's program, from its start to its end.

Settings go to its standard input, a line each time they change. Its standard output says when it is
ready, its standard error is its log. The end of its standard input ends it, so it does not outlive
this process, whatever ends that.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

START_SECONDS = 30.0
"""Until it must say that it is ready."""
STOP_SECONDS = 5.0
"""From SIGTERM to SIGKILL."""
MAX_LINE_OCTETS = 65_536
KEPT_LINES = 5
"""Of its log, for the error that tells why it has ended."""
MAX_SHOWN_CHARACTERS = 1_000
_PIECE_OCTETS = 65_536
_PASSED_ON = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_log = logging.getLogger("mailward.mailbox")


def mailbox_command(folder: Path) -> Sequence[str]:
    """How the program is run, by the interpreter that runs this one, on the data in *folder*."""
    return (*_serve(folder), "--supervised")


def check_command(folder: Path) -> Sequence[str]:
    """How the program is asked whether it could use the data in *folder*."""
    return (*_serve(folder), "--check")


def clean_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What the program gets of *ours*: nothing that a service manager or an operator gave us.

    >>> clean_environment({"NOTIFY_SOCKET": "/run/x", "LC_ALL": "C.UTF-8", "PATH": "/bin"})
    {'LC_ALL': 'C.UTF-8', 'PATH': '/bin'}
    """
    return {
        name: value for name, value in ours.items() if name in _PASSED_ON or name.startswith("LC_")
    }


class MailboxProcess:
    """A process that *command* starts; *told* is its first line of settings.

    *when_ready* is called once, when it listens on all its sockets.
    """

    def __init__(self, command: Sequence[str], told: str, when_ready: Callable[[], None]) -> None:
        self._command = command
        self._told = told
        self._when_ready = when_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: asyncio.WriteTransport | None = None
        self._has_ended = asyncio.Event()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._is_ready = False
        self._is_late = False
        self._is_hung = False
        self._is_stopping = False

    async def run(self) -> str:
        """Run it until it ends; return how it ended, with its last lines.

        Raises:
            OSError: it cannot be started.
        """
        # Not asyncio's: uvloop leaves descriptors open that others have handed down to us.
        process = subprocess.Popen(  # noqa: S603, ASYNC220 -- ours; it returns when it is started
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(os.environ),
            # A ^C in a terminal is for the daemon, which ends it then.
            start_new_session=True,
        )
        self._process = process
        late = asyncio.get_running_loop().call_later(START_SECONDS, self._end_if_late)
        try:
            await self._talk(process)
            status = await asyncio.to_thread(process.wait)
        finally:
            late.cancel()
            process.kill()  # it does nothing to one that has ended
            self._has_ended.set()
        return self._ending(status)

    def tell(self, line: str) -> None:
        """Hand it other settings; it may be about to end."""
        if self._settings is not None and not self._settings.is_closing():
            self._settings.write(f"{line}\n".encode())

    def give_up(self) -> None:
        """End it at once: it hangs."""
        if self._process is not None:
            self._is_hung = True
            self._process.kill()

    async def stop(self) -> None:
        """End it: with SIGTERM, and with SIGKILL if that is not enough."""
        self._is_stopping = True
        if self._process is None:
            return
        self._ask_to_end(self._process)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._has_ended.wait()
        except TimeoutError:
            _log.warning("the built-in mail server did not end in %d s: killed", STOP_SECONDS)
            self._process.kill()
            await self._has_ended.wait()

    # -- inside --------------------------------------------------------------------------------

    async def _talk(self, process: subprocess.Popen[bytes]) -> None:
        """Tell it what it has to know, and hear it until it says no more."""
        loop = asyncio.get_running_loop()
        output, log = asyncio.StreamReader(), asyncio.StreamReader()
        self._settings, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
        opened: list[asyncio.BaseTransport] = [self._settings]
        try:
            for reader, pipe in ((output, process.stdout), (log, process.stderr)):
                protocol = partial(asyncio.StreamReaderProtocol, reader)
                transport, _ = await loop.connect_read_pipe(protocol, pipe)
                opened.append(transport)
            self.tell(self._told)
            if self._is_stopping:
                self._ask_to_end(process)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear_output(output))
                tasks.create_task(self._hear_log(log))
        finally:
            for one in opened:
                one.close()

    def _ask_to_end(self, process: subprocess.Popen[bytes]) -> None:
        if self._settings is not None:
            self._settings.close()
        process.terminate()

    async def _hear_output(self, output: asyncio.StreamReader) -> None:
        async for line in _lines(output):
            if not self._is_ready and _object(line).get("ready") is True:
                self._is_ready = True
                self._when_ready()

    async def _hear_log(self, log: asyncio.StreamReader) -> None:
        async for line in _lines(log):
            told = _object(line)
            message = str(told.get("message", line.decode(errors="replace")))
            level = _LEVELS.get(str(told.get("level")), logging.ERROR)
            self._lines.extend(message.splitlines()[-KEPT_LINES:])
            name = str(told.get("logger", "mailbox"))
            _log.log(level, "%s: %s", name, message, extra={"about": message})

    def _end_if_late(self) -> None:
        if not self._is_ready and self._process is not None:
            self._is_late = True
            self._process.kill()

    def _ending(self, status: int) -> str:
        if self._is_late:
            how = f"was not ready in {START_SECONDS:.0f} s"
        elif self._is_hung:
            how = "did not answer any more"
        elif status < 0:
            how = f"was ended by signal {-status} ({signal.strsignal(-status)})"
        else:
            how = f"ended with exit status {status}"
        last = " / ".join(self._lines)[-MAX_SHOWN_CHARACTERS:]
        return f"{how}: {last}" if last else how


def _serve(folder: Path) -> Sequence[str]:
    # Isolated (-I): no folder and no variable says what is imported.
    return (sys.executable, "-I", "-m", "mailward_mailbox", "serve", "--data", str(folder))


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of *stream*, each cut at :data:`MAX_LINE_OCTETS`."""
    held = b""
    while piece := await stream.read(_PIECE_OCTETS):
        *whole, held = (held + piece).split(b"\n")
        if len(held) > MAX_LINE_OCTETS:
            whole, held = [*whole, held], b""
        for line in whole:
            yield line[:MAX_LINE_OCTETS]
    if held:
        yield held


def _object(line: bytes) -> Mapping[str, object]:
    """The JSON object in *line*; an empty one where it is none."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
