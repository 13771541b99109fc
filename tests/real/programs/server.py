"""A mail server as mail programs see it: its ports, who is trusted for TLS, an account there."""

from __future__ import annotations

import imaplib
import os
import re
import smtplib
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real.servers import program

SECONDS = 40.0
"""A run of a program takes so long at most, on a machine that has other things to do."""
NAMED = re.compile(rb'\* LIST \([^)]*\) \S+ "?(?P<name>[^"\r]*)"?')


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where one account's programs go; ``authority`` signs the server's certificate."""

    name: str
    password: str
    imap: int
    submission: int
    managesieve: int
    authority: Path | None = None
    """None where nothing is encrypted; else TLS begins with STARTTLS, ..."""
    imaps: int = 0
    submissions: int = 0
    """... or with the first octet on these ports, where there are such ports."""
    jmap: int = 0

    @property
    def has_tls(self) -> bool:
        return self.authority is not None

    @property
    def is_implicit(self) -> bool:
        return self.imaps != 0

    @property
    def imap_port(self) -> int:
        """Where programs go to; our own look goes to the port without TLS."""
        return self.imaps or self.imap

    @property
    def submission_port(self) -> int:
        return self.submissions or self.submission

    @contextmanager
    def client(self) -> Iterator[imaplib.IMAP4]:
        """A client of the standard library, to put mail there and to look at what was done."""
        with imaplib.IMAP4("127.0.0.1", self.imap, SECONDS) as client:
            client.login(self.name, self.password)
            yield client

    def append(self, *messages: bytes, mailbox: str = "INBOX", flags: str = "") -> None:
        with self.client() as client:
            if mailbox not in self._mailboxes(client):
                client.create(mailbox)
            for message in messages:
                status, told = client.append(mailbox, flags, "", message)
                assert status == "OK", told

    def send(self, message: bytes) -> None:
        """Put *message* into the account's own inbox by way of submission."""
        with smtplib.SMTP("127.0.0.1", self.submission, "client.test", SECONDS) as client:
            client.login(self.name, self.password)
            client.sendmail(f"{self.name}@localhost", [f"{self.name}@localhost"], message)

    def mailboxes(self) -> set[str]:
        with self.client() as client:
            return self._mailboxes(client)

    def _mailboxes(self, client: imaplib.IMAP4) -> set[str]:
        _, told = client.list()
        lines = [b"* LIST " + line for line in told if isinstance(line, bytes)]
        return {found["name"].decode() for line in lines if (found := NAMED.match(line))}

    def messages(self, mailbox: str = "INBOX") -> list[tuple[set[str], bytes]]:
        """Flags and octets of the messages in a mailbox, in their order."""
        with self.client() as client:
            status, _ = client.select(mailbox, readonly=True)
            if status != "OK":
                return []
            _, found = client.search(None, "ALL")
            return [self._message(client, number.decode()) for number in found[0].split()]

    def _message(self, client: imaplib.IMAP4, number: str) -> tuple[set[str], bytes]:
        _, told = client.fetch(number, "(FLAGS)")
        assert isinstance(told[0], bytes)
        flags = {flag.decode() for flag in imaplib.ParseFlags(told[0])}
        _, told = client.fetch(number, "(BODY.PEEK[])")
        assert isinstance(told[0], tuple)
        return flags - {"\\Recent"}, told[0][1]

    def subjects(self, mailbox: str = "INBOX") -> dict[str, set[str]]:
        """The flags of the messages in a mailbox, by the subject."""
        return {subject(octets): flags for flags, octets in self.messages(mailbox)}

    def state(self) -> dict[str, bytes]:
        """What STATUS tells of each mailbox: equal means that nothing has changed."""
        items = "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"
        with self.client() as client:
            mailboxes = self._mailboxes(client)
            return {one: client.status(f'"{one}"', items)[1][0] for one in mailboxes}


def subject(octets: bytes) -> str:
    found = re.search(rb"^Subject: (.*?)\r?$", octets, re.MULTILINE)
    return found[1].decode() if found else ""


def letter(about: str, text: str = "How are you?", *, to: str = "alice") -> bytes:
    """A message about *about*, from Bob."""
    return (
        f"From: Bob Builder <bob@localhost>\r\nTo: {to}@localhost\r\nSubject: {about}\r\n"
        f"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{about.replace(' ', '.')}@test>\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n"
    ).encode()


def run(
    name: str | Path,
    *words: str | Path,
    given: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    status: int = 0,
) -> str:
    """All that a program prints, its errors behind the rest. It must end with *status*."""
    command = [name if isinstance(name, Path) else program(name), *words]
    done = subprocess.run(
        command,
        input=given,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == status, f"{name} ended with {done.returncode}:\n{said}"
    return said


def written(file: Path, text: str) -> Path:
    """*file* with *text*, for its owner alone, as programs want it where a password stands."""
    file.write_text(text)
    file.chmod(0o600)
    return file
