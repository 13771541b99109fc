"""Commands and messages made to take long: another session waits for no more than a moment."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import pytest
from mailbox_testing.imap import ImapClient, ImapHouse

MANY = 5_000
MOMENT_SECONDS = 0.5
"""Measured: 0.05; the rest is for machines with other things to do."""
NESTED = b"".join(
    b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n)
    for n in range(400_000)
)[:25_000_000]
WIDE = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 100_000
LONG = b"Subject: x\r\n\r\n" + b"a line of text that is long enough\r\n" * 600_000


@dataclass
class Meanwhile:
    """What a command was answered, and how long another session has waited at worst."""

    told: bytes
    seconds: float
    worst_wait: float


async def meanwhile(client: ImapClient, other: ImapClient, command: bytes) -> Meanwhile:
    client.send(b"t %b\r\n" % command)
    began, waits = time.perf_counter(), [0.0]
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(client.up_to(b"t "))
        while not answer.done():
            asked = time.perf_counter()
            await other.ok(b"NOOP")
            waits.append(time.perf_counter() - asked)
    return Meanwhile(answer.result(), time.perf_counter() - began, max(waits))


@pytest.mark.parametrize(
    "command",
    [
        b"SEARCH " + b"(" * 3_000,
        b"SEARCH " + b"NOT " * 3_000 + b"ALL",
        b"SEARCH " + b"OR ALL " * 3_000 + b"ALL",
        b"SEARCH " + b"TEXT a " * 8_000 + b"ALL",
        b"FETCH 1:* (" + b"BODY[] " * 3_000 + b"FLAGS)",
        b"FETCH 1:* (BODY[" + b"1." * 15_000 + b"1])",
        b"FETCH 1:* (BODY[HEADER.FIELDS (" + b"x " * 20_000 + b"x)])",
        b"UID STORE " + b"1," * 20_000 + b"1 +FLAGS (x)",
        b"STORE 1 FLAGS (" + b"x " * 20_000 + b"x)",
        b'LIST "" (' + b"*a" * 100 + b" " + b"x " * 20_000 + b"x)",
        b'LIST "" ' + b"*a" * 20_000,
        b"STATUS INBOX (" + b"MESSAGES " * 5_000 + b"UNSEEN)",
        b'ID ("' + b"x" * 60_000 + b'" NIL)',
        b"ENABLE" + b" X" * 20_000,
    ],
    ids=lambda command: command[:20].decode(),
)
async def test_no_command_takes_long_however_it_is_written(
    house: ImapHouse, alice: ImapClient, command: bytes
) -> None:
    await house.put(LONG[:100_000])
    await alice.ok(b"SELECT INBOX")
    done = await meanwhile(alice, await house.client(), command)
    assert done.seconds < 2
    assert done.worst_wait < MOMENT_SECONDS
    await alice.ok(b"NOOP")


@pytest.mark.parametrize("octets", [NESTED, WIDE, LONG], ids=["nested", "wide", "long"])
async def test_no_message_takes_long_however_it_is_made(
    house: ImapHouse, alice: ImapClient, octets: bytes
) -> None:
    await house.put(octets)
    await alice.ok(b"SELECT INBOX")
    other = await house.client()
    for command in (
        b"FETCH 1 (ENVELOPE BODYSTRUCTURE)",
        b"FETCH 1 (BODY.PEEK[1] BODY.PEEK[HEADER] BINARY.SIZE[1])",
        b"SEARCH BODY nowhere TEXT nowhere",
        b"FETCH 1 (BODY.PEEK[])",
    ):
        done = await meanwhile(alice, other, command)
        assert done.worst_wait < MOMENT_SECONDS


async def test_five_thousand_messages_are_listed_quickly(
    house: ImapHouse, alice: ImapClient
) -> None:
    await house.fill(MANY)
    other = await house.client()
    for command, last in (
        (b"SELECT INBOX", b"* 5000 EXISTS"),
        (b"FETCH 1:* (FLAGS)", b"* 5000 FETCH"),
        (b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)", b"* 5000 FETCH"),
        (b"SEARCH UNSEEN SUBJECT 4999", b"* SEARCH 5000"),
        (b"COPY 1:* Sent", b"[COPYUID "),
        (b"MOVE 1:* Trash", b"* 1 EXPUNGE"),
        (b"SELECT Trash", b"* 5000 EXISTS"),
        (b"STORE 1:* +FLAGS (\\Deleted)", b"* 5000 FETCH"),
        (b"EXPUNGE", b"* 1 EXPUNGE"),
        (b"DELETE Sent", b"t OK"),
    ):
        done = await meanwhile(alice, other, command)
        assert last in done.told
        assert done.worst_wait < MOMENT_SECONDS
