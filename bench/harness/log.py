"""Lines as Dovecot 2.3 writes them for a login that failed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from mailward.app.clock import SteadyClock


def dovecot_lines(attempts: Iterable[tuple[str, str]]) -> str:
    """A line for each attempt, all of this second: fail2ban forgets old ones at once."""
    moment = datetime.fromtimestamp(SteadyClock()()).astimezone().strftime("%b %d %H:%M:%S")
    return "".join(
        f"{moment} imap-login: Info: Disconnected (auth failed, 1 attempts in 0 secs):"
        f" user=<{login}>, method=PLAIN, rip={address}, lip=192.0.2.25, TLS,"
        f" session=<{number:016x}>\n"
        for number, (address, login) in enumerate(attempts)
    )
