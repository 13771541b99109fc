"""Hands a message on to the mail server that takes what is for others (RFC 5321, the client)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from mailward.wire.lines import CRLF
from mailward.wire.smtp.reply import keyword, reply_line
from mailward_mailbox.delivery.envelope import Delivered, Envelope, Outcome, Refused
from mailward_mailbox.delivery.lines import stuffed

MAX_REPLY_LINES = 256
MAX_REPLY_LINE_OCTETS = 4_096
CONNECT_SECONDS = 30.0
COMMAND_SECONDS = 300.0  # RFC 5321 section 4.5.3.2
END_OF_DATA_SECONDS = 600.0  # section 4.5.3.2.6

_FAILED = 400
_NOT_NOW = Refused(451, "4.4.1", "The next mail server cannot be reached now, try again later")
_NONSENSE = Refused(451, "4.5.0", "The next mail server makes no sense, try again later")
_NO_UTF8 = Refused(550, "5.6.7", "The next mail server takes no SMTPUTF8")
_NO_8BIT = Refused(554, "5.6.3", "The next mail server takes no 8BITMIME")


class _RelayError(Exception):
    """It has not taken the message."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.why)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class _Reply:
    code: int
    lines: Sequence[bytes]


async def hand_on(
    relay: tuple[str, int],
    hostname: str,
    envelope: Envelope,
    addresses: Sequence[str],
    octets: bytes,
) -> dict[str, Outcome]:
    """What has come of *octets* for each of *addresses*: Delivered if the relay has them now."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(*relay, limit=MAX_REPLY_LINE_OCTETS)
    except (OSError, TimeoutError):
        return dict.fromkeys(addresses, _NOT_NOW)
    conversation = _Conversation(reader, writer)
    try:
        return await conversation.hand_on(hostname, envelope, addresses, octets)
    except _RelayError as error:
        return dict.fromkeys(addresses, error.refused)
    except (OSError, TimeoutError):
        return dict.fromkeys(addresses, _NOT_NOW)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class _Conversation:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hand_on(
        self, hostname: str, envelope: Envelope, addresses: Sequence[str], octets: bytes
    ) -> dict[str, Outcome]:
        _expect(await self._reply(COMMAND_SECONDS))
        known = await self._greet(hostname)
        sender = f"MAIL FROM:<{envelope.sender}>{_parameters(envelope, octets, known)}"
        _expect(await self._ask(sender))
        outcomes: dict[str, Outcome] = {}
        for address in addresses:
            reply = await self._ask(f"RCPT TO:<{address}>")
            outcomes[address] = _refused(reply) if reply.code >= _FAILED else Delivered()
        if any(isinstance(outcome, Delivered) for outcome in outcomes.values()):
            _expect(await self._ask("DATA"), wanted=354)
            _expect(await self._send(octets))
        self._writer.write(b"QUIT\r\n")  # what it has taken it has taken, whatever comes of this
        return outcomes

    async def _greet(self, hostname: str) -> set[bytes]:
        reply = await self._ask(f"EHLO {hostname}")
        if reply.code >= _FAILED:
            _expect(await self._ask(f"HELO {hostname}"))
            return set()
        return {keyword(line) for line in reply.lines[1:]}

    async def _ask(self, command: str) -> _Reply:
        self._writer.write(command.encode() + CRLF)
        return await self._reply(COMMAND_SECONDS)

    async def _send(self, octets: bytes) -> _Reply:
        # Only CRLF ends a line in *octets*: nobody finds an end in there that is none.
        self._writer.write(await asyncio.to_thread(stuffed, octets))
        self._writer.write(b".\r\n" if octets.endswith(CRLF) or not octets else b"\r\n.\r\n")
        async with asyncio.timeout(END_OF_DATA_SECONDS):
            await self._writer.drain()
        return await self._reply(END_OF_DATA_SECONDS)

    async def _reply(self, seconds: float) -> _Reply:
        lines: list[bytes] = []
        async with asyncio.timeout(seconds):
            while len(lines) < MAX_REPLY_LINES:
                try:
                    line = await self._reader.readline()
                except ValueError:  # longer than the reader holds
                    raise _RelayError(_NONSENSE) from None
                if not line.endswith(b"\n"):
                    raise _RelayError(_NOT_NOW)
                found = reply_line(line.rstrip(CRLF))
                if found is None:
                    break
                lines.append(found.text)
                if found.is_last:
                    return _Reply(found.code, lines)
        raise _RelayError(_NONSENSE)


def _parameters(envelope: Envelope, octets: bytes, known: set[bytes]) -> str:
    """What to say behind MAIL, to a server that knows those extensions."""
    told = f" SIZE={len(octets)}" if b"SIZE" in known else ""
    if not octets.isascii():
        if b"8BITMIME" not in known:
            raise _RelayError(_NO_8BIT)
        told += " BODY=8BITMIME"
    if envelope.is_utf8:
        if b"SMTPUTF8" not in known:
            raise _RelayError(_NO_UTF8)
        told += " SMTPUTF8"
    return told


def _expect(reply: _Reply, wanted: int = 250) -> None:
    """Raises:
    _RelayError: it is a refusal, or no answer to what was asked.
    """
    if reply.code >= _FAILED:
        raise _RelayError(_refused(reply))
    is_go_ahead = reply.code == 354  # noqa: PLR2004 -- RFC 5321 section 4.2.3
    if is_go_ahead != (wanted == 354):  # noqa: PLR2004 -- see above
        raise _RelayError(_NONSENSE)


def _refused(reply: _Reply) -> Refused:
    """As the relay says it, in a code that an answer to DATA or RCPT may have."""
    said = reply.lines[-1].decode("ascii", "replace")
    status, blank, words = said.partition(" ")
    is_final = reply.code >= 500  # noqa: PLR2004 -- RFC 5321 section 4.2.1
    kind = "5" if is_final else "4"
    if not blank or not status.startswith(f"{kind}.") or not status.replace(".", "").isdigit():
        status, words = f"{kind}.0.0", said
    return Refused(550 if is_final else 451, status, f"The next mail server says: {words}"[:400])
