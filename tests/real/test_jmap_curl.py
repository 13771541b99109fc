"""curl at the JMAP door: what a widely used client of HTTP makes of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.cyrus import Cyrus
from tests.real.daemon import Mailward, has_no_secret
from tests.real.jmap import USING, WRONG, jmap_tables
from tests.real.processes import free_port
from tests.real.servers import program

ATTACKER = "127.0.0.66"
SIZE = 50_000_000
_TELLS = "%{http_code} %{http_version} %{num_connects}\\n"
_CERTIFICATE = f"""
[certificate.default]
cert = "{CERTIFICATE_NAME}"
private-key = "{KEY_NAME}"
"""


@dataclass(frozen=True)
class Curl:
    """curl at the door on *port*."""

    ward: Mailward
    port: int
    scheme: str = "http"

    def url(self, path: str) -> str:
        return f"{self.scheme}://localhost:{self.port}{path}"

    def run(
        self, *words: str | Path, password: str = ACCOUNTS["alice"], source: str = "127.0.0.1"
    ) -> subprocess.CompletedProcess[str]:
        # The password goes by standard input, as on a machine that others are logged in to.
        done = subprocess.run(
            [
                *(program("curl"), "-sS", "-4", "-K", "-", "--interface", source),
                *("--max-time", "60", "--cacert", self.ward.data / CERTIFICATE_NAME),
                *words,
            ],
            input=f'user = "alice:{password}"\n',
            capture_output=True,
            text=True,
            timeout=70,
            check=False,
        )
        has_no_secret("what curl printed", (done.stdout + done.stderr).encode())
        return done

    def told(
        self, *words: str | Path, password: str = ACCOUNTS["alice"], source: str = "127.0.0.1"
    ) -> Sequence[str]:
        """Status, version of HTTP and new connections of each request, the bodies left out."""
        done = self.run("-o", "/dev/null", "-w", _TELLS, *words, password=password, source=source)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(params=["http", "https"])
def curl(request: pytest.FixtureRequest, mailward: StartMailward, cyrus: Cyrus) -> Curl:
    port = free_port()
    line = "tls.implicit = true" if request.param == "https" else ""
    tables = jmap_tables(port, cyrus.http_port, line) + _CERTIFICATE
    ward = mailward('fail2ban = "3/1h"', more=tables, running=False)
    make_certificate(ward.data, datetime.fromtimestamp(SteadyClock()(), UTC))
    ward.start()
    return Curl(ward, port, request.param)


def test_right_is_served_wrong_is_told_and_the_third_failure_bans(curl: Curl) -> None:
    assert curl.told("-L", curl.url("/.well-known/jmap")) == ["200 1.1 1"]  # once led on
    for _ in range(3):
        assert curl.told(curl.url("/jmap/"), password=WRONG, source=ATTACKER) == ["401 1.1 1"]
    assert sorted(curl.ward.bans()) == [ATTACKER, "alice"]
    assert curl.run(curl.url("/jmap/"), source=ATTACKER).returncode != 0
    assert curl.told(curl.url("/jmap/")) == ["429 1.1 1"]


def test_one_connection_serves_many_requests(curl: Curl) -> None:
    words = ["-o", "/dev/null", curl.url("/jmap/")]
    assert curl.told(curl.url("/jmap/"), *words, *words) == ["200 1.1 1", *["200 1.1 0"] * 2]
    assert curl.told("-0", curl.url("/jmap/")) == ["200 1.1 1"]  # who speaks less is served, too


def test_http_2_that_is_only_offered_is_passed_over(curl: Curl) -> None:
    # Without TLS that is Upgrade: h2c, with it a word in the handshake.
    words = ["-o", "/dev/null", curl.url("/jmap/")]
    assert curl.told("--http2", curl.url("/jmap/"), *words) == ["200 1.1 1", "200 1.1 0"]
    sent = ["--json", json.dumps({"using": USING, "methodCalls": []})]
    assert curl.told("--http2", *sent, curl.url("/jmap/")) == ["200 1.1 1"]
    if curl.scheme == "http":
        assert curl.run("--http2-prior-knowledge", curl.url("/jmap/")).returncode != 0
    assert curl.ward.bans() == {}


def test_a_large_file_goes_up_and_comes_down(curl: Curl, folder: Path) -> None:
    blob, back = folder / "blob", folder / "back"
    blob.write_bytes(bytes(range(250)) * (SIZE // 250))
    session = json.loads(curl.run(curl.url("/jmap/")).stdout)
    account = session["primaryAccounts"][USING[1]]
    kind = ["-H", "Content-Type: application/octet-stream"]
    for wish in ("Expect: 100-continue", "Transfer-Encoding: chunked", "Expect:"):
        up = curl.run(
            *(*kind, "-H", wish, "--data-binary", f"@{blob}"), curl.url(f"/jmap/upload/{account}/")
        )
        uploaded = json.loads(up.stdout)
        assert uploaded["size"] == SIZE
    path = f"/jmap/download/{account}/{uploaded['blobId']}/a.bin?accept=x/y"
    assert curl.run("-o", back, curl.url(path)).returncode == 0
    assert sha256(back.read_bytes()).digest() == sha256(blob.read_bytes()).digest()


def test_what_a_wrong_password_would_upload_is_never_sent(curl: Curl, folder: Path) -> None:
    blob = folder / "blob"
    blob.write_bytes(b"x" * 1_000_000)
    done = curl.run(
        *("-o", "/dev/null", "-w", "%{http_code} %{size_upload}"),
        *("-H", "Expect: 100-continue", "--expect100-timeout", "30", "--data-binary", f"@{blob}"),
        curl.url("/jmap/upload/a/"),
        password=WRONG,
    )
    assert done.stdout == "401 0"
