"""Where log lines go: stderr, as text or as one JSON object a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
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
        line = f"{utc(Instant(record.created))} {record.levelname.lower()} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """``{"time": ..., "level": "info", "event": "auth.failed", "service": "imap", ...}``"""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": utc(Instant(record.created)),
            "level": record.levelname.lower(),
        }
        if isinstance(record.msg, Entry):
            line |= {"event": record.msg.event.value, **record.msg.fields}
        else:
            line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class LinesOfATurn(logging.StreamHandler[TextIO]):
    """Writes the lines of one turn of the event loop together, at its end.

    A flood brings thousands of lines a second. Each write lets go of the interpreter's lock, and
    while the store's thread has work the loop gets it back a millisecond later: with a write for
    each line it would stand still. Where no loop runs each line is written at once.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            super().emit(record)
            return
        if not self._lines:
            loop.call_soon(self.flush)
        try:
            self._lines.append(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 -- as every handler: what is told of goes on
            self.handleError(record)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        # Nobody may be there who reads it, or no room. Told to the loop that would be one more
        # line to write, and so for ever.
        with contextlib.suppress(OSError, ValueError):
            if lines:
                self.stream.write("".join(lines))
            super().flush()


def set_up_logs(settings: LogSettings) -> None:
    """Send what mailward and its libraries say to stderr, in the configured form."""
    out = LinesOfATurn(sys.stderr)
    match settings.format:
        case LogFormat.TEXT:
            out.setFormatter(TextLines())
        case LogFormat.JSON:
            out.setFormatter(JsonLines())
    # No line tells of these, and finding them out takes as long as writing it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 -- as logging's manual has it
    root = logging.getLogger()
    root.handlers = [out]
    root.setLevel(logging.WARNING)
    logging.getLogger("mailward").setLevel(_LEVELS[settings.level])
