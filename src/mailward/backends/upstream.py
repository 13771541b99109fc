"""A mail server over the network: asked with a connection of its own for each login."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from mailward.backends.port import Client, Granted, LoginAnswer
from mailward.settings.configuration import ClientAddress, Protocol
from mailward.settings.configuration import Upstream as UpstreamSettings
from mailward.wire.dialogue import (
    Accepted,
    Answer,
    Dialogue,
    Probed,
    Rejected,
    Send,
    Unavailable,
    Watch,
)
from mailward.wire.door import Credentials
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.watch import imap_watch
from mailward.wire.proxyline import TlsFacts, proxy_v2_header
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.watch import SubmissionWatch

PROBE_AGAIN_SECONDS = 600.0
PROBE_SOON_SECONDS = 5.0  # while the backend is down: a user waits

# RFC 5737: an address nobody has, so no real client is ever charged for a probe. The probe says it
# comes with TLS, as most sessions do, or a stock Dovecot would hide its mechanisms.
_PROBER = Client(
    source=(IPv4Address("192.0.2.1"), 1),
    destination=(IPv4Address("192.0.2.1"), 1),
    tls=TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    name=b"probe.invalid",
)


class Upstream:
    """One configured backend, spoken to in one *protocol*.

    *offer* is what is known of it from an earlier run; *remember* is called with each new one.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        protocol: Protocol,
        offer: Sequence[str],
        remember: Callable[[Sequence[str]], None],
    ) -> None:
        self.settings = settings
        self.protocol = protocol
        self._offer = tuple(offer)
        self._remember = remember
        self._state = "not asked yet"
        self._probe_now = asyncio.Event()

    @property
    def offer(self) -> Sequence[str]:
        return self._offer

    @property
    def state(self) -> str:
        return self._state

    async def login(self, credentials: Credentials, client: Client) -> LoginAnswer:
        conversation = _Conversation(self._dialogue(credentials, client), self._preface(client))
        answer = await self._converse(conversation)
        match answer:
            case Accepted(capabilities, leftover):
                self._state = "ok"
                return Granted(
                    conversation.transport, capabilities, leftover, self._watch(capabilities)
                )
            case Rejected():
                self._state = "ok"
            case Unavailable(why):
                self._state = why
                self._probe_now.set()
            case Probed():
                answer = Unavailable("the backend ended the login without an answer")
        conversation.close()
        return answer

    async def keep_probing(self) -> None:
        while True:
            self._probe_now.clear()
            known = await self._probe()
            try:
                async with asyncio.timeout(PROBE_AGAIN_SECONDS if known else PROBE_SOON_SECONDS):
                    await self._probe_now.wait()
                # An error was seen: look again, but not with every attempt of a flood.
                await asyncio.sleep(PROBE_SOON_SECONDS)
            except TimeoutError:
                pass

    async def _probe(self) -> bool:
        conversation = _Conversation(self._dialogue(None, _PROBER), self._preface(_PROBER))
        answer = await self._converse(conversation)
        conversation.close()
        match answer:
            case Probed(capabilities):
                self._state = "ok"
                if tuple(capabilities) != self._offer:
                    self._offer = tuple(capabilities)
                    self._remember(self._offer)
                return True
            case Unavailable(why):
                self._state = why
                return False
            case Accepted() | Rejected():
                self._state = "the backend answered a login that was never sent"
                return False

    async def _converse(self, conversation: _Conversation) -> Answer:
        """Carry the dialogue to its answer, within the configured times."""
        where = f"{self.settings.host}:{self.settings.port}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.settings.connect_timeout.total_seconds()) as timer:
                await loop.create_connection(
                    lambda: conversation, self.settings.host, self.settings.port
                )
                await conversation.decided.wait()
                timer.reschedule(loop.time() + self.settings.answer_timeout.total_seconds())
                return await conversation.answer
        except TimeoutError:
            conversation.close()
            return Unavailable(f"{where} did not answer in time")
        except OSError as error:
            return Unavailable(f"cannot connect to {where}: {error.strerror or error}")
        except BaseException:
            conversation.close()
            raise

    def _dialogue(self, credentials: Credentials | None, client: Client) -> Dialogue:
        match self.protocol:
            case Protocol.IMAP:
                return ImapLogin(credentials)
            case Protocol.SUBMISSION:
                return SmtpLogin(credentials, client_name=client.name)

    def _watch(self, capabilities: Sequence[str]) -> Watch | None:
        match self.protocol:
            case Protocol.IMAP:
                return imap_watch(capabilities)
            case Protocol.SUBMISSION:
                return SubmissionWatch()

    def _preface(self, client: Client) -> bytes:
        match self.settings.client_address:
            case ClientAddress.NONE:
                return b""
            case ClientAddress.PROXY_V2:
                return proxy_v2_header(client.source, client.destination, client.tls)


def offer_from_text(text: str) -> tuple[str, ...]:
    """Read what :func:`offer_to_text` wrote; anything else is nothing known."""
    try:
        known = json.loads(text)
    except ValueError:
        return ()
    if not isinstance(known, list):
        return ()
    return tuple(word for word in known if isinstance(word, str))


def offer_to_text(offer: Sequence[str]) -> str:
    return json.dumps(list(offer))


class _Conversation(asyncio.Protocol):
    """The connection that a dialogue is held on."""

    def __init__(self, dialogue: Dialogue, preface: bytes) -> None:
        self._dialogue = dialogue
        self._preface = preface
        self._transport: asyncio.Transport | None = None
        self.decided = asyncio.Event()
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    @property
    def transport(self) -> asyncio.Transport:
        """The connection.

        Raises:
            ConnectionError: there is none.
        """
        if self._transport is None:
            raise ConnectionError("not connected")
        return self._transport

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport is a Transport
        self.transport.write(self._preface)

    def data_received(self, data: bytes) -> None:
        self._dialogue.receive_data(data)
        while (event := self._dialogue.next_event()) is not None:
            match event:
                case Send(octets, deciding):
                    self.transport.write(octets)
                    if deciding:
                        self.decided.set()
                case Accepted() | Rejected() | Unavailable() | Probed():
                    self._end(event)
                    return

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(self._dialogue.closed())

    def _end(self, answer: Answer) -> None:
        if self.answer.done():
            return
        if not self.transport.is_closing():
            # What follows an accepted login is the session's: leave it to the relay.
            self.transport.pause_reading()
        self.answer.set_result(answer)
        self.decided.set()
