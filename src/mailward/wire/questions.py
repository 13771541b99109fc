"""What a backend asks after the first message of a login, and what it is answered.

The client hears of it only where it alone has the answer: a SCRAM challenge. Told of an error the
door answers in the client's place, since hanging up then must not hide a guess.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from mailward.wire.bearer import after_error
from mailward.wire.dialogue import Challenged, Unavailable
from mailward.wire.door import BearerToken, Credentials, Opening, ScramOpening
from mailward.wire.encoding import decode
from mailward.wire.scram import is_error, is_signature, server_nonce

_TOO_MUCH = Unavailable("the backend asks for more than the credentials")
_NO_SCRAM = Unavailable("the backend answers SCRAM with what is none")


@dataclass(slots=True)
class Questions:
    """Where an exchange stands. *error_told*: the backend has said that something is wrong."""

    opening: Opening | None
    is_challenged: bool = False
    is_proved: bool = False
    error_told: bool = False
    signature: bytes = b""

    def answer(self, text: bytes) -> bytes | Challenged | Unavailable:
        """What follows from the challenge *text* (in base64): a line to send, or an event."""
        if self.error_told or self.signature:
            return _TOO_MUCH
        match self.opening:
            case Credentials() | None:
                return _TOO_MUCH
            case BearerToken(mechanism):
                self.error_told = True
                return b64encode(after_error(mechanism))
            case ScramOpening() as opening:
                return self._answer_scram(opening, decode(text))

    def _answer_scram(
        self, opening: ScramOpening, message: bytes | None
    ) -> bytes | Challenged | Unavailable:
        if message is None:
            return _NO_SCRAM
        if is_error(message):
            self.error_told = True
            return b""
        if self.is_proved and is_signature(opening.mechanism, message):
            # It has accepted the proof: what the client makes of that is no part of the guess.
            self.signature = message
            return b""
        if not self.is_challenged and server_nonce(opening, message) is not None:
            self.is_challenged = True
            return Challenged(message)
        return _NO_SCRAM
