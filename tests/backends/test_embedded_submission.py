"""What is sent is in the mailbox, whole, or its sender knows that it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends.embedded_lines import house, messages, session

MESSAGE = b"Subject: hello\r\n\r\nHow are you?\r\n"
BEFORE_DATA = b"MAIL FROM:<alice@localhost>\r\nRCPT TO:<bob@localhost>\r\n"


def body_of(octets: bytes) -> bytes:
    """A message as it was sent: what stands behind the fields that the server put above it."""
    _, date, rest = octets.partition(b"+0000\r\n")
    assert date, octets
    return rest


async def test_what_is_sent_is_in_the_inbox_when_it_is_answered(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob") as here:
        async with session(here.embedded.submission) as alice:
            await alice.say(BEFORE_DATA)
            assert await alice.reply() == b"250 2.1.0 OK\r\n"
            assert await alice.reply() == b"250 2.1.5 OK\r\n"
            assert (await alice.ask(b"DATA\r\n")).startswith(b"354 ")
            assert (await alice.ask(MESSAGE + b".\r\n")).startswith(b"250 2.0.0 OK ")
            (received,) = await messages(here, "bob")
            assert await alice.ask(b"QUIT\r\n") == b"221 2.0.0 Good bye\r\n"
        assert body_of(received) == MESSAGE
        assert received.startswith(b"Return-Path: <alice@localhost>\r\nReceived: from me (")
        assert b"(authenticated as alice)" in received


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_pipelined_transactions_are_answered_in_order(tmp_path: Path, size: int) -> None:
    stream = BEFORE_DATA + b"BDAT 6\r\nA: b\r\nBDAT 3 LAST\r\n\r\nx"
    stream += BEFORE_DATA + b"BDAT 0 LAST\r\nNOOP\r\nQUIT\r\n"
    async with house(tmp_path, "alice", "bob") as here:
        async with session(here.embedded.submission) as alice:
            for at in range(0, len(stream), size):
                await alice.say(stream[at : at + size])
            codes = [line[:9] for line in (await alice.rest()).splitlines()]
        assert codes == [
            *(b"250 2.1.0", b"250 2.1.5", b"250 2.0.0", b"250 2.0.0"),
            *(b"250 2.1.0", b"250 2.1.5", b"250 2.0.0", b"250 2.0.0", b"221 2.0.0"),
        ]
        assert [body_of(one) for one in await messages(here, "bob")] == [b"A: b\r\n\r\nx", b"\r\n"]
