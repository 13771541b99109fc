"""Takes in a message as DATA and BDAT bring it, and refuses what others would cut elsewhere.

Only CRLF ends a line. A message with a bare CR or LF in it is not taken at all: where the next
server finds line ends, and the end of the message, that this one did not, whoever wrote it could
send a second message in somebody else's name.
"""

from __future__ import annotations

from mailward.wire.lines import CRLF

_END = b"\r\n.\r\n"


class BareLineEndError(Exception):
    """A CR or an LF stands alone."""


class Content:
    """One message of *max_octets* at most; of a longer one the end is awaited, and nothing kept."""

    def __init__(self, max_octets: int) -> None:
        self._max_octets = max_octets
        self._octets = bytearray()
        self._checked = 0
        """So far the line ends are right."""
        self.is_too_long = False

    def __len__(self) -> int:
        return len(self._octets)

    def begin_data(self) -> None:
        # A dot may stand in the first line, too: here every line begins behind a CRLF.
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
            if len(self._octets) >= self._max_octets + len(_END) or self.is_too_long:
                self._give_up(len(_END) - 1)
            return None
        rest = bytes(self._octets[end + len(_END) :])
        self._check(end + len(_END))
        del self._octets[end + len(CRLF) :]
        self.is_too_long |= len(self._octets) > self._max_octets + len(CRLF)
        return rest

    def data(self) -> bytes:
        """The message, without the dots that were put before others (RFC 5321 section 4.5.2)."""
        return bytes(self._octets.replace(b"\r\n.", CRLF)[len(CRLF) :])

    def add_chunk(self, octets: bytes) -> None:
        """More of what follows BDAT.

        Raises:
            BareLineEndError: nothing of it can be kept.
        """
        self._octets += octets
        self._check(len(self._octets))
        if len(self._octets) > self._max_octets or self.is_too_long:
            self._give_up(1)

    def chunks(self) -> bytes:
        """The message, when the last of it is here.

        Raises:
            BareLineEndError: it ends with a CR.
        """
        if self._octets.endswith(b"\r"):
            raise BareLineEndError
        return bytes(self._octets)

    def _check(self, end: int) -> None:
        if self._octets.endswith(b"\r", 0, end):
            end -= 1  # the other half may still come
        start, self._checked = self._checked, end
        pairs = self._octets.count(CRLF, start, end)
        for half in (b"\r", b"\n"):
            if self._octets.count(half, start, end) != pairs:
                raise BareLineEndError

    def _give_up(self, kept: int) -> None:
        """Keep the last octets only, in which the end may have begun."""
        self.is_too_long = True
        gone = max(0, len(self._octets) - kept)
        del self._octets[:gone]
        self._checked = max(0, self._checked - gone)
