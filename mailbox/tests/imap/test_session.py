"""A session as a whole: how it goes on, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import re
import time

import pytest
from mailbox_testing.imap import LETTER, ImapClient, ImapHouse
from mailward_mailbox.imap.methods.general import CAPABILITIES

TOO_LONG = b"x" * 26_214_401


async def test_the_session_tells_what_it_can_do(alice: ImapClient) -> None:
    told = await alice.ok(b"CAPABILITY")
    assert told.startswith(b"* CAPABILITY " + " ".join(CAPABILITIES).encode() + b"\r\n")


@pytest.mark.parametrize(
    "command", [b"LOGIN bob pw", b"AUTHENTICATE PLAIN", b"AUTHENTICATE PLAIN AGEAYg==", b"STARTTLS"]
)
async def test_no_client_logs_in_a_second_time(alice: ImapClient, command: bytes) -> None:
    assert (await alice.command(command)).startswith(b"t BAD")
    await alice.ok(b"NOOP")


async def test_logout_says_bye_and_ends_the_session(alice: ImapClient) -> None:
    alice.send(b"t LOGOUT\r\n")
    assert await alice.all() == b"* BYE Logging out\r\nt OK LOGOUT completed\r\n"


async def test_a_client_in_idle_hears_what_happens_and_may_leave(
    house: ImapHouse, alice: ImapClient, caplog: pytest.LogCaptureFixture
) -> None:
    await alice.ok(b"SELECT INBOX")
    alice.send(b"i IDLE\r\n")
    assert await alice.up_to(b"+ ") == b"+ idling\r\n"
    await house.put()
    await alice.up_to(b"* 1 EXISTS")
    await house.mail.set_flags(house.mail.mailbox("INBOX").id, {1: frozenset({"\\Seen"})})
    await alice.up_to(b"* 1 FETCH (UID 1 FLAGS (\\Recent \\Seen))")
    await house.mail.destroy(house.mail.mailbox("INBOX").id, [1])
    await alice.up_to(b"* 1 EXPUNGE")
    alice.send(b"DONE\r\n")
    assert await alice.up_to(b"i ") == b"i OK IDLE completed\r\n"
    alice.send(b"j IDLE\r\n")
    await alice.up_to(b"+ ")
    alice.writer.write_eof()
    assert await alice.all() == b""
    assert not caplog.records


async def test_idle_and_its_end_may_come_at_once(alice: ImapClient) -> None:
    alice.send(b"i IDLE\r\nDONE\r\nj IDLE\r\nnoop\r\nt NOOP\r\n")
    told = await alice.up_to(b"t ")
    assert told == (
        b"+ idling\r\ni OK IDLE completed\r\n+ idling\r\nj BAD IDLE ends with DONE\r\n"
        b"t OK NOOP completed\r\n"
    )


async def test_commands_at_once_are_answered_in_their_order(alice: ImapClient) -> None:
    alice.send(b"".join(b"c%d NOOP\r\n" % n for n in range(200)))
    told = await alice.up_to(b"c199 ")
    assert re.findall(rb"^c(\d+) OK", told, re.MULTILINE) == [b"%d" % n for n in range(200)]


@pytest.mark.parametrize("before", [b"", b"t IDLE\r\n", b"t APPEND INBOX {10}\r\nhalf"])
async def test_a_client_that_says_nothing_for_too_long_is_told_and_closed(
    house: ImapHouse, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    monkeypatch.setattr("mailward_mailbox.imap.session.IDLE_SECONDS", 0.05)
    client = await house.client()
    client.send(before)
    assert (await client.all()).endswith(b"* BYE Nothing was said for too long\r\n")


@pytest.mark.parametrize(
    "octets",
    [
        b"t NOOP" + b" " * 70_000 + b"\r\n",
        b"t APPEND INBOX {999999999+}\r\n",
        b"{9}\r\n" * 30,
        b"\x00\xff\r\n" * 30,
        b"a SEARCH TEXT {1+}\r\n" + b"a{1+}\r\n" * 40_000,
        b"t NOOP\n",
    ],
)
async def test_a_stream_that_makes_no_sense_ends_the_session(
    alice: ImapClient, octets: bytes
) -> None:
    began = time.process_time()
    alice.send(octets)
    alice.writer.write_eof()
    assert re.search(rb"^\* BYE ", await alice.all(), re.MULTILINE)
    assert time.process_time() - began < 1


async def test_a_message_that_is_too_long_is_refused_and_the_session_goes_on(
    alice: ImapClient,
) -> None:
    for literal in (b"{26214401}", b"{26214401+}\r\n" + TOO_LONG):
        assert (await alice.command(b"APPEND INBOX " + literal)).startswith(b"t NO [TOOBIG]")
    assert b"(MESSAGES 0)" in await alice.ok(b"STATUS INBOX (MESSAGES)")


async def test_a_multiappend_is_stored_as_a_whole_or_not_at_all(alice: ImapClient) -> None:
    told = await alice.ok(
        b'APPEND INBOX (x) " 1-Jan-2026 00:00:00 +0000" {1+}\r\na ~{3+}\r\nb\x00c'
    )
    assert re.search(rb"APPENDUID \d+ 1:2", told)
    told = await alice.command(b"APPEND INBOX {1+}\r\nc {26214401+}\r\n" + TOO_LONG)
    assert told.startswith(b"t NO [TOOBIG]")
    many = b" ".join(b"flag%d" % n for n in range(200))
    told = await alice.command(b"APPEND INBOX {1+}\r\nc (%b) {1+}\r\nd" % many)
    assert told.startswith(b"t NO [CANNOT]")
    assert b"(MESSAGES 2)" in await alice.ok(b"STATUS INBOX (MESSAGES)")
    await alice.ok(b"APPEND INBOX UTF8 (~{1+}\r\ne)")


async def test_a_date_at_either_end_of_the_calendar_is_shown(alice: ImapClient) -> None:
    for date in (b"01-Jan-0001 00:00:00 +1400", b"31-Dec-9999 23:59:59 -1400"):
        await alice.ok(b'APPEND INBOX "%b" {1+}\r\nx' % date)
    await alice.ok(b"SELECT INBOX")
    told = await alice.ok(b"FETCH 1:* INTERNALDATE")
    assert b'" 1-Jan-0001 00:00:00 +0000"' in told
    assert b'"31-Dec-9999 23:59:59 +0000"' in told


async def test_a_client_that_waits_is_told_to_go_on(alice: ImapClient) -> None:
    alice.send(b"t APPEND INBOX {%d}\r\n" % len(LETTER))
    await alice.up_to(b"+ OK")
    alice.send(LETTER + b"\r\n")
    assert b"[APPENDUID" in await alice.up_to(b"t ")


async def test_what_literals_hold_is_bounded_for_all_sessions_together(
    house: ImapHouse, alice: ImapClient
) -> None:
    assert house.shared.room.take(100_000_000)
    told = await alice.command(b"APPEND INBOX {10000000+}\r\n" + b"x" * 10_000_000)
    assert told.startswith(b"t NO [UNAVAILABLE]")
    house.shared.room.give_back(100_000_000)
    await alice.ok(b"APPEND INBOX {10000000+}\r\n" + b"x" * 10_000_000)


async def test_five_thousand_messages_are_opened_and_changed_quickly(
    house: ImapHouse, alice: ImapClient
) -> None:
    await house.fill(5_000)
    other = await house.client()
    for command, line, seconds in (
        (b"SELECT INBOX", b"* 5000 EXISTS", 1),
        (b"STORE 1:* +FLAGS (\\Deleted)", b"* 5000 FETCH", 5),
        (b"EXPUNGE", b"* 1 EXPUNGE", 5),
    ):
        alice.send(b"t %b\r\n" % command)
        began, waits = time.perf_counter(), []
        async with asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(alice.up_to(b"t "))
            while not answer.done():
                asked = time.perf_counter()
                await other.ok(b"NOOP")
                waits.append(time.perf_counter() - asked)
        assert line in answer.result()
        assert time.perf_counter() - began < seconds
        assert max(waits) < 0.5


async def test_a_client_that_reads_nothing_fills_no_memory(
    house: ImapHouse, alice: ImapClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    alice.send(b"t NOOP\r\n" * 500_000)
    await (await house.client()).ok(b"NOOP")
    alice.leave()
    assert not caplog.records
