"""A mail server that is passed on to without a login: a connection of its own for each client."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailward.backends.port import Client, Granted
from mailward.backends.server import PROBER, MailServer
from mailward.settings.configuration import Encryption, Passage, Upstream
from mailward.wire.dialogue import (
    Accepted,
    Challenged,
    Dialogue,
    Probed,
    Rejected,
    Unavailable,
)
from mailward.wire.passage import Wordless
from mailward.wire.smtp.arrival import SmtpArrival
from mailward.wire.smtp.backend import SmtpLogin


class PassageUpstream(MailServer):
    """One configured backend, as the listeners of *protocol* need it."""

    def __init__(
        self,
        settings: Upstream,
        protocol: Passage,
        offer: Sequence[str],
        remember: Callable[[Sequence[str]], None],
    ) -> None:
        super().__init__(settings, offer, remember)
        self.protocol = protocol

    async def connect(self, client: Client) -> Granted | Unavailable:
        answer = await self._ask(self._arrival(client), client)
        if isinstance(answer, Unavailable):
            # That it is well is for the probe to say: here nobody waits for its first word.
            self._is_unwell(answer.why)
        return answer

    async def _probe(self) -> bool:
        answer = await self._ask(self._question(), PROBER)
        match answer:
            case Granted(transport, capabilities):
                transport.close()
                self._is_well(capabilities)
                return True
            case Unavailable(why):
                self._turn(why)
                return False

    async def _ask(self, dialogue: Dialogue, client: Client) -> Granted | Unavailable:
        conversation = self._reach.conversation(dialogue, client)
        if isinstance(conversation, Unavailable):
            return conversation
        match await self._reach.converse(conversation):
            case Accepted(capabilities, leftover):
                offer = capabilities or self._offer
                return Granted(conversation.transport, offer, leftover, None)
            case Probed(capabilities):
                return Granted(conversation.transport, capabilities, b"", None)
            case Unavailable() as why:
                conversation.close()
                return why
            case Rejected() | Challenged():
                conversation.close()
                return Unavailable("the backend answers a login that nobody has begun")

    def _arrival(self, client: Client) -> Dialogue:
        """What is said before the client is heard."""
        starttls = self.settings.tls.mode is Encryption.STARTTLS
        origin = self._reach.origin(client)
        match self.protocol:
            case Passage.SMTP if starttls or origin is not None:
                return SmtpArrival(starttls=starttls, origin=origin)
            case Passage.SMTP | Passage.TCP:
                return Wordless()

    def _question(self) -> Dialogue:
        """How the mail server is asked what it can do."""
        match self.protocol:
            case Passage.SMTP:
                starttls = self.settings.tls.mode is Encryption.STARTTLS
                origin = self._reach.origin(PROBER)
                return SmtpLogin(None, client_name=PROBER.name, starttls=starttls, origin=origin)
            case Passage.TCP:
                return Wordless()
