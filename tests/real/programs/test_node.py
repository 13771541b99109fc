"""imapflow and nodemailer, each run in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
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

    def _where(self, port: int) -> Mapping[str, object]:
        server = self._server
        return {
            "port": port,
            "secure": server.is_implicit,
            "authority": str(server.authority) if server.has_tls else None,
            "name": server.name,
            "password": server.password,
        }

    def imapflow(self, task: str, **more: object) -> Any:
        wish = {**self._where(self._server.imap_port), "task": task, **more}
        script = HERE / "node" / "imapflow.js"
        said = run("node", script, given=json.dumps(wish), environment=self._environment)
        return json.loads(said)

    def nodemailer(self, **more: object) -> Any:
        to = f"{self._server.name}@localhost"
        message = {"from": to, "to": to, "subject": "hello", "text": "Grüße\n.\n..\n", **more}
        wish = {**self._where(self._server.submission_port), "message": message}
        script = HERE / "node" / "nodemailer.js"
        said = run("node", script, given=json.dumps(wish), environment=self._environment)
        return json.loads(said)

    def idling(self) -> subprocess.Popen[str]:
        wish = {**self._where(self._server.imap_port), "task": "idle"}
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


def test_imapflow_does_all_that_readers_do(npm: Path, any_server: MailServer) -> None:
    node, server = Node(npm, any_server), any_server
    server.append(letter("first"))
    message = letter("Grüße", "the word is xyzzy").decode()
    told = node.imapflow("work", letter=message)
    assert told["is_encrypted"] == server.has_tls
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


def test_nodemailer_sends_a_large_attachment(npm: Path, any_server: MailServer) -> None:
    node, server = Node(npm, any_server), any_server
    attached = {"filename": "list.bin", "content": "0123456789" * 20_000}
    told = node.nodemailer(attachments=[attached])
    assert told["accepted"] == [f"{server.name}@localhost"]
    ((_, received),) = server.messages()
    assert b"Subject: hello" in received
    assert len(received) > 200_000


def test_wrong_passwords_are_told(npm: Path, server: MailServer) -> None:
    node = Node(npm, replace(server, password="wrong-opensesame"))
    assert node.imapflow("work") == {"refused": "AUTHENTICATIONFAILED"}
    assert node.nodemailer() == {"refused": "EAUTH", "code": 535}
