"""Messages that nobody should send: each is shown somehow, in bounded time."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from mailbox_testing.hall import Jmap

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROPERTIES = [
    *("id", "subject", "from", "to", "sentAt", "messageId", "headers", "hasAttachment", "preview"),
    *("bodyStructure", "textBody", "htmlBody", "attachments", "bodyValues"),
    *("header:X:asAddresses", "header:X:asText", "header:X:asGroupedAddresses"),
    *("header:X:asMessageIds", "header:X:asDate", "header:X:asURLs", "header:From:all"),
]
PART_PROPERTIES = [
    *("partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language"),
    *("location", "headers", "subParts"),
]


def nested(levels: int, boundary: str = "b{}") -> bytes:
    """A message with so many multiparts one inside the other."""
    head = "".join(
        f"Content-Type: multipart/mixed; boundary={boundary.format(one)}\r\n\r\n"
        f"--{boundary.format(one)}\r\n"
        for one in range(levels)
    )
    return head.encode() + b"\r\nat the bottom\r\n"


def header(value: bytes) -> bytes:
    return b"X: " + value + b"\r\nFrom: " + value + b"\r\nDate: " + value + b"\r\n\r\n"


MESSAGES: dict[str, bytes] = {
    "nothing": b"\r\n",
    "no header": b"just some text\r\nand more",
    "no body": b"Subject: x",
    "only LF": b"Subject: x\nFrom: y@z\n\nbody\n",
    "bare CR": b"Subject: x\rFrom: y\r\rbody\r",
    "NUL": b"Subject: a\0b\r\n\r\n\0\0",
    "8-bit header": b"Subject: gr\xfc\xdfe\r\nFrom: \xff <\xfe@x>\r\n\r\n\xff\xfe",
    "8-bit name": b"Subj\xe4ct: x\r\n\r\nbody",
    "a name with a blank": b"Subject : x\r\n\r\nbody",
    "a line of 1 MB": b"Subject: " + b"x" * 1_048_576 + b"\r\n\r\n" + b"y" * 1_048_576,
    "folded without end": b"Subject: x\r\n" + b" y\r\n" * 100_000 + b"\r\n",
    "100,000 fields": b"A: b\r\n" * 100_000 + b"\r\nbody",
    "1,000 nested parts": nested(1_000),
    "1,000 nested parts with one boundary": nested(1_000, "same"),
    "10,000 parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\n\r\nx\r\n" * 10_000,
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\nbody",
    "an empty boundary": b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\nbody',
    "no part": b"Content-Type: multipart/mixed; boundary=b\r\n\r\nbody",
    "only the last delimiter": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n",
    "cut off": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: te",
    "not base64": b"Content-Transfer-Encoding: base64\r\n\r\n!!!!a\xff=b==c",
    "not quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ=\xff==",
    "an unknown encoding": b"Content-Transfer-Encoding: rot13\r\n\r\nuryyb",
    "an unknown charset": b"Content-Type: text/plain; charset=klingon\r\n\r\nx\xff",
    "a charset that is a codec": b"Content-Type: text/plain; charset=hex\r\n\r\nx\xff",
    "a slow charset": b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a-b" * 100_000,
    "half characters": b"Content-Type: text/plain; charset=utf-16\r\n\r\n\x00\xd8\x00\xd8",
    "half characters in utf-7": b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-",
    "a type that is none": b'Content-Type: ;;;=""\r\n\r\nx',
    "a type of 1 MB": b"Content-Type: text/plain" + b';a="' * 250_000 + b"\r\n\r\nx",
    "words": b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\r\n\r\nx",
    "broken words": b"Subject: =?x?b?!?= =?utf-8?b?a?= =?utf-8?q?=ff?= =?hex?q?00?=\r\n\r\nx",
    "tags": b"Content-Type: text/html\r\n\r\n" + b"<" * 1_000_000 + b"<script>" * 10_000,
    "references": b"Content-Type: text/html\r\n\r\n&#xD800;&#99999999999;&amp" * 1_000,
    "a tag without end": b"Content-Type: text/html\r\n\r\n<" + b"a" * 1_000_000,
    "a reference of 5,000 digits": b"Content-Type: text/html\r\n\r\n&#" + b"1" * 5_000,
    "a boundary all over a line": b"Content-Type: multipart/mixed; boundary="
    + b"-" * 60
    + b"\r\n\r\nx"
    + b"-" * 5_000_000,
    "commas": header(b"," * 200_000),
    "escaped quotes": header(b'"' + b'\\"' * 100_000 + b"\\"),
    "quotes": header(b'"' * 200_001),
    "backslashes": header(b'"' + b"\\" * 200_001),
    "comments": header(b"(" * 200_000),
    "angles": header(b"<" * 200_000),
    "brackets": header(b"[" * 200_000),
    "groups": header(b"a:" * 100_000),
    "colons": header(b":;" * 100_000),
    "an absurd date": header(b"Thu, 99 Feb 99999 99:99:99 +99999999"),
    "a long date": header(b"1 " * 200_000),
    "a nested message": b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx",
    "a digest": b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n--b--",
    "parameters in pieces": b"Content-Type: text/plain; name*0*=x'y; name*1=z; name*999=q;"
    b" name*5*=%ff%fe; charset*=\r\n\r\nx",
}


async def looked_at(jmap: Jmap, octets: bytes) -> dict[str, Any]:
    message = await jmap.put(octets)
    email: dict[str, Any] = await jmap.email(
        message,
        properties=PROPERTIES,
        bodyProperties=PART_PROPERTIES,
        fetchAllBodyValues=True,
        maxBodyValueBytes=1_000,
    )
    return email


@pytest.mark.parametrize("name", MESSAGES)
async def test_every_message_is_shown_in_bounded_time(jmap: Jmap, name: str) -> None:
    begun = time.process_time()
    email = await looked_at(jmap, MESSAGES[name])
    assert set(email) == set(PROPERTIES)
    found = await jmap.call("Email/query", filter={"text": "nowhere-in-it", "from": "me"})
    assert found["ids"] == []
    await jmap.call("Email/query", sort=[{"property": one} for one in ("from", "subject")])
    assert time.process_time() - begun < 5.0


async def test_what_is_too_deep_is_a_file(jmap: Jmap) -> None:
    email = await looked_at(jmap, MESSAGES["1,000 nested parts"])
    part, levels = email["bodyStructure"], 0
    while part.get("subParts"):
        (part,) = part["subParts"]
        levels += 1
    assert levels == 32
    assert part["type"] == "application/octet-stream"
    octets = (
        await jmap.raw("GET", f"/jmap/download/{await account(jmap)}/{part['blobId']}/x")
    ).body
    assert octets.endswith(b"at the bottom\r\n")


async def account(jmap: Jmap) -> str:
    ((_, answer, _),) = await jmap.calls(("Mailbox/get", {"ids": []}))
    name: str = answer["accountId"]
    return name


async def test_what_parts_nothing_is_text(jmap: Jmap) -> None:
    for name in ("no boundary", "an empty boundary", "no part"):
        email = await looked_at(jmap, MESSAGES[name])
        (part,) = email["textBody"]
        assert part["type"] == "text/plain"
        assert "body" in email["bodyValues"][part["partId"]]["value"]


async def test_a_broken_encoding_is_said_so(jmap: Jmap) -> None:
    for name in ("an unknown encoding", "an unknown charset", "half characters"):
        email = await looked_at(jmap, MESSAGES[name])
        assert email["bodyValues"]["1"]["isEncodingProblem"] is True


async def test_mutants_of_a_message_are_shown(jmap: Jmap) -> None:
    dice = random.Random(7)
    whole = b"\r\n".join(
        (
            b'From: "A, B" <a@b>, G: c@d;',
            b"Subject: =?utf-8?q?x=20y?=",
            b"Content-Type: multipart/mixed; boundary=b; name*0*=utf-8''%41",
            b"",
            b"--b",
            b"Content-Type: text/html; charset=utf-8",
            b"Content-Transfer-Encoding: base64",
            b"",
            b"PGI+R3LDvMOfZTwvYj4=",
            b"--b--",
        )
    )
    for _ in range(150):
        mutant = bytearray(whole)
        for _ in range(dice.randint(1, 12)):
            place = dice.randrange(len(mutant))
            match dice.randrange(3):
                case 0:
                    mutant[place] = dice.randrange(256)
                case 1:
                    del mutant[place : place + dice.randint(1, 9)]
                case _:
                    mutant[place:place] = mutant[: dice.randint(1, 40)]
        await looked_at(jmap, bytes(mutant) or b"x")
