"""The embedded server's IMAP: what a mail program sees after its login."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mailbox_testing.doors import Premises, Session, premises
from mailward_mailbox.mail.model import Fresh

from mailward.wire.secret import Secret

LETTER = b"From: a@example\r\nSubject: hello\r\nMessage-ID: <1@example>\r\n\r\nhow are you?\r\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Premises]:
    async with premises(tmp_path) as house:
        await house.add()
        yield house


@pytest.fixture
async def alice(house: Premises) -> Session:
    return await house.session()


async def append(session: Session, octets: bytes, mailbox: bytes = b"INBOX") -> bytes:
    return await session.command(b"APPEND %b {%d+}\r\n%b" % (mailbox, len(octets), octets))


async def test_a_message_comes_back_as_it_was_stored(alice: Session) -> None:
    assert b"[APPENDUID " in await append(alice, LETTER)
    assert b"* 1 EXISTS" in await alice.command(b"SELECT inbox")
    told = await alice.command(b"FETCH 1 (RFC822.SIZE BODY.PEEK[])")
    assert LETTER in told
    assert b"RFC822.SIZE %d" % len(LETTER) in told


async def test_five_sessions_of_one_account_see_the_same(house: Premises) -> None:
    sessions = [await house.session() for _ in range(5)]
    for session in sessions:
        assert b"* 0 EXISTS" in await session.command(b"SELECT INBOX")
    await append(sessions[0], LETTER)
    await sessions[0].command(b"STORE 1 +FLAGS (\\Flagged)")
    for session in sessions[1:]:
        assert b"* 1 EXISTS" in await session.command(b"NOOP")
        assert b"\\Flagged" in await session.command(b"FETCH 1 (FLAGS)")


async def test_who_idles_is_told_of_a_delivery_within_a_second(
    house: Premises, alice: Session
) -> None:
    await alice.command(b"SELECT INBOX")
    alice.send(b"i IDLE\r\n")
    await alice.up_to(b"+")
    began = time.perf_counter()
    async with house.mail() as mail:
        await mail.append(mail.mailbox("INBOX").id, Fresh(LETTER))
    await alice.up_to(b"* 1 EXISTS")
    assert time.perf_counter() - began < 1
    alice.send(b"DONE\r\n")
    assert b"i OK" in await alice.up_to(b"i ")


async def test_who_idles_is_told_when_a_message_is_gone_or_has_other_flags(
    house: Premises, alice: Session
) -> None:
    async with house.mail() as mail:
        inbox = mail.mailbox("INBOX").id
        await mail.append(inbox, Fresh(LETTER))
        await alice.command(b"SELECT INBOX")
        alice.send(b"i IDLE\r\n")
        await alice.up_to(b"+")
        await mail.set_flags(inbox, {1: frozenset({"\\Seen"})})
        assert b"\\Seen" in await alice.up_to(b"* 1 FETCH")
        await mail.destroy(inbox, [1])
        await alice.up_to(b"* 1 EXPUNGE")


async def test_a_command_holds_no_more_than_one_may_whatever_literals_it_is_cut_into(
    alice: Session,
) -> None:
    part = b"x" * 20_000_000
    alice.send(b"t APPEND INBOX {%d}\r\n" % len(part))
    for _ in range(2):
        await alice.up_to(b"+ ")
        alice.send(b"%b {%d}\r\n" % (part, len(part)))
    assert b"t NO [LIMIT]" in await alice.up_to(b"t ")


async def test_literals_of_one_command_are_so_many_at_most(alice: Session) -> None:
    alice.send(b"t SEARCH TEXT {1}\r\n" + b"x TEXT {1}\r\n" * 300)
    assert b"t NO [LIMIT]" in await alice.up_to(b"t ")


@pytest.mark.parametrize("name", [b"&", b"&a", b"a&&b", b"&AAA", b"&!!-", b"&2AA-", b"&" * 200])
async def test_a_name_that_is_no_utf_7_is_nobodys_and_the_session_goes_on(
    alice: Session, name: bytes
) -> None:
    assert b"t NO" in await alice.command(b'SELECT "%b"' % name)
    assert b"t OK" in await alice.command(b'LIST "" "%b"' % name)
    assert b"t OK" in await alice.command(b"NOOP")


@pytest.mark.parametrize(
    "field",
    [
        b"From: " + b"a@b," * 50_000,
        b"To: " + b'"\\"' * 50_000,
        b"To: a@b\r\n" * 20_000,
        b"Subject: " + b"=?utf-8?q?a?= " * 50_000,
        b"Content-Type: a/b" + b";a=b" * 50_000,
        b"Content-Type: " + b"(" * 50_000,
        b"Content-Disposition: a" + b';a*1="' * 50_000,
        b"In-Reply-To: " + b"<a@b> " * 50_000,
    ],
)
async def test_no_header_field_takes_long_to_look_at(alice: Session, field: bytes) -> None:
    await append(alice, field.strip() + b"\r\n\r\nx")
    await append(alice, LETTER)
    await alice.command(b"SELECT INBOX")
    began = time.process_time()
    told = await alice.command(b"FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY.PEEK[TEXT])")
    assert time.process_time() - began < 5
    assert b"t OK" in told
    assert b"how are you?" in told


async def test_a_client_that_ends_writing_gets_what_it_asked_for_and_then_the_end(
    alice: Session,
) -> None:
    alice.send(b"t NOOP\r\n")
    alice.end_writing()
    assert b"t OK" in await alice.all()


async def test_copies_and_moves_tell_where_the_messages_went(alice: Session) -> None:
    for _ in range(3):
        await append(alice, LETTER)
    await alice.command(b"SELECT INBOX")
    assert re.search(rb"t OK \[COPYUID \d+ 1:2 1:2\]", await alice.command(b"COPY 1:2 Sent"))
    moved = await alice.command(b"MOVE 1:3 Trash")
    assert re.search(rb"\[COPYUID \d+ 1:3 1:3\]", moved)
    assert moved.count(b"EXPUNGE") == 3
    assert b"MESSAGES 3" in await alice.command(b"STATUS Trash (MESSAGES)")


async def test_expunge_removes_only_what_is_deleted(alice: Session) -> None:
    for _ in range(3):
        await append(alice, LETTER)
    await alice.command(b"SELECT INBOX")
    await alice.command(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert b"* 2 EXPUNGE" in await alice.command(b"EXPUNGE")
    assert b"* SEARCH 1 3" in await alice.command(b"UID SEARCH ALL")


async def test_mailboxes_are_made_renamed_and_removed(alice: Session) -> None:
    assert b"t OK" in await alice.command(b"CREATE work/2026")
    assert b"t NO" in await alice.command(b"CREATE work")
    assert b"t OK" in await alice.command(b"RENAME work jobs")
    told = await alice.command(b'LIST "" jobs*')
    assert b"jobs/2026" in told
    assert b"t OK" in await alice.command(b"DELETE jobs/2026")
    assert b"jobs/2026" not in await alice.command(b'LIST "" *')
    assert b"t NO" in await alice.command(b"DELETE INBOX")
    assert b"t NO [NONEXISTENT]" in await alice.command(b"SELECT nowhere")
    assert b"[TRYCREATE]" in await append(alice, LETTER, b"nowhere")


async def test_a_mailbox_that_comes_back_has_another_uidvalidity(alice: Session) -> None:
    seen = set()
    for _ in range(3):
        await alice.command(b"CREATE again")
        told = re.search(rb"UIDVALIDITY (\d+)", await alice.command(b"STATUS again (UIDVALIDITY)"))
        assert told is not None
        seen.add(told[1])
        await alice.command(b"DELETE again")
    assert len(seen) == 3


async def test_no_account_sees_mail_of_another(house: Premises, alice: Session) -> None:
    await house.add("bob")
    await append(alice, LETTER)
    bob = await house.session(b"bob")
    assert b"* 0 EXISTS" in await bob.command(b"SELECT INBOX")


NESTED = b"".join(
    b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(1000)
)
WIDE = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 1000
STRANGE = {
    "bare line ends": b"Subject: a\nX: b\r\rbody\n.\n",
    "a line of 1 MB": b"Subject: a\r\n\r\n" + b"x" * 1_000_000,
    "1,000 parts below each other": NESTED,
    "1,000 parts beside each other": WIDE,
    "no header": b"\r\njust text\r\n",
    "nothing": b"x",
    "8-bit headers": b"Subject: gr\xfc\xdfe \xe2\x82\xac\r\nFrom: \xff <a@b>\r\n\r\n",
    "a header without end": b"Subject: a",
    "broken types": b'Content-Type: ;;;="\\\r\nContent-Transfer-Encoding: no\r\nDate: x\r\n\r\n',
    "an encoded word without end": b"Subject: =?utf-8?q?" + b"=" * 5000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("octets", STRANGE.values(), ids=STRANGE.keys())
async def test_a_strange_message_is_kept_and_shown_as_it_is(
    alice: Session, octets: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert b"[APPENDUID " in await append(alice, octets)
    await alice.command(b"SELECT INBOX")
    assert octets in await alice.command(b"FETCH 1 (BODY.PEEK[])")
    for what in (b"ENVELOPE", b"BODYSTRUCTURE", b"BODY.PEEK[HEADER]", b"BODY.PEEK[1]", b"FULL"):
        assert re.search(rb"^t (OK|NO)", await alice.command(b"FETCH 1 " + what), re.MULTILINE)
    assert b"t OK" in await alice.command(b"SEARCH TEXT nothing SUBJECT a")
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "octets",
    [
        b"t NOOP" + b" " * 70_000 + b"\r\n",
        b"t APPEND INBOX {999999999+}\r\n",
        b"t SEARCH SUBJECT {60000000+}\r\n",
        b"{9}\r\n" * 30,
        b"\x00\xff\r\n" * 30,
    ],
)
async def test_what_is_no_command_of_bounded_length_ends_the_session(
    house: Premises, alice: Session, octets: bytes
) -> None:
    alice.send(octets)
    alice.send(b"t LOGOUT\r\n")
    await alice.all()
    assert b"t OK" in await (await house.session()).command(b"NOOP")


async def test_flags_that_make_no_sense_are_refused(alice: Session) -> None:
    await append(alice, LETTER)
    await alice.command(b"SELECT INBOX")
    many = b" ".join(b"flag%d" % n for n in range(200))
    assert b"t NO" in await alice.command(b"STORE 1 FLAGS (%b)" % many)
    assert b"t NO" in await alice.command(b"STORE 1 FLAGS (%b)" % (b"x" * 500))
    assert b"t OK" in await alice.command(b"STORE 1 FLAGS (work $Forwarded)")
    assert b"$Forwarded" in await alice.command(b"FETCH 1 (FLAGS)")


@pytest.mark.parametrize("name", [b"/", b"a//b", b'"a*b"', b"x" * 300, b'"a%b"', b'"\x01"', b'""'])
async def test_a_mailbox_cannot_have_every_name(alice: Session, name: bytes) -> None:
    assert re.search(rb"^t (NO|BAD)", await alice.command(b"CREATE " + name), re.MULTILINE)
    assert b"t OK" in await alice.command(b'LIST "" *')


async def test_a_client_that_leaves_in_the_middle_harms_nobody(house: Premises) -> None:
    for octets in (b"t APPEND INBOX {100+}\r\nhalf", b"t IDLE\r\n", b"t FETCH", b""):
        session = await house.session()
        await session.command(b"SELECT INBOX")
        session.send(octets)
        session.leave()
    other = await house.session()
    assert b"* 0 EXISTS" in await other.command(b"SELECT INBOX")


async def test_sessions_end_when_the_server_does(tmp_path: Path) -> None:
    async with premises(tmp_path) as house:
        await house.add()
        session = await house.session()
        await session.command(b"SELECT INBOX")
        session.leave()
    async with premises(tmp_path) as house, asyncio.timeout(5):
        assert b"t OK" in await (await house.session()).command(b"NOOP")


@pytest.mark.parametrize("change", ["disabled", "removed", "given another password"])
async def test_a_session_ends_when_its_login_would_not_succeed_any_more(
    house: Premises, alice: Session, change: str
) -> None:
    accounts = house.server.accounts
    (view,) = accounts.everybody()
    match change:
        case "disabled":
            await accounts.set_enabled(view.name, is_enabled=False)
        case "removed":
            await accounts.remove(view.name)
        case _:
            await accounts.set_password(view.name, Secret(b"another"))
    assert (await alice.all()).startswith(b"* BYE")


async def test_a_session_goes_on_whatever_becomes_of_other_accounts(
    house: Premises, alice: Session
) -> None:
    await house.add("bob")
    await house.server.accounts.remove("bob")
    assert b"t OK" in await alice.command(b"NOOP")
