"""Mail programs of Debian against the built-in mail server as it stands alone, without TLS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from mailbox_testing.alone import alone
from mailbox_testing.program import PASSWORD

from tests.real.sieve import SieveDoor, sieve_connect

SECONDS = 60
SCRIPT = 'require ["fileinto"];\nif header :contains "Subject" "invoice" { fileinto "Invoices"; }\n'


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    with alone(tmp_path_factory.mktemp("alone")) as ports:
        yield ports


def said_by(command: Sequence[str], said: str = "") -> str:
    """The output of a program that succeeds."""
    done = subprocess.run(
        command, input=said, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def message(subject: str) -> str:
    return f"From: alice@mail.test\nTo: bob@mail.test\nSubject: {subject}\n\nhello\n"


def curl(*words: str, name: str = "bob") -> str:
    return said_by(["curl", "-sS", "--fail", "--user", f"{name}:{PASSWORD}", *words])


def has_come(ports: dict[str, int], subject: str) -> bool:
    """Whether there is one such message in bob's inbox."""
    url = f"imap://127.0.0.1:{ports['imap']}/INBOX"
    found = curl(url, "-X", f'SEARCH SUBJECT "{subject}"').split()
    return len(found) == 3  # * SEARCH and one number


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_what_curl_sends_curl_lists_and_fetches(
    tmp_path: Path, ports: dict[str, int], mechanism: str
) -> None:
    letter = tmp_path / "letter"
    letter.write_text(message(f"curl {mechanism}").replace("\n", "\r\n"))
    curl(
        *(f"smtp://127.0.0.1:{ports['submission']}/me.test", "--login-options"),
        *(f"AUTH={mechanism}", "--mail-from", "alice@mail.test"),
        *("--mail-rcpt", "bob@mail.test", "--upload-file", str(letter)),
        name="alice",
    )
    url = f"imap://127.0.0.1:{ports['imap']}"
    options = ("--login-options", f"AUTH={mechanism}")
    assert "INBOX" in curl(url, *options)
    found = curl(f"{url}/INBOX", *options, "-X", f'SEARCH SUBJECT "curl {mechanism}"').split()
    (number,) = found[2:]
    assert f"Subject: curl {mechanism}" in curl(f"{url}/INBOX;MAILINDEX={number}", *options)


@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
def test_msmtp_sends(ports: dict[str, int], mechanism: str) -> None:
    said_by(
        [
            *("msmtp", "--host=127.0.0.1", f"--port={ports['submission']}", "--tls=off"),
            *(f"--auth={mechanism}", "--user=alice", f"--passwordeval=echo {PASSWORD}"),
            *("--from=alice@mail.test", "bob@mail.test"),
        ],
        message(f"msmtp {mechanism}"),
    )
    assert has_come(ports, f"msmtp {mechanism}")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_sends(ports: dict[str, int], mechanism: str) -> None:
    said_by(
        [
            *("swaks", "--server", f"127.0.0.1:{ports['submission']}", "--auth", mechanism),
            *("--auth-user", "alice", "--auth-password", PASSWORD, "--from", "alice@mail.test"),
            *("--to", "bob@mail.test", "--header", f"Subject: swaks {mechanism}"),
        ]
    )
    assert has_come(ports, f"swaks {mechanism}")


def test_a_script_that_sieve_connect_puts_files_what_comes(
    tmp_path: Path, ports: dict[str, int]
) -> None:
    script = tmp_path / "filter.sieve"
    script.write_text(SCRIPT)
    door = SieveDoor(ports["managesieve"])
    sieve_connect(door, "bob", PASSWORD, "--localsieve", str(script), "--upload")
    sieve_connect(door, "bob", PASSWORD, "--remotesieve", script.name, "--activate")
    assert f'"{script.name}" ACTIVE' in sieve_connect(door, "bob", PASSWORD, "--list")
    said_by(
        [
            *("swaks", "--server", f"127.0.0.1:{ports['submission']}", "--auth", "PLAIN"),
            *("--auth-user", "alice", "--auth-password", PASSWORD, "--from", "alice@mail.test"),
            *("--to", "bob@mail.test", "--header", "Subject: your invoice"),
        ]
    )
    url = f"imap://127.0.0.1:{ports['imap']}/Invoices"
    assert "Subject: your invoice" in curl(f"{url};MAILINDEX=1")


def test_curl_uses_jmap(tmp_path: Path, ports: dict[str, int]) -> None:
    base = f"http://127.0.0.1:{ports['jmap']}"
    session = json.loads(curl("-L", "--location-trusted", f"{base}/.well-known/jmap"))
    (account,) = session["accounts"]
    blob = tmp_path / "blob"
    blob.write_bytes(b"x" * 2_000_000)  # curl expects 100 Continue for that
    upload = f"{base}/jmap/upload/{account}/"
    sent = curl("-H", "Expect: 100-continue", "--data-binary", f"@{blob}", upload)
    assert json.loads(sent)["size"] == 2_000_000
