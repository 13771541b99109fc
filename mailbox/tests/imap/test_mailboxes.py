"""Mailboxes are made, named, counted and removed."""

from __future__ import annotations

import pytest
from mailbox_testing.imap import ImapClient, ImapHouse


async def test_a_delimiter_at_the_end_of_a_new_name_is_left_out(alice: ImapClient) -> None:
    told = await alice.ok(b"CREATE work/")
    assert b"[MAILBOXID (F" in told
    assert b'"/" work\r\n' in await alice.ok(b'LIST "" work*')


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"CREATE INBOX", b"[ALREADYEXISTS]"),
        (b"CREATE Sent", b"[ALREADYEXISTS]"),
        (b"CREATE a//b", b"[CANNOT]"),
        (b"CREATE /", b"[CANNOT]"),
        (b'CREATE "a*b"', b"[CANNOT]"),
        (b"DELETE nowhere", b"[NONEXISTENT]"),
        (b"DELETE INBOX", b"[CANNOT]"),
        (b"RENAME nowhere x", b"[NONEXISTENT]"),
        (b"RENAME Sent Trash", b"[ALREADYEXISTS]"),
        (b"RENAME Sent Sent/x", b"[CANNOT]"),
        (b"SELECT nowhere", b"[NONEXISTENT]"),
        (b"EXAMINE nowhere", b"[NONEXISTENT]"),
        (b"STATUS nowhere (MESSAGES)", b"[NONEXISTENT]"),
        (b"SUBSCRIBE nowhere", b"[NONEXISTENT]"),
        (b"APPEND nowhere {1+}\r\nx", b"[TRYCREATE]"),
        (b"APPEND INBOX {0+}\r\n", b"[CANNOT]"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_its_code(
    alice: ImapClient, command: bytes, code: bytes
) -> None:
    assert (await alice.command(command)).startswith(b"t NO " + code)


async def test_the_messages_of_a_renamed_inbox_move_and_the_inbox_stays(
    house: ImapHouse, alice: ImapClient
) -> None:
    await house.put()
    await alice.ok(b"RENAME INBOX old")
    assert b"(MESSAGES 0)" in await alice.ok(b"STATUS INBOX (MESSAGES)")
    assert b"(MESSAGES 1)" in await alice.ok(b"STATUS old (MESSAGES)")


async def test_status_tells_all_there_is_to_know(house: ImapHouse, alice: ImapClient) -> None:
    await house.put(b"x" * 10, ("\\Seen", "\\Deleted"))
    await house.put(b"y" * 20)
    box = house.mail.mailbox("INBOX")
    items = (
        b"MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE RECENT HIGHESTMODSEQ MAILBOXID"
        b" APPENDLIMIT"
    )
    told = await alice.ok(b"STATUS INBOX (%b)" % items)
    assert told.splitlines()[0] == (
        b"* STATUS INBOX (MESSAGES 2 UIDNEXT 3 UIDVALIDITY %d UNSEEN 1 DELETED 1 SIZE 30 RECENT 2"
        b" HIGHESTMODSEQ %d MAILBOXID (%b) APPENDLIMIT 26214400)"
        % (box.uid_validity, box.modseq, box.id.encode())
    )


async def test_a_session_goes_on_without_the_mailbox_that_it_has_removed_itself(
    alice: ImapClient,
) -> None:
    await alice.ok(b"CREATE gone")
    await alice.ok(b"SELECT gone")
    await alice.ok(b"DELETE gone")
    assert b"t BAD" in await alice.command(b"EXPUNGE")
    await alice.ok(b"SELECT INBOX")


async def test_a_session_ends_when_another_one_removes_its_mailbox(
    house: ImapHouse, alice: ImapClient
) -> None:
    await alice.ok(b"CREATE gone")
    await alice.ok(b"SELECT gone")
    await (await house.client()).ok(b"DELETE gone")
    alice.send(b"t NOOP\r\n")
    assert (await alice.up_to(b"* BYE")).startswith(b"* BYE")


async def test_the_session_knows_its_namespace_and_who_it_talks_to(alice: ImapClient) -> None:
    assert b'* NAMESPACE (("" "/")) NIL NIL' in await alice.ok(b"NAMESPACE")
    assert b'* ID ("name" "mailward")' in await alice.ok(b'ID ("name" "x" "version" NIL)')
    assert (await alice.command(b'ID ("name")')).startswith(b"t BAD")


async def test_quota_is_told_and_held(house: ImapHouse, alice: ImapClient) -> None:
    assert await alice.ok(b"GETQUOTAROOT INBOX") == (
        b"* QUOTAROOT INBOX\r\nt OK GETQUOTAROOT completed\r\n"
    )
    assert (await alice.command(b'GETQUOTA ""')).startswith(b"t NO [NONEXISTENT]")
    house.quota[0] = 20_480
    await house.put(b"x" * 10_000, ("\\Deleted",))
    told = await alice.ok(b"GETQUOTAROOT inbox")
    assert b'* QUOTAROOT INBOX ""\r\n* QUOTA "" (STORAGE 11 20)\r\n' in told
    assert b'* QUOTA "" (STORAGE 11 20)' in await alice.ok(b'GETQUOTA ""')
    assert b"(DELETED-STORAGE 10000)" in await alice.ok(b"STATUS INBOX (DELETED-STORAGE)")
    full = await alice.command(b"APPEND INBOX {11000+}\r\n" + b"y" * 11_000)
    assert full.startswith(b"t NO [OVERQUOTA]")
    assert (await alice.command(b"GETQUOTAROOT nowhere")).startswith(b"t NO [NONEXISTENT]")
