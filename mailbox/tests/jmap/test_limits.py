"""What the session promises is held to, and what stays over a restart."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from pathlib import Path

import pytest
from mailbox_testing.hall import ALICE, BOB, PASSWORDS, Jmap, open_jmap
from mailbox_testing.web import Wire
from mailward_mailbox.jmap.http.serving import MAX_UNDER_WAY_OCTETS

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAIN = b"Message-ID: <x@y>\r\nSubject: hello\r\n\r\nhello\r\n"
REQUEST = json.dumps({"using": [], "methodCalls": []}).encode()


async def begun(jmap: Jmap, target: str, name: str = ALICE) -> Wire:
    """A request whose body is not there yet."""
    wire = await jmap.connect()
    pair = b64encode(f"{name}:{PASSWORDS[name]}".encode()).decode()
    wire.write(
        f"POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {pair}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(REQUEST)}\r\n\r\n".encode()
    )
    return wire


@pytest.mark.parametrize("limit", ["maxConcurrentRequests", "maxConcurrentUpload"])
async def test_so_many_requests_at_once_and_no_more(jmap: Jmap, limit: str) -> None:
    is_upload = limit == "maxConcurrentUpload"
    target = f"/jmap/upload/{jmap.ids[ALICE]}/" if is_upload else "/jmap/api/"
    session = (await jmap.raw("GET", "/jmap/session")).json
    at_most = session["capabilities"]["urn:ietf:params:jmap:core"][limit]
    wires = [await begun(jmap, target) for _ in range(at_most)]
    async with asyncio.timeout(20):
        while True:
            refused = await jmap.raw("POST", target, REQUEST, "Content-Type: application/json")
            if refused.status == 429:
                break
    assert refused.json["type"] == "urn:ietf:params:jmap:error:limit"
    assert refused.json["limit"] == limit
    assert (await jmap.post(REQUEST, BOB)).status == 200  # it is nobody else's trouble
    for wire in wires:
        wire.write(REQUEST)
        assert (await wire.response()).status == (201 if is_upload else 200)
        wire.abort()
    again = await jmap.raw("POST", target, REQUEST, "Content-Type: application/json")
    assert again.status in {200, 201}


async def test_a_client_that_leaves_gives_its_place_back(jmap: Jmap) -> None:
    async with asyncio.timeout(20):
        for _ in range(20):
            (await begun(jmap, "/jmap/api/")).abort()
        while (await jmap.post(REQUEST)).status != 200:
            pass


async def test_requests_share_the_room_for_their_bodies(jmap: Jmap) -> None:
    bodies = jmap.server.jmap.bodies
    half = MAX_UNDER_WAY_OCTETS // 2
    assert bodies.take(jmap.ids[ALICE], half)
    assert (await jmap.post(REQUEST)).status == 503
    assert (await jmap.post(REQUEST, BOB)).status == 200
    assert bodies.take("another", half)
    assert (await jmap.post(REQUEST, BOB)).status == 503
    for account in (jmap.ids[ALICE], "another"):
        bodies.give_back(account, half)
    assert (await jmap.post(REQUEST)).status == 200


async def test_answers_that_nobody_reads_take_no_more_than_their_share(jmap: Jmap) -> None:
    blob = await jmap.upload(b"x" * 20_000_000)
    target = f"/jmap/download/{jmap.ids[ALICE]}/{blob}/x"
    pair = b64encode(f"{ALICE}:{PASSWORDS[ALICE]}".encode()).decode()
    wires = [await jmap.connect() for _ in range(2)]
    for wire in wires:
        wire.write(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {pair}\r\n\r\n".encode()
        )
        assert (await wire.response()).status == 200
    assert (await jmap.raw("GET", target)).status == 503
    assert (await jmap.post(REQUEST)).status == 200
    for wire in wires:
        wire.abort()
    async with asyncio.timeout(20):
        while (await jmap.raw("GET", target)).status != 200:
            pass


async def test_ids_and_states_are_the_same_after_a_restart(tmp_path: Path) -> None:
    async with open_jmap(tmp_path) as before:
        message = await before.put(PLAIN, ["\\Seen"])
        mailboxes = (await before.call("Mailbox/get"))["list"]
        email = await before.email(message)
        state = (await before.call("Mailbox/get"))["state"]
    async with open_jmap(tmp_path) as after:
        assert (await after.call("Mailbox/get"))["list"] == mailboxes
        assert await after.email(message) == email
        answer = await after.call("Email/changes", sinceState=state)
        assert answer["updated"] == []


async def test_five_clients_change_one_account_at_once(jmap: Jmap) -> None:
    messages = [await jmap.put(PLAIN) for _ in range(5)]

    async def flag(number: int) -> None:
        for message in messages:
            while True:
                answer = await jmap.raw(
                    "POST",
                    "/jmap/api/",
                    json.dumps(
                        {
                            "using": ["urn:ietf:params:jmap:mail"],
                            "methodCalls": [
                                [
                                    "Email/set",
                                    {
                                        "accountId": jmap.ids[ALICE],
                                        "update": {message.email: {f"keywords/k{number}": True}},
                                    },
                                    "0",
                                ]
                            ],
                        }
                    ).encode(),
                    "Content-Type: application/json",
                )
                if answer.status == 200:
                    break
            assert "updated" in answer.json["methodResponses"][0][1]

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(flag(number))
    for message in messages:
        email = await jmap.email(message, properties=["keywords"])
        assert set(email["keywords"]) == {f"k{number}" for number in range(5)}
