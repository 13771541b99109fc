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
    tls = ["-t", ""] if server.has_tls else []
    login = ["-a", server.name, "-u", server.name, "-w", password or server.password]
    return run(
        IMTEST,
        *(*login, *tls, *words, "-p", str(server.imap), "127.0.0.1"),
        given=_SESSION.replace("\n", "\r\n"),
        status=status,
    )


@pytest.mark.parametrize("mechanism", [None, "SCRAM-SHA-256", "PLAIN", "LOGIN"])
def test_a_session_by_each_mechanism(server: MailServer, mechanism: str | None) -> None:
    server.append(letter("hello"))
    said = imtest(server, *(["-m", mechanism] if mechanism else []))
    assert "Authenticated." in said
    assert "Subject: hello" in said
    assert "* SEARCH 1\n" in said.replace("\r", "")
    assert server.subjects() == {"hello": {"\\Seen"}}
    if mechanism is None:
        assert "AUTHENTICATE SCRAM-SHA-256" in said


def test_a_wrong_password_is_told(server: MailServer) -> None:
    said = imtest(server, "-m", "PLAIN", password="wrong-opensesame")
    assert "Authentication failed" in said
    assert "Authenticated." not in said
