"""Operators from afar, with the whole daemon: TLS, reloads, and the end."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tests.admin.afar import HASH, OTHER_HASH, RIGHT
from tests.app.test_daemon import daemon

PROGRAM = Path(sys.executable).with_name("mailward")
CONFIGURATION = """\
[server.listener.far]
protocol = "manage"
bind = ["127.0.0.1:{port}"]
tls.implicit = {implicit}
[management]
admin.secret = "{hash}"
[certificate.default]
cert = "cert.pem"
private-key = "key.pem"
"""


class Premises:
    """A folder with a certificate, and a port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        certificate = self.authority.issue_cert("127.0.0.1", "localhost")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        (folder / "key.pem").chmod(0o600)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"

    def configuration(self, hashed: str = HASH, *, implicit: bool = True) -> str:
        return CONFIGURATION.format(port=self.port, hash=hashed, implicit=str(implicit).lower())

    def run(
        self, *words: str, credentials: str = ":".join(RIGHT)
    ) -> subprocess.CompletedProcess[str]:
        """A command that knows of the URL alone."""
        return subprocess.run(
            [PROGRAM, *words],
            env={
                "HOME": str(self.folder / "home"),
                "PATH": os.environ["PATH"],
                "URL": self.url,
                "CREDENTIALS": credentials,
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def premises(tmp_path: Path) -> Premises:
    return Premises(tmp_path)


def test_commands_go_through_tls_and_the_certificate_is_checked(premises: Premises) -> None:
    with daemon(premises.folder, premises.configuration()):
        done = premises.run("--ca", str(premises.ca), "bans")
        assert (done.returncode, done.stdout) == (0, "There are no bans.\n"), done.stderr
        strange = premises.run("bans")
        assert (strange.returncode, strange.stdout) == (1, "")
        assert "is not trusted" in strange.stderr
        assert "--ca" in strange.stderr
        status = premises.run("--ca", str(premises.ca), "status")
        assert f"far   manage    127.0.0.1:{premises.port}" in status.stdout


def test_a_certificate_of_another_name_is_not_trusted(premises: Premises) -> None:
    with daemon(premises.folder, premises.configuration()):
        certificate = premises.authority.issue_cert("mail.example.org")
        certificate.cert_chain_pems[0].write_to_path(premises.folder / "cert.pem")
        certificate.private_key_pem.write_to_path(premises.folder / "key.pem")
        renewed = premises.run("--ca", str(premises.ca), "server", "reload-certificates")
        assert renewed.returncode == 0, renewed.stderr
        done = premises.run("--ca", str(premises.ca), "bans")
        assert (done.returncode, "is not trusted" in done.stderr) == (1, True)


def test_plain_http_where_tls_is_spoken_says_nothing(premises: Premises) -> None:
    with daemon(premises.folder, premises.configuration()):
        with socket.create_connection(("127.0.0.1", premises.port), timeout=20) as line:
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"HTTP" not in line.recv(100)
        assert premises.run("--ca", str(premises.ca), "bans").returncode == 0


def test_a_certificate_alone_makes_no_https_of_http(premises: Premises) -> None:
    with daemon(premises.folder, premises.configuration(implicit=False)):
        premises.url = f"http://127.0.0.1:{premises.port}"
        assert premises.run("bans").returncode == 0


def test_a_reload_changes_who_may_come_in(premises: Premises) -> None:
    ca = ("--ca", str(premises.ca))
    with daemon(premises.folder, premises.configuration()):
        (premises.folder / "config.toml").write_text(premises.configuration(OTHER_HASH))
        assert premises.run(*ca, "server", "reload-config").returncode == 0
        refused = premises.run(*ca, "bans")
        assert (refused.returncode, "authentication failed" in refused.stderr) == (1, True)
        assert premises.run(*ca, "bans", credentials="admin:another").returncode == 0


def test_a_reload_takes_the_listener_away_and_brings_it_back(premises: Premises) -> None:
    file, ca = premises.folder / "config.toml", ("--ca", str(premises.ca))
    here = ("--data", str(premises.folder), "server", "reload-config")
    with daemon(premises.folder, premises.configuration()):
        file.write_text("")
        assert premises.run(*here).returncode == 0
        assert "nobody listens there" in premises.run(*ca, "bans").stderr
        file.write_text(premises.configuration())
        assert premises.run(*here).returncode == 0
        assert premises.run(*ca, "bans").returncode == 0


def test_who_follows_events_waits_for_a_daemon_that_has_ended(premises: Premises) -> None:
    with daemon(premises.folder, premises.configuration()) as running:
        following = subprocess.Popen(
            [PROGRAM, "events", "--follow", "-u", premises.url, "-c", ":".join(RIGHT),
             "--ca", premises.ca],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        with following:
            assert following.stdout is not None
            # The first is the login of the one who follows.
            assert "auth.succeeded service=manage" in following.stdout.readline()
            ban = ("--data", str(premises.folder), "ban", "203.0.113.9")
            assert premises.run(*ban).returncode == 0
            assert "ban.added address=203.0.113.9" in following.stdout.readline()
            running.send_signal(signal.SIGTERM)
            assert running.wait(10) == 0
            assert following.stderr is not None
            assert "the daemon does not answer any more; waiting" in following.stderr.readline()
            following.send_signal(signal.SIGINT)
            following.communicate(timeout=20)
        assert following.returncode == 0


def test_half_a_request_and_half_a_handshake_do_not_hold_up_the_end(premises: Premises) -> None:
    trusting = ssl.create_default_context(cafile=premises.ca)
    address = ("127.0.0.1", premises.port)
    with (
        daemon(premises.folder, premises.configuration()) as running,
        socket.create_connection(address) as silent,
        socket.create_connection(address) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as half,
    ):
        half.sendall(b"POST /api/bans HTTP/1.1\r\nContent-Length: 99\r\n\r\n{")
        silent.sendall(b"\x16\x03\x01")
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0


def test_a_manage_listener_without_a_secret_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[server.listener.far]\nprotocol = "manage"\nbind = ["127.0.0.1:0"]\n')
    ended = subprocess.run(
        [PROGRAM, "serve", "--config", file, "--data", tmp_path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 78
    assert "c.toml:2: server.listener.far.protocol: " in ended.stderr
    assert "mailward hash-password" in ended.stderr
