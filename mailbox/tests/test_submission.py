"""What is sent is in the mailbox, whole, or its sender knows that it is not."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from mailbox_testing.doors import Premises, premises
from mailbox_testing.lines import Talk, house, messages, session
from mailward_mailbox.accounts.naming import AccountNaming
from mailward_mailbox.settings import Settings

MESSAGE = b"Subject: hello\r\n\r\nHow are you?\r\n"
BEFORE_DATA = b"MAIL FROM:<alice@localhost>\r\nRCPT TO:<bob@localhost>\r\n"


def body_of(octets: bytes) -> bytes:
    """A message as it was sent: what stands behind the fields that the server put above it."""
    _, date, rest = octets.partition(b"+0000\r\n")
    assert date, octets
    return rest


async def test_what_is_sent_is_in_the_inbox_when_it_is_answered(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob") as here:
        async with session(here, here.server.submission) as alice:
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
        async with session(here, here.server.submission) as alice:
            for at in range(0, len(stream), size):
                await alice.say(stream[at : at + size])
            codes = [line[:9] for line in (await alice.rest()).splitlines()]
        assert codes == [
            *(b"250 2.1.0", b"250 2.1.5", b"250 2.0.0", b"250 2.0.0"),
            *(b"250 2.1.0", b"250 2.1.5", b"250 2.0.0", b"250 2.0.0", b"221 2.0.0"),
        ]
        assert [body_of(one) for one in await messages(here, "bob")] == [b"A: b\r\n\r\nx", b"\r\n"]


async def send(talk: Talk, to: list[str], message: bytes = MESSAGE, sender: str = "alice") -> bytes:
    """Send a message; the last answer."""
    await talk.ask(b"MAIL FROM:<%b>\r\n" % sender.encode())
    for recipient in to:
        answer = await talk.ask(b"RCPT TO:<%b>\r\n" % recipient.encode())
        if not answer.startswith(b"250"):
            await talk.ask(b"RSET\r\n")
            return answer
    await talk.ask(b"DATA\r\n")
    return await talk.ask(message + b".\r\n")


async def activate(here: Premises, name: str, script: str) -> None:
    async with here.mail(name.encode()) as mail:
        await mail.put_script("main", script.encode())
        await mail.activate_script("main")


async def test_who_has_several_of_the_addresses_gets_one_message(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob") as here:
        async with session(here, here.server.submission) as alice:
            to = ["bob", "Bob@localhost", "bob@localhost", "alice"]
            assert (await send(alice, to)).startswith(b"250")
        assert len(await messages(here, "bob")) == 1
        assert len(await messages(here, "alice")) == 1


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("ann", b"250 2.1.5"),
        ("ann@localhost", b"250 2.1.5"),
        ("ann@example.org", b"250 2.1.5"),
        ("bob@example.net", b"250 2.1.5"),
        ("bob@alias.example", b"250 2.1.5"),
        ("bob@localhost", b"550 5.1.1"),
        ("ann@example.net", b"550 5.1.1"),
        ("nobody@example.org", b"550 5.1.1"),
        ("nobody", b"550 5.1.1"),
        ("ann@far.example", b"550 5.7.1"),
        ("ann@[192.0.2.1]", b"550 5.7.1"),
    ],
)
async def test_an_address_is_local_where_its_domain_is(
    tmp_path: Path, address: str, answer: bytes
) -> None:
    naming = AccountNaming(
        default_domain="example.org", domain_aliases={"alias.example": "example.net"}
    )
    async with premises(tmp_path) as here:
        here.naming = naming
        await here.add("ann@example.org")
        await here.add("bob@example.net")
        async with session(here, here.server.submission, "ann") as ann:
            await ann.ask(b"MAIL FROM:<>\r\n")
            said = await ann.ask(b"RCPT TO:<%b>\r\n" % address.encode())
            assert said.startswith(answer)


async def test_where_names_are_local_parts_no_other_domain_is_ours(tmp_path: Path) -> None:
    async with premises(tmp_path) as here:
        here.naming = AccountNaming(is_local_part=True)
        await here.add("ann")
        async with session(here, here.server.submission, "ann") as ann:
            assert (await send(ann, ["ann@localhost"])).startswith(b"250")
            assert (await send(ann, ["ann@far.example"])).startswith(b"550 5.7.1")


async def test_what_a_script_rejects_is_refused_with_its_words(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob") as here:
        await activate(here, "bob", 'require "reject"; reject "not\r\nmine";')
        async with session(here, here.server.submission) as alice:
            assert await send(alice, ["bob"]) == b"550-5.7.1 not\r\n550 5.7.1 mine\r\n"
        assert await messages(here, "bob") == []


async def test_the_words_of_a_rejection_are_cut_to_what_a_reply_may_be(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob") as here:
        why = ("x" * 5_000 + "\r\n") * 40
        await activate(here, "bob", f'require "reject"; reject "{why}";')
        async with session(here, here.server.submission) as alice:
            lines = (await send(alice, ["bob"])).splitlines(keepends=True)
    assert len(lines) == 20
    assert max(map(len, lines)) <= 512


async def test_who_is_refused_by_some_only_is_told_by_a_report(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob", "eve") as here:
        await activate(here, "bob", 'require "reject"; reject "not mine";')
        async with session(here, here.server.submission) as alice:
            assert (await send(alice, ["bob", "eve"])).startswith(b"250")
        assert len(await messages(here, "eve")) == 1
        (report,) = await messages(here, "alice")
    told = message_from_bytes(report, policy=default)
    assert told["Return-Path"] == "<>"
    assert told["Auto-Submitted"] == "auto-replied"
    assert told.get_content_type() == "multipart/report"
    words, status, header = told.iter_parts()
    assert "bob: not mine" in words.get_content()
    assert status.get_content_type() == "message/delivery-status"
    assert b"Final-Recipient: rfc822; bob" in status.as_bytes()
    assert b"Status: 5.7.1" in status.as_bytes()
    assert header.get_content_type() == "text/rfc822-headers"
    assert "Subject: hello" in header.get_content()


async def test_a_script_files_where_it_says_and_makes_the_mailbox(tmp_path: Path) -> None:
    script = 'require "fileinto"; fileinto "Lists/News"; keep;'
    async with house(tmp_path, "alice") as here:
        await activate(here, "alice", script)
        async with session(here, here.server.submission) as alice:
            assert (await send(alice, ["alice"])).startswith(b"250")
            assert (await send(alice, ["alice"])).startswith(b"250")
        assert len(await messages(here, "alice", "Lists/News")) == 2
        assert len(await messages(here, "alice")) == 2
        async with here.mail() as mail:
            assert sorted(map(len, mail.emails.values())) == [2, 2]


@pytest.mark.parametrize(
    "script",
    [
        'require "fileinto"; fileinto "a//b";',
        'require "fileinto"; fileinto "*";',
        "if {",
        'require "reject"; reject "no"; keep;',
        'if header :matches "subject" "*' + "a" * 5_000 + 'b*" { discard; }',
    ],
    ids=["an empty name", "a pattern", "broken", "contradiction", "effort"],
)
async def test_no_script_loses_a_message(
    tmp_path: Path, script: str, caplog: pytest.LogCaptureFixture
) -> None:
    message = b"Subject: " + b"a" * 200_000 + b"\r\n\r\n"
    async with house(tmp_path, "alice") as here:
        await activate(here, "alice", script)
        async with session(here, here.server.submission) as alice:
            for _ in range(2):
                assert (await send(alice, ["alice"], message)).startswith(b"250")
        assert len(await messages(here, "alice")) == 2
    complaints = [one for one in caplog.messages if "active Sieve script of alice" in one]
    assert len(complaints) == 1


async def test_a_discarded_message_is_accepted_and_gone(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here:
        await activate(here, "alice", "discard;")
        async with session(here, here.server.submission) as alice:
            assert (await send(alice, ["alice"])).startswith(b"250")
        assert await messages(here, "alice") == []


async def test_a_full_disk_is_told_and_the_message_tried_again(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob") as here, here.mail(b"bob") as mail:
        async with session(here, here.server.submission) as alice:
            full = mail._file._database.execute  # noqa: SLF001 -- a disk that is full at that size
            await mail._ask(lambda: full("PRAGMA max_page_count = 40"))  # noqa: SLF001
            long = MESSAGE + b"x" * 500_000 + b"\r\n"
            assert await send(alice, ["bob"], long) == (
                b"451 4.3.1 There is no room for it now, try again later\r\n"
            )
            assert await messages(here, "bob") == []
            await mail._ask(lambda: full("PRAGMA max_page_count = 1000000"))  # noqa: SLF001
            assert (await send(alice, ["bob"], long)).startswith(b"250")
        (kept,) = await messages(here, "bob")
        assert body_of(kept) == long


async def test_where_the_disk_is_full_for_one_only_the_sender_is_told(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob", "eve") as here, here.mail(b"bob") as mail:
        full = mail._file._database.execute  # noqa: SLF001 -- a disk that is full at that size
        await mail._ask(lambda: full("PRAGMA max_page_count = 40"))  # noqa: SLF001
        async with session(here, here.server.submission) as alice:
            long = MESSAGE + b"x" * 500_000 + b"\r\n"
            assert (await send(alice, ["bob", "eve"], long)).startswith(b"250")
        assert len(await messages(here, "eve")) == 1
        (report,) = await messages(here, "alice")
        assert b"bob: There is no room for it now" in report


async def test_whoever_lost_the_login_sends_nothing_more(tmp_path: Path) -> None:
    async with house(tmp_path, "alice", "bob") as here:
        async with session(here, here.server.submission) as alice:
            assert (await send(alice, ["bob"])).startswith(b"250")
            await here.server.accounts.set_enabled("alice", is_enabled=False)
            assert (await alice.rest()).startswith(b"421 4.7.0")
        assert len(await messages(here, "bob")) == 1


async def test_whoever_tries_out_addresses_is_cut_off(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here, session(here, here.server.submission) as alice:
        await alice.say(b"MAIL FROM:<>\r\n")
        for number in range(30):
            await alice.say(b"RCPT TO:<guess%d>\r\n" % number)
        said = (await alice.rest()).splitlines()
    assert len(said) == 22
    assert said[-1].startswith(b"421 4.7.0")


async def test_a_hundred_recipients_are_enough(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here, session(here, here.server.submission) as alice:
        await alice.ask(b"MAIL FROM:<>\r\n")
        here.server.settings = Settings(relay=("127.0.0.1", 9))
        for number in range(100):
            said = await alice.ask(b"RCPT TO:<r%d@far.example>\r\n" % number)
            assert said == b"250 2.1.5 OK\r\n"
        assert (await alice.ask(b"RCPT TO:<r@far.example>\r\n")).startswith(b"452 4.5.3")
        assert (await alice.ask(b"RCPT TO:<r7@far.example>\r\n")).startswith(b"250")


async def test_a_name_that_a_client_makes_up_cannot_write_a_header(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here:
        async with session(here, here.server.submission) as alice:
            await alice.ask(b"EHLO x)(by=evil<>;\r\n")
            await send(alice, ["alice"])
        (received,) = await messages(here, "alice")
        assert b"Received: from x??by?evil??? ([192.0.2.7])" in received


async def test_an_idle_session_is_not_in_the_way_of_an_end(tmp_path: Path) -> None:
    async with house(tmp_path, "alice") as here, session(here, here.server.submission) as alice:
        await alice.ask(b"NOOP\r\n")
        await here.end()
        assert (await alice.rest()).startswith(b"421 4.3.2 ")
