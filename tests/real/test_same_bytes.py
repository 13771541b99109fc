"""After login the door is not there: every byte passes as it is, both ways.

Each session runs through the door, where all that its server hears and says is recorded, and once
more without a door. What differs by nature (times, numbers of the day) is made equal for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.real.attack import Door, ImapFrom, Line, Service, offer
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.processes import private_folder
from tests.real.servers import Dovecot, Postfix, running
from tests.real.sieve import SCRIPT
from tests.real.tap import Tap

OWNER, PASSWORD = "alice", ACCOUNTS["alice"]
# Whoever looks for commands or replies in a message finds these, in the right places.
LOOKALIKES = (
    b"Subject: traps\r\n\r\n"
    b"AUTH PLAIN AGJvYgBib2I=\r\n535 5.7.8 no\r\n235 2.7.0 yes\r\n.\r\n..\r\n"
    b'a LOGIN bob wrong\r\n+ idling\r\nb OK {5}\r\nAUTHENTICATE "PLAIN" {4+}\r\n'
    b"XCLIENT ADDR=[::]\r\n\x80\xff octets \xc3\xa9\r\n"
)

_DOVECOT = """
protocol imap {
  mail_plugins = imap_zlib
}
"""
_POSTFIX = "smtpd_authorized_xclient_hosts = 127.0.0.1\n"


@pytest.fixture(scope="module")
def own_servers() -> Iterator[tuple[Dovecot, Postfix]]:
    """A Dovecot that can compress, and a Postfix that offers what a client must not see."""
    with private_folder() as folder:
        dovecot = Dovecot(folder, ACCOUNTS, more=_DOVECOT)
        postfix = Postfix(folder, dovecot.sasl_socket, more=_POSTFIX)
        with running(dovecot, postfix):
            yield dovecot, postfix


class Session:
    """One client's session: what it said and heard, in all."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.said = b""
        self.heard = b""

    def say(self, octets: bytes) -> None:
        self.said += octets
        self._line.say(octets)

    def hear(self, mark: bytes) -> None:
        """Up to the end of the line that *mark* begins."""
        self.heard += self._line.hear(mark) + self._line.hear()

    def take(self) -> bytes:
        """What comes next; nothing at the end."""
        taken = self._line.take()
        self.heard += taken
        return taken


def test_imap_passes_byte_for_byte(
    mailward: StartMailward, own_servers: tuple[Dovecot, Postfix]
) -> None:
    dovecot, _ = own_servers
    with running(tap := Tap(dovecot.haproxy_port)):
        door = mailward('fail2ban = "9/1h"', imap=tap.port).imap
        through = session(door, partial(imap_session, dovecot))
        carried = tap.conversation(b"b CREATE Same")
    assert after(rb"m2 \w+[^\r]*\r\n", carried.heard) == after(rb"a LOGIN [^\r]*\r\n", through.said)
    assert after(rb"m2 OK [^\r]*\r\n", carried.said) == after(rb"a OK [^\r]*\r\n", through.heard)
    direct = session(Door(Service.IMAP, dovecot.port), partial(imap_session, dovecot))
    assert imap_text(through) == imap_text(direct)


def imap_session(dovecot: Dovecot, session: Session) -> None:
    """Literals of both kinds, and IDLE."""
    session.hear(b"a OK ")
    size = len(LOOKALIKES)
    session.say(b"b CREATE Same\r\nc APPEND Same (\\Seen) {%d}\r\n" % size)
    session.hear(b"+ ")
    session.say(LOOKALIKES + b"\r\nd SELECT Same\r\ne FETCH 1 (FLAGS BODY.PEEK[])\r\n")
    session.hear(b"e OK ")
    session.say(b"f SEARCH SUBJECT {5+}\r\ntraps\r\n")
    session.hear(b"f OK ")
    session.say(b'g NOSUCH\r\nh LIST "" %\r\n')
    session.hear(b"h OK ")
    session.say(b"j IDLE\r\n")
    session.hear(b"+ idling")
    with ImapFrom(Door(Service.IMAP, dovecot.port)) as other:
        other.login(OWNER, PASSWORD)
        other.append("Same", "", "", LOOKALIKES)
        session.hear(b"* 2 EXISTS\r\n")
        session.say(b"DONE\r\nk FETCH 2 (BODY.PEEK[])\r\n")
        session.hear(b"k OK ")
        other.delete("Same")
    session.say(b"l NOOP\r\nm LOGOUT\r\n")
    while session.take():
        pass


def imap_text(session: Session) -> bytes:
    """What the client heard after login, but for what differs by nature."""
    heard = after(rb"a OK [^\r]*\r\n", session.heard)
    text = re.sub(rb"(UIDVALIDITY|APPENDUID|HIGHESTMODSEQ) [0-9]+", rb"\1 #", heard)
    return re.sub(rb"\([0-9.]+ \+ [0-9.]+(?: \+ [0-9.]+)? secs\)", b"(#)", text)


def test_submission_passes_byte_for_byte(
    mailward: StartMailward, own_servers: tuple[Dovecot, Postfix]
) -> None:
    _, postfix = own_servers
    with running(tap := Tap(postfix.haproxy_port)):
        door = mailward('fail2ban = "9/1h"', submission=tap.port).submission
        through = session(door, submission_session)
        carried = tap.conversation(b"MAIL FROM")
    credentials, welcome = rb"AUTH PLAIN [^\r]*\r\n", rb"235 [^\r]*\r\n"
    assert after(credentials, carried.heard) == after(credentials, through.said)
    told = after(welcome, carried.said)
    assert b"250-XCLIENT " in told
    assert withheld(told) == after(welcome, through.heard)
    direct = session(Door(Service.SUBMISSION, postfix.port), submission_session)
    assert queued(withheld(after(welcome, direct.heard))) == queued(after(welcome, through.heard))


def submission_session(session: Session) -> None:
    """Everything that may be pipelined in one go: BDAT in several pieces, then DATA."""
    session.hear(b"235 ")
    session.say(b"EHLO once.more.test\r\n")
    session.hear(b"250 ")
    half = len(LOOKALIKES) // 2
    session.say(
        b"MAIL FROM:<alice@postfix.test> BODY=8BITMIME\r\n"
        b"RCPT TO:<friend@elsewhere.test>\r\nRCPT TO:<no one@>\r\n"
        + b"BDAT %d\r\n%b" % (half, LOOKALIKES[:half])
        + b"BDAT %d\r\n%b" % (len(LOOKALIKES) - half, LOOKALIKES[half:])
        + b"BDAT 0 LAST\r\n"
        b"NOOP\r\nMAIL FROM:<alice@postfix.test>\r\nRCPT TO:<friend@elsewhere.test>\r\nDATA\r\n"
    )
    session.hear(b"354 ")
    session.say(LOOKALIKES.replace(b"\r\n.", b"\r\n..") + b".\r\nVRFY alice\r\nRSET\r\n")
    session.say(b"QUIT\r\n")
    session.hear(b"221 ")


def withheld(text: bytes) -> bytes:
    """*text* without what would let the client become somebody else."""
    return re.sub(rb"250-(?:XCLIENT|XFORWARD|STARTTLS)[^\r]*\r\n", b"", text)


def queued(text: bytes) -> bytes:
    return re.sub(rb"queued as [0-9A-Za-z]+", b"queued as #", text)


def test_managesieve_passes_byte_for_byte(
    mailward: StartMailward, own_servers: tuple[Dovecot, Postfix]
) -> None:
    dovecot, _ = own_servers
    with running(tap := Tap(dovecot.sieve_haproxy_port)):
        door = mailward('fail2ban = "9/1h"', pigeonhole=tap.port).managesieve
        through = session(door, managesieve_session)
        carried = tap.conversation(b"PUTSCRIPT")
    credentials = rb'AUTHENTICATE "PLAIN" [^\r]*\r\n(?:[^\r"]*\r\n)?'
    assert after(credentials, carried.heard) == after(credentials, through.said)
    welcome = rb'OK "Logged in\."\r\n'
    said = after(welcome, carried.said)
    assert said == after(rb"\r\nOK [^\r]*\r\nOK [^\r]*\r\n", through.heard)
    direct = session(Door(Service.MANAGESIEVE, dovecot.sieve_port), managesieve_session)
    assert after(welcome, direct.heard) == said


def managesieve_session(session: Session) -> None:
    """Literals both ways, with commands in them; all in one go, as nobody waits here."""
    session.hear(b"\r\nOK ")
    session.hear(b"OK ")
    script = SCRIPT.encode() + b'\r\n# AUTHENTICATE "PLAIN" {3+}\r\n# LOGOUT\r\nkeep;\r\n'
    literal = b"{%d+}\r\n%b\r\n" % (len(script), script)
    session.say(
        b'HAVESPACE "same" 1000\r\n'
        b'PUTSCRIPT "same" '
        + literal
        + b"PUTSCRIPT {5+}\r\nother "
        + literal
        + b'LISTSCRIPTS\r\nGETSCRIPT "same"\r\nSETACTIVE "same"\r\nlistscripts\r\n'
        b'CHECKSCRIPT "if \\"nonsense"\r\nCHECKSCRIPT {6+}\r\nnosuch\r\n'
        b'RENAMESCRIPT "other" {9+}\r\n\xc3\xa9 \\ "qu"\r\n'
        b'DELETESCRIPT "same"\r\nSETACTIVE ""\r\nDELETESCRIPT "same"\r\n'
        b'DELETESCRIPT {9+}\r\n\xc3\xa9 \\ "qu"\r\nNOOP "tag {3}"\r\nLISTSCRIPTS\r\nLOGOUT\r\n'
    )
    while session.take():
        pass


def session(door: Door, run: Callable[[Session], None]) -> Session:
    """Log in at *door* and let *run* go on."""
    with Line(door) as line:
        session = Session(line)
        session.say(offer(door, OWNER, PASSWORD))
        run(session)
        return session


def after(pattern: bytes, record: bytes | bytearray) -> bytes:
    """What stands in *record* behind the first place that *pattern* matches."""
    found = re.search(pattern, record)
    assert found, (pattern, bytes(record[:1000]))
    return bytes(record[found.end() :])
