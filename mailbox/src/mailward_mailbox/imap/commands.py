"""Cuts a client's octets into IMAP commands, lines and literals together, all of it capped.

Literals wait for a go-ahead, or do not (LITERAL+, RFC 7888). One that is too large is refused
before it is read; where the client does not wait for that, its octets are read and dropped, so that
they are never taken for commands (RFC 7888 section 4). A sans-IO machine: octets in, events out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from io import BytesIO

from mailward.wire.lines import LineError, Lines, Literal, literal_at_end
from mailward_mailbox.imap.words import ImapWords
from mailward_mailbox.mail.model import MAX_MESSAGE_OCTETS
from mailward_mailbox.room import Room

MAX_LINE_OCTETS = 65_536
"""Of all lines of one command together."""
MAX_STRINGS_OCTETS = 65_536
"""Of all literals of one command that are not messages."""
MAX_MESSAGES_OCTETS = 2 * MAX_MESSAGE_OCTETS
"""Of all messages of one APPEND (MULTIAPPEND)."""
MAX_LITERALS = 256
"""Of one command."""
MAX_DROPPED_MESSAGES_OCTETS = 4 * MAX_MESSAGE_OCTETS
MAX_DROPPED_STRINGS_OCTETS = 1_048_576
"""Of literals that are read only to be dropped; a client that sends more is disconnected."""
MAX_AHEAD_OCTETS = 262_144

_HEAD = re.compile(
    rb'([^\x00-\x20\x7f-\xff(){%*"\\+]{1,128})(?: ([A-Za-z0-9][A-Za-z0-9.=_-]{0,31})(?= |\Z)|\Z)'
)
_UID = re.compile(rb" ([A-Za-z]{1,32})(?= |\Z)")
_MAILBOX_LITERAL = re.compile(rb" ~?\{[0-9]+\+?\}\Z")


@dataclass(frozen=True, slots=True)
class ImapCommand:
    """A command as the client sent it. *name*: in upper case, ``UID FETCH`` with both words.

    *words* stand before the blank that follows the name, or at the end.
    """

    tag: bytes
    name: bytes
    words: ImapWords = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class RefusedCommand:
    """A command that is refused as it is: *answer* is ``NO ...`` or ``BAD ...`` without the tag."""

    tag: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class GoAhead:
    """The client waits for ``+`` before it sends a literal."""


CommandEvent = ImapCommand | RefusedCommand | GoAhead


class CommandReader:
    """Octets in, commands out. The literals of the command under way are held in *room*.

    >>> reader = CommandReader(Room(1_000))
    >>> reader.receive_data(b"a SEARCH SUBJECT {5}\\r\\n")
    >>> reader.next_event()
    GoAhead()
    >>> reader.receive_data(b"hello\\r\\n")
    >>> reader.next_event()
    ImapCommand(tag=b'a', name=b'SEARCH')
    """

    def __init__(self, room: Room) -> None:
        self._octets = Lines(MAX_AHEAD_OCTETS)
        self._room = room
        self._held = 0
        self._dropped = 0
        self._literals: list[bytes] = []
        self._begin()

    def receive_data(self, data: bytes) -> None:
        self._octets.add(data)

    def next_event(self) -> CommandEvent | None:
        """What comes next; ``None``: more octets are needed.

        The room of a command's literals is given back when the next command is asked for.

        Raises:
            LineError: there is no telling where the next command begins, or it is too long.
        """
        if self._is_done:
            self.close()
            self._begin()
        while True:
            if self._left and not self._take_literal():
                return None
            line = self._octets.line(MAX_LINE_OCTETS - self._line_octets)
            if line is None:
                return None
            self._line_octets += len(line)
            if not self._lines:
                self._read_head(line)
            self._lines.append(line)
            literal = literal_at_end(line)
            if literal is None:
                return self._finish()
            event = self._announced(line, literal)
            if event is not None:
                return event

    def next_line(self, max_octets: int) -> bytes | None:
        """The next line as it is, between commands: DONE of IDLE.

        Raises:
            LineError: it is longer.
        """
        return self._octets.line(max_octets)

    def close(self) -> None:
        """Give back the room of what is held."""
        self._room.give_back(self._held)
        self._held = 0
        self._literals = []
        self._literal = BytesIO()

    # -- inside --------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._is_done = False
        self._tag = b"*"
        self._name = b""
        self._start = 0
        self._lines: list[bytes] = []
        self._line_octets = 0
        self._literals = []
        self._literal = BytesIO()
        self._left = 0
        """Of the literal under way: octets still to come."""
        self._string_octets = 0
        self._message_octets = 0
        self._refusal: bytes | None = None
        """Set: the rest of this command is read and dropped."""

    def _read_head(self, line: bytes) -> None:
        found = _HEAD.match(line)
        if found is None or found[2] is None:
            self._tag = found[1] if found else b"*"
            self._refuse(b"BAD A command is a tag and a name")
            return
        self._tag, self._name, self._start = found[1], found[2].upper(), found.end()
        uid = _UID.match(line, self._start) if self._name == b"UID" else None
        if uid is not None:
            self._name += b" " + uid[1].upper()
            self._start = uid.end()

    def _finish(self) -> ImapCommand | RefusedCommand:
        self._is_done = True
        if self._refusal is not None:
            return RefusedCommand(self._tag, self._refusal)
        return ImapCommand(
            self._tag, self._name, ImapWords(self._lines, self._literals, self._start)
        )

    def _refuse(self, answer: bytes) -> None:
        """Refuse this command, and hold nothing of it any more."""
        if self._refusal is None:
            self._refusal = answer
        self.close()

    def _announced(self, line: bytes, literal: Literal) -> CommandEvent | None:
        """A literal follows *line*; an event where the client waits for one."""
        if self._refusal is None:
            refusal = self._why_not(line, literal)
            if refusal is not None:
                self._refuse(refusal)
        if literal.waits and self._refusal is not None:
            return self._finish()
        if self._refusal is not None:
            self._drop(literal.size)
        self._left = literal.size
        if not literal.size:
            self._end_literal()
        return GoAhead() if literal.waits else None

    def _drop(self, octets: int) -> None:
        """So many octets will be read and dropped.

        Raises:
            LineError: that is too much for one session.
        """
        is_append = self._name == b"APPEND"
        most = MAX_DROPPED_MESSAGES_OCTETS if is_append else MAX_DROPPED_STRINGS_OCTETS
        self._dropped += octets
        if len(self._lines) > MAX_LITERALS or self._dropped > most:
            raise LineError("literal too large")

    def _why_not(self, line: bytes, literal: Literal) -> bytes | None:
        """Why the literal is refused, ``None`` where it is taken."""
        if len(self._lines) > MAX_LITERALS:
            return b"NO [LIMIT] A command has %d literals at most" % MAX_LITERALS
        is_first = len(self._lines) == 1
        if self._name == b"APPEND" and not (is_first and _MAILBOX_LITERAL.match(line, self._start)):
            self._message_octets += literal.size
            if literal.size > MAX_MESSAGE_OCTETS:
                return b"NO [TOOBIG] A message has %d octets at most" % MAX_MESSAGE_OCTETS
            if self._message_octets > MAX_MESSAGES_OCTETS:
                return b"NO [LIMIT] A command carries %d octets at most" % MAX_MESSAGES_OCTETS
            return None
        self._string_octets += literal.size
        if self._string_octets > MAX_STRINGS_OCTETS:
            return b"NO [LIMIT] A command has %d octets of strings at most" % MAX_STRINGS_OCTETS
        return None

    def _take_literal(self) -> bool:
        """Take what has come of the literal under way; whether that was all of it."""
        octets = self._octets.octets(min(self._left, len(self._octets))) or b""
        self._left -= len(octets)
        if self._refusal is None and octets:
            if self._room.take(len(octets)):
                self._held += len(octets)
                self._literal.write(octets)
            else:
                self._refuse(b"NO [UNAVAILABLE] Too much mail is in progress, try again later")
                self._drop(self._left)
        if self._left:
            return False
        self._end_literal()
        return True

    def _end_literal(self) -> None:
        if self._refusal is None:
            self._literals.append(self._literal.getvalue())  # which copies nothing
        self._literal = BytesIO()
