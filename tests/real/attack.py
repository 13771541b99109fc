"""Those who come to the doors: real client libraries, bare sockets, and the tools of attackers.

Each is bounded in time. Any address of 127.0.0.0/8 can be the one they come from.
"""

from __future__ import annotations

import imaplib
import re
import smtplib
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from types import TracebackType
from typing import Self

_TOOL_SECONDS = 100


@unique
class Service(Enum):
    IMAP = "imap"
    SUBMISSION = "submission"
    MANAGESIEVE = "managesieve"


@dataclass(frozen=True, slots=True)
class Door:
    """Where a service listens."""

    service: Service
    port: int
    host: str = "127.0.0.1"


LOCKED_FOR_A_WHILE = (
    b"Too many wrong passwords for this account; it is locked for a while, try again later"
)
"""What every door says of a login that too many guesses have banned."""


@unique
class Told(Enum):
    """What came of a guess, as the client sees it."""

    WRONG = "wrong credentials"
    LATER = "try later"
    OK = "logged in"
    BYE = "told to go"
    DROPPED = "dropped without a word"


class UnexpectedAnswerError(Exception):
    """The door said something that no client of it should ever hear."""


def guess(
    door: Door,
    login: str,
    password: str,
    *,
    source: str | None = None,
    timeout_seconds: float = 30.0,
) -> Told:
    """Connect from *source*, try one password with the standard library's client, and leave."""
    match door.service:
        case Service.IMAP:
            return _guess_imap(door, login, password, source, timeout_seconds)
        case Service.SUBMISSION:
            return _guess_submission(door, login, password, source, timeout_seconds)
        case Service.MANAGESIEVE:
            return _guess_sieve(door, login, password, source, timeout_seconds)


def guess_together(guesses: Iterable[Callable[[], Told]], *, at_once: int) -> list[Told]:
    """Make all *guesses*, up to *at_once* of them at the same time."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda make: make(), guesses))


class ImapFrom(imaplib.IMAP4):
    """imaplib's client, coming from an address of choice."""

    def __init__(self, door: Door, source: str | None = None, timeout: float = 30.0) -> None:
        self._source = source
        super().__init__(door.host, door.port, timeout)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout, _from(self._source))


def _guess_imap(door: Door, login: str, password: str, source: str | None, timeout: float) -> Told:
    try:
        client = ImapFrom(door, source, timeout)
        try:
            client.login(login, password)
            client.logout()
        finally:
            if client.state != "LOGOUT":
                client.shutdown()
    except imaplib.IMAP4.error as error:
        return _told_by_imap(error)
    except ConnectionError:
        return Told.DROPPED
    return Told.OK


def _told_by_imap(error: imaplib.IMAP4.error) -> Told:
    words = str(error)
    if "[AUTHENTICATIONFAILED]" in words:
        return Told.WRONG
    if "[UNAVAILABLE]" in words and "BYE" not in words:
        return Told.LATER
    if isinstance(error, imaplib.IMAP4.abort) and "socket error" in words:
        return Told.DROPPED
    # A greeting is quoted with its BYE; after it the client gives up with the words behind BYE.
    if "BYE" in words or isinstance(error, imaplib.IMAP4.abort):
        return Told.BYE
    raise UnexpectedAnswerError(words)


def _guess_submission(
    door: Door, login: str, password: str, source: str | None, timeout: float
) -> Told:
    try:
        client = smtplib.SMTP(
            door.host, door.port, "client.test", timeout, source_address=_from(source)
        )
        try:
            client.ehlo_or_helo_if_needed()
            client.user, client.password = login, password
            client.auth("PLAIN", client.auth_plain)
            client.quit()
        finally:
            client.close()
    except smtplib.SMTPResponseException as error:
        return _told_by_smtp(error.smtp_code, error.smtp_error)
    except (smtplib.SMTPServerDisconnected, ConnectionError):
        return Told.DROPPED
    return Told.OK


_SMTP_ANSWERS = {
    (535, "5.7.8"): Told.WRONG,
    (454, "4.7.0"): Told.LATER,
    (421, "4.7.0"): Told.BYE,
}


def _told_by_smtp(code: int, text: bytes | str) -> Told:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    try:
        return _SMTP_ANSWERS[code, words.partition(" ")[0]]
    except KeyError:
        raise UnexpectedAnswerError(f"{code} {words}") from None


_SIEVE_ANSWERS = {
    b"NO": Told.WRONG,
    b"NO (TRYLATER)": Told.LATER,
    b"BYE": Told.BYE,
    b"BYE (TRYLATER)": Told.BYE,
    b"OK": Told.OK,
}
_SIEVE_ANSWER = re.compile(rb"(?:OK|NO|BYE)(?: \([^)]*\))?")


def _guess_sieve(door: Door, login: str, password: str, source: str | None, timeout: float) -> Told:
    """No library binds the address that its connection comes from: this one speaks by itself."""
    with Line(door, source=source, timeout=timeout) as line:
        answer = sieve_answer(line)
        if answer.startswith(b"OK"):
            line.say(b'AUTHENTICATE "PLAIN" "' + plain(login, password) + b'"\r\n')
            answer = sieve_answer(line)
            if answer.startswith(b"OK"):
                line.say(b"LOGOUT\r\n")
                line.hear_all()
                return Told.OK
    if not answer:
        return Told.DROPPED
    try:
        return _SIEVE_ANSWERS[_sieve_code(answer)]
    except KeyError:
        raise UnexpectedAnswerError(repr(answer)) from None


def sieve_answer(line: Line) -> bytes:
    """The line that ends a response (RFC 5804 section 1.2); empty where there comes none."""
    while (heard := line.hear()) and not heard.startswith((b"OK", b"NO", b"BYE")):
        pass
    return heard


def _sieve_code(answer: bytes) -> bytes:
    """What kind of answer it is, and its code.

    >>> _sieve_code(b'NO (TRYLATER) "Later"\\r\\n'), _sieve_code(b'NO "Wrong"\\r\\n')
    (b'NO (TRYLATER)', b'NO')
    """
    found = _SIEVE_ANSWER.match(answer)
    return found[0] if found else answer


def _from(source: str | None) -> tuple[str, int] | None:
    return None if source is None else (source, 0)


class Line:
    """A bare connection to a door, for what no client library would do."""

    def __init__(self, door: Door, *, source: str | None = None, timeout: float = 10.0) -> None:
        family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._heard = b""
        self._is_closed = False
        if source is not None:
            self._socket.bind((source, 0))
        try:
            self._socket.connect((door.host, door.port))
        except ConnectionResetError:  # closed so fast that connecting did not end before
            self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def say(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def hear(self, mark: bytes = b"\r\n") -> bytes:
        """All up to and including *mark*; or less, where the other side closes before."""
        while mark not in self._heard:
            if not self._more():
                said, self._heard = self._heard, b""
                return said
        said, _, self._heard = self._heard.partition(mark)
        return said + mark

    def take(self) -> bytes:
        """What came, at least something; nothing where the other side has closed."""
        if not self._heard:
            self._more()
        taken, self._heard = self._heard, b""
        return taken

    def hear_all(self) -> bytes:
        """All until the other side closes."""
        parts = []
        while part := self.hear():
            parts.append(part)
        return b"".join(parts)

    def _more(self) -> bool:
        """Wait for more, and say whether there is any."""
        try:
            more = b"" if self._is_closed else self._socket.recv(65_536)
        except ConnectionError:
            more = b""
        self._heard += more
        return bool(more)


def plain(login: str, password: str) -> bytes:
    """SASL PLAIN's one message (RFC 4616 section 2) in base64."""
    return b64encode(f"\0{login}\0{password}".encode())


def offer(door: Door, login: str, password: str) -> bytes:
    """All that a client sends which waits for no answer, up to and with its credentials."""
    match door.service:
        case Service.IMAP:
            return f"a LOGIN {login} {password}\r\n".encode()
        case Service.SUBMISSION:
            return b"EHLO client.test\r\nAUTH PLAIN " + plain(login, password) + b"\r\n"
        case Service.MANAGESIEVE:
            return b'AUTHENTICATE "PLAIN" "' + plain(login, password) + b'"\r\n'


def refusal(door: Door, login: str, password: str) -> bytes:
    """The words by which *login* is refused there, from an address that never failed."""
    with Line(door, source="127.0.0.99") as line:
        line.say(offer(door, login, password))
        match door.service:
            case Service.IMAP:
                mark = b"a NO"
            case Service.SUBMISSION:
                mark = b"454"
            case Service.MANAGESIEVE:
                mark = b"NO ("
        line.hear(mark)
        return mark + line.hear()


def hydra(
    door: Door, login: str, words: Sequence[str], *, at_once: int, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Let hydra try *words* in turn. How it ends says little: it gives up where doors shut."""
    (folder / "words").write_text("".join(f"{word}\n" for word in words))
    service = "imap" if door.service is Service.IMAP else "smtp"
    return subprocess.run(
        [
            *["/usr/bin/hydra", "-I", "-f", "-W", "1", "-t", str(at_once)],
            *["-l", login, "-P", "words", f"{service}://{door.host}:{door.port}/PLAIN"],
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TOOL_SECONDS,
        check=False,
    )


def swaks(
    door: Door, login: str, password: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Send a message through a submission door with swaks."""
    return subprocess.run(
        [
            *["/usr/bin/swaks", "--server", door.host, "--port", str(door.port)],
            *["--from", f"{login}@postfix.test", "--to", "friend@elsewhere.test"],
            *["--auth", "PLAIN", "--auth-user", login, "--auth-password", password],
            *["--helo", "client.test", *arguments],
        ],
        capture_output=True,
        text=True,
        timeout=_TOOL_SECONDS,
        check=False,
    )
