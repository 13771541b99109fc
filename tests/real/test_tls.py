"""TLS at the doors, with the programs that people use: before a ban, and after it."""

from __future__ import annotations

import imaplib
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.real.attack import plain
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import Mailward
from tests.real.processes import free_port

ALICE = "alice", ACCOUNTS["alice"]
WRONG = "alice", "wrong-opensesame"
SECONDS = 20.0

_TABLES = """
[server.listener.imaps]
protocol = "imap"
bind = ["127.0.0.1:{imaps}"]
backend = "dovecot"
tls.implicit = true

[server.listener.submissions]
protocol = "submission"
bind = ["127.0.0.1:{submissions}"]
backend = "postfix"
tls.implicit = true

[certificate.default]
cert = "{cert}"
private-key = "{key}"
"""


@dataclass(frozen=True)
class Doors:
    """The four doors of a mail server, and whose certificate to believe."""

    ward: Mailward
    imaps: int
    submissions: int
    authority: Path

    @property
    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


@pytest.fixture
def doors(mailward: StartMailward) -> Doors:
    ward = mailward('fail2ban = "4/1h"', running=False)
    make_certificate(ward.data, datetime.fromtimestamp(SteadyClock()(), UTC))
    imaps, submissions = free_port(), free_port()
    tables = _TABLES.format(
        imaps=imaps, submissions=submissions, cert=CERTIFICATE_NAME, key=KEY_NAME
    )
    ward.configuration.write_text(ward.configuration.read_text() + tables)
    ward.start()
    return Doors(ward, imaps, submissions, ward.data / CERTIFICATE_NAME)


def imap_993(doors: Doors, login: str, password: str) -> str:
    client = imaplib.IMAP4_SSL(
        "localhost", doors.imaps, ssl_context=doors.trusting, timeout=SECONDS
    )
    return _imap_login(client, login, password)


def imap_143(doors: Doors, login: str, password: str) -> str:
    client = imaplib.IMAP4("localhost", doors.ward.imap.port, SECONDS)
    client.starttls(doors.trusting)
    return _imap_login(client, login, password)


def _imap_login(client: imaplib.IMAP4, login: str, password: str) -> str:
    try:
        client.login(login, password)
        client.select()
        client.logout()
    except imaplib.IMAP4.error as error:
        client.shutdown()
        return str(error.args[0])
    return "in"


def smtp_465(doors: Doors, login: str, password: str) -> str:
    with smtplib.SMTP_SSL(
        "localhost", doors.submissions, "c.test", context=doors.trusting, timeout=SECONDS
    ) as client:
        return _submit(client, login, password)


def smtp_587(doors: Doors, login: str, password: str) -> str:
    with smtplib.SMTP("localhost", doors.ward.submission.port, "c.test", SECONDS) as client:
        client.starttls(context=doors.trusting)
        return _submit(client, login, password)


def _submit(client: smtplib.SMTP, login: str, password: str) -> str:
    try:
        client.login(login, password)
    except smtplib.SMTPAuthenticationError as error:
        return f"{error.smtp_code} {error.smtp_error!r}"
    client.sendmail(f"{login}@pf.test", ["bob@pf.test"], "Subject: over TLS\r\n\r\nhello\r\n")
    return "in"


PROGRAMS = [imap_993, imap_143, smtp_465, smtp_587]


def swaks_587(doors: Doors) -> str:
    return _swaks(doors.ward.submission.port, "--tls")


def swaks_465(doors: Doors) -> str:
    return _swaks(doors.submissions, "--tlsc")


def _swaks(port: int, tls: str) -> str:
    login, password = ALICE
    who = ["--auth", "PLAIN", "--auth-user", login, "--auth-password", password]
    message = ["--from", "alice@pf.test", "--to", "bob@pf.test", "--timeout", "20"]
    told = subprocess.run(
        ["/usr/bin/swaks", "--server", "127.0.0.1", "--port", str(port), tls, *who, *message],
        capture_output=True,
        check=False,
        timeout=60,
    )
    return "in" if told.returncode == 0 else f"swaks ended with {told.returncode}"


def openssl_993(doors: Doors) -> str:
    return _openssl(
        doors, ["-connect", f"127.0.0.1:{doors.imaps}"], b"a LOGIN %b %b\r\n" % _octets()
    )


def openssl_143(doors: Doors) -> str:
    target = ["-connect", f"127.0.0.1:{doors.ward.imap.port}", "-starttls", "imap"]
    return _openssl(doors, target, b"a LOGIN %b %b\r\n" % _octets())


def openssl_465(doors: Doors) -> str:
    said = b"EHLO c.test\r\nAUTH PLAIN " + plain(*ALICE) + b"\r\n"
    return _openssl(doors, ["-connect", f"127.0.0.1:{doors.submissions}"], said)


def openssl_587(doors: Doors) -> str:
    said = b"EHLO c.test\r\nAUTH PLAIN " + plain(*ALICE) + b"\r\n"
    target = ["-connect", f"127.0.0.1:{doors.ward.submission.port}", "-starttls", "smtp"]
    return _openssl(doors, target, said)


def _octets() -> tuple[bytes, bytes]:
    return ALICE[0].encode(), ALICE[1].encode()


def _openssl(doors: Doors, target: list[str], said: bytes) -> str:
    """What ``openssl s_client`` hears; it is ended when it has heard of the login."""
    command = ["/usr/bin/openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile"]
    with subprocess.Popen(
        [*command, str(doors.authority), *target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(said)
        client.stdin.flush()
        heard = b""
        while line := client.stdout.readline():
            heard += line
            if line.startswith((b"a OK", b"235 ")):
                client.terminate()
                return "in"
        return heard.decode(errors="replace") or "nothing"


TOOLS = [swaks_587, swaks_465, openssl_993, openssl_143, openssl_465, openssl_587]


def test_mail_programs_log_in_over_tls_and_are_shut_out_with_their_address(doors: Doors) -> None:
    assert [program(doors, *ALICE) for program in PROGRAMS] == ["in"] * len(PROGRAMS)
    assert [tool(doors) for tool in TOOLS] == ["in"] * len(TOOLS)
    assert "AUTHENTICATIONFAILED" in imap_993(doors, *WRONG)
    assert smtp_587(doors, *WRONG).startswith("535")  # smtplib tries two mechanisms
    assert "AUTHENTICATIONFAILED" in imap_143(doors, *WRONG)
    for program in PROGRAMS:
        with pytest.raises(OSError):  # noqa: PT011 -- reset or closed: each program says it its way
            program(doors, *ALICE)
    assert "in" not in [tool(doors) for tool in TOOLS]


def test_new_certificates_end_no_session_and_bad_ones_are_not_taken(doors: Doors) -> None:
    with imaplib.IMAP4_SSL(
        "localhost", doors.imaps, ssl_context=doors.trusting, timeout=SECONDS
    ) as session:
        session.login(*ALICE)
        (doors.ward.data / KEY_NAME).write_text("nothing that could be a key")
        refused = doors.ward.cli("server", "reload-certificates", status=1)
        assert "holds no private key" in refused
        assert imap_993(doors, *ALICE) == "in"
        (doors.ward.data / KEY_NAME).unlink()
        old = doors.trusting
        make_certificate(doors.ward.data, datetime.fromtimestamp(SteadyClock()(), UTC))
        assert "Success" in doors.ward.cli("server", "reload-certificates")
        assert imap_993(doors, *ALICE) == "in"
        with pytest.raises(ssl.SSLCertVerificationError):
            imaplib.IMAP4_SSL("localhost", doors.imaps, ssl_context=old, timeout=SECONDS)
        assert session.noop()[0] == "OK"


def test_only_what_is_sound_today_is_agreed_on(doors: Doors) -> None:
    def as_it_is(context: ssl.SSLContext) -> None:
        pass

    assert agreed(doors, as_it_is)[0] == "TLSv1.3"

    def tls_1_2(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    version, cipher = agreed(doors, tls_1_2)
    assert version == "TLSv1.2"
    assert cipher.startswith("ECDHE-")
    assert "GCM" in cipher or "CHACHA20" in cipher
    for weak in ("AES128-SHA:AES256-SHA", "ECDHE-ECDSA-AES128-SHA", "NULL", "aNULL"):

        def offer(context: ssl.SSLContext, weak: str = weak) -> None:
            tls_1_2(context)
            context.set_ciphers(f"{weak}:@SECLEVEL=0")

        with pytest.raises((ssl.SSLError, ConnectionError)):
            agreed(doors, offer)


def test_a_client_that_renegotiates_is_refused(doors: Doors) -> None:
    target = ["-connect", f"127.0.0.1:{doors.imaps}", "-CAfile", str(doors.authority)]
    with subprocess.Popen(
        ["/usr/bin/openssl", "s_client", "-tls1_2", "-crlf", *target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        while "mailward ready" not in client.stdout.readline():
            assert client.poll() is None
        client.stdin.write("R\n")  # how s_client is told to renegotiate
        client.stdin.flush()
        assert "no renegotiation" in client.stdout.read()
    assert imap_993(doors, *ALICE) == "in"


def agreed(doors: Doors, shape: Callable[[ssl.SSLContext], None]) -> tuple[str, str]:
    """The protocol and the cipher that a client shaped so gets."""
    context = doors.trusting
    shape(context)
    with (
        socket.create_connection(("127.0.0.1", doors.imaps), SECONDS) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as client,
    ):
        chosen = client.cipher()
        return client.version() or "", chosen[0] if chosen else ""
