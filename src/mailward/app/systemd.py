"""What a service manager wants to hear (sd_notify(3)), and nothing where there is none.

A daemon is alive while its loop turns and its store's thread comes to the end of what it was asked.
What it answers does not matter: a full disk is for an operator, and a restart, which ends every
session that passes through, would not make room on it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from mailward.rules.model import Subject, SubjectKind
from mailward.stores.port import Store, StoreError

SEND_SECONDS = 1.0
"""How long a service manager with a full queue may hold up the loop."""

_NOBODY = Subject(SubjectKind.LOGIN, "")  # no login is empty: nothing is ever found


def notify(*states: str) -> None:
    """Send *states*, ``READY=1`` say, to the service manager that started this process."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.settimeout(SEND_SECONDS)
        try:
            out.sendto("\n".join(states).encode(errors="replace"), address)
        except OSError:
            return  # a service manager that does not listen is no reason to stop


def reloading() -> None:
    """Say that a reload begins; ``READY=1`` ends it."""
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={began}")


def watchdog_seconds() -> float | None:
    """After how long a silence this process is taken for dead; ``None`` if nobody watches it."""
    period, whose = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    is_ours = whose is None or whose == str(os.getpid())
    if not is_ours or not period.isdecimal() or not int(period):
        return None
    return int(period) / 1_000_000


async def keep_watch(store: Store, period_seconds: float, status: Callable[[], str]) -> None:
    """Say twice in every period that the daemon is alive, and its *status*, while it is."""
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        with suppress(StoreError):  # an error is an answer, too
            await store.failures(_NOBODY, 1)
        notify("WATCHDOG=1", f"STATUS={status()}")
        await asyncio.sleep(max(0.0, began + period_seconds / 2 - clock()))
