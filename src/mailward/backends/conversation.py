"""The connection that a dialogue is held on: TCP or Unix, the PROXY header, TLS, the dialogue."""

from __future__ import annotations

import asyncio
import ssl
from enum import Enum, auto, unique

from mailward.backends.ourselves import Ourselves
from mailward.backends.tls import SHUTDOWN_SECONDS, server_name, speaks_no_tls, why_no_tls
from mailward.settings.configuration import Encryption, Upstream
from mailward.wire.dialogue import (
    Accepted,
    Answer,
    Challenged,
    Dialogue,
    Probed,
    Rejected,
    Send,
    Unavailable,
    Upgrade,
)
from mailward.wire.door import ScramProof


@unique
class Phase(Enum):
    """How much of what comes in may be believed."""

    TALKING = auto()
    """It is for the dialogue."""
    BEFORE_TLS = auto()
    """The handshake is about to begin, by us: whatever comes by itself is no TLS."""
    HANDSHAKE = auto()
    """What comes was encrypted, but the connection is not ours to write on yet."""


class Conversation(asyncio.Protocol):
    """One connection to the mail server of *settings*; *preface* goes before everything.

    *context* says whom to trust where there is TLS, *ourselves* where no mail server can be.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        preface: bytes,
        settings: Upstream,
        context: ssl.SSLContext,
        ourselves: Ourselves,
    ) -> None:
        self._dialogue = dialogue
        self._preface = preface
        self._settings = settings
        self._context = context
        self._ourselves = ourselves
        is_implicit = settings.tls.mode is Encryption.IMPLICIT
        self._phase = Phase.BEFORE_TLS if is_implicit else Phase.TALKING
        self._early: list[bytes] = []
        self._has_heard = False
        self._transport: asyncio.Transport | None = None
        self._ready = asyncio.Event()
        """TLS is to begin, or there is no more to prepare."""
        self.has_asked = False
        """The credentials, or a name, are on their way to the server."""
        self.answer: asyncio.Future[Answer | Challenged] = (
            asyncio.get_running_loop().create_future()
        )

    async def prepare(self) -> None:
        """Connect, and talk until the deciding message is sent or an answer needs none.

        Raises:
            OSError: the server cannot be reached.
        """
        loop, path = asyncio.get_running_loop(), self._settings.path
        if path is not None:
            await loop.create_unix_connection(lambda: self, path)
        else:
            await loop.create_connection(lambda: self, self._settings.host, self._settings.port)
        try:
            self._ourselves.check(self.transport, self._settings)
        except OSError:
            self.transport.abort()
            raise
        if self._phase is Phase.TALKING and not self.answer.done():
            self._advance()  # a dialogue may have nothing to wait for
        while True:
            if self._phase is Phase.BEFORE_TLS and not self.answer.done():
                await self._encrypt()
            await self._ready.wait()
            if self._phase is Phase.TALKING or self.answer.done():
                return

    def prove(self, proof: ScramProof) -> None:
        """Go on after Challenged: send the deciding message, and wait for another answer."""
        self.answer = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            self._end(self._dialogue.closed())
            return
        self._dialogue.prove(proof)
        self.transport.resume_reading()
        self._advance()

    @property
    def transport(self) -> asyncio.Transport:
        """The connection.

        Raises:
            ConnectionError: there is none.
        """
        if self._transport is None:
            raise ConnectionError("not connected")
        return self._transport

    def why_late(self) -> str:
        """What it means that time is up now: what the server has not done, and what to change."""
        where = self._settings.where
        if self._phase is Phase.HANDSHAKE:
            return f"{where} did not finish the TLS handshake in time"
        if self._transport is None:
            return f"{where} cannot be reached in time"
        if self._has_heard or self._settings.tls.mode is Encryption.IMPLICIT:
            return f"{where} did not answer in time"
        if self._settings.path is not None:
            return f"{where} did not say a word in time"
        return (
            f"{where} did not say a word in time; if TLS begins at once there,"
            f' set backend.{self._settings.name}.tls = "implicit"'
        )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -- what the connection tells -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport is a Transport
        self.transport.write(self._preface)

    def data_received(self, data: bytes) -> None:
        self._has_heard = True
        match self._phase:
            case Phase.HANDSHAKE:
                self._early.append(data)
            case Phase.BEFORE_TLS if self._settings.tls.mode is Encryption.IMPLICIT:
                self._end(Unavailable(f"{self._settings.where} {speaks_no_tls(self._settings)}"))
            case Phase.BEFORE_TLS | Phase.TALKING:
                self._dialogue.receive_data(data)
                self._advance()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(self._dialogue.closed())

    # -- inside --------------------------------------------------------------------------------

    def _advance(self) -> None:
        while (event := self._dialogue.next_event()) is not None:
            match event:
                case Send(octets, deciding, opening):
                    self.transport.write(octets)
                    if deciding or opening:
                        self.has_asked = True
                        self._ready.set()
                case Upgrade():
                    # Not a byte more is taken as plaintext: the next ones are the handshake's.
                    self.transport.pause_reading()
                    self._phase = Phase.BEFORE_TLS
                    self._ready.set()
                case Challenged() | Accepted() | Rejected() | Unavailable() | Probed():
                    self._end(event)
                    return

    async def _encrypt(self) -> None:
        """Begin TLS. Where that fails the answer says why."""
        self._ready.clear()
        plain = self.transport
        if plain.is_closing():
            self._end(self._dialogue.closed())
            return
        self._phase = Phase.HANDSHAKE
        loop = asyncio.get_running_loop()
        seconds = self._settings.connect_timeout.total_seconds()
        try:
            encrypted = await loop.start_tls(
                plain,
                self,
                self._context,
                server_hostname=server_name(self._settings),
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except OSError as error:
            plain.abort()
            self._end(Unavailable(why_no_tls(error, self._settings)))
            return
        if encrypted is None:
            self._end(Unavailable(why_no_tls(ConnectionResetError(), self._settings)))
            return
        self._transport = encrypted
        self._phase = Phase.TALKING
        if self.answer.done():
            return
        self._dialogue.upgraded()
        early, self._early = self._early, []
        for data in early:
            self._dialogue.receive_data(data)
        self._advance()

    def _end(self, answer: Answer | Challenged) -> None:
        if self.answer.done():
            return
        if not self.transport.is_closing():
            # What follows an accepted login is the session's: leave it to the relay.
            self.transport.pause_reading()
        self.answer.set_result(answer)
        self._ready.set()
