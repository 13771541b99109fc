"""The selected mailbox: what a client is told of it, and when."""

from __future__ import annotations

import re

import pytest
from mailbox_testing.imap import LETTER, ImapClient, ImapHouse


async def test_select_tells_what_both_versions_of_the_protocol_want(
    house: ImapHouse, alice: ImapClient
) -> None:
    await house.put(flags=("\\Seen", "work"))
    await house.put()
    box = house.mail.mailbox("INBOX")
    told = await alice.ok(b"SELECT INBOX")
    for line in (
        b"* 2 EXISTS",
        b"* 2 RECENT",
        b"* FLAGS (\\Answered \\Deleted \\Draft \\Flagged \\Seen work)",
        b"* OK [PERMANENTFLAGS (\\* \\Answered \\Deleted \\Draft \\Flagged \\Seen work)]",
        b"* OK [UNSEEN 2]",
        b"* OK [UIDVALIDITY %d]" % box.uid_validity,
        b"* OK [UIDNEXT 3]",
        b"* OK [HIGHESTMODSEQ %d]" % box.modseq,
        b"* OK [MAILBOXID (%b)]" % box.id.encode(),
        b"t OK [READ-WRITE]",
    ):
        assert line in told
    assert b"* 0 RECENT" in await (await house.client()).ok(b"SELECT INBOX")


async def test_with_rev2_there_is_a_list_and_nothing_is_recent(
    house: ImapHouse, alice: ImapClient
) -> None:
    await house.put()
    assert b"* ENABLED IMAP4rev2" in await alice.ok(b"ENABLE IMAP4rev2")
    told = await alice.ok(b"SELECT INBOX")
    assert b'* LIST () "/" INBOX' in told
    assert b"RECENT" not in told
    assert b"[UNSEEN" not in told
    assert b"* OK [CLOSED]" in await alice.ok(b"EXAMINE INBOX")


async def test_sessions_hear_of_each_others_changes(house: ImapHouse, alice: ImapClient) -> None:
    bob = await house.client()
    for client in (alice, bob):
        await client.ok(b"SELECT INBOX")
    told = await alice.ok(b"APPEND INBOX (new) {%d+}\r\n%b" % (len(LETTER), LETTER))
    assert b"* 1 EXISTS" in told
    assert re.search(rb"\[APPENDUID \d+ 1\]", told)
    news = await bob.ok(b"NOOP")
    assert news.index(b"* 1 EXISTS") < news.index(b"* FLAGS")
    assert b" new)" in news
    await alice.ok(b"STORE 1 +FLAGS (\\Flagged late)")
    news = await bob.ok(b"NOOP")
    assert news.index(b"* FLAGS (") < news.index(b"* 1 FETCH (UID 1 FLAGS (\\Flagged late new))")
    await alice.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert b"* 1 EXPUNGE" in await alice.ok(b"EXPUNGE")
    assert b"* 1 EXPUNGE" in await bob.ok(b"NOOP")
    assert await bob.ok(b"NOOP") == b"t OK NOOP completed\r\n"


async def test_numbers_stay_while_a_command_is_about_numbers(
    house: ImapHouse, alice: ImapClient
) -> None:
    for _ in range(3):
        await house.put()
    await alice.ok(b"SELECT INBOX")
    await house.mail.destroy(house.mail.mailbox("INBOX").id, [1])
    await house.put()
    told = await alice.ok(b"STORE 2 +FLAGS (\\Seen)")
    assert b"* 2 FETCH (FLAGS (\\Recent \\Seen" in told
    assert b"EXPUNGE" not in told
    assert b"* 4 EXISTS" in told
    assert b"* 1 EXPUNGE" in await alice.ok(b"UID STORE 3 +FLAGS (\\Seen)")
    assert b"* 1 FETCH (UID 2 FLAGS" in await alice.ok(b"UID STORE 2 +FLAGS (\\Draft)")


@pytest.mark.parametrize("number", [b"4", b"1:4", b"4294967295", b"4:*", b"*:4"])
async def test_a_number_beyond_the_last_is_bad_and_a_uid_is_not(
    house: ImapHouse, alice: ImapClient, number: bytes
) -> None:
    for _ in range(3):
        await house.put()
    await alice.ok(b"SELECT INBOX")
    assert b"t BAD" in await alice.command(b"STORE %b FLAGS ()" % number)
    assert b"t OK" in await alice.command(b"UID STORE %b FLAGS ()" % number)
    assert b"* 3 FETCH" in await alice.command(b"STORE * FLAGS (x)")
    await alice.ok(b"SELECT Sent")
    assert b"t BAD" in await alice.command(b"FETCH 1:* FLAGS")
    assert await alice.ok(b"SEARCH 1:*,%b" % number) == b"* SEARCH\r\nt OK SEARCH completed\r\n"


async def test_flags_are_added_removed_and_replaced_in_any_case(
    house: ImapHouse, alice: ImapClient
) -> None:
    await house.put()
    await alice.ok(b"SELECT INBOX")
    for command, flags in (
        (b"FLAGS (\\SEEN Work)", b"(\\Recent \\Seen Work)"),
        (b"+FLAGS (work x)", b"(\\Recent \\Seen Work x)"),
        (b"-FLAGS (WORK \\seen)", b"(\\Recent x)"),
        (b"FLAGS \\Draft y", b"(\\Draft \\Recent y)"),
        (b"FLAGS ()", b"(\\Recent)"),
    ):
        assert b"* 1 FETCH (FLAGS %b)" % flags in await alice.ok(b"STORE 1 " + command)
    assert b"FETCH" not in await alice.ok(b"STORE 1 FLAGS.SILENT (z)")
    assert house.mail.mailbox("INBOX").messages[1].flags == {"z"}


async def test_a_keyword_has_one_spelling_in_a_mailbox(house: ImapHouse, alice: ImapClient) -> None:
    for _ in range(2):
        await house.put()
    await alice.ok(b"SELECT INBOX")
    await alice.ok(b"STORE 1 FLAGS (Work)")
    assert b"(\\Recent Work)" in await alice.ok(b"STORE 2 FLAGS (WORK work)")


async def test_condstore_that_begins_in_a_mailbox_tells_its_number(
    house: ImapHouse, alice: ImapClient
) -> None:
    await house.put()
    await alice.ok(b"SELECT INBOX")
    told = await alice.ok(b"FETCH 1 (MODSEQ)")
    assert b"* OK [HIGHESTMODSEQ %d]" % house.mail.mailbox("INBOX").modseq in told
    assert b"HIGHESTMODSEQ" not in await alice.ok(b"FETCH 1 (MODSEQ)")


async def test_what_is_recent_stays_so_when_it_is_only_examined(
    house: ImapHouse, alice: ImapClient
) -> None:
    await house.put()
    for command in (b"EXAMINE INBOX", b"EXAMINE INBOX", b"SELECT INBOX"):
        assert b"* 1 RECENT" in await alice.ok(command)
    assert b"* 0 RECENT" in await alice.ok(b"EXAMINE INBOX")


async def test_an_examined_mailbox_stays_as_it_is(house: ImapHouse, alice: ImapClient) -> None:
    await house.put(flags=("\\Deleted",))
    told = await alice.ok(b"EXAMINE INBOX")
    assert b"[PERMANENTFLAGS ()]" in told
    assert b"t OK [READ-ONLY]" in told
    for command in (b"STORE 1 FLAGS ()", b"EXPUNGE", b"MOVE 1 Sent", b"UID EXPUNGE 1"):
        assert (await alice.command(command)).startswith(b"t NO [READ-ONLY]")
    await alice.ok(b"COPY 1 Sent")
    await alice.ok(b"CLOSE")
    assert b"* 1 EXISTS" in await alice.ok(b"SELECT INBOX")


async def test_close_removes_what_is_deleted_without_a_word_and_unselect_does_not(
    house: ImapHouse, alice: ImapClient
) -> None:
    await house.put(flags=("\\Deleted",))
    await alice.ok(b"SELECT INBOX")
    await alice.ok(b"UNSELECT")
    assert b"* 1 EXISTS" in await alice.ok(b"SELECT INBOX")
    assert await alice.ok(b"CLOSE") == b"t OK CLOSE completed\r\n"
    assert b"* 0 EXISTS" in await alice.ok(b"SELECT INBOX")


async def test_uid_expunge_removes_what_is_named_and_deleted(
    house: ImapHouse, alice: ImapClient
) -> None:
    for flags in (("\\Deleted",), ("\\Deleted",), ()):
        await house.put(flags=flags)
    await alice.ok(b"SELECT INBOX")
    told = await alice.ok(b"UID EXPUNGE 2:3")
    assert told.count(b"EXPUNGE\r\n") == 1
    assert b"* 2 EXPUNGE" in told
    assert list(house.mail.mailbox("INBOX").messages) == [1, 3]


async def test_a_move_tells_where_the_messages_went_before_they_are_gone(
    house: ImapHouse, alice: ImapClient
) -> None:
    for _ in range(3):
        await house.put()
    validity = house.mail.mailbox("Trash").uid_validity
    await alice.ok(b"SELECT INBOX")
    told = await alice.ok(b"MOVE 1,3 Trash")
    assert told == (
        b"* OK [COPYUID %d 1,3 1:2] Moved\r\n* 3 EXPUNGE\r\n* 1 EXPUNGE\r\nt OK MOVE completed\r\n"
        % validity
    )
    told = await alice.ok(b"UID COPY 2 Trash")
    assert told == b"t OK [COPYUID %d 2 3] COPY completed\r\n" % validity
    assert (await alice.command(b"COPY 1 nowhere")).startswith(b"t NO [TRYCREATE]")
    assert await alice.ok(b"UID COPY 77 Trash") == b"t OK COPY completed\r\n"


async def test_a_conditional_store_leaves_what_has_changed(
    house: ImapHouse, alice: ImapClient
) -> None:
    for _ in range(2):
        await house.put()
    await alice.ok(b"SELECT INBOX (CONDSTORE)")
    known = house.mail.mailbox("INBOX").modseq
    await house.mail.set_flags(house.mail.mailbox("INBOX").id, {1: frozenset({"x"})})
    told = await alice.ok(b"STORE 1:2 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Seen)" % known)
    assert b"t OK [MODIFIED 1]" in told
    now = house.mail.mailbox("INBOX").messages
    assert b"* 2 FETCH (MODSEQ (%d))" % now[2].modseq in told
    assert b"* 1 FETCH (UID 1 FLAGS (\\Recent x) MODSEQ (%d))" % now[1].modseq in told
    assert now[1].flags == {"x"}
    assert now[2].flags == {"\\Seen"}


async def test_commands_about_messages_need_a_mailbox(alice: ImapClient) -> None:
    for command in (b"STORE 1 FLAGS ()", b"COPY 1 x", b"CLOSE", b"UNSELECT", b"CHECK", b"EXPUNGE"):
        assert (await alice.command(command)).startswith(b"t BAD No mailbox")
