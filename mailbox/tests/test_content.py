"""What was put into DATA or BDAT comes out of it, however the network cuts it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailward_mailbox.delivery.lines import in_whole_lines, stuffed, unstuffed
from mailward_mailbox.room import Room
from mailward_mailbox.submission.content import BareLineEndError, Content, Loss

LINES = st.lists(st.text("ab.\x00\xff", max_size=4).map(lambda text: text.encode("latin-1")))
CUTS = st.integers(1, 9)


@given(LINES, CUTS, st.binary(max_size=5))
def test_every_line_comes_out_as_it_was(lines: list[bytes], size: int, behind: bytes) -> None:
    content = Content(1_000_000, Room(1_000_000))
    content.begin_data()
    stream = stuffed(b"".join(line + b"\r\n" for line in lines)) + b".\r\n" + behind
    rest = None
    at = 0
    while rest is None:
        rest = content.add_data(stream[at : at + size])
        at += size
    assert content.take() == b"".join(line + b"\r\n" for line in lines)
    assert rest + stream[at:] == behind


@given(st.text("a.\r\n", max_size=30), CUTS)
def test_nothing_with_a_bare_cr_or_lf_comes_out(text: str, size: int) -> None:
    octets = text.encode()
    is_bare = re.search(rb"(?<!\r)\n|\r(?!\n)", octets) is not None
    content = Content(100, Room(100))
    try:
        for at in range(0, len(octets), size):
            content.add_chunk(octets[at : at + size])
        content.end_chunks()
        assert content.take() == octets
        assert not is_bare
    except BareLineEndError:
        assert is_bare


@pytest.mark.parametrize(("octets", "loss"), [(21, None), (22, Loss.TOO_LONG)])
@pytest.mark.parametrize("size", [1, 100])
def test_the_limit_is_the_limit_however_it_is_reached(
    octets: int, loss: Loss | None, size: int
) -> None:
    message = b"x" * (octets - 2) + b"\r\n"
    data, chunks = Content(21, Room(100)), Content(21, Room(100))
    data.begin_data()
    stream = message + b".\r\n"
    for at in range(0, len(stream), size):
        data.add_data(stream[at : at + size])
    for at in range(0, len(message), size):
        chunks.add_chunk(message[at : at + size])
    assert data.loss is loss
    assert chunks.loss is loss


def test_room_is_given_back_by_what_is_closed_or_lost() -> None:
    room = Room(10)
    kept, lost = Content(10, room), Content(10, room)
    kept.add_chunk(b"x" * 6)
    lost.add_chunk(b"x" * 4)
    lost.add_chunk(b"x")
    assert lost.loss is Loss.NO_ROOM
    assert not room.take(5)
    kept.close()
    assert room.take(10)


@given(st.text("a.\r\n", max_size=30).map(str.encode))
def test_dots_that_are_put_before_lines_are_taken_away_again(octets: bytes) -> None:
    whole = in_whole_lines(octets)
    assert unstuffed(stuffed(whole)) == whole
    assert re.search(rb"(?:\A|\r\n)\.(?!\.)", stuffed(whole)) is None


def test_a_long_message_is_changed_as_a_short_one_is() -> None:
    for line in (b".\r\n", b"..\n", b"a\r", b"x" * 999 + b"\r\n.\r\n"):
        octets = line * (3_000_000 // len(line))
        whole = in_whole_lines(octets)
        assert whole == re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
        assert stuffed(whole) == re.sub(rb"^\.", b"..", whole, flags=re.MULTILINE)
        assert unstuffed(stuffed(whole)) == whole
