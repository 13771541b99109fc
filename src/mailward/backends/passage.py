"""A mail server that is passed on to without a login: a connection of its own for each client."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailward.backends.port import Client, Granted
from mailward.backends.probing import PROBER, Probing
from mailward.backends.reach import Reach
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


class PassageUpstream:
    """One configured backend, as the listeners of *protocol* need it.

    *offer* is what is known of it from an earlier run; *remember* is called with each new one.
    """

    def __init__(
        self,
        settings: Upstream,
        protocol: Passage,
        offer: Sequence[str],
        remember: Callable[[Sequence[str]], None],
    ) -> None:
        self.settings = settings
        self.protocol = protocol
        self._offer = tuple(offer)
        self._remember = remember
        self._state = "not asked yet"
        self._probing = Probing(self._probe)
        self._reach = Reach(settings)

    @property
    def state(self) -> str:
        return self._state

    def read_trust(self) -> None:
        """Read anew who may vouch for the mail server; without that it is not asked."""
        self._reach.read_trust()
        self._probing.look_soon()

    async def connect(self, client: Client) -> Granted | Unavailable:
        answer = await self._ask(self._arrival(client), client)
        if isinstance(answer, Unavailable):
            # That it is well is for the probe to say: here nobody waits for its first word.
            self._state = answer.why
            self._probing.look_soon()
        return answer

    async def keep_probing(self) -> None:
        await self._probing.go_on()

    async def _probe(self) -> bool:
        answer = await self._ask(self._question(), PROBER)
        match answer:
            case Granted(transport, capabilities):
                transport.close()
                self._state = "ok"
                if tuple(capabilities) != self._offer:
                    self._offer = tuple(capabilities)
                    self._remember(self._offer)
                return True
            case Unavailable(why):
                self._state = why
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
