"""Commands of IMAP, cut out of what a client sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailward_mailbox.imap.commands import (
    MAX_LITERALS,
    MAX_STRINGS_OCTETS,
    CommandEvent,
    CommandReader,
    GoAhead,
    ImapCommand,
    RefusedCommand,
)
from mailward_mailbox.mail.model import MAX_MESSAGE_OCTETS
from mailward_mailbox.room import Room

from mailward.wire.lines import LineError

ROOM = 1 << 30


def events(octets: bytes, size: int = 65_536, room: Room | None = None) -> list[CommandEvent]:
    """All events of *octets*, which arrive *size* at a time."""
    reader = CommandReader(room or Room(ROOM))
    found = []
    for at in range(0, len(octets), size):
        reader.receive_data(octets[at : at + size])
        while (event := reader.next_event()) is not None:
            found.append(event)
    reader.close()
    return found


def test_a_command_is_a_tag_and_a_name_and_uid_is_part_of_the_name() -> None:
    assert events(b"a1 noop\r\nb UID fetch 1 FLAGS\r\n") == [
        ImapCommand(b"a1", b"NOOP", events(b"a NOOP\r\n")[0].words),  # type: ignore[union-attr]
        ImapCommand(b"b", b"UID FETCH", events(b"a NOOP\r\n")[0].words),  # type: ignore[union-attr]
    ]


def test_a_literal_that_waits_is_asked_for_and_one_that_does_not_is_taken() -> None:
    first, command = events(b"a SELECT {5}\r\nINBOX\r\n")
    assert first == GoAhead()
    assert isinstance(command, ImapCommand)
    command.words.space()
    assert command.words.mailbox(is_utf8=False) == "INBOX"
    (command,) = events(b"a SELECT {5+}\r\nINBOX\r\n")
    assert isinstance(command, ImapCommand)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"a APPEND INBOX {26214401}\r\n", b"NO [TOOBIG]"),
        (b"a APPEND INBOX {99999999999999999999}\r\n", b"NO [TOOBIG]"),
        (b"a APPEND {70000}\r\n", b"NO [LIMIT]"),
        (b"a SEARCH TEXT {70000}\r\n", b"NO [LIMIT]"),
        (b"a {5}\r\n", b"BAD"),
    ],
)
def test_a_literal_that_waits_is_refused_unread(line: bytes, answer: bytes) -> None:
    refused, after = events(line + b"b NOOP\r\n")
    assert isinstance(refused, RefusedCommand)
    assert refused.answer.startswith(answer)
    assert isinstance(after, ImapCommand)
    assert after.tag == b"b"


def test_a_literal_too_large_that_does_not_wait_is_dropped_and_never_read_as_commands() -> None:
    evil = b"x LOGOUT\r\n".ljust(MAX_STRINGS_OCTETS + 1)
    refused, after = events(b"a SEARCH TEXT {%d+}\r\n%b\r\nb NOOP\r\n" % (len(evil), evil))
    assert refused == RefusedCommand(
        b"a", b"NO [LIMIT] A command has 65536 octets of strings at most"
    )
    assert isinstance(after, ImapCommand)
    assert after.tag == b"b"


@pytest.mark.parametrize(
    "octets",
    [
        b"a NOOP" + b" " * 70_000 + b"\r\n",
        b"a SEARCH TEXT {1+}\r\n" + b"a{1+}\r\n" * MAX_LITERALS,
        b"{9+}\r\n" + b"123456789{9+}\r\n" * MAX_LITERALS,
        b"a APPEND INBOX {999999999+}\r\n",
        b"a NOOP\nb NOOP\r\n",
    ],
)
def test_a_stream_whose_next_command_cannot_be_found_ends(octets: bytes) -> None:
    with pytest.raises(LineError):
        events(octets)


def test_what_is_held_fits_into_the_room_and_is_given_back() -> None:
    room = Room(10)
    refused, fits = events(
        b"a APPEND INBOX {11+}\r\n01234567890\r\nb APPEND INBOX {9+}\r\n012345678\r\n", room=room
    )
    assert isinstance(refused, RefusedCommand)
    assert refused.answer.startswith(b"NO [UNAVAILABLE]")
    assert isinstance(fits, ImapCommand)
    assert room.take(10)


def test_messages_of_one_append_are_bounded_together() -> None:
    reader = CommandReader(Room(ROOM))
    message = b"x" * MAX_MESSAGE_OCTETS
    reader.receive_data(b"a APPEND INBOX {%d}\r\n" % len(message))
    assert reader.next_event() == GoAhead()
    for at in range(0, len(message), 65_536):
        reader.receive_data(message[at : at + 65_536])
        assert reader.next_event() is None
    reader.receive_data(b" {%d}\r\n" % len(message))
    assert reader.next_event() == GoAhead()
    for at in range(0, len(message), 65_536):
        reader.receive_data(message[at : at + 65_536])
        assert reader.next_event() is None
    reader.receive_data(b" {1}\r\n")
    assert reader.next_event() == RefusedCommand(
        b"a", b"NO [LIMIT] A command carries 52428800 octets at most"
    )


PIECES = st.sampled_from(
    [b"a ", b"APPEND ", b"INBOX ", b"{3+}\r\n", b"{3}\r\n", b"~{2+}\r\n", b"abc", b"\r\n", b" "]
)


@given(st.lists(PIECES, max_size=30).map(b"".join), st.integers(1, 7))
def test_however_the_octets_arrive_the_same_commands_come_of_them(octets: bytes, size: int) -> None:
    def shown(size: int) -> list[str]:
        try:
            return [str(event) for event in events(octets, size)]
        except LineError as error:
            return [str(error)]

    assert shown(size) == shown(len(octets) or 1)
