"""The server on its own, for the test suites of other programs: on ports of this machine."""

from __future__ import annotations

import imaplib
import json
import os
import smtplib
import subprocess
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from mailbox_testing.alone import accounts, add, alone
from mailbox_testing.program import COMMAND, PASSWORD, SECONDS, program

MAIL = "From: alice@mail.test\r\nTo: bob@mail.test\r\nSubject: {}\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    with alone(tmp_path_factory.mktemp("alone")) as ports:
        yield ports


def test_what_smtplib_sends_imaplib_finds(ports: dict[str, int]) -> None:
    with smtplib.SMTP("127.0.0.1", ports["submission"], timeout=SECONDS) as smtp:
        smtp.login("alice", PASSWORD)
        assert smtp.sendmail("alice@mail.test", ["bob@mail.test"], MAIL.format("found")) == {}
    with imaplib.IMAP4("127.0.0.1", ports["imap"], timeout=SECONDS) as imap:
        imap.login("bob", PASSWORD)
        imap.select("INBOX")
        kind, (found,) = imap.search(None, "SUBJECT", "found")
        assert (kind, len(found.split())) == ("OK", 1)


def test_jmap_takes_the_client_by_its_connection(ports: dict[str, int]) -> None:
    pair = b64encode(f"alice:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{ports['jmap']}/.well-known/jmap",
        headers={"Authorization": f"Basic {pair}", "Forwarded": "nonsense"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 -- http above
        assert json.load(answer)["username"] == "alice"


@pytest.mark.parametrize("where", ["0.0.0.0:0", "[::]:0", "192.0.2.1:1143"])
def test_other_addresses_than_loopback_have_to_be_allowed(tmp_path: Path, where: str) -> None:
    command = [*COMMAND, "--data", str(tmp_path), "--listen-imap", where]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=SECONDS, input=""
    )
    assert done.returncode == os.EX_CONFIG
    assert "--allow-remote" in done.stderr


def test_a_port_in_use_is_refused(tmp_path: Path, ports: dict[str, int]) -> None:
    command = [*COMMAND, "--data", str(tmp_path), f"--listen-imap=127.0.0.1:{ports['imap']}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=SECONDS, input=""
    )
    assert (done.returncode, "in use by another process" in done.stderr) == (os.EX_CONFIG, True)


def test_accounts_are_looked_after_on_the_files_where_nothing_runs(tmp_path: Path) -> None:
    data = tmp_path / "new"
    add(data, "alice")
    assert "alice  yes" in accounts(data, "list").stdout
    assert (
        accounts(data, "disable", "alice").stdout == "The account alice may not log in any more.\n"
    )
    assert "alice  no" in accounts(data, "list").stdout
    assert accounts(data, "enable", "ALICE").status == 0
    assert accounts(data, "passwd", "alice", "--password-stdin", said="other\n").status == 0
    assert accounts(data, "remove", "alice").status == 0
    assert accounts(data, "list").stdout == "NAME  MAY LOG IN  PASSWORD  SCRAM\n"


def test_accounts_are_looked_after_by_the_server_that_runs(tmp_path: Path) -> None:
    with program(tmp_path) as started:
        add(tmp_path, "alice")
        with started.imap() as talk:
            accounts(tmp_path, "disable", "alice")
            assert talk.rest().startswith(b"* BYE")


@pytest.mark.parametrize(
    ("words", "said", "why"),
    [
        (("add", "alice", "--password-stdin"), "x\n", "there is an account alice already"),
        (("add", "carol"), "x\n", "there is no terminal"),
        (("add", "carol", "--password-stdin"), "\n", "the password is empty"),
        (("add", "ca/rol", "--password-stdin"), "x\n", "a name holds no slash"),
        (("passwd", "carol", "--password-stdin"), "x\n", "there is no account carol"),
        (("import", "/nowhere"), "", "/nowhere cannot be read"),
        (("import", "-"), "carol:{PLAIN}x\nno colon\n", "-:2: "),
    ],
)
def test_what_cannot_be_done_to_an_account_is_said(
    accounts_folder: Path, words: tuple[str, ...], said: str, why: str
) -> None:
    done = accounts(accounts_folder, *words, said=said)
    assert (done.status, why in done.stderr) == (1, True), done.stderr
    assert "carol" not in accounts(accounts_folder, "list").stdout


@pytest.fixture(scope="module")
def accounts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("accounts")
    add(folder, "alice")
    return folder


def test_a_folder_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    done = accounts(tmp_path / "typo", "list")
    assert (done.status, "there is no folder" in done.stderr) == (1, True)
    assert not (tmp_path / "typo").exists()


def test_a_passwd_file_is_taken_in(tmp_path: Path) -> None:
    lines = "".join(f"user{number}:{{PLAIN}}secret\n" for number in range(3))
    done = accounts(tmp_path, "import", "-", said=lines)
    assert done.stdout == "3 accounts taken in.\n", done.stderr
