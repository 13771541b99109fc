"""SEARCH: which messages each key finds, and how the result is told (RFC 9051 section 6.4.4)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mailbox_testing.selected import NOON, Selected, selected
from mailward_mailbox.imap.view import Enabled

DAY = 86_400
FIRST = (
    b"Date: Wed, 17 Jul 1996 23:59:00 -0700\r\nFrom: Terry (the builder) <gray@cac.example>\r\n"
    b"To: =?utf-8?q?Zo=C3=AB?= <z@x.example>\r\nSubject: =?iso-8859-1?q?gr=FC=DFe?= from\r\n"
    b" here\r\nX-Empty:\r\n\r\nplain words\r\n"
)
SECOND = (
    b"Date: 18 Jul 96 00:01 +0000\r\nCc: undisclosed: a@b;\r\nBcc: hidden@x.example\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nSch=F6ne Gr=\r\n=FC=DFe\r\n"
    b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"PGI+Ym9sZDwvYj4=\r\n"
    b"--b\r\nContent-Type: application/pdf; name=report.pdf\r\n\r\nbinaryword\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: forwarded\r\n\r\ninside\r\n--b--\r\n"
)
THIRD = b"X: y\r\n\r\n" + b"z" * 500


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Selected]:
    async with selected(tmp_path) as inbox:
        await inbox.add(FIRST, "\\Seen", "\\Answered", "$Forwarded", received=NOON - DAY)
        await inbox.add(SECOND, "\\Flagged", "\\Draft", "work")
        await inbox.add(THIRD, "\\Deleted", received=NOON + DAY)
        yield inbox


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ("ALL", [1, 2, 3]),
        ("ANSWERED", [1]),
        ("UNANSWERED", [2, 3]),
        ("DELETED", [3]),
        ("UNDELETED", [1, 2]),
        ("DRAFT", [2]),
        ("UNDRAFT", [1, 3]),
        ("FLAGGED", [2]),
        ("UNFLAGGED", [1, 3]),
        ("SEEN", [1]),
        ("UNSEEN", [2, 3]),
        ("RECENT", []),
        ("NEW", []),
        ("OLD", [1, 2, 3]),
        ("KEYWORD Work", [2]),
        ("KEYWORD $forwarded", [1]),
        ("UNKEYWORD work", [1, 3]),
        ("2", [2]),
        ("2:*", [2, 3]),
        ("*", [3]),
        ("UID 1,3", [1, 3]),
        ("UID 7:9", []),
        ("LARGER 507", [3]),
        ("LARGER 508", []),
        ("SMALLER 508", [1, 2]),
        ("SENTON 17-Jul-1996", [1]),
        ('SENTBEFORE "18-Jul-1996"', [1]),
        ("SENTSINCE 18-Jul-1996", [2]),
        ("NOT SENTSINCE 1-Jan-1970", [3]),
        ("FROM gray@cac", [1]),
        ("FROM BUILDER", [1]),
        ("TO zoë", [1]),
        ("CC undisclosed", [2]),
        ("BCC HIDDEN", [2]),
        ("SUBJECT GRÜSSE", [1]),
        ('SUBJECT "from here"', [1]),
        ('SUBJECT "?q?"', []),
        ('HEADER X-Empty ""', [1]),
        ('HEADER x ""', [3]),
        ("HEADER X-Empty y", []),
        ("HEADER X Y", [3]),
        ("BODY words", [1]),
        ("BODY from", []),
        ("BODY grüße", [2]),
        ("BODY <b>Bold", [2]),
        ("BODY binaryword", []),
        ("BODY report.pdf", []),
        ("TEXT report.pdf", [2]),
        ("BODY forwarded", []),
        ("TEXT forwarded", [2]),
        ("BODY INSIDE", [2]),
        ('BODY ""', [1, 2, 3]),
        ("TEXT grüße", [1, 2]),
        ("TEXT x-empty", [1]),
        ("NOT TEXT grüße", [3]),
        ("SEEN FROM terry", [1]),
        ("FLAGGED FROM terry", []),
        ("OR FLAGGED FROM terry", [1, 2]),
        ("OR BODY words BODY inside", [1, 2]),
        ("OR (BODY nothing) (SUBJECT grüße BODY words)", [1]),
        ("NOT (OR SEEN DELETED)", [2]),
        ("NOT NOT NOT SEEN", [2, 3]),
        ("(1:2 (ALL)) UNSEEN", [2]),
        ("EMAILID nothing", []),
        ("THREADID nothing", []),
    ],
)
async def test_a_key_finds_what_the_standard_says(
    inbox: Selected, keys: str, numbers: list[int]
) -> None:
    assert await inbox.found(literals(keys)) == numbers


def literals(keys: str) -> bytes:
    """Words beyond ASCII as literals, the others as they are."""
    words = [word.encode() for word in keys.split(" ")]
    return b" ".join(w if w.isascii() else b"{%d}\r\n%b" % (len(w), w) for w in words)


@pytest.mark.parametrize(("key", "numbers"), [("BEFORE", [1]), ("ON", [2]), ("SINCE", [2, 3])])
async def test_the_internal_date_is_compared_by_the_day(
    inbox: Selected, key: str, numbers: list[int]
) -> None:
    day = time.strftime("%d-%b-%Y", time.gmtime(NOON))
    assert await inbox.found(f"{key} {day}".encode()) == numbers


async def test_ids_and_modseqs_are_found(inbox: Selected) -> None:
    one = inbox.view.mailbox.messages[2]
    assert await inbox.found(b"EMAILID %b" % one.email.encode()) == [2]
    assert await inbox.found(b"THREADID %b" % one.thread.encode()) == [2]
    highest = inbox.view.mailbox.modseq
    told = b"* SEARCH 2 3 (MODSEQ %d)\r\n" % highest
    assert await inbox.search(b"MODSEQ %d" % one.modseq) == told
    entry = b'MODSEQ "/flags/\\\\draft" all %d' % one.modseq
    assert await inbox.search(entry) == told
    assert await inbox.search(b"MODSEQ %d" % (highest + 1)) == b"* SEARCH\r\n"


async def test_uid_search_tells_uids(inbox: Selected) -> None:
    await inbox.mail.destroy(inbox.view.mailbox.id, [1])
    await inbox.add(THIRD)
    assert await inbox.search(b"ALL", by_uid=True) == b"* SEARCH 2 3 4\r\n"
    assert await inbox.search(b"ALL") == b"* SEARCH 1 2 3\r\n"


@pytest.mark.parametrize("charset", [b"UTF-8", b"us-ascii", b'"utf-8"'])
async def test_the_charset_of_a_search_is_known(inbox: Selected, charset: bytes) -> None:
    text = "grüße".encode()
    found = await inbox.found(b"CHARSET %b SUBJECT {%d}\r\n%b" % (charset, len(text), text))
    assert found == [1]


async def test_an_unknown_charset_is_refused_and_what_was_saved_is_gone(inbox: Selected) -> None:
    await inbox.search(b"RETURN (SAVE) SEEN")
    said = await inbox.search(b"CHARSET KOI8-R SUBJECT {1}\r\n\xc1")
    assert said.startswith(b"NO [BADCHARSET (UTF-8)]")
    assert await inbox.found(b"$") == [1]
    await inbox.search(b"RETURN (SAVE) CHARSET KOI8-R SUBJECT {1}\r\n\xc1")
    assert await inbox.found(b"$") == []


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (b"RETURN (MIN MAX COUNT ALL) UNSEEN", b" MIN 2 MAX 3 ALL 2:3 COUNT 2"),
        (b"RETURN () UNSEEN", b" ALL 2:3"),
        (b"RETURN (ALL) OR 1 3", b" ALL 1,3"),
        (b"return (count) ALL", b" COUNT 3"),
        (b"RETURN (MIN MAX ALL) RECENT", b""),
        (b"RETURN (MIN COUNT) RECENT", b" COUNT 0"),
        (b"RETURN (SAVE COUNT) CHARSET UTF-8 SEEN", b" COUNT 1"),
    ],
)
async def test_esearch_tells_what_return_asks_for(
    inbox: Selected, command: bytes, told: bytes
) -> None:
    assert await inbox.search(command) == b'* ESEARCH (TAG "a")%b\r\n' % told
    assert await inbox.search(command, by_uid=True) == b'* ESEARCH (TAG "a") UID%b\r\n' % told


async def test_imap4rev2_always_answers_with_esearch(inbox: Selected) -> None:
    inbox.enabled = Enabled(is_rev2=True)
    assert await inbox.search(b"SEEN") == b'* ESEARCH (TAG "a") ALL 1\r\n'
    assert await inbox.search(b"RECENT") == b'* ESEARCH (TAG "a")\r\n'


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        (b"SAVE", [1, 2, 3]),
        (b"SAVE MIN", [1]),
        (b"SAVE MAX", [3]),
        (b"SAVE MIN MAX", [1, 3]),
        (b"SAVE MIN COUNT", [1, 2, 3]),
        (b"SAVE MAX ALL", [1, 2, 3]),
    ],
)
async def test_a_result_is_saved_for_later(
    inbox: Selected, options: bytes, saved: list[int]
) -> None:
    said = await inbox.search(b"RETURN (%b) ALL" % options)
    assert (said == b"") is (options == b"SAVE")
    assert await inbox.found(b"$") == saved
    assert await inbox.found(b"NOT $") == sorted({1, 2, 3} - set(saved))
    assert (await inbox.fetch(b"$ UID")).count(b"FETCH") == len(saved)


async def test_modseq_in_esearch_is_that_of_what_is_told(inbox: Selected) -> None:
    messages = inbox.view.mailbox.messages
    for options, uid in ((b"MIN", 1), (b"MAX", 3), (b"MIN MAX", 3), (b"COUNT", 3)):
        said = await inbox.search(b"RETURN (%b) MODSEQ 1" % options)
        assert said.endswith(b" MODSEQ %d\r\n" % messages[uid].modseq)


@pytest.mark.parametrize(
    "command",
    [
        b"",
        b"NONSENSE",
        b"ALL ",
        b"( ALL)",
        b"()",
        b"(ALL",
        b"NOT",
        b"OR ALL",
        b"SUBJECT",
        b"ON 32-Jan-2026",
        b"LARGER x",
        b"RETURN (NONSENSE) ALL",
        b"RETURN (ALL)",
        b"CHARSET UTF-8",
        b"SUBJECT {1}\r\n\xff",
        b"MODSEQ",
    ],
)
async def test_a_search_that_is_none_is_bad(inbox: Selected, command: bytes) -> None:
    assert (await inbox.search(command)).startswith(b"BAD ")


@pytest.mark.parametrize(
    "command",
    [
        b"(" * 3_000,
        b"(" * 3_000 + b"ALL" + b")" * 3_000,
        b"NOT " * 3_000 + b"ALL",
        b"OR ALL " * 3_000 + b"ALL",
        b" ".join([b"TEXT a"] * 8_000),
        b" ".join(b"TEXT %d" % number for number in range(900)),
    ],
)
async def test_a_search_without_measure_is_refused_at_once(inbox: Selected, command: bytes) -> None:
    began = time.process_time()
    assert (await inbox.search(command)).startswith(b"BAD ")
    assert time.process_time() - began < 0.1


async def test_the_same_key_many_times_is_one(inbox: Selected) -> None:
    assert await inbox.found(b" ".join([b"TEXT words"] * 900)) == [1]


async def test_text_is_found_wherever_a_long_message_is_cut(inbox: Selected) -> None:
    line = b"0123456789" * 7 + b"\r\n"
    await inbox.add(b"\r\n" + line * 1_820 + b"needle".rjust(200_000, b"x") + line * 2_000)
    assert await inbox.found(b"BODY xneedle0") == [4]


async def test_what_a_charset_lies_about_is_found_as_far_as_it_can_be_read(
    inbox: Selected,
) -> None:
    await inbox.add(b"Content-Type: text/plain; charset=x-none\r\n\r\nhere is \xff a needle")
    await inbox.add(b"Content-Transfer-Encoding: x-none\r\n\r\nneedle")
    assert await inbox.found(b"BODY needle") == [4, 5]


async def test_combining_marks_without_end_take_no_time_without_end(inbox: Selected) -> None:
    marks = ("a" + "\u0301\u0316" * 100_000).encode()
    await inbox.add(b"Subject: " + marks[:200_000] + b"\r\n\r\n" + marks + b" needle")
    began = time.process_time()
    assert await inbox.found(b"TEXT needle") == [4]
    assert time.process_time() - began < 2
    await inbox.add("Subject: x\r\n\r\nGru\u0308ße".encode())
    assert await inbox.found(literals("BODY GRÜSSE")) == [2, 5]
