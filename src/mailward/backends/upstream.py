"""A mail server over the network: asked with a connection of its own for each login."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Address

from mailward.backends.conversation import Conversation
from mailward.backends.port import Client, Granted, LoginAnswer, ScramExchange
from mailward.backends.tls import TrustError, client_context
from mailward.settings.configuration import ClientAddress, Encryption, Protocol
from mailward.settings.configuration import Upstream as UpstreamSettings
from mailward.wire.dialogue import (
    Accepted,
    Answer,
    Challenged,
    Dialogue,
    Origin,
    Probed,
    Rejected,
    Unavailable,
    Watch,
)
from mailward.wire.door import BearerToken, Credentials, Opening, ScramOpening, ScramProof
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.watch import imap_watch
from mailward.wire.proxyline import TlsFacts, proxy_v1_header, proxy_v2_header
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import takes_xclient
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
        self.read_trust()

    @property
    def offer(self) -> Sequence[str]:
        return self._offer

    @property
    def state(self) -> str:
        return self._state

    def read_trust(self) -> None:
        """Read anew who may vouch for the mail server; without that it is not asked."""
        try:
            self._trust: ssl.SSLContext | Unavailable = client_context(self.settings.tls)
        except TrustError as error:
            self._trust = Unavailable(f"backend.{self.settings.name}.tls.ca: {error}")
        self._probe_now.set()

    async def login(self, credentials: Credentials | BearerToken, client: Client) -> LoginAnswer:
        conversation = self._conversation(credentials, client)
        if isinstance(conversation, Unavailable):
            self._state = conversation.why
            return conversation
        return self._end(conversation, await self._converse(conversation))

    async def open(
        self, opening: ScramOpening, client: Client
    ) -> ScramExchange | Rejected | Unavailable:
        conversation = self._conversation(opening, client)
        if isinstance(conversation, Unavailable):
            self._state = conversation.why
            return conversation
        answer = await self._converse(conversation)
        if isinstance(answer, Challenged):
            return ScramExchange(
                answer.text, partial(self._prove, conversation), conversation.close
            )
        match self._end(conversation, answer):
            case Granted(transport):
                transport.abort()
                return Unavailable("the backend accepts a login that nobody has proved")
            case Rejected() | Unavailable() as refusal:
                return refusal

    async def _prove(self, conversation: Conversation, proof: ScramProof) -> LoginAnswer:
        return self._end(conversation, await self._converse(conversation, proof))

    def _end(self, conversation: Conversation, answer: Answer | Challenged) -> LoginAnswer:
        """What *answer* means; without a session the connection is closed."""
        match answer:
            case Accepted(capabilities, leftover, signature):
                self._state = "ok"
                watch = self._watch(capabilities)
                return Granted(conversation.transport, capabilities, leftover, watch, signature)
            case Rejected():
                self._state = "ok"
            case Unavailable(why):
                self._state = why
                self._probe_now.set()
            case Probed() | Challenged():
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
        conversation = self._conversation(None, _PROBER)
        if isinstance(conversation, Unavailable):
            self._state = conversation.why
            return False
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
            case Accepted() | Rejected() | Challenged():
                self._state = "the backend answered a login that was never sent"
                return False

    def _conversation(
        self, credentials: Opening | None, client: Client
    ) -> Conversation | Unavailable:
        match self._trust:
            case Unavailable() as why:
                return why
            case context:
                dialogue = self._dialogue(credentials, client)
                return Conversation(dialogue, self._preface(client), self.settings, context)

    async def _converse(
        self, conversation: Conversation, proof: ScramProof | None = None
    ) -> Answer | Challenged:
        """Carry the dialogue to its answer, within the configured times.

        With *proof* it goes on where it was challenged.
        """
        where = self.settings.where
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.settings.connect_timeout.total_seconds()) as timer:
                if proof is None:
                    await conversation.prepare()
                else:
                    conversation.prove(proof)
                timer.reschedule(loop.time() + self.settings.answer_timeout.total_seconds())
                return await conversation.answer
        except TimeoutError:
            conversation.close()
            return Unavailable(conversation.why_late())
        except OSError as error:
            return Unavailable(f"cannot connect to {where}: {error.strerror or error}")
        except BaseException:
            conversation.close()
            raise

    def _dialogue(self, credentials: Opening | None, client: Client) -> Dialogue:
        starttls = self.settings.tls.mode is Encryption.STARTTLS
        match self.settings.client_address:
            case ClientAddress.IMAP_ID | ClientAddress.XCLIENT:
                origin: Origin | None = Origin(client.source, client.destination)
            case ClientAddress.NONE | ClientAddress.PROXY_V1 | ClientAddress.PROXY_V2:
                origin = None
        match self.protocol:
            case Protocol.IMAP:
                return ImapLogin(credentials, starttls=starttls, origin=origin)
            case Protocol.SUBMISSION:
                return SmtpLogin(
                    credentials, client_name=client.name, starttls=starttls, origin=origin
                )

    def _watch(self, capabilities: Sequence[str]) -> Watch | None:
        match self.protocol:
            case Protocol.IMAP:
                return imap_watch(capabilities)
            case Protocol.SUBMISSION:
                is_told_so = self.settings.client_address is ClientAddress.XCLIENT
                return SubmissionWatch(takes_xclient=is_told_so or takes_xclient(self._offer))

    def _preface(self, client: Client) -> bytes:
        match self.settings.client_address:
            case ClientAddress.NONE | ClientAddress.IMAP_ID | ClientAddress.XCLIENT:
                return b""
            case ClientAddress.PROXY_V1:
                return proxy_v1_header(client.source, client.destination)
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
