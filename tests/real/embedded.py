"""mailward with the mail server that is built in, as a user runs it."""

from __future__ import annotations

from pathlib import Path

from tests.real.attack import ImapFrom, Service
from tests.real.daemon import Mailward

_CONFIGURATION = """\
[server]
hostname = "door.test"

[server.security]
{security}

[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:{imap}", "[::1]:{imap}"]
backend = "embedded"

[log]
level = "debug"
"""


class EmbeddedWard(Mailward):
    """One daemon whose doors stand before its own mail server."""

    def __init__(self, folder: Path, security: str = 'fail2ban = "100/1d"') -> None:
        super().__init__(folder, security=security, dovecot=0, postfix=0)

    def configure(self, security: str) -> None:
        self.configuration.write_text(
            _CONFIGURATION.format(security=security, imap=self._ports[Service.IMAP])
        )

    def add(self, name: str, password: str) -> None:
        self.cli("accounts", "add", name, "--password-stdin", given=f"{password}\n")

    def client(self, name: str, password: str) -> ImapFrom:
        """A client of IMAP that is logged in."""
        client = ImapFrom(self.imap)
        client.login(name, password)
        return client
