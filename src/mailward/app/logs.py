"""Where log lines go: stderr, as text or as one JSON object a line.

What a connection can cause is aggregated, whatever library says it (:mod:`mailward.guard.repeats`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TextIO

from mailward.guard.journal import Entry, utc
from mailward.guard.repeats import Repeats
from mailward.rules.model import Instant
from mailward.settings.configuration import LogFormat, LogLevel, LogSettings

_LEVELS = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
}

# What operators cause, and the start; lines of listeners are aggregated where they are made.
_ALWAYS_WRITTEN = frozenset({"mailward.daemon", "mailward.certificates", "mailward.listener"})
MAX_REPEATED_CHARACTERS = 8_192  # of a message and its traceback, kept to be written again


def _wall_clock() -> Instant:
    return Instant(time.time())  # noqa: TID251 -- as of a record: a log is read beside others


class TextLines(logging.Formatter):
    """``2026-11-22T10:00:00.000000Z info auth.failed service=imap ...``"""

    def format(self, record: logging.LogRecord) -> str:
        line = self._line(record.created, record.levelno, record.getMessage())
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def entry(self, created: float, level: int, entry: Entry) -> str:
        """The line of an event, as of a record that holds it."""
        return self._line(created, level, str(entry))

    def again(self, created: float, level: int, count: int, message: str, exception: str) -> str:
        """The line for *count* repeats of a record with this *message* and *exception*."""
        line = self._line(created, level, f"{message} ({count} more like it)")
        return f"{line}\n{exception}" if exception else line

    def _line(self, created: float, level: int, text: str) -> str:
        return f"{utc(Instant(created))} {logging.getLevelName(level).lower()} {text}"


class JsonLines(logging.Formatter):
    """``{"time": ..., "level": "info", "event": "auth.failed", "service": "imap", ...}``"""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, Entry):
            return self.entry(record.created, record.levelno, record.msg)
        line = self._line(record.created, record.levelno) | {"message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)

    def entry(self, created: float, level: int, entry: Entry) -> str:
        """The line of an event, as of a record that holds it."""
        line = self._line(created, level)
        return json.dumps(line | {"event": entry.event.value, **entry.fields})

    def again(self, created: float, level: int, count: int, message: str, exception: str) -> str:
        """The line for *count* repeats of a record with this *message* and *exception*."""
        line = self._line(created, level) | {"message": message, "count": count}
        return json.dumps(line | ({"exception": exception} if exception else {}))

    def _line(self, created: float, level: int) -> dict[str, object]:
        return {"time": utc(Instant(created)), "level": logging.getLevelName(level).lower()}


class LinesOfATurn(logging.StreamHandler[TextIO]):
    """Writes the lines of one turn of the event loop together, at its end.

    A flood brings thousands of lines a second. Each write lets go of the interpreter's lock, and
    while the store's thread has work the loop gets it back a millisecond later: with a write for
    each line it would stand still. Where no loop runs each line is written at once.

    Events come as they are, without a record: making one takes longer than writing its line.
    Records that a connection can cause are aggregated by *repeats*, as the events before they come
    here: those with a traceback by the place in the code, all others by their text before values
    are put in and by their attribute ``about`` (a subject).
    """

    def __init__(
        self,
        stream: TextIO,
        form: TextLines | JsonLines,
        repeats: Repeats | None = None,
        clock: Callable[[], Instant] = _wall_clock,
    ) -> None:
        super().__init__(stream)
        self.setFormatter(form)
        self._form = form
        self._lines: list[str] = []
        self._repeats = repeats
        self._clock = clock

    def tell(self, level: int, entry: Entry) -> None:
        """Write the line of an event."""
        self._add(self._form.entry(_wall_clock(), level, entry))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._is_written(record):
                self._add(self.format(record))
        except Exception:  # noqa: BLE001 -- as every handler: what is told of goes on
            self.handleError(record)

    def _is_written(self, record: logging.LogRecord) -> bool:
        if self._repeats is None or isinstance(record.msg, Entry):
            return True  # an entry is of a journal, which has aggregated it
        traceback = record.exc_info[2] if record.exc_info else None
        if traceback is not None:
            subject: tuple[object, ...] = _place(traceback)
        elif record.name in _ALWAYS_WRITTEN:
            return True
        else:
            text = str(record.msg)[:MAX_REPEATED_CHARACTERS]
            subject = record.name, text, getattr(record, "about", None)
        # No flood may hide a fault of ours; there are only so many places.
        is_fault = traceback is not None
        repeat = self._repeats.first(subject, self._clock(), always=is_fault)
        if repeat is None:
            return False
        message = record.getMessage()[:MAX_REPEATED_CHARACTERS]
        exception = ""
        if record.exc_info and is_fault:
            exception = self._form.formatException(record.exc_info)[-MAX_REPEATED_CHARACTERS:]
        repeat.again = partial(self._write_again, record.levelno, message, exception)
        return True

    def _write_again(
        self, level: int, message: str, exception: str, count: int, _service: str, _now: Instant
    ) -> None:
        self._add(self._form.again(_wall_clock(), level, count, message, exception))

    def _add(self, line: str) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write(line + self.terminator)
            return
        if not self._lines:
            loop.call_soon(self.flush)
        self._lines.append(line + self.terminator)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        self._write("".join(lines))

    def _write(self, text: str) -> None:
        # Nobody may be there who reads it, or no room. Told to the loop that would be one more
        # line to write, and so for ever.
        with contextlib.suppress(OSError, ValueError):
            if text:
                self.stream.write(text)
            super().flush()


def _place(traceback: TracebackType) -> tuple[object, ...]:
    """The place in the code where an exception was raised."""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename, traceback.tb_lineno


def set_up_logs(
    settings: LogSettings,
    repeats: Repeats | None = None,
    clock: Callable[[], Instant] = _wall_clock,
) -> LinesOfATurn:
    """Send what mailward and its libraries say to stderr, in the configured form.

    *repeats* aggregates what is said again and again; *clock* is that of its other users.
    """
    form: TextLines | JsonLines
    match settings.format:
        case LogFormat.TEXT:
            form = TextLines()
        case LogFormat.JSON:
            form = JsonLines()
    out = LinesOfATurn(sys.stderr, form, repeats, clock)
    # No line tells of these, and finding them out takes as long as writing it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 -- as logging's manual has it
    root = logging.getLogger()
    root.handlers = [out]
    root.setLevel(logging.WARNING)
    logging.getLogger("mailward").setLevel(_LEVELS[settings.level])
    return out
