"""What is for others is the relay's when the sender hears so, and never before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mailbox_testing.doors import Premises
from mailbox_testing.lines import house, messages, session
from mailbox_testing.relay import Relay
from mailward_mailbox.settings import Settings

MESSAGE = b"Subject: out\r\n\r\n..dots\r\n.\r\n"


@asynccontextmanager
async def relayed(folder: Path) -> AsyncIterator[tuple[Premises, Relay]]:
    relay = Relay()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    async with server, house(folder, "alice", "bob") as here:
        port = server.sockets[0].getsockname()[1]
        here.server.settings = Settings(relay=("127.0.0.1", port))
        yield here, relay


async def send(
    here: Premises, *to: str, message: bytes = MESSAGE, utf8: bool = False, sender: str = "a@b.c"
) -> bytes:
    async with session(here, here.server.submission) as alice:
        parameters = b" SMTPUTF8" if utf8 else b""
        await alice.ask(b"MAIL FROM:<%b>%b\r\n" % (sender.encode(), parameters))
        for address in to:
            await alice.ask(b"RCPT TO:<%b>\r\n" % address.encode())
        await alice.say(b"BDAT %d LAST\r\n%b" % (len(message), message))
        return await alice.reply()


async def test_the_relay_gets_the_envelope_and_every_line(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (here, relay):
        assert (await send(here, "x@far.example", "y@far.example", "bob")).startswith(b"250 2.0.0")
        assert len(await messages(here, "bob")) == 1
    assert relay.said[1].startswith(b"MAIL FROM:<a@b.c> SIZE=")
    assert relay.said[2:5] == [b"RCPT TO:<x@far.example>", b"RCPT TO:<y@far.example>", b"DATA"]
    (taken,) = relay.taken
    assert taken.startswith(b"Received: from me ([192.0.2.7])\r\n")
    assert taken.endswith(b"Subject: out\r\n\r\n...dots\r\n..\r\n.\r\n")
    assert b"Return-Path" not in taken


async def test_eight_bits_and_utf8_are_told(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (here, relay):
        message = "Subject: café\r\n\r\n".encode()
        assert (await send(here, "é@far.example", message=message, utf8=True)).startswith(b"250")
        assert relay.said[1].endswith(b" BODY=8BITMIME SMTPUTF8")
        assert "RCPT TO:<é@far.example>".encode() in relay.said
        relay.shown = (b"250-relay.example", b"250 8BITMIME")
        assert (await send(here, "é@far.example", utf8=True)).startswith(b"550 5.6.7")
        relay.shown = (b"250 relay.example",)
        assert (await send(here, "x@far.example", message=message)).startswith(b"554 5.6.3")


async def test_a_relay_of_old_is_greeted_as_of_old(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (here, relay):
        relay.replies = {b"EHLO": b"502 what?"}
        assert (await send(here, "x@far.example")).startswith(b"250")
        assert relay.said[1].startswith(b"HELO ")
        assert relay.said[2] == b"MAIL FROM:<a@b.c>"


@pytest.mark.parametrize(
    ("command", "reply", "answer"),
    [
        (b"hello", b"554 go away", b"550 5.0.0 The next mail server says: go away\r\n"),
        (b"MAIL", b"550 5.7.0 not you", b"550 5.7.0 The next mail server says: not you\r\n"),
        (b"RCPT", b"450 4.2.1 greylisted", b"451 4.2.1 The next mail server says: greylisted\r\n"),
        (b"DATA", b"554-no\r\n554 never", b"550 5.0.0 The next mail server says: never\r\n"),
        (b"DATA", b"250 what?", b"451 4.5.0 "),
        (b"end", b"452 4.3.1 full", b"451 4.3.1 The next mail server says: full\r\n"),
        (b"end", b"354 what?", b"451 4.5.0 "),
        (b"end", b"", b"451 4.4.1 "),
        (b"MAIL", b"", b"451 4.4.1 "),
        (b"MAIL", b"nonsense", b"451 4.5.0 "),
        (b"MAIL", b"250 " + b"x" * 20_000, b"451 4.5.0 "),
        (b"EHLO", b"\r\n".join([b"250-x"] * 300), b"451 4.5.0 "),
    ],
)
async def test_what_the_relay_refuses_its_sender_hears(
    tmp_path: Path, command: bytes, reply: bytes, answer: bytes
) -> None:
    async with relayed(tmp_path) as (here, relay):
        relay.replies = {command: reply}
        assert (await send(here, "x@far.example")).startswith(answer)


async def test_a_relay_that_is_not_there_is_tried_again_later(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here:
        here.server.settings = Settings(relay=("127.0.0.1", 1))
        assert (await send(here, "x@far.example")).startswith(b"451 4.4.1 ")


async def test_who_the_relay_does_not_take_is_told_by_a_report(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (here, relay):
        relay.replies = {b"RCPT TO:<x@": b"550 5.1.1 nobody"}
        assert (await send(here, "x@far.example", "y@far.example")).startswith(b"250")
        assert len(relay.taken) == 1
        (report,) = await messages(here, "alice")
        assert b"x@far.example: The next mail server says: nobody" in report


async def test_nothing_of_ours_is_handed_on(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (here, relay):
        async with session(here, here.server.submission) as alice:
            await alice.ask(b"MAIL FROM:<>\r\n")
            assert (await alice.ask(b"RCPT TO:<nobody@localhost>\r\n")).startswith(b"550 5.1.1")
        assert relay.said == []
