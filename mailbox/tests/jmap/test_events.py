"""News of changes while they happen."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mailbox_testing.hall import ALICE, BOB, PASSWORDS, Jmap
from mailbox_testing.web import Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAIN = b"Subject: hello\r\n\r\nhello\r\n"


@asynccontextmanager
async def listening(
    jmap: Jmap, query: str = "", *fields: str, name: str = ALICE
) -> AsyncIterator[Wire]:
    wire = await jmap.connect()
    pair = b64encode(f"{name}:{PASSWORDS[name]}".encode()).decode()
    lines = [f"GET /jmap/events/?{query} HTTP/1.1", "Host: x", f"Authorization: Basic {pair}"]
    wire.write("\r\n".join([*lines, *fields]).encode() + b"\r\n\r\n")
    try:
        yield wire
    finally:
        wire.abort()


async def event(wire: Wire) -> tuple[str, Any]:
    """The next one: what kind it is, and what it says."""
    octets = b""
    async with asyncio.timeout(5):
        while not octets.endswith(b"\n\n"):
            octets += await wire.read()
    lines = octets.decode().splitlines()
    told = dict(line.split(": ", 1) for line in lines if line)
    return told["event"], json.loads(told["data"])


async def test_who_listens_hears_of_a_change_at_once(jmap: Jmap) -> None:
    async with listening(jmap, "types=*&closeafter=no&ping=0") as wire:
        head = await wire.response()
        assert head.status == 200
        assert head.fields.one("content-type") == b"text/event-stream"
        await jmap.put(PLAIN, name=BOB)
        await jmap.put(PLAIN)
        kind, told = await event(wire)
        assert kind == "state"
        state = (await jmap.call("Mailbox/get", ids=[]))["state"]
        assert told == {
            "@type": "StateChange",
            "changed": {
                jmap.ids[ALICE]: {"Mailbox": state, "Thread": state, "Email": state},
            },
        }


async def test_who_comes_back_hears_what_he_has_missed(jmap: Jmap) -> None:
    await jmap.put(PLAIN)
    query = "types=Email,Nothing&closeafter=state&ping=60"
    async with listening(jmap, query, "Last-Event-ID: 1") as wire:
        await wire.response()
        _, told = await event(wire)
        assert list(told["changed"][jmap.ids[ALICE]]) == ["Email"]
        assert await wire.read() == b""


@pytest.mark.parametrize("query", ["ping=-1", "ping=x", "closeafter=never", "ping=" + "9" * 50])
async def test_what_cannot_be_listened_to_is_said_so(jmap: Jmap, query: str) -> None:
    assert (await jmap.raw("GET", f"/jmap/events/?{query}")).status == 400


async def test_so_many_listen_and_no_more_until_one_leaves(jmap: Jmap) -> None:
    async with asyncio.timeout(20):
        wires = []
        for _ in range(16):
            opened = listening(jmap)
            wires.append(opened)
            await (await opened.__aenter__()).response()
        assert (await jmap.raw("GET", "/jmap/events/")).status == 429
        for opened in wires:
            await opened.__aexit__(None, None, None)
        while True:  # the server hears of it in a moment
            async with listening(jmap) as wire:
                if (await wire.response()).status == 200:
                    return


async def test_who_is_locked_out_hears_nothing_any_more(jmap: Jmap) -> None:
    async with listening(jmap, name=BOB) as wire:
        await wire.response()
        await jmap.server.accounts.set_enabled(BOB, is_enabled=False)
        try:
            await jmap.put(PLAIN, name=BOB)
            assert await wire.read() == b""
        finally:
            await jmap.server.accounts.set_enabled(BOB, is_enabled=True)
