"""A mail server over the network: asked with a connection of its own for each login."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

from mailward.backends.conversation import Conversation
from mailward.backends.port import (
    Client,
    Granted,
    LoginAnswer,
    ProofAnswer,
    Proven,
    ScramExchange,
)
from mailward.backends.server import PROBER, MailServer
from mailward.settings.configuration import Encryption, Protocol
from mailward.settings.configuration import Upstream as UpstreamSettings
from mailward.wire.dialogue import (
    Accepted,
    Answer,
    Challenged,
    Dialogue,
    Probed,
    Rejected,
    Trouble,
    Unavailable,
    Watch,
)
from mailward.wire.door import BearerToken, Credentials, Opening, ScramOpening, ScramProof
from mailward.wire.imap.backend import ImapLogin
from mailward.wire.imap.door import mechanism_names as imap_mechanism_names
from mailward.wire.imap.watch import imap_watch
from mailward.wire.managesieve.backend import ManageSieveLogin
from mailward.wire.managesieve.response import mechanism_names as sieve_mechanism_names
from mailward.wire.managesieve.watch import ManageSieveWatch
from mailward.wire.sasl import others_offered
from mailward.wire.smtp.backend import SmtpLogin
from mailward.wire.smtp.door import has_chunking
from mailward.wire.smtp.door import mechanism_names as smtp_mechanism_names
from mailward.wire.smtp.reply import address_literal, greeting_name
from mailward.wire.smtp.watch import SubmissionWatch

PASSWORDS = "passwords"


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
            self._turn(conversation.why)
            return conversation
        return self._end(conversation, await self._reach.converse(conversation), client)

    async def open(
        self, opening: ScramOpening, client: Client
    ) -> ScramExchange | Rejected | Unavailable:
        conversation = self._conversation(opening, client)
        if isinstance(conversation, Unavailable):
            self._turn(conversation.why)
            return conversation
        answer = await self._reach.converse(conversation)
        if isinstance(answer, Challenged):
            return ScramExchange(
                answer.text, partial(self._prove, conversation, client), conversation.close
            )
        match self._end(conversation, answer, client):
            case Granted(transport):
                transport.abort()
                return Unavailable("the backend accepts a login that nobody has proved")
            case Rejected() | Unavailable() as refusal:
                return refusal

    async def prove(self, credentials: Credentials | BearerToken, client: Client) -> ProofAnswer:
        """Ask whether *credentials* are right, and log out at once."""
        match await self.login(credentials, client):
            case Granted(transport):
                transport.write(self._farewell)
                transport.close()
                return Proven()
            case Unavailable(trouble=Trouble.RIGHT):
                return Proven()
            case Rejected() | Unavailable() as answer:
                return answer

    async def prove_name(self, opening: ScramOpening, client: Client) -> ProofAnswer:
        """Ask whether the name of *opening* may log in at all, and go no further."""
        match await self.open(opening, client):
            case ScramExchange(abandon=abandon):
                abandon()
                return Proven()
            case Rejected() | Unavailable() as answer:
                return answer

    def gave_no_answer(self, why: str) -> None:
        """It was given up as it had not answered in the time that was left: *why* says so."""
        self._is_unwell(why, is_mute=True)

    @property
    def mechanisms(self) -> frozenset[str]:
        """What carries a login to it, as last seen; `passwords` for passwords in any way."""
        match self.protocol:
            case Protocol.IMAP:
                names = imap_mechanism_names(self._offer)
                takes_passwords = "LOGINDISABLED" not in {word.upper() for word in self._offer}
            case Protocol.SUBMISSION:
                names, takes_passwords = smtp_mechanism_names(self._offer), False
            case Protocol.MANAGESIEVE:
                names, takes_passwords = sieve_mechanism_names(self._offer), False
        if takes_passwords or names & {"PLAIN", "LOGIN"}:
            return frozenset({PASSWORDS, *others_offered(names)})
        return frozenset(others_offered(names))

    async def _prove(
        self, conversation: Conversation, client: Client, proof: ScramProof
    ) -> LoginAnswer:
        return self._end(conversation, await self._reach.converse(conversation, proof), client)

    def _end(
        self, conversation: Conversation, answer: Answer | Challenged, client: Client
    ) -> LoginAnswer:
        """What *answer* means; without a session the connection is closed."""
        match answer:
            case Accepted(capabilities, leftover, signature):
                self._has_judged()
                watch = self._watch(capabilities, client)
                return Granted(conversation.transport, capabilities, leftover, watch, signature)
            case Rejected():
                self._has_judged()
            case Unavailable(why, trouble):
                self._note(why, trouble, was_asked=conversation.has_asked)
            case Probed() | Challenged():
                answer = Unavailable("the backend ended the login without an answer")
        conversation.close()
        return answer

    def _note(self, why: str, trouble: Trouble, *, was_asked: bool) -> None:
        match trouble:
            case Trouble.SERVER:
                self._is_unwell(why, is_mute=was_asked)
            case Trouble.RIGHT | Trouble.ACCOUNT:
                self._has_judged()  # and found something out, too
            case Trouble.MECHANISM:
                pass

    async def _probe(self) -> bool:
        conversation = self._conversation(None, PROBER)
        if isinstance(conversation, Unavailable):
            self._turn(conversation.why)
            return False
        answer = await self._reach.converse(conversation)
        conversation.close()
        match answer:
            case Probed(capabilities, fault, doubt):
                self._is_well(capabilities, fault, doubt)
                return not fault
            case Unavailable(why):
                self._turn(why)
                return False
            case Accepted() | Rejected() | Challenged():
                self._turn("the backend answered a login that was never sent")
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
                name = greeting_name(client.name, address_literal(client.source[0]))
                return SmtpLogin(credentials, client_name=name, starttls=starttls, origin=origin)
            case Protocol.MANAGESIEVE:
                return ManageSieveLogin(credentials, starttls=starttls, origin=origin)

    @property
    def _farewell(self) -> bytes:
        match self.protocol:
            case Protocol.IMAP:
                return b"m3 LOGOUT\r\n"
            case Protocol.SUBMISSION:
                return b"QUIT\r\n"
            case Protocol.MANAGESIEVE:
                return b"LOGOUT\r\n"

    def _watch(self, capabilities: Sequence[str], client: Client) -> Watch | None:
        match self.protocol:
            case Protocol.IMAP:
                return imap_watch(capabilities)
            case Protocol.SUBMISSION:
                return SubmissionWatch(
                    chunking=has_chunking(capabilities), literal=address_literal(client.source[0])
                )
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
