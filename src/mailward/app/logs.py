"""Where log lines go: stderr, as text or as one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys

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


def set_up_logs(settings: LogSettings) -> None:
    """Send what mailward and its libraries say to stderr, in the configured form."""
    out = logging.StreamHandler(sys.stderr)
    match settings.format:
        case LogFormat.TEXT:
            out.setFormatter(TextLines())
        case LogFormat.JSON:
            out.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [out]
    root.setLevel(logging.WARNING)
    logging.getLogger("mailward").setLevel(_LEVELS[settings.level])
