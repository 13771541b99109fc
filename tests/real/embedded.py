"""mailward with the mail server that is built in: doors of all kinds, and accounts behind them."""

from __future__ import annotations

import imaplib
import smtplib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.real.attack import ImapFrom
from tests.real.conftest import ACCOUNTS
from tests.real.daemon import Mailward
from tests.real.jmap import JmapDoor
from tests.real.processes import eventually, free_port
from tests.real.sieve import SieveDoor

_CONFIGURATION = f"""\
[server]
hostname = "door.test"

[server.security]
{{security}}

[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:{{imap}}", "[::1]:{{imap}}"]
backend = "embedded"

[server.listener.submission]
protocol = "submission"
bind = ["127.0.0.1:{{submission}}"]
backend = "embedded"

[server.listener.managesieve]
protocol = "managesieve"
bind = ["127.0.0.1:{{managesieve}}"]
backend = "embedded"

[server.listener.jmap]
protocol = "jmap"
bind = ["127.0.0.1:{{jmap}}"]
backend = "embedded"

[certificate.default]
cert = "{CERTIFICATE_NAME}"
private-key = "{KEY_NAME}"

[log]
level = "debug"
"""


class EmbeddedWard(Mailward):
    """One daemon whose doors all lead to the embedded mail server."""

    def __init__(self, folder: Path, security: str = 'fail2ban = "100/1d"') -> None:
        self.jmap = JmapDoor(free_port(), path="/jmap/session")
        super().__init__(folder, security=security, dovecot=0, postfix=0, pigeonhole=0)
        make_certificate(self.data, datetime.fromtimestamp(SteadyClock()(), UTC))

    def configure(self, security: str) -> None:
        self.configuration.write_text(
            _CONFIGURATION.format(
                security=security,
                imap=self.imap.port,
                submission=self.submission.port,
                managesieve=self.managesieve.port,
                jmap=self.jmap.port,
            )
        )

    def start(self, *, knows_backends: bool = True) -> None:
        """Start it, and wait until the built-in mail server is known to be well."""
        super().start(knows_backends=False)
        if knows_backends:
            eventually(self.is_well, "the built-in mail server is well", within_seconds=20)

    @property
    def mailbox_pid(self) -> int:
        """The process of the built-in mail server."""
        (pid,) = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(pid)

    def add_accounts(self) -> None:
        for name, password in ACCOUNTS.items():
            self.add(name, password)

    def add(self, name: str, password: str) -> None:
        self.cli("accounts", "add", name, "--password-stdin", given=f"{password}\n")

    @property
    def sieve_door(self) -> SieveDoor:
        return SieveDoor(self.managesieve.port, "starttls", self.data / CERTIFICATE_NAME)

    # -- clients -------------------------------------------------------------------------------

    def client(self, name: str, password: str) -> ImapFrom:
        """A client of IMAP that is logged in."""
        client = ImapFrom(self.imap)
        client.login(name, password)
        return client

    @contextmanager
    def sender(self, name: str) -> Iterator[smtplib.SMTP]:
        with smtplib.SMTP("127.0.0.1", self.submission.port, "client.test", 60) as client:
            client.login(name, ACCOUNTS[name])
            yield client

    @contextmanager
    def reader(self, name: str) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.imap.port, 60) as client:
            client.login(name, ACCOUNTS[name])
            yield client

    def mailbox(self, name: str, mailbox: str = "INBOX") -> list[bytes]:
        """The messages in a mailbox, as IMAP gives them."""
        with self.reader(name) as client:
            status, _ = client.select(mailbox, readonly=True)
            if status != "OK":
                return []
            _, found = client.search(None, "ALL")
            return [_fetched(client, number.decode()) for number in found[0].split()]


def _fetched(client: imaplib.IMAP4, number: str) -> bytes:
    _, data = client.fetch(number, "(BODY.PEEK[])")
    first: Sequence[bytes] = data[0]  # type: ignore[assignment]  # what stands beside a literal
    return first[1]
