"""A Debian in a folder with Cyrus in it: it cannot be installed beside Dovecot.

Nothing that a server writes into it stays.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real.debian_root import KEPT, debian_root, this_release
from tests.real.syslog import Syslog

# The last one is the smallest program that can stand for the MTA which Cyrus insists on.
_PACKAGES = ("cyrus-imapd", "cyrus-caldav", "sasl2-bin", "msmtp-mta")


@dataclass(frozen=True, slots=True)
class Root:
    """The folder, and what is logged by all that runs in it."""

    folder: Path
    syslog: Syslog


@contextmanager
def cyrus_root() -> Iterator[Root]:
    """For us alone as long as we have it: it has one /dev/log.

    Raises:
        ServerError: it cannot be made; nothing is left of the attempt.
    """
    root = debian_root("cyrus", this_release(), _PACKAGES)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with closing(Syslog(root / "dev" / "log")) as syslog:
            yield Root(root, syslog)
