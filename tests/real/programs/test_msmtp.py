"""msmtp with the mechanism that it takes by itself, and with each that it knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.programs.server import MailServer, letter, run, written
from tests.real.sieve import SieveDoor, sieve_connect

_CONFIGURATION = """\
account default
host localhost
port {port}
auth {mechanism}
user {name}
password {password}
from {name}@localhost
tls {tls}
tls_starttls {starttls}
{trust}
"""
_FILTER = 'require "fileinto";\nif header :contains "subject" "invoice" { fileinto "Bills"; }\n'
_EX_NOPERM = 77


def configured(folder: Path, server: MailServer, mechanism: str = "on") -> Path:
    text = _CONFIGURATION.format(
        port=server.submission_port,
        mechanism=mechanism,
        name=server.name,
        password=server.password,
        tls="on" if server.has_tls else "off",
        starttls="off" if server.is_implicit else "on",
        trust=f"tls_trust_file {server.authority}" if server.has_tls else "",
    )
    return written(folder / "msmtprc", text)


def test_what_is_sent_is_filed_by_a_filter_or_kept(any_server: MailServer, tmp_path: Path) -> None:
    server = any_server
    script = tmp_path / "filter"
    script.write_text(_FILTER)
    door = SieveDoor(server.managesieve, authority=server.authority)
    who = server.name, server.password
    sieve_connect(door, *who, "--upload", f"--localsieve={script}", "--remotesieve=bills")
    sieve_connect(door, *who, "--activate", "--remotesieve=bills")
    configuration = configured(tmp_path, server)
    dots = ".\n..\n.one\nGrüße\n"
    for about in ("your invoice", "hello"):
        message = letter(about, dots).decode().replace("\r\n", "\n")
        run("msmtp", "-C", configuration, f"{server.name}@localhost", given=message)
    ((_, filed),) = server.messages("Bills")
    ((_, kept),) = server.messages()
    assert filed.endswith(letter("your invoice", dots.replace("\n", "\r\n")))
    assert b"Subject: hello\r\n" in kept


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "plain", "login"])
def test_each_mechanism_is_taken(server: MailServer, tmp_path: Path, mechanism: str) -> None:
    configuration = configured(tmp_path, server, mechanism)
    run("msmtp", "-C", configuration, f"{server.name}@localhost", given="Subject: x\n\nx\n")
    assert len(server.messages()) == 1


def test_a_wrong_password_is_told(server: MailServer, tmp_path: Path) -> None:
    configuration = configured(tmp_path, server)
    written(configuration, configuration.read_text().replace(server.password, "wrong-opensesame"))
    told = run("msmtp", "-C", configuration, "x@localhost", given="x\n", status=_EX_NOPERM)
    assert "535" in told
    assert server.messages() == []
