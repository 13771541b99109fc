"""Mailbox/get and Mailbox/query."""

from __future__ import annotations

from typing import Any

import pytest
from mailbox_testing.hall import ALICE, BOB, Jmap

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAIN = b"Subject: hello\r\n\r\nhello\r\n"


async def test_all_mailboxes_are_told_with_what_is_in_them(jmap: Jmap) -> None:
    await jmap.put(PLAIN)
    await jmap.put(PLAIN, ["\\Seen"])
    await jmap.put(PLAIN, ["\\Draft"])
    answer = await jmap.call("Mailbox/get")
    by_role = {one["role"]: one for one in answer["list"]}
    assert set(by_role) >= {"inbox", "drafts", "sent", "junk", "trash"}
    inbox = by_role["inbox"]
    assert inbox["id"] == await jmap.mailbox("INBOX")
    assert (inbox["totalEmails"], inbox["unreadEmails"]) == (3, 1)
    assert (inbox["totalThreads"], inbox["unreadThreads"]) == (3, 1)
    assert inbox["parentId"] is None
    assert inbox["myRights"]["mayAddItems"] is True
    assert answer["notFound"] == []


async def test_what_imap_has_marked_as_deleted_is_not_counted(jmap: Jmap) -> None:
    message = await jmap.put(PLAIN, ["\\Deleted"])
    inbox = await jmap.mailbox("INBOX")
    (told,) = (await jmap.call("Mailbox/get", ids=[inbox]))["list"]
    assert (told["totalEmails"], told["totalThreads"]) == (0, 0)
    assert (await jmap.call("Email/get", ids=[message.email]))["notFound"] == [message.email]


async def test_a_mailbox_below_another_names_it(jmap: Jmap) -> None:
    async with jmap.mail() as mail:
        await mail.create("Work/2026/May")
        await mail.remove("Work/2026")
    listed = (await jmap.call("Mailbox/get"))["list"]
    work = next(one for one in listed if one["name"] == "Work")
    below = next(one for one in listed if one["parentId"] == work["id"])
    assert below["name"] == "2026/May"
    found = await jmap.call("Mailbox/query", filter={"parentId": work["id"]})
    assert found["ids"] == [below["id"]]
    tree = await jmap.call("Mailbox/query", sortAsTree=True, sort=[{"property": "name"}])
    assert tree["ids"].index(below["id"]) == tree["ids"].index(work["id"]) + 1
    assert tree["canCalculateChanges"] is False
    async with jmap.mail() as mail:
        await mail.remove("Work/2026/May")
        await mail.remove("Work")


async def test_a_mailbox_of_another_account_is_not_found(jmap: Jmap) -> None:
    theirs = await jmap.mailbox("INBOX", BOB)
    answer = await jmap.call("Mailbox/get", ids=[theirs, "nonsense"], properties=["name"])
    assert answer == {
        "accountId": jmap.ids[ALICE],
        "state": answer["state"],
        "list": [],
        "notFound": [theirs, "nonsense"],
    }


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"role": "inbox"}, 1),
        ({"role": None}, 0),
        ({"hasAnyRole": True}, 5),
        ({"name": "RAF"}, 1),
        ({"isSubscribed": False}, 0),
        ({"operator": "NOT", "conditions": [{"role": "inbox"}]}, 4),
        ({"operator": "OR", "conditions": [{"role": "inbox"}, {"role": "sent"}]}, 2),
        ({"operator": "AND", "conditions": []}, 5),
        ({}, 5),
    ],
)
async def test_mailboxes_are_found_by_what_they_are(
    jmap: Jmap, given: dict[str, Any], count: int
) -> None:
    answer = await jmap.call("Mailbox/query", filter=given, calculateTotal=True)
    assert answer["total"] == len(answer["ids"]) == count


@pytest.mark.parametrize(
    ("method", "arguments", "kind"),
    [
        ("Mailbox/get", {"ids": "x"}, "invalidArguments"),
        ("Mailbox/get", {"ids": [1]}, "invalidArguments"),
        ("Mailbox/get", {"ids": [""]}, "invalidArguments"),
        ("Mailbox/get", {"ids": ["x"] * 9 + [None]}, "invalidArguments"),
        ("Mailbox/get", {"ids": [str(one) for one in range(5_000)]}, "requestTooLarge"),
        ("Mailbox/get", {"properties": ["colour"]}, "invalidArguments"),
        ("Mailbox/get", {"properties": "id"}, "invalidArguments"),
        ("Mailbox/get", {"more": 1}, "invalidArguments"),
        ("Mailbox/query", {"filter": []}, "invalidArguments"),
        ("Mailbox/query", {"filter": {"colour": 1}}, "unsupportedFilter"),
        ("Mailbox/query", {"filter": {"name": 1}}, "invalidArguments"),
        ("Mailbox/query", {"filter": {"operator": "XOR", "conditions": []}}, "invalidArguments"),
        ("Mailbox/query", {"filter": {"operator": "AND"}}, "invalidArguments"),
        ("Mailbox/query", {"sort": [{"property": "colour"}]}, "unsupportedSort"),
        ("Mailbox/query", {"sort": [{}]}, "invalidArguments"),
        ("Mailbox/query", {"sort": {"property": "name"}}, "invalidArguments"),
        ("Mailbox/query", {"position": "1"}, "invalidArguments"),
        ("Mailbox/query", {"position": 2**53}, "invalidArguments"),
        ("Mailbox/query", {"position": True}, "invalidArguments"),
        ("Mailbox/query", {"limit": -1}, "invalidArguments"),
        ("Mailbox/query", {"anchor": "nobody"}, "anchorNotFound"),
        ("Mailbox/changes", {"sinceState": "long ago"}, "cannotCalculateChanges"),
        ("Mailbox/changes", {}, "invalidArguments"),
        ("Mailbox/queryChanges", {"sinceQueryState": "x"}, "cannotCalculateChanges"),
        ("Email/queryChanges", {"sinceQueryState": "x"}, "cannotCalculateChanges"),
        ("Thread/changes", {"sinceState": "x"}, "cannotCalculateChanges"),
    ],
)
async def test_what_cannot_be_asked_is_an_error(
    jmap: Jmap, method: str, arguments: dict[str, Any], kind: str
) -> None:
    assert await jmap.error(method, **arguments) == kind


async def test_nothing_has_changed_since_now(jmap: Jmap) -> None:
    state = (await jmap.call("Mailbox/get"))["state"]
    answer = await jmap.call("Mailbox/changes", sinceState=state)
    assert answer["newState"] == state
    assert answer["updated"] == []


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({}, "01234"),
        ({"position": 2}, "234"),
        ({"position": -2}, "34"),
        ({"position": -9}, "01234"),
        ({"position": 9}, ""),
        ({"limit": 2}, "01"),
        ({"limit": 0}, ""),
        ({"position": 1, "limit": 2}, "12"),
        ({"anchor": 3}, "34"),
        ({"anchor": 3, "anchorOffset": -1, "limit": 1}, "2"),
        ({"anchor": 3, "anchorOffset": -9}, "01234"),
        ({"anchor": 3, "anchorOffset": 9}, ""),
    ],
)
async def test_a_window_shows_a_part_of_the_results(
    jmap: Jmap, window: dict[str, Any], expected: str
) -> None:
    everything = (await jmap.call("Mailbox/query", sort=[{"property": "name"}]))["ids"]
    if "anchor" in window:
        window = {**window, "anchor": everything[window["anchor"]]}
    answer = await jmap.call("Mailbox/query", sort=[{"property": "name"}], **window)
    assert "".join(str(everything.index(one)) for one in answer["ids"]) == expected
