"""Passwords that were right a moment ago, so that not every HTTP request costs a whole check."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable

from mailward.wire.secret import Secret
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.instant import Instant

PROOF_SECONDS = 60.0
"""HTTP clients send their password with every request."""
MAX_PROOFS = 10_000


class Proofs:
    """Keyed digests of an account with the password that was right."""

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._proven: OrderedDict[bytes, Instant] = OrderedDict()

    def add(self, account: Account, password: Secret) -> None:
        self._proven[self._digest(account, password)] = self._clock()
        while len(self._proven) > MAX_PROOFS:
            self._proven.popitem(last=False)

    def holds(self, account: Account, password: Secret) -> bool:
        """Whether *password* was right for *account* within the last minute."""
        at = self._proven.get(self._digest(account, password))
        return account.is_enabled and at is not None and self._clock() - at < PROOF_SECONDS

    def _digest(self, account: Account, password: Secret) -> bytes:
        # The hash is part of it: a changed password makes every proof of the old one void.
        parts = (account.id.encode(), account.password.encode(), password.reveal())
        return hmac.digest(self._key, b"\0".join(parts), "sha256")[:16]
