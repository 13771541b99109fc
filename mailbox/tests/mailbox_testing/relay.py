"""A mail server elsewhere that takes what is handed to it."""

from __future__ import annotations

import asyncio

SHOWN = (b"250-relay.example", b"250-SIZE", b"250-8BITMIME", b"250 SMTPUTF8")


class Relay:
    """A mail server that answers as it is told to; *replies* by the command's first word.

    A reply of nothing hangs up.
    """

    def __init__(self) -> None:
        self.replies: dict[bytes, bytes] = {}
        self.shown: tuple[bytes, ...] = SHOWN
        self.said: list[bytes] = []
        self.taken: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(self.replies.get(b"hello", b"220 relay.example") + b"\r\n")
            while line := await reader.readline():
                command = line.rstrip(b"\r\n")
                self.said.append(command)
                reply = self.reply(command)
                if not reply:
                    return
                writer.write(reply + b"\r\n")
                if reply.startswith(b"354"):
                    octets = await reader.readuntil(b"\r\n.\r\n")
                    self.taken.append(octets)
                    reply = self.replies.get(b"end", b"250 taken")
                    if not reply:
                        return
                    writer.write(reply + b"\r\n")
        finally:
            writer.close()

    def reply(self, command: bytes) -> bytes:
        for start, reply in self.replies.items():
            if command.startswith(start):
                return reply
        if command.startswith(b"EHLO"):
            return b"\r\n".join(self.shown)
        return b"354 go on" if command == b"DATA" else b"250 ok"
