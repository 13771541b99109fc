"""Email/set and Email/import, and blobs up and down."""

from __future__ import annotations

import resource
from email import message_from_bytes, policy
from typing import Any

import pytest
from mailbox_testing.hall import ALICE, BOB, NOON, Jmap, say

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAIN = b"From: a@b\r\nSubject: hello\r\n\r\nhello\r\n"


async def update(jmap: Jmap, name: str, **patch: Any) -> Any:
    """What Email/set says of one update: ``None`` if it was done."""
    answer = await jmap.call("Email/set", update={name: patch})
    if answer["updated"]:
        assert answer["updated"] == {name: None}
        assert answer["newState"] != answer["oldState"] or not patch
        return None
    return answer["notUpdated"][name]["type"]


async def test_keywords_are_set_as_a_whole_and_one_by_one(jmap: Jmap) -> None:
    message = await jmap.put(PLAIN, ["\\Seen", "$Forwarded"])
    for patch, expected in (
        ({"keywords/$flagged": True}, {"$seen", "$forwarded", "$flagged"}),
        ({"keywords/$SEEN": None}, {"$forwarded", "$flagged"}),
        ({"keywords": {"Work": True, "$forwarded": True}}, {"work", "$forwarded"}),
        ({"keywords/a~1b": True}, {"work", "$forwarded", "a/b"}),
        ({"keywords": {}}, set()),
        ({"keywords/$draft": True, "keywords/$answered": True}, {"$draft", "$answered"}),
    ):
        assert await update(jmap, message.email, **patch) is None
        email = await jmap.email(message, properties=["keywords"])
        assert set(email["keywords"]) == expected


async def test_flags_are_what_imap_calls_them(jmap: Jmap) -> None:
    message = await jmap.put(PLAIN, ["$Forwarded"])
    await update(jmap, message.email, **{"keywords/$seen": True, "keywords/$mdnsent": True})
    async with jmap.mail() as mail:
        stored = mail.by_id[message.mailbox].messages[message.uid]
        assert stored.flags == {"\\Seen", "$Forwarded", "$mdnsent"}


async def test_an_email_moves_and_stands_in_several_mailboxes(jmap: Jmap) -> None:
    message = await jmap.put(PLAIN, ["\\Flagged"])
    inbox, sent, trash = [await jmap.mailbox(one) for one in ("INBOX", "Sent", "Trash")]
    for patch, expected in (
        ({"mailboxIds": {sent: True}}, {sent}),
        ({f"mailboxIds/{trash}": True}, {sent, trash}),
        ({f"mailboxIds/{trash}": None, f"mailboxIds/{inbox}": True}, {sent, inbox}),
        ({"mailboxIds": {inbox: True, sent: True, trash: True}}, {inbox, sent, trash}),
        ({"mailboxIds": {trash: True}, "keywords/$seen": True}, {trash}),
    ):
        assert await update(jmap, message.email, **patch) is None
        email = await jmap.email(message, properties=["mailboxIds", "keywords", "blobId"])
        assert set(email["mailboxIds"]) == expected
        assert email["blobId"] == message.blob
    assert set(email["keywords"]) == {"$flagged", "$seen"}


@pytest.mark.parametrize(
    ("patch", "kind"),
    [
        ({"mailboxIds": {}}, "invalidProperties"),
        ({"mailboxIds": {"nowhere": True}}, "invalidProperties"),
        ({"mailboxIds": {"nowhere": False}}, "invalidProperties"),
        ({"mailboxIds": None}, "invalidProperties"),
        ({"mailboxIds/nowhere": True}, "invalidProperties"),
        ({"keywords": ["$seen"]}, "invalidProperties"),
        ({"keywords": {"$seen": 1}}, "invalidProperties"),
        ({"keywords": {"a b": True}}, "invalidProperties"),
        ({"keywords/ä": True}, "invalidProperties"),
        ({"keywords/$seen": False}, "invalidProperties"),
        ({"keywords/": True}, "invalidProperties"),
        ({"keywords": {}, "keywords/$seen": True}, "invalidPatch"),
        ({"keywords": {f"k{one}": True for one in range(1_000)}}, "tooManyKeywords"),
        ({"subject": "other"}, "invalidProperties"),
        ({"id": "other"}, "invalidProperties"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_an_email_cannot_become_changes_nothing(
    jmap: Jmap, patch: dict[str, Any], kind: str
) -> None:
    message = await jmap.put(PLAIN, ["\\Seen"])
    assert await update(jmap, message.email, **patch) == kind
    email = await jmap.email(message, properties=["keywords", "mailboxIds"])
    assert set(email["keywords"]) == {"$seen"}
    assert set(email["mailboxIds"]) == {message.mailbox}


async def test_some_changes_are_made_though_others_cannot_be(jmap: Jmap) -> None:
    messages = [await jmap.put(PLAIN) for _ in range(3)]
    theirs = await jmap.put(PLAIN, name=BOB)
    sent = await jmap.mailbox("Sent")
    answer = await jmap.call(
        "Email/set",
        update={
            messages[0].email: {"keywords/$seen": True},
            messages[1].email: {"mailboxIds": {sent: True}},
            messages[2].email: {"keywords/$seen": "x"},
            theirs.email: {"keywords/$seen": True},
        },
        destroy=[messages[2].email, "nobody"],
    )
    assert set(answer["updated"]) == {messages[0].email, messages[1].email}
    told = {name: one["type"] for name, one in answer["notUpdated"].items()}
    assert told == {messages[2].email: "willDestroy", theirs.email: "notFound"}
    assert answer["destroyed"] == [messages[2].email]
    assert set(answer["notDestroyed"]) == {"nobody"}
    refused = await jmap.call("Email/set", destroy=[theirs.email])
    assert refused["notDestroyed"][theirs.email]["type"] == "notFound"
    async with jmap.mail(BOB) as mail:
        assert mail.emails.keys() == {theirs.email}


async def test_what_is_destroyed_is_gone_everywhere(jmap: Jmap) -> None:
    message = await jmap.put(PLAIN)
    async with jmap.mail() as mail:
        await mail.copy(message.mailbox, [message.uid], mail.mailbox("Sent").id)
    answer = await jmap.call("Email/set", destroy=[message.email])
    assert answer["destroyed"] == [message.email]
    async with jmap.mail() as mail:
        assert not mail.emails
    gone = await jmap.raw("GET", f"/jmap/download/{jmap.ids[ALICE]}/{message.blob}/x")
    assert gone.status == 404


async def test_1_000_changes_take_few_transactions(jmap: Jmap) -> None:
    messages = [await jmap.put(PLAIN) for _ in range(50)]
    sent = await jmap.mailbox("Sent")
    patch = {"keywords/$seen": True, "mailboxIds": {sent: True}}
    answer = await jmap.call("Email/set", update={one.email: patch for one in messages})
    assert len(answer["updated"]) == 50
    assert int(answer["newState"]) - int(answer["oldState"]) == 2


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"ifInState": "long ago", "destroy": ["x"]}, "stateMismatch"),
        ({"update": []}, "invalidArguments"),
        ({"update": {"x": 1}}, "invalidArguments"),
        ({"destroy": [1]}, "invalidArguments"),
        ({"create": {"a": []}}, "invalidArguments"),
        ({"destroy": [f"M{one}" for one in range(1_001)]}, "requestTooLarge"),
        ({"onSuccess": 1}, "invalidArguments"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_set_is_an_error(
    jmap: Jmap, arguments: dict[str, Any], kind: str
) -> None:
    assert await jmap.error("Email/set", **arguments) == kind


# -- blobs -------------------------------------------------------------------------------------


async def test_an_upload_comes_down_as_it_went_up(jmap: Jmap) -> None:
    octets = bytes(range(256)) * 1_000
    target = f"/jmap/upload/{jmap.ids[ALICE]}/"
    answer = await jmap.raw("POST", target, octets, "Content-Type: image/png")
    assert answer.status == 201
    told = answer.json
    assert told == {
        "accountId": jmap.ids[ALICE],
        "blobId": told["blobId"],
        "type": "image/png",
        "size": len(octets),
    }
    target = f"/jmap/download/{jmap.ids[ALICE]}/{told['blobId']}/b%C3%A4%22r.png?accept=image/png"
    down = await jmap.raw("GET", target)
    assert (down.status, down.body) == (200, octets)
    assert down.fields["content-type"] == "image/png"
    assert down.fields["content-disposition"] == "attachment; filename*=UTF-8''b%C3%A4%22r.png"
    assert "sandbox" in down.fields["content-security-policy"]
    assert "immutable" in down.fields["cache-control"]


async def test_a_part_of_a_message_is_a_blob(jmap: Jmap) -> None:
    message = await jmap.put(b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n")
    email = await jmap.email(message, properties=["textBody"])
    target = f"/jmap/download/{jmap.ids[ALICE]}/{email['textBody'][0]['blobId']}/x"
    assert (await jmap.raw("GET", target)).body == b"hello"


async def test_the_blobs_of_others_are_not_found(jmap: Jmap) -> None:
    theirs = await jmap.put(b"Subject: secret\r\n\r\nsecret", name=BOB)
    upload = await jmap.upload(b"a secret", BOB)
    for blob in (theirs.blob, f"{theirs.blob}-1", upload):
        for account in (jmap.ids[ALICE], jmap.ids[BOB]):
            answer = await jmap.raw("GET", f"/jmap/download/{account}/{blob}/x")
            assert answer.status == 404
            assert b"secret" not in answer.body
        answer = await jmap.call("Email/import", emails={"a": await importing(jmap, blob)})
        assert answer["notCreated"]["a"]["properties"] == ["blobId"]
    answer = await jmap.raw("POST", f"/jmap/upload/{jmap.ids[BOB]}/", b"x")
    assert answer.status == 404


@pytest.mark.parametrize("blob", ["x", "", "..", "x-1", "%2e%2e", "a" * 5_000, "%00"])
async def test_a_blob_that_is_nobodys_is_not_found(jmap: Jmap, blob: str) -> None:
    answer = await jmap.raw("GET", f"/jmap/download/{jmap.ids[ALICE]}/{blob}/x")
    assert answer.status == 404


async def test_a_type_that_is_none_splits_no_answer(jmap: Jmap) -> None:
    blob = await jmap.upload(b"x")
    for wanted in ("text/html%0d%0aX-Bad:%20yes", "nonsense", "", "a/b;%ff"):
        target = f"/jmap/download/{jmap.ids[ALICE]}/{blob}/x?accept={wanted}"
        answer = await jmap.raw("GET", target)
        assert answer.fields["content-type"] == "application/octet-stream"
        assert "x-bad" not in answer.fields


async def test_an_upload_that_is_too_long_is_not_taken(jmap: Jmap) -> None:
    wire = await jmap.connect()
    answer = await say(wire, "POST", f"/jmap/upload/{jmap.ids[ALICE]}/", b"x" * 26_214_401)
    wire.abort()
    assert answer.status == 413
    assert answer.json["limit"] == "maxSizeUpload"


# -- imports and drafts ------------------------------------------------------------------------


async def importing(jmap: Jmap, blob: str, **more: Any) -> dict[str, Any]:
    return {"blobId": blob, "mailboxIds": {await jmap.mailbox("INBOX"): True}, **more}


async def test_an_upload_becomes_an_email(jmap: Jmap) -> None:
    blob = await jmap.upload(PLAIN)
    inbox, sent = await jmap.mailbox("INBOX"), await jmap.mailbox("Sent")
    wanted = {
        "blobId": blob,
        "mailboxIds": {inbox: True, sent: True},
        "keywords": {"$seen": True},
        "receivedAt": "2020-02-02T02:02:02Z",
    }
    answer = await jmap.call("Email/import", emails={"a": wanted})
    made = answer["created"]["a"]
    assert set(made) == {"id", "blobId", "threadId", "size"}
    assert (made["blobId"], made["size"]) == (blob, len(PLAIN))
    email = await jmap.email(made["id"])
    assert set(email["mailboxIds"]) == {inbox, sent}
    assert email["keywords"] == {"$seen": True}
    assert email["receivedAt"] == "2020-02-02T02:02:02Z"
    assert email["subject"] == "hello"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"blobId": "nobody"}, "invalidProperties"),
        ({"blobId": None}, "invalidProperties"),
        ({"mailboxIds": {}}, "invalidProperties"),
        ({"mailboxIds": {"nowhere": True}}, "invalidProperties"),
        ({"keywords": {"a b": True}}, "invalidProperties"),
        ({"keywords": 1}, "invalidProperties"),
        ({"receivedAt": "now"}, "invalidProperties"),
        ({"subject": "x"}, "invalidProperties"),
    ],
    ids=str,
)
async def test_what_cannot_be_imported_is_said_so(
    jmap: Jmap, more: dict[str, Any], kind: str
) -> None:
    wanted = await importing(jmap, await jmap.upload(PLAIN), **more)
    answer = await jmap.call("Email/import", emails={"a": wanted})
    assert answer["created"] is None
    assert answer["notCreated"]["a"]["type"] == kind
    async with jmap.mail() as mail:
        assert not mail.emails


async def test_nothing_is_no_email(jmap: Jmap) -> None:
    wanted = await importing(jmap, await jmap.upload(b"\r\n"))
    answer = await jmap.call("Email/import", emails={"a": wanted})
    assert answer["notCreated"]["a"]["type"] == "invalidEmail"


async def test_a_draft_becomes_a_message(jmap: Jmap) -> None:
    drafts, blob = await jmap.mailbox("Drafts"), await jmap.upload(b"%PDF")
    answer = await jmap.call(
        "Email/set",
        create={
            "d": {
                "mailboxIds": {drafts: True},
                "keywords": {"$draft": True},
                "from": [{"name": "Älice", "email": ALICE}],
                "to": [{"name": None, "email": BOB}, {"name": "X, Y", "email": "x@y.test"}],
                "subject": "grüße",
                "inReplyTo": ["1@a"],
                "references": ["0@a", "1@a"],
                "textBody": [{"partId": "t", "type": "text/plain"}],
                "htmlBody": [{"partId": "h", "type": "text/html"}],
                "bodyValues": {"t": {"value": "schön\n"}, "h": {"value": "<b>schön</b>"}},
                "attachments": [{"blobId": blob, "type": "application/pdf", "name": "ä.pdf"}],
            }
        },
    )
    made = answer["created"]["d"]
    email = await jmap.email(made["id"], fetchAllBodyValues=True)
    assert email["from"] == [{"name": "Älice", "email": ALICE}]
    assert email["to"][1] == {"name": "X, Y", "email": "x@y.test"}
    assert email["subject"] == "grüße"
    assert email["references"] == ["0@a", "1@a"]
    assert email["sentAt"] == "2026-01-01T12:00:00Z"
    assert email["messageId"][0].endswith("@mail.test")
    assert email["bodyValues"][email["textBody"][0]["partId"]]["value"] == "schön\n"
    assert email["attachments"][0]["name"] == "ä.pdf"
    async with jmap.mail() as mail:
        octets = await mail.blob(made["blobId"])
    assert octets is not None
    parsed = message_from_bytes(octets, policy=policy.default)
    assert parsed["subject"] == "grüße"
    assert parsed.get_content_type() == "multipart/mixed"


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"subject": "a\r\nBcc: x@y.test"}, "invalidProperties"),
        ({"subject": 1}, "invalidProperties"),
        ({"from": [{"email": "no address"}]}, "invalidProperties"),
        ({"from": [{"email": "a@b\r\nX: y"}]}, "invalidProperties"),
        ({"to": "x@y.test"}, "invalidProperties"),
        ({"to": [{"name": "a\nb", "email": "x@y.test"}]}, "invalidProperties"),
        ({"messageId": ["a b"]}, "invalidProperties"),
        ({"messageId": ["a>\r\nX: <y"]}, "invalidProperties"),
        ({"sentAt": "yesterday"}, "invalidProperties"),
        ({"textBody": [{"partId": "none"}]}, "invalidProperties"),
        ({"textBody": []}, "invalidProperties"),
        ({"textBody": [{"partId": "t", "type": "text/html"}]}, "invalidProperties"),
        ({"bodyStructure": {}}, "invalidProperties"),
        ({"headers": []}, "invalidProperties"),
        ({"attachments": [{"blobId": "nobody"}]}, "blobNotFound"),
        ({"attachments": [{}]}, "invalidProperties"),
        ({"mailboxIds": {}}, "invalidProperties"),
    ],
    ids=str,
)
async def test_a_draft_that_cannot_be_is_not_made(
    jmap: Jmap, wrong: dict[str, Any], kind: str
) -> None:
    drafts = await jmap.mailbox("Drafts")
    draft = {"mailboxIds": {drafts: True}, "bodyValues": {"t": {"value": "x"}}, **wrong}
    answer = await jmap.call("Email/set", create={"d": draft})
    assert answer["notCreated"]["d"]["type"] == kind
    async with jmap.mail() as mail:
        assert not mail.emails


async def test_what_is_new_can_be_named_by_its_creation_id(jmap: Jmap) -> None:
    wanted = await importing(jmap, await jmap.upload(PLAIN))
    answers = await jmap.calls(
        ("Email/import", {"emails": {"a": wanted}}),
        ("Email/set", {"update": {"#a": {"keywords/$seen": True}}}),
        ("Email/get", {"ids": ["#a"], "properties": ["keywords"]}),
        createdIds={},
    )
    assert answers[1][1]["updated"] == {"#a": None}
    assert answers[2][1]["list"][0]["keywords"] == {"$seen": True}
    assert jmap.now[0] == NOON


async def test_attachments_that_are_too_long_together_are_not_all_read(jmap: Jmap) -> None:
    blob = await jmap.upload(b"x" * 10_000_000)
    inbox = await jmap.mailbox("INBOX")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    email = {"mailboxIds": {inbox: True}, "attachments": [{"blobId": blob}] * 100}
    answer = await jmap.call("Email/set", create={"a": email})
    assert answer["notCreated"]["a"]["type"] == "tooLarge"
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 200_000
