"""Takes in a message as DATA and BDAT bring it, and refuses what others would cut elsewhere.

Only CRLF ends a line. A message with a bare CR or LF in it is not taken at all: where the next
server finds line ends, and the end of the message, that this one did not, whoever wrote it could
send a second message in somebody else's name.
"""

from __future__ import annotations

from enum import Enum, auto, unique

from mailward.wire.lines import CRLF
from mailward_mailbox.delivery.lines import unstuffed
from mailward_mailbox.room import Room

_END = b"\r\n.\r\n"


class BareLineEndError(Exception):
    """A CR or an LF stands alone."""


@unique
class Loss(Enum):
    """Why a message is not kept; its end is awaited all the same."""

    TOO_LONG = auto()
    NO_ROOM = auto()
    """All messages that are under way take too much together."""


class Content:
    """One message of *max_octets* at most, in *room* until it is closed."""

    def __init__(self, max_octets: int, room: Room) -> None:
        self._max_octets = max_octets
        self._room = room
        self._taken = 0
        self._octets = bytearray()
        self._is_data = False
        self._checked = 0
        """So far the line ends are right."""
        self.loss: Loss | None = None

    def begin_data(self) -> None:
        # A dot may stand in the first line, too: here every line begins behind a CRLF.
        self._is_data = True
        self._octets += CRLF

    def add_data(self, octets: bytes) -> bytes | None:
        """More of what follows DATA; behind its end, what is left of *octets*.

        Raises:
            BareLineEndError: nothing of it can be kept.
        """
        already = max(0, len(self._octets) - len(_END) + 1)
        self._octets += octets
        end = self._octets.find(_END, already)
        if end < 0:
            self._check(len(self._octets))
            # All of the end but its last octet may be here already.
            self._hold(len(octets), self._max_octets + len(_END) - 1, len(_END) - 1)
            return None
        rest = bytes(self._octets[end + len(_END) :])
        self._check(end + len(_END))
        del self._octets[end + len(CRLF) :]
        self._hold(len(octets) - len(rest), self._max_octets + len(CRLF), 0)
        return rest

    def add_chunk(self, octets: bytes) -> None:
        """More of what follows BDAT.

        Raises:
            BareLineEndError: nothing of it can be kept.
        """
        self._octets += octets
        self._check(len(self._octets))
        self._hold(len(octets), self._max_octets, 1)

    def end_chunks(self) -> None:
        """The last of them is here.

        Raises:
            BareLineEndError: it ends with a CR.
        """
        if self._octets.endswith(b"\r"):
            raise BareLineEndError

    def take(self) -> bytes:
        """The message, once; its room stays taken. For a long one another thread may do it."""
        octets, self._octets = self._octets, bytearray()
        if not self._is_data:
            return bytes(octets)
        del octets[: len(CRLF)]
        return unstuffed(octets)

    def close(self) -> None:
        """Give its room back."""
        self._room.give_back(self._taken)
        self._taken = 0
        self._octets = bytearray()

    def _check(self, end: int) -> None:
        if self._octets.endswith(b"\r", 0, end):
            end -= 1  # the other half may still come
        start, self._checked = self._checked, end
        pairs = self._octets.count(CRLF, start, end)
        for half in (b"\r", b"\n"):
            if self._octets.count(half, start, end) != pairs:
                raise BareLineEndError

    def _hold(self, more: int, most: int, kept: int) -> None:
        """Take room for *more* octets; of too many keep the last, in which the end may begin."""
        if self.loss is None:
            if len(self._octets) > most:
                self.loss = Loss.TOO_LONG
            elif self._room.take(more):
                self._taken += more
            else:
                self.loss = Loss.NO_ROOM
        if self.loss is not None:
            self._room.give_back(self._taken)
            self._taken = 0
            gone = max(0, len(self._octets) - kept)
            del self._octets[:gone]
            self._checked = max(0, self._checked - gone)
