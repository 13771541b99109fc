"""Log lines on standard error: text, or one JSON object a line for the supervisor."""

from __future__ import annotations

import json
import logging
import sys


class JsonLines(logging.Formatter):
    """``{"level": "warning", "logger": "mailbox.imap", "message": "..."}``"""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        return json.dumps(
            {"level": record.levelname.lower(), "logger": record.name, "message": message}
        )


def set_up_logs(*, is_supervised: bool) -> None:
    """Send what is logged from now on to standard error."""
    form = JsonLines() if is_supervised else logging.Formatter("%(levelname)s %(message)s")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    logging.raiseExceptions = False  # the other end of standard error may be gone
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("mailbox").setLevel(logging.INFO)
