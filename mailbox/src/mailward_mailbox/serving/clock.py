"""The real clock."""

from __future__ import annotations

import time

from mailward_mailbox.instant import Instant


def wall_clock() -> Instant:
    """The instant that is now, as the machine's clock says: it dates mail."""
    return Instant(time.time())  # noqa: TID251 -- the one place that reads it
