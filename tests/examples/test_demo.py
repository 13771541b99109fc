"""What `make run` and `make demo-servers` show: four doors, one before a stand-in."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from examples.demo_jmap import CORE, DemoJmap
from examples.guess import try_jmap
from tests.edges.house import policy
from tests.edges.web import RIGHT, WRONG, open_hall
from tests.settings.sample import configured

ROOT = Path(__file__).parents[2]


@pytest.fixture
def port() -> Iterator[int]:
    """Where a stand-in listens that knows joe."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    demo = DemoJmap({"joe": "right"}, port)
    demo.start()
    yield port
    demo.stop()


async def test_the_stand_in_is_a_server_that_the_door_can_stand_before(port: int) -> None:
    async with open_hall(
        policy("2/1h"), behind=lambda usual: replace(usual, port=port), is_known=False
    ) as hall:
        session = await hall.ask("/.well-known/jmap")
        assert session is not None
        assert json.loads(session.body)["username"] == "joe"
        calls = {"using": [CORE], "methodCalls": [["Core/echo", {"a": 1}, "0"], ["X/y", {}, "1"]]}
        for body, status in ((json.dumps(calls).encode(), 200), (b"[]", 400)):
            answer = await hall.ask("/jmap/", RIGHT, method="POST", body=body)
            assert answer is not None
            assert answer.status == status
        for _ in range(2):
            wrong = await hall.ask("/jmap/", WRONG, source="127.0.0.2")
            assert wrong is not None
            assert wrong.status == 401
        assert await hall.ask("/jmap/", source="127.0.0.2") is None


async def test_guesses_at_jmap_are_told_as_they_were_answered(port: int) -> None:
    async with open_hall(
        policy("1/1h"), behind=lambda usual: replace(usual, port=port), is_known=False
    ) as hall:
        told = [
            await asyncio.to_thread(try_jmap, "127.0.0.1", hall.port, "joe", password)
            for password in ("right", "wrong", "wrong")
        ]
        assert told[:2] == ["200 OK", "401 Unauthorized"]
        assert told[2].startswith("no connection: ")


@pytest.mark.parametrize("name", ["loopback.toml", "demo-servers.toml"])
def test_the_examples_have_doors_for_all_four_services(name: str) -> None:
    configuration = configured((ROOT / "examples" / name).read_text())
    mail = {listener.protocol.value for listener in configuration.listeners}
    web = {listener.protocol.value for listener in configuration.web}
    assert mail | web == {"imap", "submission", "managesieve", "jmap"}
