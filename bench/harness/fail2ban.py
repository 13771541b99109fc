"""fail2ban as Debian has it, in a folder of its own: one jail that follows a Dovecot log.

Its action does nothing but append the banned address to a file, so what is measured is fail2ban
and not a firewall.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from mailward.app.clock import SteadyClock
from tests.real.processes import Child, eventually
from tests.real.servers import program

_SECONDS = 120.0
_FOUR_WEEKS_SECONDS = 4 * 7 * 86_400
_SERVER = """\
[Definition]
allowipv6 = auto
loglevel = INFO
logtarget = {folder}/fail2ban.log
syslogsocket = auto
socket = {folder}/fail2ban.sock
pidfile = {folder}/fail2ban.pid
dbfile = {folder}/fail2ban.sqlite3
dbpurgeage = 1d
dbmaxmatches = 10
"""
_JAIL = """\
[dovecot]
enabled = true
filter = dovecot
logpath = {log}
backend = auto
usedns = no
maxretry = {failures}
findtime = 1d
bantime = 4w
action = {action}
"""
_APPEND = """\
[Definition]
actionban = echo <ip> >>{banned}
"""
_NOTHING = """\
[Definition]
actionban =
actionunban =
"""


class Fail2ban:
    """One server with one jail. *failures* within a day ban."""

    def __init__(self, folder: Path, log: Path, failures: int, *, appends: bool = True) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.banned = folder / "banned"
        self.banned.touch()
        self.database = folder / "fail2ban.sqlite3"
        self._child: Child | None = None
        (folder / "action.d").mkdir(exist_ok=True)
        for name, text in (("append", _APPEND), ("nothing", _NOTHING)):
            (folder / "action.d" / f"{name}.conf").write_text(text.format(banned=self.banned))
        if not (folder / "filter.d").exists():
            (folder / "filter.d").symlink_to("/etc/fail2ban/filter.d")
        (folder / "fail2ban.conf").write_text(_SERVER.format(folder=folder))
        action = "append" if appends else "nothing"
        jail = _JAIL.format(log=log, failures=failures, action=action)
        (folder / "jail.conf").write_text(jail)

    @property
    def child(self) -> Child:
        if self._child is None:
            raise ValueError("it does not run")
        return self._child

    def launch(self) -> Child:
        """Start the process and wait for nothing."""
        # It takes what it could not remove when it was ended for a server that runs.
        (self._folder / "fail2ban.sock").unlink(missing_ok=True)
        (self._folder / "fail2ban.pid").unlink(missing_ok=True)
        self._child = Child(
            [program("fail2ban-server"), "-f", "-c", self._folder, "start"],
            output=self._folder / "output",
            folder=self._folder,
        )
        return self._child

    def start(self) -> None:
        self.launch().wait_until(self.is_up, within_seconds=_SECONDS)

    def stop(self) -> None:
        """End it. It is not asked to: it would run its action for every ban once more."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def is_up(self) -> bool:
        return self.failures() is not None

    def failures(self) -> int | None:
        """How many failures it has found; ``None`` while it does not answer."""
        return self._number("Total failed")

    def bans(self) -> int | None:
        """How many addresses it bans at the moment; ``None`` while it does not answer."""
        return self._number("Currently banned")

    def wait_for_failures(self, count: int, within_seconds: float) -> None:
        eventually(
            lambda: (self.failures() or 0) >= count,
            f"fail2ban has found {count} failures",
            within_seconds=within_seconds,
        )

    def _number(self, name: str) -> int | None:
        found = re.search(rf"{name}:\s+(\d+)", self._told("status", "dovecot"))
        return int(found[1]) if found else None

    def _told(self, *words: str) -> str:
        done = subprocess.run(
            [program("fail2ban-client"), "-c", self._folder, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        return done.stdout


def put_their_bans(database: Path, count: int) -> None:
    """Put *count* bans where fail2ban itself keeps them; its server does not run meanwhile."""
    now = int(SteadyClock()())
    rows = (
        (f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}", "dovecot", now, _FOUR_WEEKS_SECONDS, 1, "{}")
        for n in range(count)
    )
    with closing(sqlite3.connect(database)) as base, base:
        base.executemany(
            "INSERT INTO bips (ip, jail, timeofban, bantime, bancount, data)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
