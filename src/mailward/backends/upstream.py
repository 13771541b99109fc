"""A mail server over the network: asked with a connection of its own for each login."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

from mailward.backends.conversation import Conversation
from mailward.backends.port import Client, Granted, LoginAnswer, ScramExchange
from mailward.backends.server import PROBER, MailServer
from mailward.settings.configuration import ClientAddress, Encryption, Protocol
from mailward.settings.configuration import Upstream as UpstreamSettings
from mailward.wire.dialogue import (
    Accepted,
    Answer,
    Challenged,
    Dialogue,
    Probed,
    Rejected,
    Unavailable,
    Watch,
)
from mailward.wire.door import BearerToken, Credentials, Opening, ScramOpening, ScramProof
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.watch import imap_watch
from mailward.wire.managesieve.backend import ManageSieveLogin
from mailward.wire.managesieve.watch import ManageSieveWatch
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import takes_xclient
from mailward.wire.smtp.watch import SubmissionWatch


class Upstream(MailServer):
    """One configured backend, spoken to in one *protocol*."""

    def __init__(
        self,
        settings: UpstreamSettings,
        protocol: Protocol,
        offer: Sequence[str],
        remember: Callable[[Sequence[str]], None],
    ) -> None:
        super().__init__(settings, offer, remember)
        self.protocol = protocol

    async def login(self, credentials: Credentials | BearerToken, client: Client) -> LoginAnswer:
        conversation = self._conversation(credentials, client)
        if isinstance(conversation, Unavailable):
            self._state = conversation.why
            return conversation
        return self._end(conversation, await self._reach.converse(conversation))

    async def open(
        self, opening: ScramOpening, client: Client
    ) -> ScramExchange | Rejected | Unavailable:
        conversation = self._conversation(opening, client)
        if isinstance(conversation, Unavailable):
            self._state = conversation.why
            return conversation
        answer = await self._reach.converse(conversation)
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
        return self._end(conversation, await self._reach.converse(conversation, proof))

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
                self._is_unwell(why)
            case Probed() | Challenged():
                answer = Unavailable("the backend ended the login without an answer")
        conversation.close()
        return answer

    async def _probe(self) -> bool:
        conversation = self._conversation(None, PROBER)
        if isinstance(conversation, Unavailable):
            self._state = conversation.why
            return False
        answer = await self._reach.converse(conversation)
        conversation.close()
        match answer:
            case Probed(capabilities):
                self._is_well(capabilities)
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
        return self._reach.conversation(self._dialogue(credentials, client), client)

    def _dialogue(self, credentials: Opening | None, client: Client) -> Dialogue:
        starttls = self.settings.tls.mode is Encryption.STARTTLS
        origin = self._reach.origin(client)
        match self.protocol:
            case Protocol.IMAP:
                return ImapLogin(credentials, starttls=starttls, origin=origin)
            case Protocol.SUBMISSION:
                return SmtpLogin(
                    credentials, client_name=client.name, starttls=starttls, origin=origin
                )
            case Protocol.MANAGESIEVE:
                return ManageSieveLogin(credentials, starttls=starttls, origin=origin)

    def _watch(self, capabilities: Sequence[str]) -> Watch | None:
        match self.protocol:
            case Protocol.IMAP:
                return imap_watch(capabilities)
            case Protocol.SUBMISSION:
                is_told_so = self.settings.client_address is ClientAddress.XCLIENT
                return SubmissionWatch(takes_xclient=is_told_so or takes_xclient(self._offer))
            case Protocol.MANAGESIEVE:
                return ManageSieveWatch()


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
