"""A client of HTTP."""

from __future__ import annotations

from mailward_mailbox.jmap.http.reading import next_head
from mailward_mailbox.stream import Stream

from mailward.wire.http.head import ResponseHead, read_response


class Wire(Stream):
    """One connection; what is written are requests, what is read are responses."""

    async def response(self) -> ResponseHead:
        """The head of the next response."""
        octets = await next_head(self)
        assert octets is not None
        return read_response(octets)
