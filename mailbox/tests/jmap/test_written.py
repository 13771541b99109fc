"""What a draft says is what a reader finds in its message."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

from hypothesis import given
from hypothesis import strategies as st
from mailward_mailbox.jmap.message.bodies import name
from mailward_mailbox.jmap.message.headers import FORMS
from mailward_mailbox.jmap.message.written import (
    address_words,
    header_field,
    message,
    multipart,
    octets_entity,
    parameter,
    text_entity,
    text_words,
)
from mailward_mailbox.message.addresses import read_addresses
from mailward_mailbox.message.forms import line_of, text_of_field
from mailward_mailbox.message.parse import parse
from mailward_mailbox.message.text import text_of
from mailward_mailbox.message.words import composed

visible = st.text(
    st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(' ",;<>()=?\\@:.'), max_size=200
).map(lambda text: " ".join(text.split(" ")).strip())
words = st.one_of(visible, st.text('ab ",=?\\', max_size=120), st.just("a" * 990))
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n.= "), max_size=3_000)


def lines_fit(octets: bytes) -> bool:
    return all(len(line) <= 998 for line in octets.split(b"\r\n"))


@given(words, words)
def test_a_subject_and_a_name_are_read_as_they_were_given(subject: str, known: str) -> None:
    header = [
        header_field("Subject", text_words(subject)),
        header_field("To", address_words(known, "a@b.example")),
    ]
    octets = message(header, text_entity("plain", "x"))
    read = parse(octets).header
    raw = read.first("subject") or b""
    assert text_of_field(raw) == composed(subject)
    (address,) = read_addresses(line_of(read.first("to") or b""))
    assert (address.name or "") == composed(" ".join(known.split()))
    assert address.email == "a@b.example"
    assert lines_fit(octets)
    assert FORMS["Addresses"](read.first("to") or b"")


@given(texts)
def test_a_body_is_read_as_it_was_given(text: str) -> None:
    given_text = text.replace("\r\n", "\n")
    octets = message([], text_entity("plain", given_text))
    part = parse(octets)
    said, is_whole = text_of(part)
    assert is_whole or "\ufffd" in text
    assert said.removesuffix("\n") == given_text.removesuffix("\n")
    assert lines_fit(octets)
    assert part.header.first("content-type") is not None


@given(visible.filter(bool), st.binary(max_size=300))
def test_a_file_and_its_name_come_out_as_they_went_in(filename: str, octets: bytes) -> None:
    words = ["attachment", *parameter("filename", filename)]
    field = header_field("Content-Disposition", [*(one + ";" for one in words[:-1]), words[-1]])
    file = octets_entity([b"Content-Type: application/x", field], octets)
    whole = message([], multipart("mixed", [text_entity("plain", "x"), file]))
    _, attached = parse(whole).parts
    assert attached.decoded() == octets
    assert name(attached) == composed(filename)
    assert lines_fit(whole)
    _, elsewhere = message_from_bytes(whole, policy=default).iter_parts()
    assert elsewhere.get_content() == octets
