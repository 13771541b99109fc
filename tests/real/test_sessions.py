"""After login: whatever the server behind can do works as if nobody stood in between."""

from __future__ import annotations

import smtplib
from random import Random

import pytest

from tests.real.attack import ImapFrom, Line, offer, plain, swaks
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.processes import eventually
from tests.real.servers import Dovecot, Postfix

OWNER = "alice"
PASSWORD = ACCOUNTS[OWNER]
MEGABYTE = 1_000_000
MANY = 'fail2ban = "100/1d"'


def letter(octets: int) -> bytes:
    """A message of about that size with CRLF lines, different at each place."""
    dice = Random(octets)
    lines = (dice.randbytes(37).hex().encode() for _ in range(octets // 76))
    return b"Subject: a long one\r\n\r\n" + b"\r\n".join(lines) + b"\r\n"


def test_a_megabyte_goes_into_a_mailbox_and_comes_out_again(mailward: StartMailward) -> None:
    ward = mailward(MANY)
    message = letter(MEGABYTE)
    with ImapFrom(ward.imap) as client:
        client.login(OWNER, PASSWORD)
        client.create("Large")
        assert client.append("Large", "", "", message)[0] == "OK"
        client.select("Large")
        _, parts = client.fetch("1", "(BODY.PEEK[])")
        assert isinstance(parts[0], tuple)
        assert parts[0][1] == message
        client.store("1", "+FLAGS", r"\Deleted")
        client.expunge()


def test_idle_tells_of_new_mail(mailward: StartMailward) -> None:
    ward = mailward(MANY)
    with Line(ward.imap) as idler, ImapFrom(ward.imap) as sender:
        idler.hear()
        idler.say(offer(ward.imap, OWNER, PASSWORD))
        idler.hear(b"a OK")
        idler.say(b"b SELECT INBOX\r\nc IDLE\r\n")
        idler.hear(b"+ idling")
        sender.login(OWNER, PASSWORD)
        sender.append("INBOX", "", "", b"Subject: hello\r\n\r\nhello\r\n")
        assert b"EXISTS" in idler.hear(b"EXISTS")
        idler.say(b"DONE\r\n")
        assert idler.hear(b"c OK").endswith(b"c OK")


def test_imap_commands_behind_the_login_are_answered_in_their_order(
    mailward: StartMailward,
) -> None:
    ward = mailward(MANY)
    with Line(ward.imap) as line:
        line.hear()
        line.say(offer(ward.imap, OWNER, PASSWORD) + b"b NOOP\r\nc LOGOUT\r\n")
        heard = line.hear_all()
    places = [heard.index(mark) for mark in (b"a OK", b"b OK", b"* BYE", b"c OK")]
    assert places == sorted(places)


def test_smtp_commands_behind_the_login_are_answered_in_their_order(
    mailward: StartMailward,
) -> None:
    ward = mailward(MANY)
    with Line(ward.submission) as line:
        line.hear()
        line.say(
            offer(ward.submission, OWNER, PASSWORD)
            + b"MAIL FROM:<alice@postfix.test>\r\nRCPT TO:<friend@elsewhere.test>\r\nQUIT\r\n"
        )
        codes = [reply[:4] for reply in line.hear_all().splitlines()]
    assert codes[-4:] == [b"235 ", b"250 ", b"250 ", b"221 "]


def test_messages_are_submitted(mailward: StartMailward, postfix: Postfix) -> None:
    ward = mailward(MANY)
    with smtplib.SMTP(ward.submission.host, ward.submission.port, "client.test", 20) as client:
        client.login(OWNER, PASSWORD)
        client.sendmail("alice@postfix.test", ["friend@elsewhere.test"], letter(MEGABYTE))
        client.sendmail("alice@postfix.test", ["friend@elsewhere.test"], letter(1000))
    sent = swaks(ward.submission, OWNER, PASSWORD)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    eventually(lambda: postfix.log().count("status=sent") == 3, "three messages are discarded")
    assert "sasl_username=alice" in postfix.log()


def test_nobody_submits_without_a_login(mailward: StartMailward) -> None:
    ward = mailward(MANY)
    with smtplib.SMTP(ward.submission.host, ward.submission.port, "client.test", 10) as client:
        client.ehlo()
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.sendmail("alice@postfix.test", ["friend@elsewhere.test"], b"hello")
    assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (530, b"5.7.0")


@pytest.mark.parametrize(
    "said",
    [
        b"AUTH PLAIN " + plain("bob", ACCOUNTS["bob"]),
        b"AUTH PLAIN " + plain("bob", "wrong-opensesame"),
        b"STARTTLS",
        b"XCLIENT ADDR=198.51.100.66",
    ],
)
def test_nobody_begins_anew_inside_a_submission_session(
    mailward: StartMailward, dovecot: Dovecot, said: bytes
) -> None:
    ward = mailward(MANY)
    with Line(ward.submission) as line:
        line.hear()
        line.say(offer(ward.submission, OWNER, PASSWORD))
        line.hear(b"235 ")
        line.hear()
        for _ in range(3):
            line.say(said + b"\r\n")
            assert line.hear().startswith(b"503 5.5.1 ")
            line.say(b"NOOP\r\n")
            assert line.hear() == b"250 2.0.0 Ok\r\n"
    assert [guess.login for guess in dovecot.guesses()] == [OWNER]


@pytest.mark.parametrize("password", [ACCOUNTS["bob"], "wrong-opensesame"])
def test_nobody_becomes_somebody_else_inside_an_imap_session(
    mailward: StartMailward, dovecot: Dovecot, password: str
) -> None:
    ward = mailward(MANY)
    with Line(ward.imap) as line:
        line.hear()
        line.say(offer(ward.imap, OWNER, PASSWORD))
        line.hear(b" Logged in\r\n")
        for command in (
            b"UNAUTHENTICATE",
            b"LOGIN bob " + password.encode(),
            b"AUTHENTICATE PLAIN " + plain("bob", password),
            b"STARTTLS",
        ):
            line.say(b"x " + command + b"\r\n")
            assert line.hear().startswith((b"x BAD ", b"x NO ")), command
    assert [guess.login for guess in dovecot.guesses()] == [OWNER]


def test_logged_in_sessions_outlive_the_ban_of_their_address(mailward: StartMailward) -> None:
    ward = mailward('fail2ban = "1/1h"')
    with ImapFrom(ward.imap, "127.0.0.5") as session:
        session.login(OWNER, PASSWORD)
        ward.cli("ban", "127.0.0.5")
        assert session.noop()[0] == "OK"


def test_many_sessions_at_once_each_see_their_own_mailbox(mailward: StartMailward) -> None:
    ward = mailward(MANY)
    sessions = [ImapFrom(ward.imap, f"127.0.4.{number}") for number in range(1, 41)]
    logins = list(ACCOUNTS) * 20
    try:
        for session, login in zip(sessions, logins, strict=True):
            session.login(login, ACCOUNTS[login])
        for session, login in zip(sessions[:2], logins, strict=False):
            session.create(f"Only-{login}")
        for session, login in zip(sessions, logins, strict=True):
            _, folders = session.list('""', "Only-*")
            assert [isinstance(f, bytes) and f.split()[-1] for f in folders] == [
                b"Only-" + login.encode()
            ]
    finally:
        for session in sessions:
            session.shutdown()
