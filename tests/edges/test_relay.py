"""The pump against connections that take no more."""

from __future__ import annotations

import asyncio
import weakref
from time import process_time

from mailward.edges.relay import Relay
from mailward.wire.dialogue import SecondLoginError
from mailward.wire.imap.watch import imap_watch
from mailward.wire.managesieve.watch import ManageSieveWatch


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

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.done.append("eof")

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


async def test_many_lines_of_one_session_leave_the_others_their_turn() -> None:
    client, backend = Wire(), Wire()
    relay = Relay(client, backend, imap_watch(("IMAP4rev1",)), lambda _: None, lambda: None)
    relay.start(b"", b"", client_is_full=False)
    assert isinstance(client.protocol, asyncio.Protocol)
    client.done.clear()
    said = b"\n" * 250_000
    begun = process_time()
    client.protocol.data_received(said)
    longest = process_time() - begun
    client.protocol.eof_received()
    while len(backend.written) < len(said):
        assert client.done == ["pause"]
        begun = process_time()
        await asyncio.sleep(0)
        longest = max(longest, process_time() - begun)
    assert longest < 0.1  # of 0.6 s and more; 20 ms
    assert backend.written == said
    assert backend.done == ["resume", "eof"]


async def test_a_login_behind_a_literal_that_passes_unread_is_refused() -> None:
    client, backend = Wire(), Wire()
    ended: list[SecondLoginError] = []
    relay = Relay(client, backend, imap_watch(("IMAP4rev1",)), ended.append, lambda: None)
    relay.start(b"", b"", client_is_full=False)
    assert isinstance(client.protocol, asyncio.Protocol)
    mail = b"x LOGIN joe right\r\n" * 1_000
    head = b"a APPEND INBOX {%d+}\r\n" % (3 * len(mail) - 7)
    behind = b"\r\nb LOGIN joe right\r\nc NOOP\r\n"
    for piece in (head + mail, mail, mail[:-7] + behind):
        client.protocol.data_received(piece)
    assert backend.written == (head + (3 * mail)[:-7] + behind).replace(
        b"\r\nb LOGIN joe right", b"\r\nb X-REFUSED"
    )
    assert relay.octets == (len(head + 3 * mail) - 7 + len(behind), 0)
    assert not ended


async def test_what_is_pending_when_the_client_is_gone_is_forgotten() -> None:
    client, backend = Wire(), Wire()
    ended: list[SecondLoginError | None] = []
    relay = Relay(
        client, backend, imap_watch(("IMAP4rev1",)), ended.append, lambda: ended.append(None)
    )
    relay.start(b"", b"", client_is_full=False)
    assert isinstance(client.protocol, asyncio.Protocol)
    client.protocol.data_received(b"\n" * 250_000)
    before = len(backend.written)
    client.protocol.connection_lost(None)
    assert isinstance(backend.protocol, asyncio.Protocol)
    backend.protocol.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(backend.written) == before
    assert ended == [None]


async def test_an_answer_that_waits_for_the_backend_comes_with_its_reply() -> None:
    client, backend = Wire(), Wire()
    relay = Relay(client, backend, ManageSieveWatch(), lambda _: None, lambda: None)
    relay.start(b"", b"", client_is_full=False)
    assert isinstance(client.protocol, asyncio.Protocol)
    assert isinstance(backend.protocol, asyncio.Protocol)
    client.protocol.data_received(b"NOOP\r\nUNAUTHENTICATE\r\n")
    assert (client.written, backend.written) == (b"", b"NOOP\r\n")
    backend.protocol.data_received(b"OK\r\n")
    first, _, second = client.written.partition(b"\r\n")
    assert first == b"OK"
    assert second.startswith(b"NO ")
