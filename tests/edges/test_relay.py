"""The pump against connections that take no more."""

from __future__ import annotations

import asyncio
import weakref

from mailward.edges.relay import Relay


class Wire(asyncio.Transport):
    """A connection that notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.written = b""
        self.protocol: asyncio.BaseProtocol | None = None

    def is_closing(self) -> bool:
        return "close" in self.done

    def close(self) -> None:
        self.done.append("close")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")


async def test_a_client_that_is_full_when_the_pump_begins_holds_the_backend_back() -> None:
    client, backend = Wire(), Wire()
    relay = Relay(client, backend, None, lambda _: None, lambda: None)
    relay.start(b"from the client", b"from the backend", client_is_full=True)
    assert backend.done == []
    assert (client.written, backend.written) == (b"from the backend", b"from the client")
    assert isinstance(client.protocol, asyncio.Protocol)
    client.protocol.resume_writing()
    assert backend.done == ["resume"]


async def test_a_session_that_has_ended_is_kept_by_nobody() -> None:
    client, backend = Wire(), Wire()
    relay = Relay(client, backend, None, lambda _: None, lambda: None)
    relay.start(b"", b"", client_is_full=False)
    kept = weakref.ref(relay)
    del relay
    for wire in (client, backend):
        assert isinstance(wire.protocol, asyncio.Protocol)
        wire.protocol.connection_lost(None)
        wire.protocol = None
    assert kept() is None
