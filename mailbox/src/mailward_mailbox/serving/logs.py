"""Log lines on standard error: text, or one JSON object a line for the supervisor."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter

MAX_A_MINUTE = 20
MINUTE_SECONDS = 60.0


class JsonLines(logging.Formatter):
    """``{"level": "warning", "logger": "mailbox.imap", "message": "..."}``"""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        return json.dumps(
            {"level": record.levelname.lower(), "logger": record.name, "message": message}
        )


class Repeats(logging.Filter):
    """Drops lines that a client could cause without end: some of each kind pass in a minute.

    The first one of the next minute says how many were dropped.
    """

    def __init__(self) -> None:
        super().__init__()
        self._began = 0.0
        self._passed: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.name, str(record.msg)
        if record.created - self._began >= MINUTE_SECONDS:
            dropped = self._passed[kind] - MAX_A_MINUTE
            self._began = record.created
            self._passed.clear()
            if dropped > 0:
                record.msg = f"{record.msg} ({dropped} more like it before)"
        self._passed[kind] += 1
        return self._passed[kind] <= MAX_A_MINUTE


def set_up_logs(*, is_supervised: bool) -> None:
    """Send what is logged from now on to standard error."""
    form = JsonLines() if is_supervised else logging.Formatter("%(levelname)s %(message)s")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    handler.addFilter(Repeats())
    logging.raiseExceptions = False  # the other end of standard error may be gone
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("mailbox").setLevel(logging.INFO)
