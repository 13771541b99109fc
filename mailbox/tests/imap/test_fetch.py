"""FETCH: what is asked for comes back as the standards say (RFC 9051 sections 6.4.5 and 7.5.2)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mailbox_testing.selected import Selected, selected
from mailward_mailbox.imap.view import Enabled

PLAIN = (
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\n"
    b"From: Terry <gray@cac.example>\r\n"
    b"Subject: hello\r\n"
    b"\r\n"
    b"how are you?\r\nwell\r\n"
)
MIXED = (
    b"Subject: mixed\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="o"\r\n\r\npreamble\r\n'
    b"--o\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Language: de, en\r\n\r\nZ3LDvMOfZQ==\r\n"
    b"--o\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n"
    b"--i\r\nContent-ID: <a@b>\r\n\r\none\r\n--i\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: innermost\r\n\r\ndeep\r\n\r\n--i--\r\n\r\n"
    b"--o\r\nContent-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: x-unheard\r\n"
    b"Content-Disposition: attachment; filename=x.pdf; size=3\r\nContent-MD5: abc\r\n"
    b"Content-Location: http://x.example/\r\nContent-Description: a file\r\n\r\nabc\r\n--o--\r\n"
)


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Selected]:
    async with selected(tmp_path) as inbox:
        yield inbox


async def value(inbox: Selected, item: bytes) -> bytes:
    """The value of the only item that was asked for, of the only message."""
    said = await inbox.fetch(b"1 " + item)
    head = b"* 1 FETCH (" + item.replace(b".PEEK", b"")
    assert said.startswith(head.split(b"<")[0]), said
    assert said.endswith(b")\r\n"), said
    return said[len(head) + 1 : -3]


def literal(octets: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(octets), octets)


# -- items -----------------------------------------------------------------------------------------


async def test_what_is_stored_of_a_message_is_told(inbox: Selected) -> None:
    message = await inbox.add(PLAIN, "\\Flagged", "work", received=837_000_000)
    assert await inbox.fetch(b"1 (UID FLAGS INTERNALDATE RFC822.SIZE EMAILID THREADID MODSEQ)") == (
        b"* 1 FETCH (UID %d FLAGS (\\Flagged work) INTERNALDATE "
        b'"10-Jul-1996 12:00:00 +0000" RFC822.SIZE %d EMAILID (%b) THREADID (%b) MODSEQ (%d))\r\n'
        % (1, len(PLAIN), message.email.encode(), message.thread.encode(), message.modseq)
    )


@pytest.mark.parametrize(
    ("macro", "items"),
    [
        (b"FAST", b"(FLAGS INTERNALDATE RFC822.SIZE)"),
        (b"all", b"(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"),
        (b"FULL", b"(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY)"),
    ],
)
async def test_macros_stand_for_items(inbox: Selected, macro: bytes, items: bytes) -> None:
    await inbox.add(PLAIN)
    assert await inbox.fetch(b"1 " + macro) == await inbox.fetch(b"1 " + items) != b""


async def test_uid_fetch_always_tells_the_uid(inbox: Selected) -> None:
    await inbox.add(PLAIN)
    assert await inbox.fetch(b"1:* FLAGS", by_uid=True) == b"* 1 FETCH (UID 1 FLAGS ())\r\n"
    assert await inbox.fetch(b"1 (UID)", by_uid=True) == b"* 1 FETCH (UID 1)\r\n"
    assert await inbox.fetch(b"7 FLAGS", by_uid=True) == b""


async def test_changedsince_leaves_out_what_has_not_changed(inbox: Selected) -> None:
    old, new = await inbox.add(PLAIN), await inbox.add(PLAIN)
    said = await inbox.fetch(b"1:* (FLAGS) (CHANGEDSINCE %d)" % old.modseq)
    assert said == b"* 2 FETCH (FLAGS () MODSEQ (%d))\r\n" % new.modseq


async def test_an_item_is_answered_once_however_often_it_is_asked_for(inbox: Selected) -> None:
    await inbox.add(PLAIN)
    once = await inbox.fetch(b"1 (BODY.PEEK[])")
    assert await inbox.fetch(b"1 (%b)" % b" ".join([b"BODY.PEEK[]"] * 900)) == once
    assert (await inbox.fetch(b"1 (%b)" % b" ".join([b"BODY[]"] * 3_000))).startswith(b"BAD ")
    many = b" ".join(b"BODY.PEEK[]<%d.1>" % number for number in range(500))
    assert (await inbox.fetch(b"1 (%b)" % many)).startswith(b"BAD ")


@pytest.mark.parametrize(
    "items",
    [
        b"",
        b"()",
        b"NONSENSE",
        b"(ALL)",
        b"(FLAGS",
        b"FLAGS ENVELOPE",
        b"BODY[",
        b"BODY[0]",
        b"BODY[1.]",
        b"BODY[.1]",
        b"BODY[1HEADER]",
        b"BODY[MIME]",
        b"BODY[HEADER.FIELDS]",
        b"BODY[HEADER.FIELDS ()]",
        b"BODY[NONSENSE]",
        b"BODY[]<1>",
        b"BODY[]<0.0>",
        b"BINARY[TEXT]",
        b"BINARY.SIZE[]<0.1>",
        b"RFC822.PEEK",
        b"ENVELOPE[]",
        b"FLAGS (CHANGEDSINCE)",
        b"FLAGS (VANISHED)",
        b"BODY[%b]" % b".".join([b"1"] * 100),
    ],
)
async def test_an_item_that_is_none_is_bad(inbox: Selected, items: bytes) -> None:
    await inbox.add(PLAIN)
    assert (await inbox.fetch(b"1 " + items)).startswith(b"BAD ")


# -- ENVELOPE --------------------------------------------------------------------------------------


async def envelope(inbox: Selected, header: bytes) -> bytes:
    await inbox.add(header + b"\r\n")
    return await value(inbox, b"ENVELOPE")


async def test_an_envelope_has_every_field_in_its_place(inbox: Selected) -> None:
    assert await envelope(
        inbox,
        b"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nFrom: Terry Gray <gray@cac.example>\r\n"
        b"Sender: s@x\r\nReply-To: r@x\r\nTo: a@x, b@x\r\nCc: c@x\r\nBcc: d@x\r\n"
        b"Subject: IMAP4rev2 WG\r\n mtg\r\nIn-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\n",
    ) == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700" "IMAP4rev2 WG mtg"'
        b' (("Terry Gray" NIL "gray" "cac.example"))'
        b' ((NIL NIL "s" "x")) ((NIL NIL "r" "x")) ((NIL NIL "a" "x")(NIL NIL "b" "x"))'
        b' ((NIL NIL "c" "x")) ((NIL NIL "d" "x")) "<1@x>" "<2@x>")'
    )


async def test_an_odd_date_stays_and_costs_no_other_field(inbox: Selected) -> None:
    told = await envelope(inbox, b"Date: yesterday, at 25:99\r\nSubject: x\r\nFrom: a@b\r\n")
    assert told.startswith(b'("yesterday, at 25:99" "x" ((NIL NIL "a" "b"))')


async def test_encoded_words_stay_as_they_are_written(inbox: Selected) -> None:
    told = await envelope(
        inbox, b"Subject: =?utf-8?q?caf=C3=A9?=\r\nFrom: =?utf-8?q?Zo=C3=AB?= <z@x>\r\n"
    )
    assert told.startswith(b'(NIL "=?utf-8?q?caf=C3=A9?=" (("=?utf-8?q?Zo=C3=AB?=" NIL "z" "x"))')


async def test_an_absent_field_is_nil_and_an_empty_one_is_empty(inbox: Selected) -> None:
    told = await envelope(inbox, b"Subject:\r\nMessage-ID: \r\nTo:\r\nFrom: a@b\r\nSender:\r\n")
    sender = b'((NIL NIL "a" "b"))'
    assert told == b'(NIL "" %b %b %b NIL NIL NIL NIL "")' % (sender, sender, sender)
    assert await envelope(inbox, b"") == told


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (
            b"undisclosed-recipients:;",
            b'((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))',
        ),
        (
            b"Friends: a@b, C <c@d>;, e@f",
            (
                b'((NIL NIL "Friends" NIL)(NIL NIL "a" "b")("C" NIL "c" "d")(NIL NIL NIL NIL)'
                b'(NIL NIL "e" "f"))'
            ),
        ),
        (b"nobody", b'((NIL NIL "nobody" ""))'),
    ],
)
async def test_groups_and_what_is_no_address_are_told(
    inbox: Selected, field: bytes, told: bytes
) -> None:
    assert told in await envelope(inbox, b"To: %b\r\n" % field)


async def test_octets_beyond_ascii_are_quoted_only_where_the_client_takes_utf8(
    inbox: Selected,
) -> None:
    subject = "grüße".encode()
    assert literal(subject) in await envelope(inbox, b"Subject: %b\r\n" % subject)
    inbox.enabled.is_utf8 = True
    assert b'"%b"' % subject in await value(inbox, b"ENVELOPE")
    await inbox.add(b"Subject: gr\xfc\xdfe\r\n\r\n")
    assert literal(b"gr\xfc\xdfe") in await inbox.fetch(b"2 ENVELOPE")


async def test_a_list_of_addresses_does_not_grow_beyond_measure(inbox: Selected) -> None:
    part = b"--b\r\nContent-Type: message/rfc822\r\n\r\nTo: %b\r\n\r\n\r\n" % (b"a," * 100_000)
    await inbox.add(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 20)
    assert len(await inbox.fetch(b"1 BODYSTRUCTURE")) < 3_000_000


# -- BODYSTRUCTURE ---------------------------------------------------------------------------------


async def test_the_structure_of_a_plain_message(inbox: Selected) -> None:
    await inbox.add(PLAIN)
    plain = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 20 2'
    assert await value(inbox, b"BODY") == plain + b")"
    assert await value(inbox, b"BODYSTRUCTURE") == plain + b" NIL NIL NIL NIL)"


async def test_the_structure_of_parts_in_parts(inbox: Selected) -> None:
    await inbox.add(MIXED)
    inner = MIXED[MIXED.index(b"Subject: inner") : MIXED.index(b"\r\n--o\r\nContent-Type: app")]
    deep = b"Subject: innermost\r\n\r\ndeep\r\n"
    nils = b" NIL" * 8
    assert await value(inbox, b"BODYSTRUCTURE") == (
        b'(("text" "plain" ("charset" "utf-8") NIL NIL "base64" 12 0 NIL NIL ("de" "en") NIL)'
        b'("message" "rfc822" NIL NIL NIL "7bit" %d (NIL "inner"%b)'
        b' (("text" "plain" ("charset" "us-ascii") "<a@b>" NIL "7bit" 3 0 NIL NIL NIL NIL)'
        b'("message" "rfc822" NIL NIL NIL "7bit" %d (NIL "innermost"%b)'
        b' ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)'
        b" 3 NIL NIL NIL NIL)"
        b' "alternative" ("boundary" "i") NIL NIL NIL) %d NIL NIL NIL NIL)'
        b'("application" "pdf" ("name" "x.pdf") NIL "a file" "x-unheard" 3 "abc"'
        b' ("attachment" ("filename" "x.pdf" "size" "3")) NIL "http://x.example/")'
        b' "mixed" ("boundary" "o") NIL NIL NIL)'
        % (len(inner), nils, len(deep), nils, inner.count(b"\n"))
    )
    assert b"x.example" not in await value(inbox, b"BODY")


# -- sections --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "octets"),
    [
        (b"", MIXED),
        (b"HEADER", MIXED[: MIXED.index(b"preamble")]),
        (b"TEXT", MIXED[MIXED.index(b"preamble") :]),
        (b"1", b"Z3LDvMOfZQ=="),
        (
            b"1.MIME",
            (
                b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
                b"Content-Language: de, en\r\n\r\n"
            ),
        ),
        (
            b"2.HEADER",
            b"Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n",
        ),
        (b"2.HEADER.FIELDS (SUBJECT)", b"Subject: inner\r\n\r\n"),
        (
            b"2.HEADER.FIELDS.NOT (subject x)",
            b"Content-Type: multipart/alternative; boundary=i\r\n\r\n",
        ),
        (b"2.1", b"one"),
        (b"2.1.MIME", b"Content-ID: <a@b>\r\n\r\n"),
        (b"2.2", b"Subject: innermost\r\n\r\ndeep\r\n"),
        (b"2.2.HEADER", b"Subject: innermost\r\n\r\n"),
        (b"2.2.TEXT", b"deep\r\n"),
        (b"2.2.1", b"deep\r\n"),
        (b"3", b"abc"),
    ],
)
async def test_a_section_is_just_its_octets(inbox: Selected, section: bytes, octets: bytes) -> None:
    await inbox.add(MIXED)
    assert await value(inbox, b"BODY.PEEK[%b]" % section) == literal(octets)


@pytest.mark.parametrize(
    "section", [b"4", b"1.1", b"1.HEADER", b"1.TEXT", b"2.1.HEADER", b"2.3", b"3.TEXT", b"2.2.2"]
)
async def test_a_section_that_is_not_there_is_empty(inbox: Selected, section: bytes) -> None:
    await inbox.add(MIXED)
    assert await value(inbox, b"BODY.PEEK[%b]" % section) == b'""'


async def test_the_text_of_a_message_without_parts_is_part_one(inbox: Selected) -> None:
    await inbox.add(PLAIN)
    assert await value(inbox, b"BODY.PEEK[1]") == literal(b"how are you?\r\nwell\r\n")
    assert await value(inbox, b"BODY.PEEK[1.MIME]") == literal(PLAIN[: PLAIN.index(b"how")])
    assert await value(inbox, b"BODY.PEEK[2]") == b'""'
    assert await value(inbox, b"BODY.PEEK[1.1]") == b'""'


async def test_a_partial_section_is_answered_with_its_origin(inbox: Selected) -> None:
    await inbox.add(PLAIN)
    assert await inbox.fetch(b"1 BODY.PEEK[]<0.10>") == (
        b"* 1 FETCH (BODY[]<0> %b)\r\n" % literal(PLAIN[:10])
    )
    assert await inbox.fetch(b"1 BODY.PEEK[TEXT]<4.3>") == (
        b"* 1 FETCH (BODY[TEXT]<4> %b)\r\n" % literal(b"are")
    )
    assert await inbox.fetch(b"1 BODY.PEEK[]<9000.10>") == (
        b"* 1 FETCH (BODY[]<9000> %b)\r\n" % literal(b"")
    )


async def test_names_of_fields_are_echoed_as_they_were_asked_for(inbox: Selected) -> None:
    await inbox.add(PLAIN)
    said = await inbox.fetch(b'1 BODY.PEEK[HEADER.FIELDS (sUBJECT "x y" {2}\r\nTo)]')
    assert said == b'* 1 FETCH (BODY[HEADER.FIELDS (sUBJECT "x y" To)] %b)\r\n' % (
        literal(b"Subject: hello\r\n\r\n")
    )


async def test_the_items_of_rfc822_have_their_own_names(inbox: Selected) -> None:
    await inbox.add(PLAIN, "\\Seen")
    header, text = PLAIN[: PLAIN.index(b"how")], PLAIN[PLAIN.index(b"how") :]
    assert await inbox.fetch(b"1 (RFC822 RFC822.HEADER RFC822.TEXT)") == (
        b"* 1 FETCH (RFC822 %b RFC822.HEADER %b RFC822.TEXT %b)\r\n"
        % (literal(PLAIN), literal(header), literal(text))
    )


async def test_a_header_without_end_is_whole(inbox: Selected) -> None:
    long = b"Subject: x\r\n" + b"X-Long: y\r\n" * 10_000
    await inbox.add(long)
    assert await value(inbox, b"BODY.PEEK[HEADER]") == literal(long)
    assert await value(inbox, b"BODY.PEEK[HEADER.FIELDS (SUBJECT)]") == literal(b"Subject: x\r\n")
    await inbox.add(long + b"\r\ntext\r\n")
    said = await inbox.fetch(b"2 (BODY.PEEK[HEADER] ENVELOPE)")
    assert literal(long + b"\r\n") in said
    assert b'(NIL "x"' in said


async def test_nul_goes_only_into_a_literal8(inbox: Selected) -> None:
    await inbox.add(b"Content-Transfer-Encoding: binary\r\n\r\na\0b")
    assert await value(inbox, b"BODY.PEEK[1]") == literal(b"a\x80b")
    assert await value(inbox, b"BINARY.PEEK[1]") == b"~" + literal(b"a\0b")


# -- \Seen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item", [b"BODY[]", b"BODY[TEXT]", b"RFC822", b"RFC822.TEXT", b"BINARY[1]"]
)
async def test_reading_a_message_makes_it_seen_and_says_so(inbox: Selected, item: bytes) -> None:
    await inbox.add(PLAIN, "work")
    said = await inbox.fetch(b"1 " + item)
    assert said.endswith(b" FLAGS (\\Seen work))\r\n")
    assert b"FLAGS" not in await inbox.fetch(b"1 " + item)
    assert inbox.view.mailbox.messages[1].flags == {"\\Seen", "work"}


@pytest.mark.parametrize("item", [b"BODY.PEEK[]", b"RFC822.HEADER", b"BINARY.PEEK[1]", b"ENVELOPE"])
async def test_looking_at_a_message_does_not_make_it_seen(inbox: Selected, item: bytes) -> None:
    await inbox.add(PLAIN)
    assert b"FLAGS" not in await inbox.fetch(b"1 " + item)
    assert not inbox.view.mailbox.messages[1].flags


async def test_nothing_becomes_seen_after_examine(inbox: Selected) -> None:
    await inbox.add(PLAIN)
    inbox.is_read_only = True
    assert await inbox.fetch(b"1 (FLAGS BODY[TEXT])") == (
        b"* 1 FETCH (FLAGS () BODY[TEXT] %b)\r\n" % literal(b"how are you?\r\nwell\r\n")
    )
    assert not inbox.view.mailbox.messages[1].flags


async def test_flags_that_change_come_with_their_modseq_under_condstore(inbox: Selected) -> None:
    await inbox.add(PLAIN)
    inbox.enabled = Enabled(is_condstore=True)
    said = await inbox.fetch(b"1 BODY[]")
    modseq = inbox.view.mailbox.messages[1].modseq
    assert said.endswith(b" FLAGS (\\Seen) MODSEQ (%d))\r\n" % modseq)


# -- BINARY ----------------------------------------------------------------------------------------


async def test_binary_is_a_part_decoded(inbox: Selected) -> None:
    await inbox.add(MIXED)
    octets = "grüße".encode()
    assert await value(inbox, b"BINARY.PEEK[1]") == literal(octets)
    assert await value(inbox, b"BINARY.SIZE[1]") == b"%d" % len(octets)
    assert await inbox.fetch(b"1 BINARY.PEEK[1]<2.2>") == (
        b"* 1 FETCH (BINARY[1]<2> %b)\r\n" % literal(octets[2:4])
    )
    assert await value(inbox, b"BINARY.PEEK[9]") == b'""'


async def test_a_binary_part_is_a_literal8(inbox: Selected) -> None:
    await inbox.add(b"Content-Transfer-Encoding: binary\r\n\r\nabc")
    assert await value(inbox, b"BINARY.PEEK[1]") == b"~" + literal(b"abc")


async def test_an_unknown_encoding_is_told_and_all_else_is_answered(inbox: Selected) -> None:
    await inbox.add(PLAIN)
    await inbox.add(MIXED)
    said = await inbox.fetch(b"1:2 (UID BINARY.PEEK[3])")
    assert b"* 2 FETCH (UID 2)\r\n" in said
    assert said.endswith(b"NO [UNKNOWN-CTE] The encoding of a part is unknown\r\n")
    assert (await inbox.fetch(b"2 BINARY.SIZE[3]")).startswith(b"NO [UNKNOWN-CTE]")
    assert await inbox.fetch(b"2 BODY.PEEK[3]") == b"* 2 FETCH (BODY[3] {3}\r\nabc)\r\n"


# -- what is gone, and what is long ----------------------------------------------------------------


async def test_of_a_message_that_another_session_removed_only_the_uid_is_told(
    inbox: Selected,
) -> None:
    await inbox.add(PLAIN)
    await inbox.add(PLAIN + b"2")
    assert len(inbox.view.uids) == 2
    await inbox.mail.destroy(inbox.view.mailbox.id, [1])
    told = await inbox.fetch(b"1:2 (UID RFC822.SIZE)")
    assert told == b"* 2 FETCH (UID 2 RFC822.SIZE %d)\r\n" % (len(PLAIN) + 1)
    assert await inbox.fetch(b"1:2 UID") == b"* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n"


async def test_a_long_message_goes_out_in_pieces(inbox: Selected) -> None:
    text = b"0123456789abcdef" * 65_536 * 3 + b"\0"
    await inbox.add(b"\r\n" + text)
    said = await inbox.fetch(b"1 (BODY.PEEK[] BODY.PEEK[TEXT] BODY.PEEK[1]<5.2000000>)")
    shown = text[:-1] + b"\x80"
    assert said == b"* 1 FETCH (BODY[] %b BODY[TEXT] %b BODY[1]<5> %b)\r\n" % (
        literal(b"\r\n" + shown),
        literal(shown),
        literal(text[5:2_000_005]),
    )
    assert inbox.client.longest <= 600_000


async def test_a_long_message_in_pieces_is_the_same_as_in_one(inbox: Selected) -> None:
    part = b"--b\r\nX: y\r\n\r\n" + b"0123456789abcdef" * 70_000 + b"\r\n"
    message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 2 + b"--b--\r\n"
    await inbox.add(message)
    text = part[len(b"--b\r\nX: y\r\n\r\n") : -2]
    began = time.process_time()
    for first in range(0, len(text), 65_536):
        said = await inbox.fetch(b"1 BODY.PEEK[2]<%d.65536>" % first)
        piece = literal(text[first : first + 65_536])
        assert said == b"* 1 FETCH (BODY[2]<%d> %b)\r\n" % (first, piece)
    assert time.process_time() - began < 1
    for section, octets in (
        (b"2.MIME", b"X: y\r\n\r\n"),
        (b"HEADER", message[: message.index(b"--b")]),
        (b"3", None),
        (b"HEADER.FIELDS (SUBJECT)", b"\r\n"),
    ):
        told = b'""' if octets is None else literal(octets)
        assert await value(inbox, b"BODY.PEEK[%b]" % section) == told
    assert b'"mixed" ("boundary" "b")' in await inbox.fetch(b"1 BODYSTRUCTURE")
    assert await value(inbox, b"BINARY.SIZE[1]") == b"%d" % len(text)


async def test_long_decoded_parts_wait_for_room_in_memory(inbox: Selected) -> None:
    lines = b"YWJj" * 19 + b"\r\n"
    await inbox.add(b"Content-Transfer-Encoding: base64\r\n\r\n" + lines * 40_000)
    decoded = b"abc" * 19 * 40_000
    inbox.reader.room.take(60_000_000)
    for _ in range(5):  # what was sent leaves its room to others
        assert await value(inbox, b"BINARY.PEEK[1]") == literal(decoded)
    inbox.reader.room.take(6_000_000)
    assert (await inbox.fetch(b"1 BINARY.PEEK[1]")).startswith(b"NO [LIMIT]")
    assert await inbox.fetch(b"1 UID") == b"* 1 FETCH (UID 1)\r\n"
