"""Where the parts of a message stand, and how they are described."""

from __future__ import annotations

import pytest
from mailbox_testing.messages import FORWARDED, lines
from mailward_mailbox.message.parse import MAX_DEPTH, MAX_PARTS, parse, parse_header
from mailward_mailbox.message.part import Part
from mailward_mailbox.message.transfer import UnknownEncodingError


def header_octets(part: Part) -> bytes:
    return part.octets[part.header_start : part.body_start]


def test_the_end_of_a_line_before_a_boundary_belongs_to_the_boundary() -> None:
    text = parse(FORWARDED).parts[0]
    assert text.body_octets() == b"one\r\ntwo"
    assert (text.size, text.lines) == (8, 1)
    assert header_octets(text) == b"Content-Type: text/plain\r\n\r\n"


def test_parts_are_numbered_as_sections_of_imap() -> None:
    outer = parse(FORWARDED)
    inner = outer.parts[1].message
    assert inner is not None
    assert [part.path for part in outer.walk()] == ["", "1", "2"]
    assert [part.path for part in inner.walk()] == ["2", "2.1", "2.2"]
    assert inner.parts[1].body_octets() == b"<b>\r\n"
    assert inner.header.first("SUBJECT") == b" inner"


def test_a_message_of_one_part_has_the_number_1() -> None:
    inner = parse(b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody")
    assert inner.path == "1"
    assert inner.message is not None
    assert (inner.message.path, inner.message.body_octets()) == ("1.1", b"body")


def test_the_text_around_the_parts_is_ignored() -> None:
    assert [part.type for part in parse(FORWARDED).parts] == ["text/plain", "message/rfc822"]


def test_parts_of_a_digest_are_messages() -> None:
    digest = parse(
        lines(
            *("Content-Type: multipart/digest; boundary=b", ""),
            *(
                "--b",
                "",
                "Subject: x",
                "",
                "y",
                "--b",
                "Content-Type: text/plain",
                "",
                "z",
                "--b--",
            ),
        )
    )
    assert [part.type for part in digest.parts] == ["message/rfc822", "text/plain"]
    message = digest.parts[0].message
    assert message is not None
    assert message.header.first("subject") == b" x"


@pytest.mark.parametrize(
    "content",
    ["multipart/mixed", 'multipart/mixed; boundary=""', "multipart/mixed; boundary=b", "text", ";"],
)
def test_what_nothing_parts_is_text(content: str) -> None:
    part = parse(f"Content-Type: {content}\r\n\r\n--x\r\n\r\nbody".encode())
    assert (part.type, part.params, part.parts) == ("text/plain", (), ())
    assert part.body_octets() == b"--x\r\n\r\nbody"


def test_lines_may_end_with_lf_alone() -> None:
    message = parse(
        b"Content-Type: multipart/mixed;\n boundary=b\n\n--b\n\none\n--b\n\ntwo\n\n--b--\n"
    )
    assert [part.body_octets() for part in message.parts] == [b"one", b"two\n"]


def test_a_multipart_that_is_cut_off_keeps_its_parts() -> None:
    for cut in range(FORWARDED.index(b"two"), len(FORWARDED)):
        assert parse(FORWARDED[:cut]).parts[0].body_octets().startswith(b"one\r\n")


def test_an_inner_part_ends_where_the_outer_does() -> None:
    message = parse(FORWARDED.replace(b"--in--", b"------"))
    inner = message.parts[1].message
    assert inner is not None
    assert len(message.parts) == 2
    assert inner.body_end == inner.parts[-1].body_end == message.parts[1].body_end


def test_a_boundary_that_begins_like_another_is_another() -> None:
    message = parse(
        lines(
            *("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "--bb", "--b-"),
            *(" --b", "x--b", "--b  ", "", "two", "--b-- ", ""),
        )
    )
    assert [part.body_octets() for part in message.parts] == [
        b"--bb\r\n--b-\r\n --b\r\nx--b",
        b"two",
    ]


def test_a_boundary_may_stand_in_pieces() -> None:
    message = parse(
        b"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\n\r\nx\r\n--ab--"
    )
    assert [part.body_octets() for part in message.parts] == [b"x"]


def test_parts_without_anything_in_them() -> None:
    message = parse(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n\r\n--b--")
    assert [(header_octets(part), part.body_octets()) for part in message.parts] == [
        (b"", b""),
        (b"", b""),
    ]


def test_parameters_keep_their_order_and_case() -> None:
    part = parse(
        b'Content-Type: TEXT/X-Y (so) ; Name="a;\\"b"; charset = utf-8 (mine); CHARSET=x;\r\n'
        b"\tempty=; name*0*=utf-8''%41; what; file=a (1).txt\r\n\r\n"
    )
    assert (part.kind, part.subtype) == ("text", "x-y")
    assert part.params == (
        *(("Name", b'a;"b'), ("charset", b"utf-8"), ("CHARSET", b"x"), ("empty", b"")),
        *(("name*0*", b"utf-8''%41"), ("file", b"a (1).txt")),
    )


def test_the_fields_that_describe_a_part() -> None:
    part = parse(
        lines(
            *("content-id: <a@b>", "Content-Description: =?utf-8?q?x?=", " y", "Content-MD5: z"),
            *('Content-Disposition: ATTACHMENT; filename="x"', "Content-Language: de, en"),
            *("Content-Location: here", "Content-Transfer-Encoding: Base64", "", "QUI=", ""),
        )
    )
    assert (part.content_id, part.description) == (b"<a@b>", b"=?utf-8?q?x?= y")
    assert (part.md5, part.location, part.encoding) == (b"z", b"here", "base64")
    assert part.disposition == ("attachment", (("filename", b"x"),))
    assert part.languages == ("de", "en")
    assert part.decoded() == b"AB"


def test_a_field_that_is_empty_is_not_one_that_is_missing() -> None:
    part = parse(b"Content-ID:\r\nSubject:\r\n\r\n")
    assert (part.content_id, part.description) == (b"", None)
    assert (part.header.first("subject"), part.header.first("to")) == (b"", None)
    assert (part.encoding, part.disposition, part.languages) == ("7bit", None, ())


def test_an_unknown_encoding_is_told() -> None:
    with pytest.raises(UnknownEncodingError, match="rot13"):
        parse(b"Content-Transfer-Encoding: rot13\r\n\r\nuryyb").decoded()


def test_fields_stand_as_they_were_written() -> None:
    header = parse_header(
        b"From x@y Thu\r\nA : 1\r\nb: 2\r\n \r\n\tx\r\nbroken line\r\nA:\xff\0\r\n\r\nA: 4\r\n"
    )
    assert [(one.name, one.value) for one in header.fields] == [
        *(("A", b" 1"), ("b", b" 2\r\n \r\n\tx"), ("A", b"\xff\0")),
    ]
    assert header.all("a") == [b" 1", b"\xff\0"]
    assert (header.first("a"), header.last("a")) == (b" 1", b"\xff\0")
    assert header.octets[header.fields[1].start : header.fields[1].end] == b"b: 2\r\n \r\n\tx\r\n"


def test_without_an_empty_line_the_body_begins_with_what_is_no_field() -> None:
    part = parse(b"Subject: x\r\njust some text: here\r\n")
    assert header_octets(part) == b"Subject: x\r\n"
    assert part.body_octets() == b"just some text: here\r\n"
    assert parse(b"Subject: x\r\nTo: y").body_octets() == b""


def depth(part: Part) -> int:
    below = [*part.parts, *([part.message] if part.message else [])]
    return 1 + max(map(depth, below), default=-1)


def test_what_is_beyond_the_caps_is_a_leaf() -> None:
    many = parse(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * (MAX_PARTS * 2)
    )
    assert len(many.parts) == MAX_PARTS - 1
    assert many.parts[-1].type == "application/octet-stream"
    assert many.parts[-1].body_octets().count(b"--b") == MAX_PARTS + 1
    deep = parse(b"Content-Type: message/rfc822\r\n\r\n" * 100)
    assert depth(deep) == MAX_DEPTH
