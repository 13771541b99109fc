"""Identity/get and EmailSubmission/set."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from mailbox_testing.hall import ALICE, BOB, Jmap
from mailbox_testing.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAIL = (
    f"From: Alice <{ALICE}>\r\nTo: {BOB}\r\nBcc: secret@mail.test,\r\n {BOB}\r\n"
    "Subject: hello\r\n\r\nBcc: stays\r\n"
).encode()


async def send(jmap: Jmap, octets: bytes = MAIL, **more: Any) -> Any:
    """What EmailSubmission/set says."""
    draft = await jmap.put(octets, ["\\Draft"], mailbox="Drafts")
    envelope = {"mailFrom": {"email": ALICE}, "rcptTo": [{"email": BOB}]}
    wanted = {"identityId": "self", "emailId": draft.email, "envelope": envelope, **more}
    return await jmap.call("EmailSubmission/set", create={"s": wanted})


async def inbox_of(jmap: Jmap, name: str) -> list[bytes]:
    async with jmap.mail(name) as mail:
        inbox = mail.mailbox("INBOX")
        blobs = await mail.blobs(message.blob for message in inbox.messages.values())
        return [blobs[message.blob] for message in inbox.messages.values()]


async def test_there_is_one_identity_and_it_is_the_account(jmap: Jmap) -> None:
    answer = await jmap.call("Identity/get")
    (identity,) = answer["list"]
    assert (identity["id"], identity["email"], identity["mayDelete"]) == ("self", ALICE, False)
    assert (await jmap.call("Identity/get", ids=["x"]))["notFound"] == ["x"]
    same = await jmap.call("Identity/changes", sinceState=answer["state"])
    assert same["updated"] == []


async def test_what_is_sent_is_in_the_inbox_of_who_gets_it(jmap: Jmap) -> None:
    answer = await send(jmap)
    made = answer["created"]["s"]
    assert made["undoStatus"] == "final"
    (octets,) = await inbox_of(jmap, BOB)
    assert b"Subject: hello" in octets
    assert b"secret@" not in octets
    assert b"Bcc: stays" in octets
    assert octets.startswith(b"Return-Path: <alice@mail.test>\r\nReceived: ")
    gone = await jmap.call("EmailSubmission/get", ids=[made["id"]])
    assert gone["notFound"] == [made["id"]]


async def test_without_an_envelope_the_header_says_who_gets_it(jmap: Jmap) -> None:
    octets = f"From: {ALICE}\r\nTo: {BOB}\r\nCc: {BOB}\r\n\r\nx".encode()
    assert (await send(jmap, octets, envelope=None))["created"]
    assert len(await inbox_of(jmap, BOB)) == 1


async def test_what_is_sent_has_no_line_that_ends_for_some_only(jmap: Jmap) -> None:
    octets = f"From: {ALICE}\nTo: {BOB}\n\nhello\r.\rMAIL FROM:<x@y>\n".encode()
    assert (await send(jmap, octets))["created"]
    (received,) = await inbox_of(jmap, BOB)
    assert received.endswith(b"\r\n\r\nhello\r\n.\r\nMAIL FROM:<x@y>\r\n")
    assert received.count(b"\r") == received.count(b"\n") == received.count(b"\r\n")


async def test_a_draft_is_written_sent_and_filed_in_one_request(jmap: Jmap) -> None:
    drafts, sent = await jmap.mailbox("Drafts"), await jmap.mailbox("Sent")
    answers = await jmap.calls(
        (
            "Email/set",
            {
                "create": {
                    "d": {
                        "mailboxIds": {drafts: True},
                        "keywords": {"$draft": True},
                        "from": [{"email": ALICE}],
                        "to": [{"email": BOB}],
                        "subject": "at once",
                        "textBody": [{"partId": "t"}],
                        "bodyValues": {"t": {"value": "hello"}},
                    }
                }
            },
        ),
        (
            "EmailSubmission/set",
            {
                "create": {"s": {"identityId": "self", "emailId": "#d"}},
                "onSuccessUpdateEmail": {
                    "#s": {
                        "keywords/$draft": None,
                        f"mailboxIds/{drafts}": None,
                        f"mailboxIds/{sent}": True,
                    }
                },
            },
        ),
    )
    assert [one[0] for one in answers] == ["Email/set", "EmailSubmission/set", "Email/set"]
    assert answers[2][2] == answers[1][2]
    made = answers[0][1]["created"]["d"]["id"]
    email = await jmap.email(made, properties=["mailboxIds", "keywords"])
    assert email["mailboxIds"] == {sent: True}
    assert email["keywords"] == {}
    assert len(await inbox_of(jmap, BOB)) == 1


async def test_a_draft_that_is_sent_may_be_destroyed(jmap: Jmap) -> None:
    draft = await jmap.put(MAIL, mailbox="Drafts")
    wanted = {
        "identityId": "self",
        "emailId": draft.email,
        "envelope": {"mailFrom": {"email": ALICE}, "rcptTo": [{"email": BOB}]},
    }
    answers = await jmap.calls(
        ("EmailSubmission/set", {"create": {"s": wanted}, "onSuccessDestroyEmail": ["#s"]})
    )
    assert answers[1][1]["destroyed"] == [draft.email]


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"identityId": "other"}, "invalidProperties"),
        ({"emailId": "nobody"}, "invalidProperties"),
        ({"emailId": None}, "invalidProperties"),
        ({"colour": "red"}, "invalidProperties"),
        ({"envelope": 1}, "invalidProperties"),
        ({"envelope": {"rcptTo": []}}, "invalidProperties"),
        ({"envelope": {"mailFrom": {"email": ALICE}, "rcptTo": []}}, "noRecipients"),
        (
            {"envelope": {"mailFrom": {"email": BOB}, "rcptTo": [{"email": BOB}]}},
            "forbiddenMailFrom",
        ),
        (
            {"envelope": {"mailFrom": {"email": ALICE}, "rcptTo": [{"email": "x@else.test"}]}},
            "invalidRecipients",
        ),
        (
            {"envelope": {"mailFrom": {"email": ALICE}, "rcptTo": [{"email": "no@mail.test"}]}},
            "invalidRecipients",
        ),
        (
            {
                "envelope": {
                    "mailFrom": {"email": ALICE},
                    "rcptTo": [{"email": f"{BOB}>\r\nRCPT TO:<x@y"}],
                }
            },
            "invalidProperties",
        ),
        (
            {
                "envelope": {
                    "mailFrom": {"email": ALICE},
                    "rcptTo": [{"email": f"{one}@mail.test"} for one in range(500)],
                }
            },
            "tooManyRecipients",
        ),
    ],
    ids=lambda value: str(value)[-40:],
)
async def test_what_cannot_be_sent_is_delivered_to_nobody(
    jmap: Jmap, more: dict[str, Any], kind: str
) -> None:
    answer = await send(jmap, **more)
    assert answer["notCreated"]["s"]["type"] == kind
    assert await inbox_of(jmap, BOB) == []


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (b"Subject: x\r\n\r\nx", "invalidEmail"),
        (f"From: {BOB}\r\n\r\nx".encode(), "forbiddenFrom"),
        (f"From: {ALICE}, {BOB}\r\n\r\nx".encode(), "forbiddenFrom"),
        (f"From: {ALICE}\r\nFrom: {BOB}\r\n\r\nx".encode(), "forbiddenFrom"),
    ],
)
async def test_nobody_sends_as_somebody_else(jmap: Jmap, octets: bytes, kind: str) -> None:
    answer = await send(jmap, octets)
    assert answer["notCreated"]["s"]["type"] == kind
    assert await inbox_of(jmap, BOB) == []


async def test_the_email_of_another_account_is_not_sent(jmap: Jmap) -> None:
    theirs = await jmap.put(MAIL, name=BOB)
    answer = await send(jmap, emailId=theirs.email)
    assert answer["notCreated"]["s"]["properties"] == ["emailId"]


async def test_a_submission_that_is_over_is_not_found(jmap: Jmap) -> None:
    answer = await jmap.call(
        "EmailSubmission/set", update={"S1": {"undoStatus": "canceled"}}, destroy=["S1"]
    )
    assert answer["notUpdated"]["S1"]["type"] == "notFound"
    assert answer["notDestroyed"]["S1"]["type"] == "notFound"
    assert await jmap.error("EmailSubmission/set", onSuccessDestroyEmail=["S1"]) == (
        "invalidArguments"
    )


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\r\n", b"\n\r"])
async def test_no_line_of_a_stored_message_ends_for_others_where_it_did_not_for_us(
    jmap: Jmap, end: bytes
) -> None:
    hidden = end + b"." + end + b"MAIL FROM:<boss@mail.test>" + end
    octets = f"From: {ALICE}\r\nTo: {BOB}\r\n\r\nx".encode() + hidden
    assert (await send(jmap, octets))["created"]
    (found,) = await inbox_of(jmap, BOB)
    assert found.count(b"\r\n") == found.count(b"\r") == found.count(b"\n")
    assert b"\r\n.\r\n" in found


async def test_a_relay_is_sent_no_end_of_a_message_but_ours(jmap: Jmap) -> None:
    relay = Relay()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        before, jmap.server.settings = (
            jmap.server.settings,
            replace(jmap.server.settings, relay=("127.0.0.1", port)),
        )
        try:
            octets = f"From: {ALICE}\r\nTo: x@far.example\r\n\r\nx\n.\nRSET\n".encode()
            assert (await send(jmap, octets, envelope=None))["created"]
        finally:
            jmap.server.settings = before
    (taken,) = relay.taken
    assert b"x\r\n..\r\nRSET\r\n.\r\n" in taken
    assert b"\n.\n" not in taken


@pytest.mark.parametrize("end", [b"\r", b"\n\r", b"\r\r"])
async def test_no_second_author_hides_behind_a_bare_cr(jmap: Jmap, end: bytes) -> None:
    octets = f"From: {ALICE}\r\nTo: {BOB}\r\nX: y".encode() + end + b"From: boss@mail.test\r\n\r\nx"
    refused = (await send(jmap, octets))["notCreated"]
    if b"\r\r" in end or b"\n\r" in end:  # then it is text: the header ends before it
        assert refused is None
        (found,) = await inbox_of(jmap, BOB)
        assert b"\r\n\r\nFrom: boss" in found
    else:
        assert refused["s"]["type"] == "forbiddenFrom"
