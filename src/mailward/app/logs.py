"""Where log lines go: stderr, as text or as one JSON object a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import time
from typing import TextIO

from mailward.guard.journal import Entry, utc
from mailward.rules.model import Instant
from mailward.settings.configuration import LogFormat, LogLevel, LogSettings

_LEVELS = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
}


class TextLines(logging.Formatter):
    """``2026-11-22T10:00:00.000000Z info auth.failed service=imap ...``"""

    def format(self, record: logging.LogRecord) -> str:
        line = self._line(record.created, record.levelno, record.getMessage())
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def entry(self, created: float, level: int, entry: Entry) -> str:
        """The line of an event, as of a record that holds it."""
        return self._line(created, level, str(entry))

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

    def _line(self, created: float, level: int) -> dict[str, object]:
        return {"time": utc(Instant(created)), "level": logging.getLevelName(level).lower()}


class LinesOfATurn(logging.StreamHandler[TextIO]):
    """Writes the lines of one turn of the event loop together, at its end.

    A flood brings thousands of lines a second. Each write lets go of the interpreter's lock, and
    while the store's thread has work the loop gets it back a millisecond later: with a write for
    each line it would stand still. Where no loop runs each line is written at once.

    Events come as they are, without a record: making one takes longer than writing its line.
    """

    def __init__(self, stream: TextIO, form: TextLines | JsonLines) -> None:
        super().__init__(stream)
        self.setFormatter(form)
        self._form = form
        self._lines: list[str] = []

    def tell(self, level: int, entry: Entry) -> None:
        """Write the line of an event."""
        now = time.time()  # noqa: TID251 -- as of a record: a log is read beside others
        self._add(self._form.entry(now, level, entry))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._add(self.format(record))
        except Exception:  # noqa: BLE001 -- as every handler: what is told of goes on
            self.handleError(record)

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


def set_up_logs(settings: LogSettings) -> LinesOfATurn:
    """Send what mailward and its libraries say to stderr, in the configured form."""
    form: TextLines | JsonLines
    match settings.format:
        case LogFormat.TEXT:
            form = TextLines()
        case LogFormat.JSON:
            form = JsonLines()
    out = LinesOfATurn(sys.stderr, form)
    # No line tells of these, and finding them out takes as long as writing it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 -- as logging's manual has it
    root = logging.getLogger()
    root.handlers = [out]
    root.setLevel(logging.WARNING)
    logging.getLogger("mailward").setLevel(_LEVELS[settings.level])
    return out
