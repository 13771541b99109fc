"""A stolen account before real servers: it is stopped by a ban by hand, and by nobody else."""

from __future__ import annotations

import http.client
import smtplib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.real.attack import ImapFrom, Line, Told, guess, offer
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.embedded import EmbeddedWard
from tests.real.jmap import WRONG, basic
from tests.real.processes import eventually
from tests.real.servers import Postfix

STOLEN, OTHER = "alice", "bob"
LETTER = b"Subject: cheap\r\n\r\ncheap things\r\n"
ENVELOPE = b"MAIL FROM:<alice@postfix.test>\r\nRCPT TO:<friend@elsewhere.test>\r\nDATA\r\n"


def queued(postfix: Postfix) -> int:
    return postfix.log().count("(queue active)")


@pytest.mark.parametrize("closes", ["false", "true"])
def test_no_mail_is_queued_after_the_ban_of_its_login(
    mailward: StartMailward, postfix: Postfix, closes: str
) -> None:
    ward = mailward(f'fail2ban = "100/1d"\nban-closes-sessions = {closes}')
    with Line(ward.submission, source="127.0.0.66") as thief, ImapFrom(ward.imap) as other:
        other.login(OTHER, ACCOUNTS[OTHER])
        thief.hear()
        thief.say(offer(ward.submission, STOLEN, ACCOUNTS[STOLEN]))
        thief.hear(b"235 ")
        thief.say(ENVELOPE)
        thief.hear(b"354 ")
        thief.say(LETTER + b".\r\n")
        thief.hear(b"250 2.0.0 ")
        thief.say(ENVELOPE)
        thief.hear(b"<CR><LF>.<CR><LF>\r\n")
        thief.say(LETTER)
        (session,) = ward.told("sessions", STOLEN)
        assert (session["address"], session["listener"]) == ("127.0.0.66", "submission")
        assert session["received"] >= len(2 * (ENVELOPE + LETTER))
        assert "1 session is closed." in ward.cli("ban", STOLEN)
        assert thief.hear_all() == b""
        with suppress(ConnectionError):
            thief.say(b".\r\n")
        eventually(lambda: "lost connection after DATA" in postfix.log(), "Postfix hears the end")
        assert other.noop()[0] == "OK"
    assert queued(postfix) == 1
    assert guess(ward.submission, STOLEN, ACCOUNTS[STOLEN]) is Told.LATER
    assert ward.told("sessions") == []
    assert " sessions.closed login=alice count=1" in ward.log()


def test_whoever_causes_a_ban_by_guessing_ends_nobodys_session(
    mailward: StartMailward, postfix: Postfix
) -> None:
    ward = mailward('fail2ban = "3/1h"\nban-closes-sessions = true')
    door = ward.submission
    with smtplib.SMTP(door.host, door.port, "client.test", 20) as owner:
        owner.login(STOLEN, ACCOUNTS[STOLEN])
        for number in range(3):
            guess(ward.imap, STOLEN, WRONG, source=f"127.0.0.{70 + number}")
        assert list(ward.bans()) == [STOLEN]
        owner.sendmail("alice@postfix.test", ["friend@elsewhere.test"], LETTER)
        eventually(lambda: queued(postfix) == 1, "the owner's mail is taken")
        ward.cli("ban", STOLEN)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            owner.noop()


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedWard]:
    ward = EmbeddedWard(folder / "ward")
    ward.start()
    ward.add_accounts()
    yield ward
    ward.finish()


@pytest.mark.parametrize("command", [("ban", STOLEN), ("sessions", "close", STOLEN)])
def test_an_event_source_ends_with_the_sessions_of_its_login(
    embedded: EmbeddedWard, command: tuple[str, ...]
) -> None:
    door = embedded.jmap
    session = door.ask("/jmap/session", STOLEN)
    assert session is not None
    target = session.json["eventSourceUrl"].format(types="*", closeafter="no", ping="0")
    with closing(door.connect()) as thief, closing(door.connect()) as other:
        for line, login in ((thief, STOLEN), (other, OTHER)):
            line.request("GET", target, headers={"Authorization": basic(login, ACCOUNTS[login])})
        stream, others = thief.getresponse(), other.getresponse()
        assert stream.status == others.status == 200
        assert {one["service"] for one in embedded.told("sessions", STOLEN)} == {"jmap"}
        embedded.cli(*command)
        with pytest.raises((ConnectionError, http.client.IncompleteRead)):
            stream.read()  # all until it is cut off
        assert [one["login"] for one in embedded.told("sessions")] == [OTHER]
    is_open = door.told(STOLEN, ACCOUNTS[STOLEN], "127.0.0.1")
    assert is_open == (429 if command[0] == "ban" else 200)
