"""Whatever one session asks for, another one is answered: waits are in processor time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

import pytest
from mailbox_testing.imap import ImapClient, ImapHouse
from mailward_mailbox.mail.model import Fresh

MANY = 5_000
MAX_WAIT_SECONDS = 0.1
_MULTIPART = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n"
MANY_PARTS = _MULTIPART % b"b" + b"--b\r\n\r\nx\r\n" * 100_000
NESTED = b"".join(_MULTIPART % b"b%d" % n + b"--b%d\r\n" % n for n in range(2_000))
LONG = NESTED.ljust(25_000_000, b"x")


async def worst_wait(other: ImapClient, asked: Awaitable[bytes]) -> float:
    """The most processor time that passes until *other* is answered while something is *asked*."""
    worst = 0.0
    async with asyncio.TaskGroup() as tasks:

        async def ask() -> None:
            await asked

        task = tasks.create_task(ask())
        while not task.done():
            began = time.process_time()
            await other.ok(b"NOOP")
            worst = max(worst, time.process_time() - began)
    return worst


@pytest.mark.parametrize("message", [MANY_PARTS, LONG], ids=["parts", "nested"])
async def test_no_message_keeps_another_session_waiting(
    house: ImapHouse, alice: ImapClient, message: bytes
) -> None:
    await house.put(message)
    other = await house.client()
    await alice.ok(b"SELECT INBOX")
    for command in (
        b"FETCH 1 (ENVELOPE BODYSTRUCTURE)",
        b"FETCH 1 (BODY.PEEK[]<1.2> BODY.PEEK[1.1.1.1.1]<0.9> BINARY.PEEK[2]<0.9>)",
        b"SEARCH TEXT nothing",
    ):
        assert await worst_wait(other, alice.ok(command)) < MAX_WAIT_SECONDS


async def test_five_thousand_messages_are_looked_at_in_less_than_a_second(
    house: ImapHouse, alice: ImapClient
) -> None:
    inbox = house.mail.mailbox("INBOX").id
    letters = [
        b"From: A <a%d@b>\r\nTo: b@c, d@e\r\nSubject: number %d\r\n\r\ntext\r\n" % (n, n)
        for n in range(MANY)
    ]
    await house.mail.append_all([(inbox, Fresh(letter)) for letter in letters])
    for command, answer in (
        (b"SELECT INBOX", b"* 5000 EXISTS"),
        (b"FETCH 1:* (FLAGS)", b"* 5000 FETCH (FLAGS"),
        (b"FETCH 1:* (ENVELOPE)", b'"number 4999"'),
        (b"SEARCH SUBJECT 499", b"* SEARCH 500 1500 2500 3500 4500 4991"),
    ):
        began = time.process_time()
        assert answer in await alice.ok(command)
        assert time.process_time() - began < 1
