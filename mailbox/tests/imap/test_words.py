"""The words of IMAP commands, and the names and sets in them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailward_mailbox.imap.sequences import parse_sequence_set, write_numbers
from mailward_mailbox.imap.utf7 import from_utf7, to_utf7
from mailward_mailbox.imap.words import MAX_DEPTH, MAX_ITEMS, BadCommandError, ImapWords


def words(*lines: bytes, literals: tuple[bytes, ...] = ()) -> ImapWords:
    return ImapWords(lines, literals)


def test_strings_are_quoted_or_literals_and_nil_is_none_of_them() -> None:
    assert words(b'"a \\"b\\" \\\\"').string() == b'a "b" \\'
    assert words(b"{3}", b"", literals=(b"a\rb",)).string() == b"a\rb"
    assert words(b"nil").nstring() is None
    assert words(b"NIL").astring() == b"NIL"
    assert words(b"a]b").astring() == b"a]b"


@pytest.mark.parametrize(
    ("read", "octets"),
    [
        (ImapWords.string, b'"a'),
        (ImapWords.string, b'"a\\b"'),
        (ImapWords.string, b"atom"),
        (ImapWords.nstring, b"atom"),
        (ImapWords.atom, b"(a"),
        (ImapWords.number, b"4294967296"),
        (ImapWords.number64, b"9223372036854775808"),
        (ImapWords.number, b"99999999999999999999999"),
        (ImapWords.sequence_set, b"0"),
        (ImapWords.sequence_set, b"1,,2"),
        (ImapWords.sequence_set, b"4294967296"),
        (ImapWords.date, b"31-Feb-2026"),
        (ImapWords.date, b"1-Foo-2026"),
        (ImapWords.date_time, b'"01-Jan-2026 25:00:00 +0000"'),
        (ImapWords.date_time, b'"01-Jan-2026 12:00:00 +9900"'),
        (ImapWords.flag_list, b"(\\*)"),
        (ImapWords.flag_list, b"(a"),
        (ImapWords.flag_list, b"(\\Unheard)"),
    ],
)
def test_a_word_of_another_kind_is_bad(read: Callable[[ImapWords], object], octets: bytes) -> None:
    with pytest.raises(BadCommandError):
        read(words(octets))


def test_dates_and_times_have_their_zones() -> None:
    assert words(b"1-feb-2026").date() == words(b'"01-Feb-2026"').date() == date(2026, 2, 1)
    told = words(b'" 1-Feb-2026 12:30:00 -0230"').date_time()
    assert told == datetime(2026, 2, 1, 15, 0, tzinfo=UTC)


def test_nul_stands_in_no_string() -> None:
    with pytest.raises(BadCommandError):
        words(b"{1}", b"", literals=(b"\0",)).string()
    assert words(b"~{1}", b"", literals=(b"\0",)).message() == (b"\0", True)


def test_flags_are_told_apart_from_keywords_and_recent_is_never_set() -> None:
    assert words(b"(\\seen \\RECENT work)").flag_list() == {"\\Seen", "work"}
    assert words(b"\\Seen work").flags() == {"\\Seen", "work"}


def test_depth_and_count_are_bounded() -> None:
    def read(depth: int) -> None:
        with deep.nested():
            if depth:
                read(depth - 1)

    deep = words(b"")
    read(MAX_DEPTH - 1)
    with pytest.raises(BadCommandError):
        read(MAX_DEPTH)
    many = words(b"(" + b"a " * MAX_ITEMS + b"a)")
    with pytest.raises(BadCommandError):
        many.items(many.atom)


@pytest.mark.parametrize(
    "octets",
    [b'"' + b"\\\\" * 32_000, b'"' + b"a" * 65_000, b"1," * 32_000, b"{" * 65_000, b"(" * 65_000],
)
def test_no_word_takes_long(octets: bytes) -> None:
    began = time.process_time()
    for read in (ImapWords.astring, ImapWords.sequence_set, ImapWords.flag_list, ImapWords.date):
        with suppress(BadCommandError):
            read(words(octets))
    assert time.process_time() - began < 0.2


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_name_survives_modified_utf_7(name: str) -> None:
    assert from_utf7(to_utf7(name)) == name
    assert to_utf7(name).isascii()


def test_names_are_utf_8_or_utf_7_as_the_session_has_it() -> None:
    assert words(b'"&AOQ-"').mailbox(is_utf8=False) == "ä"
    assert words(b'"&AOQ-"').mailbox(is_utf8=True) == "&AOQ-"
    assert words('"ä"'.encode()).mailbox(is_utf8=True) == "ä"
    with pytest.raises(BadCommandError):
        words(b'"\xff"').mailbox(is_utf8=True)


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1)


@given(RANGES, st.lists(st.integers(1, 30), unique=True).map(sorted))
def test_a_set_finds_its_members_and_no_others(
    ranges: list[tuple[int, int]], there: list[int]
) -> None:
    largest = there[-1] if there else 0
    text = b",".join(b":".join(b"%d" % one if one else b"*" for one in pair) for pair in ranges)
    parsed = parse_sequence_set(text)
    assert parsed is not None
    named = [(first or largest, last or largest) for first, last in ranges]
    expected = [one for one in there if any(min(pair) <= one <= max(pair) for pair in named)]
    assert [there[place] for found in parsed.places(there) for place in found] == expected


@given(st.lists(st.integers(1, 99), unique=True))
def test_numbers_are_written_in_their_order(numbers: list[int]) -> None:
    written = write_numbers(numbers)
    read = [
        number
        for piece in (written.split(b",") if written else [])
        for first, _, last in [piece.partition(b":")]
        for number in range(int(first), int(last or first) + 1)
    ]
    assert read == numbers
