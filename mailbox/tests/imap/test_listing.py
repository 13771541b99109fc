"""LIST and LSUB: which mailboxes there are, and what is said of each."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailbox_testing.imap import ImapClient, ImapHouse
from mailward_mailbox.imap.patterns import ListPattern


async def listed(client: ImapClient, arguments: bytes) -> list[bytes]:
    told = await client.ok(arguments)
    return sorted(told.splitlines()[:-1])


@pytest.fixture
async def work(house: ImapHouse, alice: ImapClient) -> ImapClient:
    """a/b and c; a is not there, and c is not subscribed."""
    for name in ("Drafts", "Sent", "Junk", "Trash"):
        await house.mail.subscribe(name, is_subscribed=False)
        await house.mail.remove(name)
    await alice.ok(b"CREATE a/b")
    await alice.ok(b"SUBSCRIBE a/b")
    await alice.ok(b"CREATE c")
    await alice.ok(b"DELETE a")
    return alice


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (b'LIST "" ""', [b'* LIST (\\Noselect) "/" ""']),
        (
            b'LIST "" %',
            [
                b'* LIST (\\HasNoChildren) "/" INBOX',
                b'* LIST (\\HasNoChildren) "/" c',
                b'* LIST (\\NonExistent \\Noselect \\HasChildren) "/" a',
            ],
        ),
        (b'LIST "" a/%', [b'* LIST (\\HasNoChildren) "/" a/b']),
        (b'LIST "a/" %', [b'* LIST (\\HasNoChildren) "/" a/b']),
        (b'LIST "" inbox', [b'* LIST (\\HasNoChildren) "/" INBOX']),
        (b'LIST "" ("c" "nowhere")', [b'* LIST (\\HasNoChildren) "/" c']),
        (
            b'LIST (SUBSCRIBED) "" *',
            [
                b'* LIST (\\Subscribed \\HasNoChildren) "/" INBOX',
                b'* LIST (\\Subscribed \\HasNoChildren) "/" a/b',
            ],
        ),
        (
            b'LIST (SUBSCRIBED RECURSIVEMATCH) "" %',
            [
                (
                    b'* LIST (\\NonExistent \\Noselect \\HasChildren) "/" a'
                    b' ("CHILDINFO" ("SUBSCRIBED"))'
                ),
                b'* LIST (\\Subscribed \\HasNoChildren) "/" INBOX',
            ],
        ),
        (
            b'LIST "" c RETURN (SUBSCRIBED CHILDREN STATUS (MESSAGES UNSEEN))',
            [b'* LIST (\\HasNoChildren) "/" c', b"* STATUS c (MESSAGES 0 UNSEEN 0)"],
        ),
        (b'LSUB "" *', [b'* LSUB () "/" INBOX', b'* LSUB () "/" a/b']),
        (b'LSUB "" %', [b'* LSUB () "/" INBOX', b'* LSUB (\\Noselect) "/" a']),
    ],
)
async def test_what_is_listed(work: ImapClient, arguments: bytes, lines: list[bytes]) -> None:
    assert await listed(work, arguments) == sorted(lines)


@pytest.mark.parametrize(
    "arguments",
    [
        b"",
        b' ""',
        b' (RECURSIVEMATCH) "" *',
        b' (FOO) "" *',
        b' "" * RETURN (FOO)',
        b' "" * RETURN (STATUS (FOO))',
        b' "" *' + b" " + b"x" * 10,
        b' "" (' + b"a " * 30 + b"a)",
        b' "" *""',
    ],
)
async def test_what_is_not_understood_is_bad(alice: ImapClient, arguments: bytes) -> None:
    assert (await alice.command(b"LIST" + arguments)).startswith(b"t BAD")


async def test_a_subscription_outlives_its_mailbox_and_can_be_ended(alice: ImapClient) -> None:
    for command in (b"CREATE a/b", b"SUBSCRIBE a/b", b"DELETE a/b", b"DELETE a"):
        await alice.ok(command)
    lost = b'* LIST (\\Subscribed \\NonExistent \\HasNoChildren) "/" a/b'
    assert lost in await listed(alice, b'LIST (SUBSCRIBED) "" *')
    assert b'* LSUB (\\Noselect) "/" a' in await listed(alice, b'LSUB "" %')
    assert await listed(alice, b'LIST "" a*') == []
    await alice.ok(b"CREATE c")
    await alice.ok(b"RENAME c a/b")
    back = b'* LIST (\\Subscribed \\HasNoChildren) "/" a/b'
    assert back in await listed(alice, b'LIST (SUBSCRIBED) "" *')
    await alice.ok(b"DELETE a/b")
    await alice.ok(b"UNSUBSCRIBE a/b")
    assert (await alice.command(b"UNSUBSCRIBE a/b")).startswith(b"t NO")
    assert await listed(alice, b'LSUB "" a*') == []


async def test_the_usual_mailboxes_have_their_special_uses(alice: ImapClient) -> None:
    told = await alice.ok(b'LIST (SPECIAL-USE) "" *')
    assert b'* LIST (\\HasNoChildren \\Sent) "/" Sent' in told
    assert b"INBOX" not in told


async def test_names_are_written_in_utf_7_until_utf_8_is_enabled(alice: ImapClient) -> None:
    await alice.ok(b"CREATE Entw&APw-rfe")
    assert b"Entw&APw-rfe" in await alice.ok(b'LIST "" Entw*')
    assert b"* ENABLED UTF8=ACCEPT" in await alice.ok(b"ENABLE UTF8=ACCEPT X-UNKNOWN")
    assert '"Entwürfe"'.encode() in await alice.ok(b'LIST "" Entw*')
    await alice.ok('SELECT "Entwürfe"'.encode())


async def test_twenty_stars_in_a_pattern_cost_nothing(house: ImapHouse, alice: ImapClient) -> None:
    for number in range(20):
        await house.mail.create("a" * 200 + str(number))
    began = time.process_time()
    await alice.ok(b'LIST "" ' + b"*a" * 20 + b"*b")
    assert time.process_time() - began < 0.2


def by_the_book(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] in "*%":
        ends = [at for at in range(len(name) + 1) if pattern[0] == "*" or "/" not in name[:at]]
        return any(by_the_book(pattern[1:], name[at:]) for at in ends)
    return name[:1] == pattern[0] and by_the_book(pattern[1:], name[1:])


@given(st.text("ab/*%", max_size=7), st.text("ab/", max_size=7))
def test_a_pattern_matches_as_the_standard_says(pattern: str, name: str) -> None:
    assert ListPattern(pattern).matches(name) == by_the_book(pattern, name)
