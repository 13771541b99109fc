"""imtest, built on Cyrus SASL: with the mechanism that it takes by itself, and with each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.programs.server import MailServer, letter, run

IMTEST = Path("/usr/lib/cyrus/bin/imtest")
_SESSION = """\
1 LIST "" "*"
2 SELECT INBOX
3 UID FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])
4 UID STORE 1 +FLAGS (\\Seen)
5 UID SEARCH SEEN
6 LOGOUT
"""


def imtest(server: MailServer, *words: str, password: str | None = None, status: int = 0) -> str:
    """What is said by both sides of a session, after a login by what *words* ask for."""
    tls = ["-s"] if server.is_implicit else ["-t", ""] if server.has_tls else []
    login = ["-a", server.name, "-u", server.name, "-w", password or server.password]
    return run(
        IMTEST,
        *(*login, *tls, *words, "-p", str(server.imap_port), "127.0.0.1"),
        given=_SESSION.replace("\n", "\r\n"),
        status=status,
    )


def test_it_takes_scram_by_itself(any_server: MailServer) -> None:
    any_server.append(letter("hello"))
    said = imtest(any_server)
    assert "AUTHENTICATE SCRAM-SHA-256" in said
    assert_has_worked(any_server, said)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_each_other_mechanism_is_taken(server: MailServer, mechanism: str) -> None:
    server.append(letter("hello"))
    assert_has_worked(server, imtest(server, "-m", mechanism))


def assert_has_worked(server: MailServer, said: str) -> None:
    assert "Authenticated." in said
    assert "Subject: hello" in said
    assert "* SEARCH 1\n" in said.replace("\r", "")
    assert server.subjects() == {"hello": {"\\Seen"}}


def test_a_wrong_password_is_told(server: MailServer) -> None:
    said = imtest(server, "-m", "PLAIN", password="wrong-opensesame")
    assert "Authentication failed" in said
    assert "Authenticated." not in said
