"""Email/get and Thread/get."""

from __future__ import annotations

from typing import Any

import pytest
from mailbox_testing.hall import BOB, NOON, Jmap

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO = (
    b"From: =?utf-8?q?J=C3=B6?= <jo@a.test>\r\n"
    b'To: "Doe, Jane" <jane@b.test>, Friends: x@c.test, =?utf-8?q?y?= <y@c.test>;\r\n'
    b"Subject: =?iso-8859-1?q?gr=FC=DFe?=\r\n and more\r\n"
    b"Date: Thu, 1 Jan 2026 13:00:00 +0100\r\n"
    b"Message-ID: <1@a.test>\r\n"
    b"List-Post: <mailto:list@a.test> (all)\r\n"
    b"X-Two: one\r\nX-Two: two\r\n"
    b"Content-Type: multipart/mixed; boundary=cut\r\n"
    b"\r\n"
    b"preamble\r\n"
    b"--cut\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
    b"--inner\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Gr=FC=DFe,\r\nwie geht=\r\n es?\r\n"
    b"--inner\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    b"PGI+R3LDvMOfZTwvYj4=\r\n"
    b"--inner--\r\n"
    b"--cut\r\nContent-Type: image/png; name*=utf-8''b%C3%A4r.png\r\n"
    b"Content-Disposition: attachment\r\nContent-ID: <pic@a.test>\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n"
    b"--cut--\r\nepilogue\r\n"
)


async def test_an_email_is_shown_with_its_default_properties(jmap: Jmap) -> None:
    message = await jmap.put(HELLO, ["\\Seen", "$Forwarded"], received=NOON)
    email = await jmap.email(message, fetchTextBodyValues=True)
    assert email["id"] == message.email
    assert email["threadId"] == message.thread
    assert email["mailboxIds"] == {await jmap.mailbox("INBOX"): True}
    assert email["keywords"] == {"$forwarded": True, "$seen": True}
    assert email["size"] == len(HELLO)
    assert email["receivedAt"] == "2026-01-01T12:00:00Z"
    assert email["messageId"] == ["1@a.test"]
    assert email["from"] == [{"name": "Jö", "email": "jo@a.test"}]
    assert email["to"] == [
        {"name": "Doe, Jane", "email": "jane@b.test"},
        {"name": None, "email": "x@c.test"},
        {"name": "y", "email": "y@c.test"},
    ]
    assert email["cc"] is None
    assert email["subject"] == "grüße and more"
    assert email["sentAt"] == "2026-01-01T13:00:00+01:00"
    assert email["hasAttachment"] is True
    assert email["preview"] == "Grüße, wie geht es?"
    (text,) = email["textBody"]
    (html,) = email["htmlBody"]
    (picture,) = email["attachments"]
    assert (text["partId"], text["type"], text["charset"]) == ("1.1", "text/plain", "iso-8859-1")
    assert (html["partId"], html["type"]) == ("1.2", "text/html")
    assert (picture["name"], picture["cid"], picture["size"]) == ("bär.png", "pic@a.test", 4)
    assert email["bodyValues"] == {
        "1.1": {"value": "Grüße,\nwie geht es?", "isEncodingProblem": False, "isTruncated": False}
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("header:X-Two", " two"),
        ("header:x-two:all", [" one", " two"]),
        ("header:X-Two:asText", "two"),
        ("header:X-Two:asText:all", ["one", "two"]),
        ("header:X-None", None),
        ("header:X-None:all", []),
        ("header:Date:asDate", "2026-01-01T13:00:00+01:00"),
        ("header:Message-ID:asMessageIds", ["1@a.test"]),
        ("header:List-Post:asURLs", ["mailto:list@a.test"]),
        ("header:From:asAddresses", [{"name": "Jö", "email": "jo@a.test"}]),
        (
            "header:To:asGroupedAddresses",
            [
                {"name": None, "addresses": [{"name": "Doe, Jane", "email": "jane@b.test"}]},
                {
                    "name": "Friends",
                    "addresses": [
                        {"name": None, "email": "x@c.test"},
                        {"name": "y", "email": "y@c.test"},
                    ],
                },
            ],
        ),
        ("header:Subject", " =?iso-8859-1?q?gr=FC=DFe?=\r\n and more"),
        ("header:Subject:asRaw", " =?iso-8859-1?q?gr=FC=DFe?=\r\n and more"),
    ],
)
async def test_a_header_field_is_shown_in_the_form_that_is_asked_for(
    jmap: Jmap, name: str, value: object
) -> None:
    email = await jmap.email(await jmap.put(HELLO), properties=[name])
    assert email[name] == value


async def test_the_structure_is_shown_as_far_as_it_goes(jmap: Jmap) -> None:
    email = await jmap.email(
        await jmap.put(HELLO),
        properties=["bodyStructure", "headers"],
        bodyProperties=["partId", "type", "header:Content-Type:asRaw"],
    )
    root = email["bodyStructure"]
    assert (root["partId"], root["type"]) == (None, "multipart/mixed")
    alternative, picture = root["subParts"]
    assert [part["partId"] for part in alternative["subParts"]] == ["1.1", "1.2"]
    assert picture["partId"] == "2"
    assert picture["header:Content-Type:asRaw"] == " image/png; name*=utf-8''b%C3%A4r.png"
    assert "subParts" not in picture
    assert email["headers"][-1]["name"] == "Content-Type"


async def test_values_are_cut_between_characters(jmap: Jmap) -> None:
    message = await jmap.put(HELLO)
    email = await jmap.email(message, fetchAllBodyValues=True, maxBodyValueBytes=3)
    assert email["bodyValues"]["1.1"] == {
        "value": "Gr",
        "isEncodingProblem": False,
        "isTruncated": True,
    }
    assert set(email["bodyValues"]) == {"1.1", "1.2"}
    html = await jmap.email(message, fetchHTMLBodyValues=True, properties=["bodyValues"])
    assert html["bodyValues"]["1.2"]["value"] == "<b>Grüße</b>"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"properties": ["header:From:asDate"]}, "invalidArguments"),
        ({"properties": ["header:Subject:asNothing"]}, "invalidArguments"),
        ({"properties": ["header:"]}, "invalidArguments"),
        ({"properties": ["header:Date:asText"]}, "invalidArguments"),
        ({"properties": ["nothing"]}, "invalidArguments"),
        ({"properties": [1]}, "invalidArguments"),
        ({"bodyProperties": ["nothing"]}, "invalidArguments"),
        ({"bodyProperties": "partId"}, "invalidArguments"),
        ({"fetchTextBodyValues": 1}, "invalidArguments"),
        ({"maxBodyValueBytes": -1}, "invalidArguments"),
        ({"ids": {}}, "invalidArguments"),
        ({"ids": ["x"] * 2_000 + [str(one) for one in range(2_000)]}, "requestTooLarge"),
    ],
)
async def test_what_cannot_be_shown_is_an_error(
    jmap: Jmap, arguments: dict[str, Any], kind: str
) -> None:
    assert await jmap.error("Email/get", **{"ids": [], **arguments}) == kind


async def test_an_answer_that_would_be_too_long_is_none(jmap: Jmap) -> None:
    octets = b"\r\n" + b"x" * 8_000_000
    names = [(await jmap.put(octets)).email for _ in range(9)]
    told = await jmap.call("Email/get", ids=names, properties=["preview", "hasAttachment"])
    assert len(told["list"]) == 9
    everything = {"ids": names, "properties": ["bodyValues"], "fetchAllBodyValues": True}
    assert await jmap.error("Email/get", **everything) == "requestTooLarge"


async def test_no_ids_are_all_emails(jmap: Jmap) -> None:
    for _ in range(3):
        await jmap.put(HELLO)
    answer = await jmap.call("Email/get", ids=None, properties=["subject"])
    assert [one["subject"] for one in answer["list"]] == ["grüße and more"] * 3


async def test_an_email_of_another_account_is_not_found(jmap: Jmap) -> None:
    theirs = await jmap.put(HELLO, name=BOB)
    answer = await jmap.call("Email/get", ids=[theirs.email, theirs.email])
    assert (answer["list"], answer["notFound"]) == ([], [theirs.email])
    assert (await jmap.call("Thread/get", ids=[theirs.thread]))["notFound"] == [theirs.thread]


async def test_an_email_in_two_mailboxes_is_one(jmap: Jmap) -> None:
    message = await jmap.put(HELLO, ["\\Flagged"])
    sent = await jmap.mailbox("Sent")
    async with jmap.mail() as mail:
        ((_, copy),) = await mail.copy(message.mailbox, [message.uid], sent)
        await mail.set_flags(sent, {copy.uid: frozenset({"\\Seen"})})
    email = await jmap.email(message, properties=["mailboxIds", "keywords"])
    assert set(email["mailboxIds"]) == {message.mailbox, sent}
    assert set(email["keywords"]) == {"$flagged", "$seen"}


async def test_answers_are_in_the_thread_of_what_they_answer(jmap: Jmap) -> None:
    first = await jmap.put(b"Message-ID: <t1@a>\r\n\r\none", received=NOON)
    answer = await jmap.put(b"In-Reply-To: <t1@a>\r\n\r\ntwo", received=NOON + 1)
    other = await jmap.put(b"Message-ID: <t2@a>\r\n\r\nthree")
    told = await jmap.call("Thread/get", ids=[first.thread, other.thread, "none"])
    assert told["list"][0] == {"id": first.thread, "emailIds": [first.email, answer.email]}
    assert told["list"][1]["emailIds"] == [other.email]
    assert told["notFound"] == ["none"]


async def test_a_page_is_found_and_shown_by_references_alone(jmap: Jmap) -> None:
    await jmap.put(b"Message-ID: <p1@a>\r\nSubject: one\r\n\r\none", received=NOON)
    await jmap.put(b"In-Reply-To: <p1@a>\r\nSubject: two\r\n\r\ntwo", received=NOON + 1)
    answers = await jmap.calls(
        ("Email/query", {"collapseThreads": True}, "q"),
        (
            "Email/get",
            {
                "#ids": {"resultOf": "q", "name": "Email/query", "path": "/ids"},
                "properties": ["threadId"],
            },
            "g",
        ),
        (
            "Thread/get",
            {"#ids": {"resultOf": "g", "name": "Email/get", "path": "/list/*/threadId"}},
            "t",
        ),
        (
            "Email/get",
            {
                "#ids": {"resultOf": "t", "name": "Thread/get", "path": "/list/*/emailIds"},
                "properties": ["subject"],
            },
            "e",
        ),
    )
    assert len(answers[0][1]["ids"]) == 1
    assert [one["subject"] for one in answers[3][1]["list"]] == ["one", "two"]
