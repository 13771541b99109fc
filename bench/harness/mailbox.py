"""``python bench/harness/mailbox.py PORT``: an IMAP server that believes every password.

For rows that measure doors and not mail servers: it holds thousands of sessions in one process,
and sends and takes as many octets as it is asked to. ``FETCH n`` answers with a message of n
octets, ``LINES n`` with short lines of so many; a literal of any length is read and forgotten.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from typing import cast

import uvloop

_OFFER = b"CAPABILITY IMAP4rev1 SASL-IR LITERAL+ IDLE AUTH=PLAIN"
_LITERAL = re.compile(rb"\{(\d+)(\+?)\}$")
_PIECE = bytes(65_536)
_SHORT_LINE = b"* 1234 FETCH (UID 123456 FLAGS (\\Seen))\r\n"
_SHORT_LINES = _SHORT_LINE * (len(_PIECE) // len(_SHORT_LINE))
_BACKLOG = 4_096


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._line = b""
        self._command = b""
        self._skip = 0
        self._to_send = 0
        self._piece = _PIECE
        self._after = b""
        self._is_full = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a stream of uvloop is no heir of it
        self._say(b"* OK [" + _OFFER + b"] ready\r\n")

    def data_received(self, data: bytes) -> None:
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._line += data
        while not self._skip and b"\r\n" in self._line:
            line, _, self._line = self._line.partition(b"\r\n")
            self._read(line)

    def _read(self, line: bytes) -> None:
        self._command += line
        found = _LITERAL.search(line)
        if found is None:
            command, self._command = self._command, b""
            self._answer(command)
            return
        if not found[2]:
            self._say(b"+ go on\r\n")
        length = int(found[1])
        here = min(length, len(self._line))
        self._line = self._line[here:]
        self._skip = length - here

    def _answer(self, command: bytes) -> None:
        tag, _, rest = command.partition(b" ")
        verb, _, words = rest.partition(b" ")
        name = verb.upper()
        if name == b"FETCH":
            self._to_send, self._piece = int(words), _PIECE
            self._say(b"* 1 FETCH (BODY[] {%d}\r\n" % self._to_send)
            self._after = b")\r\n%b OK done\r\n" % tag
            self._send_on()
            return
        if name == b"LINES":
            self._piece = _SHORT_LINES
            self._to_send = max(1, int(words) // len(_SHORT_LINES)) * len(_SHORT_LINES)
            self._after = b"%b OK done\r\n" % tag
            self._send_on()
            return
        if name == b"CAPABILITY":
            self._say(b"* " + _OFFER + b"\r\n")
        elif name == b"LOGOUT":
            self._say(b"* BYE\r\n")
        self._say(tag + b" OK done\r\n")
        if name == b"LOGOUT" and self._transport is not None:
            self._transport.close()

    def _send_on(self) -> None:
        while self._to_send and not self._is_full:
            piece = self._piece[: self._to_send]
            self._to_send -= len(piece)
            self._say(piece)
        if self._after and not self._to_send:
            after, self._after = self._after, b""
            self._say(after)

    def _say(self, octets: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._send_on()


async def _serve(port: int) -> None:
    listening = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
    server = await asyncio.get_running_loop().create_server(
        Session, sock=listening, backlog=_BACKLOG
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
