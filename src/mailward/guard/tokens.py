"""Tokens that were accepted once: when they are refused later they have expired, no guess.

Kept as keyed digests: whoever reads this memory learns no token, and cannot try one on it.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict

from mailward.rules.model import Login

MAX_TOKENS = 100_000  # some 15 MB; a token lives for an hour or a day, so few are of any use
DIGEST_OCTETS = 16


class Tokens:
    """A bounded memory. *key* is as random as the process can make it, and nobody else's.

    When it is full the token that was used longest ago goes: its refusal counts then.
    """

    def __init__(self, key: bytes, at_most: int = MAX_TOKENS) -> None:
        self._key = key
        self._at_most = at_most
        self._accepted: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accepted)

    def accepted(self, login: Login | None, token: bytes) -> None:
        """Remember that *token* was right for *login*."""
        digest = self._digest(login, token)
        self._accepted[digest] = None
        self._accepted.move_to_end(digest)
        if len(self._accepted) > self._at_most:
            self._accepted.popitem(last=False)

    def was_accepted(self, login: Login | None, token: bytes) -> bool:
        """Whether *token* was right for *login* before; for another login it proves nothing."""
        return self._digest(login, token) in self._accepted

    def _digest(self, login: Login | None, token: bytes) -> bytes:
        # The length comes first, or the end of a name could be the beginning of a token.
        name = b"" if login is None else login.encode()
        message = b"%d:%b%b" % (len(name), name, token)
        return hmac.digest(self._key, message, "sha256")[:DIGEST_OCTETS]
