"""Port 25 before a real Postfix, and any port before a real server: swaks and bare connections."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pytest
import trustme

from tests.real.attack import Door, Line, Service, Told, guess, plain
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import answers, eventually, free_port, private_folder
from tests.real.servers import Dovecot, Postfix, running

STRANGER = "127.0.0.7"
WRONG = "wrong-opensesame"
WAYS = ["proxy-v1", "proxy-v2", "xclient"]

_RELAYED = """
relay_domains = elsewhere.test
relay_transport = discard
"""
# Port 25 as the README has it, once more for those that are told by XCLIENT, one that lets anybody
# log in, and one that does so without saying it.
_SERVICES = """
127.0.0.1:{haproxy} inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
  -o smtpd_sasl_auth_enable=no -o smtpd_tls_security_level=none
  -o smtpd_relay_restrictions=reject_unauth_destination -o smtpd_recipient_restrictions=
127.0.0.1:{xclient} inet n - n - - smtpd -o smtpd_authorized_xclient_hosts=127.0.0.1
  -o smtpd_sasl_auth_enable=no
  -o smtpd_relay_restrictions=reject_unauth_destination -o smtpd_recipient_restrictions=
127.0.0.1:{auth} inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
  -o smtpd_relay_restrictions=reject_unauth_destination -o smtpd_recipient_restrictions=
127.0.0.1:{unlisted} inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
  -o smtpd_discard_ehlo_keywords=auth,chunking
  -o smtpd_relay_restrictions=reject_unauth_destination -o smtpd_recipient_restrictions=
"""
_LISTENERS = """
[server.listener.mx]
protocol = "smtp"
bind = ["127.0.0.1:{mx}"]
backend = "mx"

[server.listener.any]
protocol = "tcp"
bind = ["127.0.0.1:{tcp}"]
backend = "any"

[backend.mx]
address = "127.0.0.1:{behind}"
client-address = "{told}"

[backend.any]
address = "127.0.0.1:{imap}"
client-address = "proxy-v2"

[certificate.default]
cert = "cert.pem"
private-key = "key.pem"
"""


@dataclass(frozen=True, slots=True)
class Postbox:
    """A Postfix with a port 25 for each way of telling it the client."""

    postfix: Postfix
    haproxy: int
    xclient: int
    auth: int
    unlisted: int

    def behind(self, told: str) -> int:
        return self.xclient if told == "xclient" else self.haproxy


@pytest.fixture(scope="module")
def postbox(servers: tuple[Dovecot, Postfix]) -> Iterator[Postbox]:
    ports = {name: free_port() for name in ("haproxy", "xclient", "auth", "unlisted")}
    with private_folder() as folder:
        postfix = Postfix(
            folder,
            servers[0].sasl_socket,
            more=_RELAYED,
            more_services=_SERVICES.format(**ports),
        )
        with running(postfix):
            for port in ports.values():
                eventually(partial(answers, port), f"somebody listens on {port}")
            yield Postbox(postfix, **ports)


@dataclass(frozen=True, slots=True)
class Ward:
    """A mailward with a door at port 25, and one for anything, before Dovecot's IMAP."""

    mailward: Mailward
    mx: Door
    tcp: Door


class Wards:
    def __init__(self, start: StartMailward, dovecot: Dovecot, postbox: Postbox) -> None:
        self._start = start
        self._dovecot = dovecot
        self._postbox = postbox

    def start(self, security: str, *, told: str = "proxy-v2", behind: int | None = None) -> Ward:
        mx, tcp = free_port(), free_port()
        ward = self._start(security, running=False)
        leaf = trustme.CA().issue_cert("mail.test")
        leaf.cert_chain_pems[0].write_to_path(ward.data / "cert.pem")
        leaf.private_key_pem.write_to_path(ward.data / "key.pem")
        listeners = _LISTENERS.format(
            mx=mx,
            tcp=tcp,
            behind=behind or self._postbox.behind(told),
            told=told,
            imap=self._dovecot.haproxy_port,
        )
        with ward.configuration.open("a") as file:
            file.write(listeners)
        ward.start(knows_backends=False)
        self._postbox.postfix.forget_log()
        return Ward(ward, Door(Service.SUBMISSION, mx), Door(Service.IMAP, tcp))


@pytest.fixture
def wards(mailward: StartMailward, dovecot: Dovecot, postbox: Postbox) -> Wards:
    return Wards(mailward, dovecot, postbox)


def swaks(door: Door, *arguments: str) -> str:
    """Send a message as another mail server does; all that was said, by both."""
    done = subprocess.run(
        [
            *["/usr/bin/swaks", "--server", door.host, "--port", str(door.port)],
            *["--from", "a@sender.test", "--to", "b@elsewhere.test", "--helo", "sender.test"],
            *["--local-interface", STRANGER, *arguments],
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def mail_commands(*more: bytes) -> bytes:
    return b"\r\n".join([b"MAIL FROM:<a@sender.test>", b"RCPT TO:<b@elsewhere.test>", *more, b""])


@pytest.mark.parametrize("told", WAYS)
@pytest.mark.parametrize("tls", [[], ["--tls"]], ids=["plain", "STARTTLS"])
def test_mail_comes_through_and_postfix_logs_the_true_client(
    wards: Wards, postbox: Postbox, told: str, tls: list[str]
) -> None:
    ward = wards.start('fail2ban = "50/1h"', told=told)
    said = swaks(ward.mx, *tls)
    assert "250 2.0.0 Ok: queued" in said
    assert ("=== TLS started" in said) == bool(tls)
    eventually(lambda: f"[{STRANGER}]" in postbox.postfix.log(), "Postfix logs the client")
    eventually(lambda: "status=sent" in postbox.postfix.log(), "the message is on its way")
    assert "client=localhost[127.0.0.1]" not in postbox.postfix.log()


def test_auth_is_refused_and_no_password_gets_to_postfix(
    wards: Wards, postbox: Postbox, dovecot: Dovecot
) -> None:
    ward = wards.start('fail2ban = "1/1h"', behind=postbox.auth)
    with Line(ward.mx) as line:
        line.hear()
        line.say(b"EHLO sender.test\r\n")
        assert b"AUTH" not in line.hear(b"250 STARTTLS\r\n")
        line.say(b"AUTH PLAIN " + plain("alice", WRONG) + b"\r\n")
        assert line.hear() == b"502 5.5.1 There is no AUTH here\r\n"
        line.say(mail_commands())
        assert line.hear() == b"250 2.1.0 Ok\r\n"
    assert dovecot.guesses() == []


def guesses(count: int) -> list[bytes]:
    return [b"AUTH PLAIN " + plain("alice", f"wrong-{n}") + b"\r\n" for n in range(count)]


@pytest.mark.parametrize("listed", [True, False], ids=["AUTH listed", "AUTH taken, not listed"])
def test_of_300_guesses_behind_mail_none_gets_to_postfix(
    wards: Wards, postbox: Postbox, dovecot: Dovecot, listed: bool
) -> None:
    behind = postbox.auth if listed else postbox.unlisted
    ward = wards.start('fail2ban = "1/1h"', behind=behind)
    recipient = b"RCPT TO:<b@elsewhere.test>\r\n"
    refused = b"502 5.5.1 There is no AUTH here\r\n"
    with Line(ward.mx, source=STRANGER) as line:
        line.hear()
        line.say(b"EHLO sender.test\r\n")
        assert b"AUTH" not in line.hear(b"250 STARTTLS\r\n")
        line.say(mail_commands() + recipient.join(guesses(300)) + b"QUIT\r\n")
        assert line.hear_all().count(refused) == 300
    assert dovecot.guesses() == []
    assert ward.mailward.told("bans") == []


@pytest.mark.parametrize(
    "hidden",
    [
        b"RSET\r\nDATA\r\n%b.\r\n",  # refused: MAIL is missing
        b"BDAT 50\r\n%b",  # in the place of a chunk, where no server has offered chunks
        b"DATA\r\n.\r\n%b",
        b"DATA\r\nhello\n.\n%b.\r\n",
        b"DATA\r\nhello\n.\r\n%b.\r\n",
        b"DATA\r\nhello\r\n.\n%b.\r\n",
        b"NOOP\n%b",
        b"NOOP " + b"x" * 3_000 + b"\r\n%b",
    ],
    ids=["DATA refused", "chunk", "behind DATA", "LF.LF", "LF.CRLF", "CRLF.LF", "bare LF", "long"],
)
def test_no_hidden_guess_gets_to_postfix(
    wards: Wards, postbox: Postbox, dovecot: Dovecot, hidden: bytes
) -> None:
    ward = wards.start('fail2ban = "1/1h"', behind=postbox.unlisted)
    guess_ = (b"AUTH PLAIN " + plain("alice", WRONG)).ljust(48) + b"\r\n"
    assert len(guess_) == 50
    for _ in range(3):
        with Line(ward.mx, source=STRANGER) as line:
            line.hear()
            line.say(b"EHLO sender.test\r\n")
            line.hear(b"250 STARTTLS\r\n")
            line.say(mail_commands(hidden % guess_ + b"QUIT"))
            line.hear_all()
    assert dovecot.guesses() == []
    assert ward.mailward.told("bans") == []


def test_a_mail_about_logging_in_comes_through(wards: Wards, postbox: Postbox) -> None:
    ward = wards.start('fail2ban = "1/1h"', behind=postbox.unlisted)
    lines = r"AUTH PLAIN x\nSTARTTLS\n.\nAUTH LOGIN\nXCLIENT ADDR=192.0.2.1"
    said = swaks(ward.mx, "--body", lines)
    assert "250 2.0.0 Ok: queued" in said
    eventually(lambda: "status=sent" in postbox.postfix.log(), "the message is on its way")


def test_who_is_banned_elsewhere_is_dropped_at_port_25(wards: Wards) -> None:
    ward = wards.start('fail2ban = "2/1h"')
    with Line(ward.mx, source=STRANGER) as line:
        assert line.hear().startswith(b"220 ")
    for login in ("alice", "bob"):
        guess(ward.mailward.imap, login, WRONG, source=STRANGER)
    with Line(ward.mx, source=STRANGER) as line:
        assert line.hear_all() == b""
    with Line(ward.mx) as line:
        assert line.hear().startswith(b"220 ")


def test_nobody_may_say_that_he_is_somebody_else(wards: Wards, postbox: Postbox) -> None:
    ward = wards.start('fail2ban = "50/1h"', told="xclient")
    forged = b"XCLIENT ADDR=192.0.2.66 NAME=forged.test\r\n"
    with Line(ward.mx, source=STRANGER) as line:
        line.hear()
        line.say(b"EHLO sender.test\r\n")
        assert b"XCLIENT" not in line.hear(b"250 STARTTLS\r\n")
        line.say(forged)
        assert line.hear() == b"550 5.7.0 You are not believed\r\n"
        line.say(mail_commands(b"RSET"))
        line.hear(b"250 2.0.0 Ok\r\n")
        line.say(forged)
        assert line.hear() == b"550 5.7.0 You are not believed\r\n"
    eventually(lambda: "disconnect from" in postbox.postfix.log(), "Postfix logs the end")
    assert "192.0.2.66" not in postbox.postfix.log()


def test_a_pipelined_message_arrives_in_one_go(wards: Wards, postbox: Postbox) -> None:
    ward = wards.start('fail2ban = "50/1h"')
    with Line(ward.mx) as line:
        line.hear()
        line.say(b"EHLO sender.test\r\n")
        assert b"CHUNKING" in line.hear(b"250 STARTTLS\r\n")
        body = b"Subject: all at once\r\n\r\nhello\r\n"
        line.say(mail_commands(b"BDAT %d LAST" % len(body)) + body + b"QUIT\r\n")
        said = line.hear_all()
    assert b"250 2.0.0 Ok: " in said
    assert said.endswith(b"221 2.0.0 Bye\r\n")
    eventually(lambda: "status=sent" in postbox.postfix.log(), "the message is on its way")


def test_a_postfix_that_is_down_counts_for_nobody(wards: Wards) -> None:
    ward = wards.start('fail2ban = "1/1h"', behind=free_port())
    for _ in range(3):
        with Line(ward.mx, source=STRANGER) as line:
            assert line.hear_all().startswith(b"421 4.3.2 door.test ")
    assert ward.mailward.told("bans") == []
    states = {door["listener"]: door["state"] for door in ward.mailward.told("status")["doors"]}
    assert states["mx"].startswith("cannot connect to 127.0.0.1:")


def test_any_port_passes_the_true_client_and_drops_who_is_banned_elsewhere(
    wards: Wards, dovecot: Dovecot
) -> None:
    ward = wards.start('fail2ban = "2/1h"')
    assert guess(ward.tcp, "alice", ACCOUNTS["alice"], source=STRANGER) is Told.OK
    assert [str(seen.address) for seen in dovecot.guesses()] == [STRANGER]
    # What fails there is not seen; the same address fails where it is, and is out everywhere.
    for _ in range(3):
        assert guess(ward.tcp, "alice", WRONG, source=STRANGER) is Told.WRONG
    assert ward.mailward.told("bans") == []
    for login in ("alice", "bob"):
        guess(ward.mailward.imap, login, WRONG, source=STRANGER)
    assert guess(ward.tcp, "alice", ACCOUNTS["alice"], source=STRANGER) is Told.DROPPED


def test_a_hundred_thousand_recipients_cost_no_memory(wards: Wards) -> None:
    ward = wards.start('fail2ban = "50/1h"')
    with Line(ward.mx, timeout=120) as line:
        line.hear()
        line.say(b"EHLO sender.test\r\n")
        line.hear(b"250 STARTTLS\r\n")
        line.say(b"MAIL FROM:<a@sender.test>\r\n")
        assert line.hear() == b"250 2.1.0 Ok\r\n"
        before = ward.mailward.memory_octets()
        with suppress(OSError):  # Postfix may have had enough
            line.say(b"RCPT TO:<b@elsewhere.test>\r\n" * 100_000 + b"QUIT\r\n")
        line.hear_all()
        assert ward.mailward.memory_octets() - before < 20_000_000
