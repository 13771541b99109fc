"""How one configured mail server is come by: whom to trust, what it is told, how long it may take.

What is said to it there is the dialogue's.
"""

from __future__ import annotations

import asyncio
import ssl

from mailward.backends.conversation import Conversation
from mailward.backends.ourselves import Ourselves
from mailward.backends.port import Client
from mailward.backends.tls import TrustError, client_context
from mailward.settings.configuration import ClientAddress, Encryption, Upstream
from mailward.wire.dialogue import Answer, Challenged, Dialogue, Origin, Unavailable
from mailward.wire.door import ScramProof
from mailward.wire.proxyline import proxy_v1_header, proxy_v2_header


class Reach:
    """The way to the mail server of *settings*."""

    def __init__(self, settings: Upstream) -> None:
        self._settings = settings
        self.ourselves = Ourselves()
        self.read_trust()

    def read_trust(self) -> None:
        """Read anew who may vouch for the mail server; without that it is not asked."""
        try:
            self.trust: ssl.SSLContext | Unavailable = client_context(self._settings.tls)
        except TrustError as error:
            self.trust = Unavailable(f"backend.{self._settings.name}.tls.ca: {error}")

    def conversation(self, dialogue: Dialogue, client: Client) -> Conversation | Unavailable:
        """A connection for *client* on which *dialogue* is held; it is not begun yet."""
        match self.trust:
            case Unavailable() as why:
                return why
            case context:
                return Conversation(
                    dialogue, self.preface(client), self._settings, context, self.ourselves
                )

    async def converse(
        self, conversation: Conversation, proof: ScramProof | None = None
    ) -> Answer | Challenged:
        """Carry the dialogue to its answer, within the configured times.

        With *proof* it goes on where it was challenged.
        """
        where = self._settings.where
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.connect_timeout.total_seconds()) as timer:
                if proof is None:
                    await conversation.prepare()
                else:
                    conversation.prove(proof)
                timer.reschedule(loop.time() + self._settings.answer_timeout.total_seconds())
                return await conversation.answer
        except TimeoutError:
            conversation.close()
            return Unavailable(conversation.why_late())
        except OSError as error:
            return Unavailable(f"cannot connect to {where}: {error.strerror or error}")
        except BaseException:
            conversation.close()
            raise

    def origin(self, client: Client) -> Origin | None:
        """Where *client* comes from, if the dialogue has to tell it."""
        match self._settings.client_address:
            case ClientAddress.IMAP_ID | ClientAddress.XCLIENT:
                return Origin(client.source, client.destination)
            case (
                ClientAddress.NONE
                | ClientAddress.PROXY_V1
                | ClientAddress.PROXY_V2
                | ClientAddress.FORWARDED
            ):
                return None

    def preface(self, client: Client) -> bytes:
        """What goes before everything on a connection for *client*."""
        match self._settings.client_address:
            case (
                ClientAddress.NONE
                | ClientAddress.IMAP_ID
                | ClientAddress.XCLIENT
                | ClientAddress.FORWARDED
            ):
                return b""
            case ClientAddress.PROXY_V1:
                return proxy_v1_header(client.source, client.destination)
            case ClientAddress.PROXY_V2:
                # Told that TLS has begun, Dovecot 2.4 refuses the STARTTLS that follows.
                starts = self._settings.tls.mode is Encryption.STARTTLS
                tls = None if starts else client.tls
                return proxy_v2_header(client.source, client.destination, tls)
