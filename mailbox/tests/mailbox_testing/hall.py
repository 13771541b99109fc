"""The embedded server's JMAP in a test: its accounts, their mail, and requests to it."""

from __future__ import annotations

import asyncio
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from mailward_mailbox.client import Client
from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.http.reading import Body
from mailward_mailbox.jmap.http.serving import Serving
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import Flags, Fresh, Message
from mailward_mailbox.server import MailServer
from mailward_mailbox.serving.connections.listener import Connections
from mailward_mailbox.settings import Settings
from mailward_mailbox.stream import Stream

from mailbox_testing.doors import FOLDER, WEAK
from mailbox_testing.pairs import connect
from mailbox_testing.web import Wire
from mailward.wire.http.framing import UntilClose, response_framing
from mailward.wire.proxyline import TlsFacts
from mailward.wire.secret import Secret

NOON = Instant(1_767_268_800.0)  # 2026-01-01T12:00:00Z
PASSWORDS = {"alice@mail.test": "right", "bob@mail.test": "also-right"}
ALICE, BOB = PASSWORDS
CORE, MAIL, SUBMISSION = (f"urn:ietf:params:jmap:{one}" for one in ("core", "mail", "submission"))
HERE = (IPv4Address("127.0.0.1"), 1)
CLIENT = Client(HERE, HERE)
Call = Sequence[Any]


@dataclass(frozen=True)
class Response:
    status: int
    fields: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Jmap:
    """What a test works with."""

    server: MailServer
    ids: Mapping[str, str]
    now: list[Instant]
    connections: Connections

    @asynccontextmanager
    async def mail(self, name: str = ALICE) -> AsyncIterator[AccountMail]:
        async with self.server.mail.open(self.ids[name]) as mail:
            yield mail

    async def put(
        self,
        octets: bytes,
        flags: Sequence[str] = (),
        *,
        mailbox: str = "INBOX",
        name: str = ALICE,
        received: float | None = None,
    ) -> Message:
        async with self.mail(name) as mail:
            fresh = Fresh(octets, Flags(flags), None if received is None else Instant(received))
            return await mail.append(mail.mailbox(mailbox).id, fresh)

    async def empty(self) -> None:
        """Nobody has any mail."""
        for name in PASSWORDS:
            async with self.mail(name) as mail:
                for mailbox in mail.mailboxes():
                    await mail.destroy(mailbox.id, list(mailbox.messages))

    async def mailbox(self, name: str, owner: str = ALICE) -> str:
        async with self.mail(owner) as mail:
            return mail.mailbox(name).id

    async def connect(self, client: Client = CLIENT) -> Wire:
        """A connection of *client*."""

        async def serve(stream: Stream, _: socket.socket) -> None:
            await Serving(self.server.jmap, lambda _: client).serve(stream)

        return await connect(self.connections, serve, Wire)

    async def raw(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *fields: str,
        name: str | None = ALICE,
        tls: bool = False,
    ) -> Response:
        """One request on a connection of its own."""
        client = Client(HERE, HERE, TlsFacts("", "") if tls else None)
        wire = await self.connect(client)
        try:
            return await say(wire, method, target, body, *fields, name=name)
        finally:
            wire.abort()

    async def post(self, value: object, name: str = ALICE) -> Response:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return await self.raw(
            "POST", "/jmap/api/", body, "Content-Type: application/json", name=name
        )

    async def calls(self, *calls: Call, name: str = ALICE, **more: Any) -> list[Any]:
        """The answers to *calls*; each gets the account and an id where it has none."""
        made = []
        for number, (method, arguments, *call_id) in enumerate(calls):
            given = {"accountId": self.ids[name], **arguments}
            made.append([method, given, *(call_id or [str(number)])])
        answer = await self.post(
            {"using": [CORE, MAIL, SUBMISSION], "methodCalls": made, **more}, name
        )
        assert answer.status == 200, answer.body
        responses: list[Any] = answer.json["methodResponses"]
        return responses

    async def call(self, method: str, name: str = ALICE, **arguments: Any) -> Any:
        """The answer to one call that succeeds."""
        ((answered, answer, _),) = await self.calls((method, arguments), name=name)
        assert answered == method, answer
        return answer

    async def error(self, method: str, **arguments: Any) -> str:
        """What kind of error one call is."""
        ((answered, answer, _),) = await self.calls((method, arguments))
        assert answered == "error", answer
        kind: str = answer["type"]
        return kind

    async def email(self, message: Message | str, **arguments: Any) -> Any:
        """One email as Email/get has it."""
        name = message if isinstance(message, str) else message.email
        answer = await self.call("Email/get", ids=[name], **arguments)
        (email,) = answer["list"]
        return email

    async def upload(self, octets: bytes, name: str = ALICE) -> str:
        answer = await self.raw(
            "POST", f"/jmap/upload/{self.ids[name]}/", octets, "Content-Type: text/x", name=name
        )
        assert answer.status == 201
        blob: str = answer.json["blobId"]
        return blob


async def say(
    wire: Wire,
    method: str,
    target: str,
    body: bytes | None = None,
    *fields: str,
    name: str | None = ALICE,
) -> Response:
    lines = [f"{method} {target} HTTP/1.1", "Host: mail.test", *fields]
    if name is not None:
        pair = b64encode(f"{name}:{PASSWORDS[name]}".encode()).decode()
        lines.append(f"Authorization: Basic {pair}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    wire.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
    head = await wire.response()
    told = {known.lower(): value.decode("latin-1") for known, value in head.fields.items}
    framing = response_framing(head, method)
    assert not isinstance(framing, UntilClose)
    body_of, octets = Body(wire, framing), bytearray()
    while piece := await body_of.read():
        octets += piece
    return Response(head.status, told, bytes(octets))


@asynccontextmanager
async def open_jmap(folder: Path) -> AsyncIterator[Jmap]:
    """Everything; ended, and opened anew when it is called again with the same *folder*."""
    now = [NOON]
    async with asyncio.TaskGroup() as tasks:
        settings = Settings(hostname="mail.test")
        server = MailServer(folder / FOLDER, settings, lambda: now[0], WEAK)
        for name, password in PASSWORDS.items():
            if server.accounts.find(name.encode()) is None:
                await server.accounts.add(name, Secret(password.encode()))
        ids = {
            name: account.id
            for name in PASSWORDS
            if (account := server.accounts.find(name.encode())) is not None
        }
        connections = Connections(tasks)
        yield Jmap(server, ids, now, connections)
        await connections.close()
    await server.close()
