"""Behind Unix sockets: a stock Dovecot, and a Postfix that wants PROXY headers there."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.attack import Door, ImapFrom, Service, Told, guess
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import eventually, free_port, private_folder
from tests.real.servers import Dovecot, Postfix, running

WRONG = "wrong-opensesame"
ALICE = ("alice", ACCOUNTS["alice"])
_DOVECOT = """
service imap-login {{
  unix_listener {folder}/imap.sock {{
    mode = 0600
  }}
}}
service managesieve-login {{
  unix_listener {folder}/sieve.sock {{
    mode = 0600
  }}
}}
"""
_POSTFIX_SERVICE = """
guarded unix n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
"""
_TABLES = """
[server.listener.imap-unix]
protocol = "imap"
bind = ["127.0.0.1:{imap}"]
backend = "dovecot-unix"

[server.listener.sieve-unix]
protocol = "managesieve"
bind = ["127.0.0.1:{sieve}"]
backend = "pigeonhole-unix"

[server.listener.submission-unix]
protocol = "submission"
bind = ["127.0.0.1:{submission}"]
backend = "postfix-unix"

[backend.dovecot-unix]
address = "unix:{folder}/imap.sock"

[backend.pigeonhole-unix]
address = "unix:{folder}/sieve.sock"

[backend.postfix-unix]
address = "unix:{spool}/public/guarded"
client-address = "proxy-v2"
second-opinion = "none"
"""


@dataclass(frozen=True, slots=True)
class Servers:
    """Both mail servers; *folder* is where the sockets of Dovecot are."""

    dovecot: Dovecot
    postfix: Postfix
    folder: Path


@pytest.fixture(scope="module")
def listening() -> Iterator[Servers]:
    with private_folder() as folder:
        dovecot = Dovecot(folder, ACCOUNTS, more=_DOVECOT.format(folder=folder))
        postfix = Postfix(folder, dovecot.sasl_socket, more_services=_POSTFIX_SERVICE)
        with running(dovecot, postfix):
            yield Servers(dovecot, postfix, folder)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A mailward whose *doors* lead to Unix sockets."""

    ward: Mailward
    doors: tuple[Door, ...]


@pytest.fixture
def guarded(mailward: StartMailward, listening: Servers) -> Guarded:
    ports = {service: free_port() for service in Service}
    more = _TABLES.format(
        folder=listening.folder,
        spool=listening.postfix.folder / "spool",
        imap=ports[Service.IMAP],
        sieve=ports[Service.MANAGESIEVE],
        submission=ports[Service.SUBMISSION],
    )
    ward = mailward('fail2ban = "3/1h"', more=more)
    eventually(ward.is_well, "every backend is found to be well")
    return Guarded(ward, tuple(Door(service, port) for service, port in ports.items()))


def test_logins_are_judged_and_sessions_go_on_behind_unix_sockets(guarded: Guarded) -> None:
    for door in guarded.doors:
        assert guess(door, *ALICE) is Told.OK
        assert guess(door, "nobody", WRONG, source="127.0.0.9") is Told.WRONG
    (imap, *_) = (door for door in guarded.doors if door.service is Service.IMAP)
    with ImapFrom(imap) as session:
        session.login(*ALICE)
        message = b"Subject: over a socket\r\n\r\nhello\r\n"
        session.append("INBOX", "", imaplib.Time2Internaldate(0), message)
        session.select("INBOX")
        _, found = session.search(None, "SUBJECT", '"over a socket"')
        assert found[0]
    assert {ban.partition("/")[0] for ban in guarded.ward.bans()} == {"127.0.0.9", "nobody"}


def test_a_proxy_header_tells_the_client_over_a_unix_socket(
    guarded: Guarded, listening: Servers
) -> None:
    (submission,) = (door for door in guarded.doors if door.service is Service.SUBMISSION)
    listening.postfix.forget_log()
    assert guess(submission, "alice", WRONG, source="127.0.0.7") is Told.WRONG
    told = "unknown[127.0.0.7]: SASL PLAIN authentication failed"
    eventually(lambda: told in listening.postfix.log(), "Postfix names the client")


def test_a_server_that_is_gone_is_an_outage_that_counts_for_nobody(
    guarded: Guarded, listening: Servers
) -> None:
    (imap, *_) = (door for door in guarded.doors if door.service is Service.IMAP)
    away = listening.folder / "away.sock"
    socket = listening.folder / "imap.sock"
    socket.rename(away)
    try:
        assert {guess(imap, *ALICE, source="127.0.0.8") for _ in range(5)} == {Told.LATER}
        (row,) = [
            door
            for door in guarded.ward.told("status")["doors"]
            if door["backend"] == "dovecot-unix"
        ]
        assert row["state"] == f"cannot connect to unix:{socket}: No such file or directory"
    finally:
        away.rename(socket)
    eventually(lambda: guess(imap, *ALICE, source="127.0.0.8") is Told.OK, "it is back")
    assert guarded.ward.bans() == {}
