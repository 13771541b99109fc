"""The fuzz driver of the built-in mail server's IMAP: commands, and their arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from mailward_mailbox.imap.commands import CommandReader, ImapCommand
from mailward_mailbox.imap.methods.appending import read_messages
from mailward_mailbox.imap.methods.listing import read_list
from mailward_mailbox.imap.methods.messages import read_store
from mailward_mailbox.imap.patterns import ListPattern
from mailward_mailbox.imap.sequences import parse_sequence_set, write_numbers
from mailward_mailbox.imap.utf7 import from_utf7, to_utf7
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.room import Room

from mailward.wire.lines import LineError

_ROOM_OCTETS = 256
_UIDS = [1, 2, 3, 5, 8, 13]
_NAMES = ("INBOX", "INBOX/a", "work/2026", "ä&b")


def embedded_imap(octets: bytes) -> None:
    """However they are cut, the same commands come of them; all room is given back."""
    assert _commands(octets, len(octets) or 1) == _commands(octets, 1)


def embedded_imap_words(octets: bytes) -> None:
    """Names, sets and patterns of any octets."""
    name = from_utf7(octets)
    with suppress(UnicodeEncodeError):
        assert from_utf7(to_utf7(name)) == name
    pattern = ListPattern(name)
    for known in _NAMES:
        pattern.matches(known)
    found = parse_sequence_set(octets)
    if found is not None:
        uids = [_UIDS[place] for places in found.places(_UIDS) for place in places]
        assert uids == sorted(set(uids))
        write_numbers(uids)


def _commands(octets: bytes, size: int) -> list[object]:
    room = Room(_ROOM_OCTETS)
    reader = CommandReader(room)
    found: list[object] = []
    try:
        for at in range(0, len(octets), size):
            reader.receive_data(octets[at : at + size])
            while (event := reader.next_event()) is not None:
                found.append(str(event))
                if isinstance(event, ImapCommand):
                    found.append(_arguments(event))
    except LineError as error:
        found.append(str(error))
    reader.close()
    assert room.take(_ROOM_OCTETS)
    return found


def _append(words: ImapWords) -> object:
    words.space()
    return words.mailbox(is_utf8=False), read_messages(words)


_READERS: Mapping[bytes, Callable[[ImapWords], object]] = {
    b"LIST": lambda words: read_list(words, is_utf8=True),
    b"STORE": lambda words: read_store(words, by_uid=False),
    b"UID STORE": lambda words: read_store(words, by_uid=True),
    b"APPEND": _append,
}


def _arguments(command: ImapCommand) -> str:
    read = _READERS.get(command.name)
    try:
        return str(read(command.words)) if read is not None else ""
    except BadCommandError as error:
        return str(error)
