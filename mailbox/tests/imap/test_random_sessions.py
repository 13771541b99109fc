"""Two sessions of one account say anything: none breaks, and all numbers were told before."""

from __future__ import annotations

import logging
import random
import re
from contextlib import suppress

import pytest
from mailbox_testing.imap import LETTER, ImapClient, ImapHouse

COMMANDS = 40
"""Of each session; hours of it are a matter of this number and of the seeds."""
WHOLE = (
    *(b"NOOP", b"CHECK", b"SELECT INBOX", b"SELECT INBOX", b"EXAMINE Sent", b"SELECT a/b"),
    *(b"CREATE a/b", b"DELETE a/b", b"RENAME a/b c", b"RENAME c a/b", b"RENAME INBOX d"),
    *(b"DELETE d", b'LIST "" *', b'LSUB "" %', b"STATUS INBOX (MESSAGES UNSEEN SIZE)"),
    *(b"APPEND INBOX {4+}\r\n\r\nab", b"APPEND Sent (kw \\Seen) {4+}\r\n\r\nab", b"CLOSE"),
    *(b"FETCH 1:* (FLAGS UID)", b"UID FETCH 1:* (FLAGS BODY[])", b"STORE 1 +FLAGS (\\Deleted)"),
    *(b"EXPUNGE", b"UNSELECT", b"COPY 1:* Sent", b"UID MOVE 1:* Sent", b"MOVE 1 INBOX"),
    *(b"UID SEARCH RETURN (SAVE COUNT) TEXT a", b"FETCH $ (ENVELOPE BODYSTRUCTURE)"),
    *(b"ENABLE CONDSTORE", b"ENABLE IMAP4rev2", b"IDLE\r\nDONE", b"UID EXPUNGE 1:*"),
)
HEADS = (b"FETCH ", b"UID FETCH ", b"STORE ", b"UID STORE ", b"SEARCH ", b"COPY ", b"LIST ")
WORDS = (
    *(b"1", b"1:*", b"*", b"$", b"(", b")", b"FLAGS", b"+FLAGS.SILENT", b"\\Seen", b"kw", b"INBOX"),
    *(b'"q s"', b"{3+}\r\nabc", b"~{2+}\r\n\0x", b"BODY[1.2.MIME]<0.5>", b"BINARY[1]", b"MODSEQ"),
    *(b"NOT", b"OR", b"SINCE", b"1-Jan-2024", b"RETURN", b"CHARSET", b"%", b'""', b"STATUS", b"0"),
)
_NUMBERED = re.compile(rb"^\* (\d+) (EXISTS|EXPUNGE|FETCH)", re.MULTILINE)


def command(dice: random.Random) -> bytes:
    if dice.random() < 0.6:
        return dice.choice(WHOLE)
    return dice.choice(HEADS) + b" ".join(dice.choices(WORDS, k=dice.randrange(1, 8)))


def check_numbers(told: bytes) -> None:
    count: int | None = None
    for number, kind in _NUMBERED.findall(told):
        if kind == b"EXISTS":
            count = int(number)
        elif count is not None:
            assert 1 <= int(number) <= count, told
            count -= kind == b"EXPUNGE"


async def said(client: ImapClient) -> bytes:
    client.send(b"z LOGOUT\r\n")
    try:
        return await client.all()
    except ConnectionError:  # the session has ended before: too many commands were bad
        return b""


@pytest.mark.parametrize("seed", range(6))
async def test_two_sessions_say_anything(
    house: ImapHouse, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    dice = random.Random(seed)
    for _ in range(5):
        await house.put(LETTER)
    clients = [await house.client() for _ in range(2)]
    for _ in range(COMMANDS):
        for client in clients:
            client.send(b"t " + command(dice) + b"\r\n")
        with suppress(ConnectionError):  # one may have ended
            await clients[dice.randrange(2)].writer.drain()
    for client in clients:
        check_numbers(await said(client))
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
