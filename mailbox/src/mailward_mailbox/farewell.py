"""The end of a session whose client has not stopped talking."""

from __future__ import annotations

import asyncio

from mailward_mailbox.inside import BUFFER_OCTETS

LINGER_SECONDS = 5.0


async def linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say that we end, and drop what still comes, for a while.

    A connection that is closed while something unread is on its way takes the last words with it.
    """
    writer.write_eof()
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while await reader.read(BUFFER_OCTETS):
                pass
    except TimeoutError:
        pass  # it has had its time
