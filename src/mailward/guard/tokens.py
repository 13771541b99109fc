"""Tokens that were accepted once: when they are refused later they have expired, no guess.

Kept as digests under a key: neither this memory nor the store holds a token, and without the key no
token can be tried on them. Looking a digest up tells no time that helps: who does not know the key
chooses no octet of it.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Mapping

from mailward.guard.writer import Writer
from mailward.rules.model import Instant, Login
from mailward.rules.policy import Policy
from mailward.stores.port import TokenAccepted, TokenForgotten

MAX_TOKENS = 100_000  # some 15 MB; a token lives for an hour or a day, so few are of any use
DIGEST_OCTETS = 16
KEY_OCTETS = 32
LEAST_SECONDS = 86_400.0
"""A token is remembered for the longest period of a limit, and for a day at least: a limit of a
minute makes none a guess that expired after an hour."""
WRITE_AGAIN_SECONDS = 600.0  # one that is used again and again is written this often


class Tokens:
    """A bounded memory. *key* is as random as the system can make it, and nobody else's.

    When it is full the token that was used longest ago goes: its refusal counts then. With a
    *writer* it outlives a restart; *known* are the digests that the store has, oldest first.
    """

    def __init__(
        self,
        key: bytes,
        at_most: int = MAX_TOKENS,
        *,
        writer: Writer | None = None,
        known: Mapping[bytes, Instant] | None = None,
    ) -> None:
        self._key = key
        self._at_most = at_most
        self._writer = writer
        self._accepted: OrderedDict[bytes, Instant] = OrderedDict(known or {})

    def __len__(self) -> int:
        return len(self._accepted)

    def accepted(self, login: Login | None, token: bytes, now: Instant) -> None:
        """Remember that *token* was right for *login* at *now*."""
        digest = self._digest(login, token)
        written = self._accepted.get(digest)
        # Both ways: a clock that was ahead has written what is yet to come.
        if written is None or abs(now - written) >= WRITE_AGAIN_SECONDS:
            self._accepted[digest] = now
            if self._writer is not None:
                self._writer.note(TokenAccepted(digest, now), now)
        self._accepted.move_to_end(digest)
        while len(self._accepted) > self._at_most:
            self._forget(next(iter(self._accepted)), now)

    def was_accepted(self, login: Login | None, token: bytes) -> bool:
        """Whether *token* was right for *login* before; for another login it proves nothing."""
        return self._digest(login, token) in self._accepted

    def forget_old(self, policy: Policy, now: Instant, at_most: int) -> None:
        """Forget up to *at_most* that were not used for the longest period of *policy*."""
        limits = (policy.address_limit, policy.login_limit)
        longest = max(limit.period_seconds if limit else 0.0 for limit in limits)
        for _ in range(at_most):
            digest = next(iter(self._accepted), None)
            if digest is None or now - self._accepted[digest] < max(longest, LEAST_SECONDS):
                return
            self._forget(digest, now)

    def _forget(self, digest: bytes, now: Instant) -> None:
        del self._accepted[digest]
        if self._writer is not None:
            self._writer.note(TokenForgotten(digest), now)

    def _digest(self, login: Login | None, token: bytes) -> bytes:
        # The length comes first, or the end of a name could be the beginning of a token.
        name = b"" if login is None else login.encode()
        message = b"%d:%b%b" % (len(name), name, token)
        return hmac.digest(self._key, message, "sha256")[:DIGEST_OCTETS]
