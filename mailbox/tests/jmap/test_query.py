"""Email/query."""

from __future__ import annotations

import time
from typing import Any

import pytest
from mailbox_testing.hall import BOB, NOON, Jmap
from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.model import Fresh

pytestmark = pytest.mark.asyncio(loop_scope="session")

APPLES = (
    b"From: Zoe <zoe@x.test>\r\nTo: al@y.test\r\nSubject: Re: apples\r\n"
    b"Date: Thu, 1 Jan 2026 10:00:00 +0000\r\nMessage-ID: <a@x>\r\n\r\nthe quick brown fox"
)
BANANAS = (
    b"From: =?utf-8?q?J=C3=B6?= <jo@x.test>\r\nCc: al@y.test\r\nSubject: Bananas\r\n"
    b"Date: Thu, 1 Jan 2026 09:00:00 +0000\r\nIn-Reply-To: <a@x>\r\n"
    b"Content-Type: text/html\r\n\r\n<p title=secret>brown <b>bears</b></p>"
)
PEARS = (
    b"From: abe@x.test\r\nBcc: hidden@y.test\r\nSubject: [list] Apples and pears\r\n"
    b"X-Spam: =?utf-8?q?k=C3=A4se?=\r\nDate: Wed, 31 Dec 2025 09:00:00 +0000\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"bGF6eSBkb2c=\r\n"
    b"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment\r\n\r\nfox\r\n"
    b"--b--\r\n"
)
MESSAGES = (
    ("a", ["\\Seen"], APPLES),
    ("b", ["\\Flagged"], BANANAS),
    ("c", ["\\Seen", "$work"], PEARS),
)


async def fill(jmap: Jmap) -> dict[str, str]:
    """Ids to names; each was received an hour after the one before."""
    names = {}
    for hour, (name, flags, octets) in enumerate(MESSAGES):
        message = await jmap.put(octets, flags, received=NOON + 3_600 * hour)
        names[message.email] = name
    return names


async def found(jmap: Jmap, names: dict[str, str], **arguments: Any) -> str:
    answer = await jmap.call("Email/query", **arguments)
    return "".join(names[one] for one in answer["ids"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "abc"),
        ({"text": "APPLES"}, "ac"),
        ({"text": "brown"}, "ab"),
        ({"text": "brown zoe"}, "a"),
        ({"text": '"brown fox"'}, "a"),
        ({"text": "'quick fox'"}, ""),
        ({"text": "secret"}, ""),
        ({"text": "lazy"}, "c"),
        ({"from": "jö"}, "b"),
        ({"from": "x.test"}, "abc"),
        ({"to": "al@y.test"}, "a"),
        ({"cc": "al"}, "b"),
        ({"bcc": "hidden"}, "c"),
        ({"subject": "apples"}, "ac"),
        ({"body": "bears"}, "b"),
        ({"body": "apples"}, ""),
        ({"header": ["X-Spam"]}, "c"),
        ({"header": ["x-spam", "käse"]}, "c"),
        ({"header": ["x-spam", "wurst"]}, ""),
        ({"hasAttachment": True}, "c"),
        ({"hasAttachment": False}, "ab"),
        ({"before": "2026-01-01T13:00:00Z"}, "a"),
        ({"after": "2026-01-01T13:00:00Z"}, "bc"),
        ({"minSize": 300}, "c"),
        ({"maxSize": 300}, "ab"),
        ({"hasKeyword": "$seen"}, "ac"),
        ({"hasKeyword": "$WORK"}, "c"),
        ({"notKeyword": "$seen"}, "b"),
        ({"allInThreadHaveKeyword": "$seen"}, "c"),
        ({"someInThreadHaveKeyword": "$flagged"}, "ab"),
        ({"noneInThreadHaveKeyword": "$flagged"}, "c"),
        ({"inMailbox": "nowhere"}, ""),
        ({"hasKeyword": "$seen", "subject": "pears"}, "c"),
        ({"operator": "NOT", "conditions": [{"subject": "apples"}, {"cc": "al"}]}, ""),
        ({"operator": "OR", "conditions": [{"cc": "al"}, {"hasKeyword": "$work"}]}, "bc"),
        (
            {
                "operator": "AND",
                "conditions": [{"operator": "NOT", "conditions": [{"body": "fox"}]}, {}],
            },
            "bc",
        ),
    ],
    ids=str,
)
async def test_emails_are_found_by_what_they_are(
    jmap: Jmap, given: dict[str, Any], expected: str
) -> None:
    names = await fill(jmap)
    sort = [{"property": "receivedAt"}]
    assert await found(jmap, names, filter=given, sort=sort) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({"property": "receivedAt"}, "abc"),
        ({"property": "receivedAt", "isAscending": False}, "cba"),
        ({"property": "sentAt"}, "cba"),
        ({"property": "size"}, "abc"),
        ({"property": "subject", "collation": "i;ascii-casemap"}, "acb"),
        ({"property": "from"}, "cba"),
        ({"property": "hasKeyword", "keyword": "$work", "isAscending": False}, "cab"),
        ({"property": "someInThreadHaveKeyword", "keyword": "$flagged"}, "cab"),
        ({"property": "allInThreadHaveKeyword", "keyword": "$seen"}, "abc"),
    ],
    ids=str,
)
async def test_emails_are_sorted(jmap: Jmap, order: dict[str, Any], expected: str) -> None:
    names = await fill(jmap)
    assert await found(jmap, names, sort=[order, {"property": "receivedAt"}]) == expected


async def test_a_mailbox_is_a_filter_and_so_are_all_others(jmap: Jmap) -> None:
    names = await fill(jmap)
    inbox, sent = await jmap.mailbox("INBOX"), await jmap.mailbox("Sent")
    kept = await jmap.put(b"Subject: kept\r\n\r\n", mailbox="Sent")
    assert len(await found(jmap, names, filter={"inMailbox": inbox})) == 3
    others = await jmap.call("Email/query", filter={"inMailboxOtherThan": [inbox]})
    assert others["ids"] == [kept.email]
    neither = await jmap.call("Email/query", filter={"inMailboxOtherThan": [inbox, sent]})
    assert neither["ids"] == []


async def test_of_a_thread_only_the_first_is_told_where_it_is_asked_for(jmap: Jmap) -> None:
    names = await fill(jmap)
    newest = [{"property": "receivedAt", "isAscending": False}]
    assert await found(jmap, names, sort=newest, collapseThreads=True) == "cb"
    answer = await jmap.call(
        "Email/query", sort=newest, collapseThreads=True, calculateTotal=True, limit=1
    )
    assert (answer["total"], len(answer["ids"])) == (2, 1)


async def test_nobody_finds_what_is_of_others(jmap: Jmap) -> None:
    await jmap.put(b"Subject: secret\r\n\r\nsecret", name=BOB)
    assert (await jmap.call("Email/query", filter={"text": "secret"}))["ids"] == []
    theirs = await jmap.mailbox("INBOX", BOB)
    assert (await jmap.call("Email/query", filter={"inMailbox": theirs}))["ids"] == []


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"operator": "NOT", "conditions": [inner]}
    return inner


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"filter": "x"}, "invalidArguments"),
        ({"filter": {"inMailbox": None}}, "invalidArguments"),
        ({"filter": {"before": "yesterday"}}, "invalidArguments"),
        ({"filter": {"before": "2026-02-31T00:00:00Z"}}, "invalidArguments"),
        ({"filter": {"before": "2026-01-01T00:00:00+01:00"}}, "invalidArguments"),
        ({"filter": {"minSize": -1}}, "invalidArguments"),
        ({"filter": {"hasKeyword": "a b"}}, "invalidArguments"),
        ({"filter": {"hasKeyword": ""}}, "invalidArguments"),
        ({"filter": {"header": []}}, "invalidArguments"),
        ({"filter": {"header": ["a", "b", "c"]}}, "invalidArguments"),
        ({"filter": {"hasAttachment": "yes"}}, "invalidArguments"),
        ({"filter": {"text": ["a"]}}, "invalidArguments"),
        ({"filter": {"text": "a " * 5_000}}, "invalidArguments"),
        ({"filter": {"colour": "red"}}, "unsupportedFilter"),
        ({"filter": {"operator": "AND", "conditions": [1]}}, "invalidArguments"),
        ({"filter": {"operator": "AND", "conditions": [], "more": 1}}, "invalidArguments"),
        (
            {"filter": {"operator": "OR", "conditions": [{"text": "x"}] * 1_000}},
            "unsupportedFilter",
        ),
        ({"filter": {"operator": "AND", "conditions": [{}] * 1_000}}, "unsupportedFilter"),
        ({"filter": {"inMailboxOtherThan": ["x"] * 1_001}}, "invalidArguments"),
        ({"sort": [{"property": "colour"}]}, "unsupportedSort"),
        ({"sort": [{"property": "hasKeyword"}]}, "invalidArguments"),
        ({"sort": [{"property": "subject", "collation": "klingon"}]}, "unsupportedSort"),
        ({"sort": [{"property": "size"}] * 50}, "unsupportedSort"),
        ({"collapseThreads": 1}, "invalidArguments"),
        ({"anchor": "nobody"}, "anchorNotFound"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_looked_for_is_an_error(
    jmap: Jmap, arguments: dict[str, Any], kind: str
) -> None:
    assert await jmap.error("Email/query", **arguments) == kind


async def test_a_filter_may_be_nested_but_not_without_end(jmap: Jmap) -> None:
    names = await fill(jmap)
    assert len(await found(jmap, names, filter=nested(20))) == 3
    assert await found(jmap, names, filter=nested(21)) == ""
    given = {"accountId": "x", "filter": nested(100)}
    answer = await jmap.post({"using": [], "methodCalls": [["Email/query", given, "0"]]})
    assert answer.json["type"].endswith(":notJSON")


async def test_5_000_messages_are_looked_through_in_less_than_a_second(jmap: Jmap) -> None:
    async with jmap.mail() as mail:
        inbox = mail.mailbox("INBOX").id
        await mail.append_all(
            [
                (
                    inbox,
                    Fresh(
                        b"From: a%d@x.test\r\nIn-Reply-To: <one@x>\r\nSubject: number %d\r\n\r\n"
                        b"body %d\r\n" % (number, number, number),
                        frozenset({"\\Seen"} if number % 2 else ()),
                        Instant(NOON + number),
                    ),
                )
                for number in range(5_000)
            ]
        )
    newest = [{"property": "receivedAt", "isAscending": False}]
    for given, sort, total in (
        ({"inMailbox": inbox}, newest, 5_000),
        ({"inMailbox": inbox, "hasKeyword": "$seen"}, newest, 2_500),
        ({"someInThreadHaveKeyword": "$seen"}, newest, 5_000),
        ({"subject": "number 4999"}, newest, 1),
        ({"text": "body 4999"}, newest, 1),
        ({}, [{"property": "subject"}, {"property": "from"}], 5_000),
    ):
        begun = time.process_time()
        answer = await jmap.call(
            "Email/query", filter=given, sort=sort, limit=50, calculateTotal=True
        )
        assert time.process_time() - begun < 1.0
        assert answer["total"] == total
