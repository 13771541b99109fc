"""The JMAP of the mail server that is built in, through its door, with curl and imaplib."""

from __future__ import annotations

import http.client
import imaplib
import json
import os
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.real.conftest import ACCOUNTS
from tests.real.embedded import EmbeddedWard
from tests.real.processes import eventually

CALL_SECONDS = 2.0
"""Two runs of curl take so long at most, on a machine that has other things to do."""
WRONG = "wrong-opensesame"
USING = [f"urn:ietf:params:jmap:{one}" for one in ("core", "mail", "submission")]
LETTER = b"From: alice@door.test\r\nTo: bob@door.test\r\nSubject: by JMAP\r\n\r\nHow are you?\r\n"


class JmapWard(EmbeddedWard):
    """One daemon before its own mail server, and what curl does there."""

    def curl(self, target: str, *arguments: str, name: str, password: str | None = None) -> bytes:
        """What curl prints: the body, and the status in a line of its own."""
        login = f"{name}:{password or ACCOUNTS[name]}"
        url = target if target.startswith("http") else f"http://127.0.0.1:{self.jmap.port}{target}"
        done = subprocess.run(
            ["/usr/bin/curl", "-sSL", "-u", login, "-w", "\n%{http_code}", *arguments, url],
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.stdout or done.stderr

    def session(self, name: str) -> Any:
        body, _, status = self.curl("/.well-known/jmap", name=name).rpartition(b"\n")
        assert status == b"200"
        return json.loads(body)

    def calls(self, name: str, *calls: Sequence[Any]) -> list[Any]:
        """The answers to calls, each with the account filled in."""
        session = self.session(name)
        account = session["primaryAccounts"][USING[1]]
        made = [
            [method, {"accountId": account, **arguments}, str(number)]
            for number, (method, arguments) in enumerate(calls)
        ]
        body, _, status = self.curl(
            session["apiUrl"],
            *("-H", "Content-Type: application/json"),
            *("-d", json.dumps({"using": USING, "methodCalls": made})),
            name=name,
        ).rpartition(b"\n")
        assert status == b"200", body
        answers: list[Any] = json.loads(body)["methodResponses"]
        assert not [one for one in answers if one[0] == "error"], answers
        return [answer for _, answer, _ in answers]

    def upload(self, name: str, file: Path) -> str:
        session = self.session(name)
        url = session["uploadUrl"].format(accountId=session["primaryAccounts"][USING[1]])
        body, _, status = self.curl(
            url, "--data-binary", f"@{file}", "-H", "Content-Type: message/rfc822", name=name
        ).rpartition(b"\n")
        assert status == b"201", body
        blob: str = json.loads(body)["blobId"]
        return blob

    def role(self, name: str, role: str) -> str:
        ((mailbox,),) = [
            answer["ids"]
            for answer in self.calls(name, ("Mailbox/query", {"filter": {"role": role}}))
        ]
        found: str = mailbox
        return found


@pytest.fixture
def ward(folder: Path) -> Iterator[JmapWard]:
    ward = JmapWard(folder / "ward", 'fail2ban = "3/1h"')
    ward.start()
    ward.add_accounts()
    yield ward
    ward.finish()


def flags(client: imaplib.IMAP4) -> set[bytes]:
    client.noop()
    _, told = client.fetch("1", "(FLAGS)")
    assert isinstance(told[0], bytes)
    return set(imaplib.ParseFlags(told[0])) - {b"\\Recent"}


def test_curl_sends_reads_and_flags_and_imaplib_sees_it(ward: JmapWard, folder: Path) -> None:
    letter = folder / "letter"
    letter.write_bytes(LETTER)
    draft = {
        "blobId": ward.upload("alice", letter),
        "mailboxIds": {ward.role("alice", "drafts"): True},
    }
    _, submitted = ward.calls(
        "alice",
        ("Email/import", {"emails": {"d": draft}}),
        ("EmailSubmission/set", {"create": {"s": {"identityId": "self", "emailId": "#d"}}}),
    )
    assert submitted["created"]["s"]["undoStatus"] == "final"
    found, got = ward.calls(
        "bob",
        ("Email/query", {"filter": {"subject": "by jmap"}}),
        (
            "Email/get",
            {
                "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"},
                "fetchTextBodyValues": True,
            },
        ),
    )
    (email,) = got["list"]
    assert email["from"] == [{"name": None, "email": "alice@door.test"}]
    assert email["bodyValues"]["1"]["value"] == "How are you?\n"
    with ward.reader("bob") as client:
        client.select("INBOX")
        assert flags(client) == set()
        ward.calls("bob", ("Email/set", {"update": {found["ids"][0]: {"keywords/$flagged": True}}}))
        assert flags(client) == {b"\\Flagged"}
        client.store("1", "+FLAGS", "(\\Seen Work)")
        told = client.fetch("1", "(EMAILID THREADID)")[1][0]
        assert isinstance(told, bytes)
        assert email["id"].encode() in told
        assert email["threadId"].encode() in told
    (got,) = ward.calls("bob", ("Email/get", {"ids": found["ids"], "properties": ["keywords"]}))
    assert set(got["list"][0]["keywords"]) == {"$flagged", "$seen", "work"}


def test_who_listens_hears_of_a_delivery_within_a_second(ward: JmapWard, folder: Path) -> None:
    letter = folder / "letter"
    letter.write_bytes(LETTER)
    filed = {"blobId": ward.upload("bob", letter), "mailboxIds": {ward.role("bob", "inbox"): True}}
    url = ward.session("bob")["eventSourceUrl"].format(types="*", closeafter="state", ping=0)
    login = b64encode(f"bob:{ACCOUNTS['bob']}".encode()).decode()
    with closing(http.client.HTTPConnection("127.0.0.1", ward.jmap.port, timeout=30)) as line:
        line.request("GET", url, headers={"Authorization": f"Basic {login}"})
        answer = line.getresponse()  # whoever has its head hears all that happens from here on
        begun = time.monotonic()
        ward.calls("bob", ("Email/import", {"emails": {"a": filed}}))
        told = answer.read()
        assert time.monotonic() - begun < 1.0 + CALL_SECONDS
    assert b"event: state" in told
    assert b'"@type": "StateChange"' in told


def test_a_long_message_goes_up_and_comes_down_unchanged(ward: JmapWard, folder: Path) -> None:
    up, down = folder / "up", folder / "down"
    up.write_bytes(b"Subject: long\r\n\r\n" + b"0123456789abcdef\r\n" * 1_300_000)
    blob = ward.upload("alice", up)
    session = ward.session("alice")
    account = session["primaryAccounts"][USING[1]]
    url = session["downloadUrl"].format(
        accountId=account, blobId=blob, name="x.eml", type="message/rfc822"
    )
    assert ward.curl(url, "-o", str(down), name="alice") == b"\n200"
    assert down.read_bytes() == up.read_bytes()
    assert ward.curl(url, "-o", "/dev/null", name="bob") == b"\n404"
    assert ward.curl(session["uploadUrl"].format(accountId=account), "-d", "x", name="bob")[
        -3:
    ] == (b"404")


def test_what_was_answered_survives_a_crash(ward: JmapWard, folder: Path) -> None:
    letter = folder / "letter"
    letter.write_bytes(LETTER)
    filed = {
        "blobId": ward.upload("alice", letter),
        "mailboxIds": {ward.role("alice", "inbox"): True},
    }
    (made,) = ward.calls("alice", ("Email/import", {"emails": {"a": filed}}))
    email = made["created"]["a"]["id"]
    ward.calls("alice", ("Email/set", {"update": {email: {"keywords/$seen": True}}}))
    ward.crash()
    ward.start()
    (got,) = ward.calls("alice", ("Email/get", {"ids": [email]}))
    assert got["list"][0]["keywords"] == {"$seen": True}
    assert got["list"][0]["subject"] == "by JMAP"


def test_on_a_full_disk_nothing_is_stored_and_all_can_be_read(
    small_disk: Path, ward: JmapWard, folder: Path
) -> None:
    letter = folder / "letter"
    letter.write_bytes(LETTER)
    inbox = ward.role("alice", "inbox")
    filed = {"blobId": ward.upload("alice", letter), "mailboxIds": {inbox: True}}
    (made,) = ward.calls("alice", ("Email/import", {"emails": {"a": filed}}))
    account = ward.session("alice")["primaryAccounts"][USING[1]]
    statuses = []
    while b"507" not in statuses:
        letter.write_bytes(os.urandom(2_000_000))
        target = f"/jmap/upload/{account}/"
        told = ward.curl(target, "--data-binary", f"@{letter}", name="alice")
        statuses.append(told[-3:])
    assert set(statuses) == {b"201", b"507"}
    assert small_disk.is_dir()
    (got,) = ward.calls("alice", ("Email/get", {"ids": [made["created"]["a"]["id"]]}))
    assert got["list"][0]["subject"] == "by JMAP"


def test_three_wrong_guesses_shut_all_doors(ward: JmapWard) -> None:
    for _ in range(2):
        assert ward.curl("/jmap/session", name="alice", password=WRONG).endswith(b"401")
    ward.curl("/jmap/session", name="alice", password=WRONG)
    eventually(lambda: bool(ward.bans()), "the address is banned")
    assert set(ward.bans()) >= {"127.0.0.1"}
    told = ward.curl("/jmap/session", name="alice")
    assert b"200" not in told
    with pytest.raises((OSError, imaplib.IMAP4.abort)), ward.reader("alice"):
        pass
