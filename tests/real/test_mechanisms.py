"""SCRAM and bearer tokens, from real clients through the doors to Dovecot and Postfix."""

from __future__ import annotations

import hmac
import imaplib
import json
import re
import smtplib
import time
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import pytest

# It has no types of its own.
from scramp import ScramClient  # type: ignore[import-untyped]

from tests.real.attack import Door, ImapFrom, Line, Service, Told, sieve_answer
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import eventually, let_pass, private_folder
from tests.real.servers import Dovecot, Postfix, running

SCRAM = ["SCRAM-SHA-256", "SCRAM-SHA-1"]
BEARER = ["XOAUTH2", "OAUTHBEARER"]
_SIEVE_SASL = re.compile(rb'"SASL" "([^"]*)"')
KEY = b"the-signing-key-opensesame"

# Tokens are judged by Dovecot itself: whoever knows the key may hand them out.
_SETTINGS = """\
auth_mechanisms = plain login scram-sha-1 scram-sha-256 xoauth2 oauthbearer
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
"""
_TOKENS = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = email
"""


@pytest.fixture(scope="module")
def own_servers() -> Iterator[tuple[Dovecot, Postfix]]:
    """A Dovecot that knows every mechanism, and a Postfix that asks it."""
    with private_folder() as folder:
        keys = folder / "keys" / "default" / "HS256"
        keys.mkdir(parents=True)
        (keys / "default").write_bytes(b64encode(KEY))
        (folder / "oauth2.conf").write_text(_TOKENS.format(folder=folder))
        dovecot = Dovecot(folder, ACCOUNTS, more=_SETTINGS.format(folder=folder))
        postfix = Postfix(folder, dovecot.sasl_socket)
        with running(dovecot, postfix):
            yield dovecot, postfix


@dataclass
class Ward:
    """A mailward before those servers, and the Dovecot that tells what it was asked."""

    mailward: Mailward
    dovecot: Dovecot

    def door(self, service: Service) -> Door:
        return next(door for door in self.mailward.doors if door.service is service)

    def failures(self, subject: str) -> int:
        return len(self.mailward.told("why", subject)["failures"])


@pytest.fixture
def ward(mailward: StartMailward, own_servers: tuple[Dovecot, Postfix]) -> Ward:
    dovecot, postfix = own_servers
    started = mailward(
        'fail2ban = "3/1h"',
        imap=dovecot.haproxy_port,
        submission=postfix.haproxy_port,
        pigeonhole=dovecot.sieve_haproxy_port,
    )
    dovecot.forget_guesses()
    return Ward(started, dovecot)


@dataclass
class Scram:
    """One exchange of a client; *heard* are the messages of the server."""

    mechanism: str
    login: str
    password: str
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = ScramClient([self.mechanism], self.login, self.password)

    def __call__(self, challenge: bytes) -> bytes:
        if not self.heard and not challenge:
            return str(self._client.get_client_first()).encode()
        self.heard.append(challenge.decode())
        if len(self.heard) == 1:
            self._client.set_server_first(self.heard[0])
            return str(self._client.get_client_final()).encode()
        self._client.set_server_final(self.heard[1])  # raises unless the server proves itself
        return b""


@dataclass
class Bearer:
    mechanism: str
    login: str
    token: str

    def __call__(self, challenge: bytes) -> bytes:
        name = f"user={self.login}" if self.mechanism == "XOAUTH2" else f"n,a={self.login},"
        return f"{name}\1auth=Bearer {self.token}\1\1".encode()


def token(login: str, key: bytes = KEY, seconds: int = 3_600) -> str:
    """A JSON web token that is good for so long."""
    now = int(time.time())  # noqa: TID251 -- Dovecot reads the real clock
    parts: Sequence[dict[str, object]] = (
        {"alg": "HS256", "typ": "JWT"},
        {"email": login, "sub": login, "iat": now - 60, "exp": now + seconds},
    )
    signed = b".".join(_part(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + _part(hmac.digest(key, signed, "sha256"))).decode()


def _part(octets: bytes) -> bytes:
    return urlsafe_b64encode(octets).rstrip(b"=")


def log_in(door: Door, mechanism: str, says: Callable[[bytes], bytes], source: str) -> Told:
    """Log in with the standard library's client, and use the session."""
    match door.service:
        case Service.IMAP:
            return _log_in_imap(door, mechanism, says, source)
        case Service.SUBMISSION:
            return _log_in_submission(door, mechanism, says, source)
        case Service.MANAGESIEVE:
            return _log_in_sieve(door, mechanism, says, source)


def _log_in_imap(door: Door, mechanism: str, says: Callable[[bytes], bytes], source: str) -> Told:
    client = ImapFrom(door, source)
    try:
        assert f"AUTH={mechanism}" in client.capabilities
        client.authenticate(mechanism, says)
        assert client.select()[0] == "OK"
        client.logout()
    except imaplib.IMAP4.error as error:
        if "[AUTHENTICATIONFAILED]" in str(error):
            return Told.WRONG
        if "[UNAVAILABLE]" in str(error):
            return Told.LATER
        raise
    finally:
        if client.state != "LOGOUT":
            client.shutdown()
    return Told.OK


def _log_in_submission(
    door: Door, mechanism: str, says: Callable[[bytes], bytes], source: str
) -> Told:
    # Without QUIT: after the guess that bans the connection is closed.
    with closing(
        smtplib.SMTP(door.host, door.port, "client.test", 30.0, source_address=(source, 0))
    ) as client:
        client.ehlo()
        assert mechanism in client.esmtp_features["auth"].split()
        try:
            client.auth(mechanism, lambda challenge=b"": says(challenge or b"").decode())
        except smtplib.SMTPAuthenticationError as error:
            return {535: Told.WRONG, 454: Told.LATER}[error.smtp_code]
        client.sendmail("alice@postfix.test", ["friend@elsewhere.test"], "Subject: hello\n\nhello")
    return Told.OK


def _log_in_sieve(door: Door, mechanism: str, says: Callable[[bytes], bytes], source: str) -> Told:
    """RFC 5804 section 2.1; no library for it knows these mechanisms."""
    with Line(door, source=source) as line:
        assert mechanism in _SIEVE_SASL.findall(line.hear(b"\r\nOK"))[0].decode().split()
        line.hear()
        line.say(b'AUTHENTICATE "%b" ' % mechanism.encode() + _sieve_string(says(b"")))
        while not (heard := line.hear()).startswith((b"OK", b"NO")):
            challenge = line.hear() if heard.startswith(b"{") else heard.strip(b'"\r\n')
            line.say(_sieve_string(says(b64decode(challenge))))
        if heard.startswith(b"NO"):
            return Told.LATER if heard.startswith(b"NO (TRYLATER)") else Told.WRONG
        if final := re.match(rb'OK \(SASL "([^"]*)"\)', heard):
            says(b64decode(final[1]))
        line.say(b"LISTSCRIPTS\r\n")
        assert sieve_answer(line).startswith(b"OK")
    return Told.OK


def _sieve_string(message: bytes) -> bytes:
    octets = b64encode(message)
    return b"{%d+}\r\n%b\r\n" % (len(octets), octets)


@pytest.mark.parametrize("mechanism", SCRAM)
@pytest.mark.parametrize("service", Service)
def test_scram_is_carried_and_its_wrong_proofs_are_counted(
    service: Service, mechanism: str, ward: Ward
) -> None:
    door = ward.door(service)
    right = Scram(mechanism, "alice", ACCOUNTS["alice"])
    assert log_in(door, mechanism, right, "127.0.0.7") is Told.OK
    assert right.heard[1].startswith("v=")
    for number in range(3):
        assert ward.failures("alice") == number
        wrong = Scram(mechanism, "alice", "wrong-opensesame")
        assert log_in(door, mechanism, wrong, f"127.0.1.{number + 1}") is Told.WRONG
    asked = len(ward.dovecot.guesses())
    again = Scram(mechanism, "alice", ACCOUNTS["alice"])
    assert log_in(door, mechanism, again, "127.0.0.7") is Told.LATER
    assert again.heard == []
    assert len(ward.dovecot.guesses()) == asked
    other = Scram(mechanism, "bob", ACCOUNTS["bob"])
    assert log_in(door, mechanism, other, "127.0.0.7") is Told.OK


@pytest.mark.parametrize("service", Service)
def test_a_name_that_dovecot_does_not_know_is_counted_as_wrong(
    service: Service, ward: Ward
) -> None:
    nobody = Scram("SCRAM-SHA-256", "nobody", "x-opensesame")
    assert log_in(ward.door(service), "SCRAM-SHA-256", nobody, "127.0.0.7") is Told.WRONG
    assert ward.failures("nobody") == 1


@pytest.mark.parametrize("mechanism", BEARER)
@pytest.mark.parametrize("service", Service)
def test_tokens_are_carried_and_wrong_ones_are_counted(
    service: Service, mechanism: str, ward: Ward
) -> None:
    door = ward.door(service)
    good, forged = token("alice"), token("alice", b"another key")
    assert log_in(door, mechanism, Bearer(mechanism, "alice", good), "127.0.0.7") is Told.OK
    for number in range(3):
        assert ward.failures("alice") == number
        told = log_in(door, mechanism, Bearer(mechanism, "alice", forged), f"127.0.1.{number + 1}")
        assert told is Told.WRONG
    assert log_in(door, mechanism, Bearer(mechanism, "alice", good), "127.0.0.7") is Told.LATER
    for shown in (good, forged):
        assert shown.rpartition(".")[2] not in ward.mailward.log()


def test_a_token_that_expires_while_the_daemon_is_killed_is_no_guess(ward: Ward) -> None:
    short, forged = token("alice", seconds=8), token("alice", b"another key")
    door = ward.door(Service.IMAP)
    good, wrong = Bearer("XOAUTH2", "alice", short), Bearer("XOAUTH2", "alice", forged)
    assert log_in(door, "XOAUTH2", good, "127.0.0.7") is Told.OK
    let_pass(1.1)  # as failures, it is on disk within a second
    ward.mailward.crash()
    ward.mailward.start()
    key = ward.mailward.data / "token.key"
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)

    def has_expired() -> bool:
        return log_in(door, "XOAUTH2", good, "127.0.0.7") is Told.WRONG

    eventually(has_expired, "the token has expired")
    assert log_in(door, "XOAUTH2", good, "127.0.0.7") is Told.WRONG
    assert ward.failures("alice") == 0
    assert log_in(door, "XOAUTH2", wrong, "127.0.0.7") is Told.WRONG
    assert ward.failures("alice") == 1
    # The same token as somebody else is a guess, and what is stored tells nothing of it.
    other = Bearer("XOAUTH2", "bob", short)
    assert log_in(door, "XOAUTH2", other, "127.0.0.7") is Told.WRONG
    assert ward.failures("bob") == 1
    ward.mailward.stop()
    for file in ward.mailward.data.iterdir():
        assert not file.is_file() or short.encode() not in file.read_bytes()
    key.chmod(0o640)
    refused = ward.mailward.serve_in_vain()
    assert refused.returncode == 78
    assert f"chmod 600 {key}" in refused.stderr
