"""What long messages take of the memory is given back, and is not much."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

from mailbox_testing.program import PASSWORD, Program, program

MAIL = "urn:ietf:params:jmap:mail"
LONG = b"Content-Type: text/plain; charset=big5\r\n\r\n" + b"\xa4\x40" * 12_500_000


def ask(served: Program, target: str, body: bytes = b"") -> bytes:
    """The body of the answer to one request of JMAP."""
    pair = b64encode(f"alice:{PASSWORD}".encode()).decode()
    head = (
        f"{'POST' if body else 'GET'} {target} HTTP/1.1\r\nHost: mail.test\r\n"
        f"Forwarded: for=192.0.2.7\r\nAuthorization: Basic {pair}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with served.connect("jmap", None) as talk:
        talk.say(head.encode() + body)
        _, _, answer = talk.rest().partition(b"\r\n\r\n")
    return answer


def call(served: Program, method: str, arguments: dict[str, Any]) -> Any:
    request = {"using": [MAIL], "methodCalls": [[method, arguments, "0"]]}
    answer = json.loads(ask(served, "/jmap/api/", json.dumps(request).encode()))
    return answer["methodResponses"][0][1]


def memory_mb(served: Program, kind: str) -> int:
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    found = re.search(rf"{kind}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


def test_a_message_of_25_mb_is_kept_and_shown_in_little_memory(tmp_path: Path) -> None:
    with program(tmp_path / "mailbox") as served:
        served.add("alice")
        (account,) = json.loads(ask(served, "/.well-known/jmap"))["accounts"]
        uploaded = json.loads(ask(served, f"/jmap/upload/{account}/", LONG))
        inbox = {"accountId": account, "filter": {"role": "inbox"}}
        (mailbox,) = call(served, "Mailbox/query", inbox)["ids"]
        email = {"blobId": uploaded["blobId"], "mailboxIds": {mailbox: True}}
        imported = call(served, "Email/import", {"accountId": account, "emails": {"a": email}})
        wanted = {
            "accountId": account,
            "ids": [imported["created"]["a"]["id"]],
            "properties": ["bodyValues"],
            "fetchTextBodyValues": True,
        }
        (shown,) = call(served, "Email/get", wanted)["list"]
        assert len(shown["bodyValues"]["1"]["value"]) == 12_500_000
        assert memory_mb(served, "VmHWM") < 220  # 185 measured, 268 before
        assert memory_mb(served, "VmRSS") < 110  # 65 measured, 220 before
