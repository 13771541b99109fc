"""imapflow and nodemailer, each run in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.real.programs.environments import HERE
from tests.real.programs.server import MailServer, letter, run
from tests.real.servers import program


class Node:
    """The programs in the folder ``node``, with what npm has."""

    def __init__(self, modules: Path, server: MailServer) -> None:
        self._environment = {"NODE_PATH": str(modules)}
        self._server = server

    def where(self, is_implicit: bool, is_submission: bool) -> Mapping[str, object]:
        server = self._server
        implicit, plain = (
            (server.submissions, server.submission)
            if is_submission
            else (server.imaps, server.imap)
        )
        return {
            "port": implicit if is_implicit else plain,
            "secure": is_implicit,
            "authority": str(server.authority) if server.has_tls else None,
            "name": server.name,
            "password": server.password,
        }

    def imapflow(self, task: str, *, is_implicit: bool = False, **more: object) -> Any:
        wish = {**self.where(is_implicit, False), "task": task, **more}
        script = HERE / "node" / "imapflow.js"
        said = run("node", script, given=json.dumps(wish), environment=self._environment)
        return json.loads(said)

    def nodemailer(self, *, is_implicit: bool = False, **more: object) -> Any:
        to = f"{self._server.name}@localhost"
        message = {"from": to, "to": to, "subject": "hello", "text": "Grüße\n.\n..\n", **more}
        wish = {**self.where(is_implicit, True), "message": message}
        script = HERE / "node" / "nodemailer.js"
        said = run("node", script, given=json.dumps(wish), environment=self._environment)
        return json.loads(said)

    def idling(self) -> subprocess.Popen[str]:
        wish = {**self.where(False, False), "task": "idle"}
        child = subprocess.Popen(
            [program("node"), HERE / "node" / "imapflow.js"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        child.stdin.write(json.dumps(wish))
        child.stdin.close()
        return child


@pytest.fixture
def node(npm: Path, server: MailServer) -> Node:
    return Node(npm, server)


@pytest.mark.parametrize("is_implicit", [False, True], ids=["STARTTLS", "TLS"])
def test_imapflow_does_all_that_readers_do(
    node: Node, server: MailServer, is_implicit: bool
) -> None:
    server.append(letter("first"))
    message = letter("Grüße", "the word is xyzzy").decode()
    told = node.imapflow("work", is_implicit=is_implicit, letter=message)
    assert told["is_encrypted"]
    assert ["Sent", "\\Sent"] in told["mailboxes"]
    assert (told["status"]["messages"], told["status"]["unseen"]) == (1, 1)
    assert told["flags"] == ["\\Seen", "work"]
    assert told["from"] == {"name": "Bob Builder", "address": "bob@localhost"}
    assert told["type"] == "text/plain"
    assert told["size"] == len(message.encode())
    assert told["text"] == "the word is xyzzy\r\n"
    assert told["is_found"]
    assert told["copied"]
    assert told["moved"]
    assert told["subjects"] == ["first"]
    assert told["left"] == 0
    assert told["there"] == 2
    assert server.messages() == []


def test_imapflow_hears_of_new_mail_while_it_waits(node: Node) -> None:
    with node.idling() as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "waiting\n"
            assert node.nodemailer()["response"].startswith("250")
            assert json.loads(child.stdout.read())["count"] == 1
        finally:
            child.kill()


@pytest.mark.parametrize("is_implicit", [False, True], ids=["STARTTLS", "TLS"])
def test_nodemailer_sends_a_large_attachment(
    node: Node, server: MailServer, is_implicit: bool
) -> None:
    attached = {"filename": "list.bin", "content": "0123456789" * 20_000}
    told = node.nodemailer(is_implicit=is_implicit, attachments=[attached])
    assert told["accepted"] == [f"{server.name}@localhost"]
    ((_, received),) = server.messages()
    assert b"Subject: hello" in received
    assert len(received) > 200_000


def test_wrong_passwords_are_told(npm: Path, server: MailServer) -> None:
    wrong = MailServer(server.imap, server.submission, server.authority, server.name, "opensesame")
    node = Node(npm, wrong)
    assert node.imapflow("work") == {"refused": "AUTHENTICATIONFAILED"}
    assert node.nodemailer() == {"refused": "EAUTH", "code": 535}
