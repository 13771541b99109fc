"""From which addresses the owner of each account has logged in: they have turns kept for them.

It is in memory alone and of bounded size. Addresses are kept as keyed digests, since a list of who
logs in from where is nobody else's business.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict

from mailward_mailbox.accounts.checking.turns import ClientAddress, TurnPlace, client_groups

MAX_PAIRS = 20_000
MAX_ADDRESSES = 32
"""Of one account, the last used: an account of the attacker's own pushes out no other's."""
DIGEST_OCTETS = 16


class AcceptedClients:
    """Pairs of an account (its id) and an address (IPv6: its /64) that a login succeeded from."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._by_account: OrderedDict[str, OrderedDict[bytes, None]] = OrderedDict()
        """The account, and the address, that was last used is the last."""
        self._count = 0

    def add(self, account: str, client: ClientAddress | None) -> None:
        if client is None:
            return
        known = self._by_account.setdefault(account, OrderedDict())
        self._by_account.move_to_end(account)
        self._count -= len(known)
        known[self._digest(client)] = None
        known.move_to_end(self._digest(client))
        if len(known) > MAX_ADDRESSES:
            known.popitem(last=False)
        self._count += len(known)
        while self._count > MAX_PAIRS:
            self._count -= len(self._by_account.popitem(last=False)[1])

    def forget(self, account: str) -> None:
        self._count -= len(self._by_account.pop(account, ()))

    def place(self, account: str | None, client: ClientAddress | None) -> TurnPlace:
        """Where a check for *account* (``None``: no account has that name) waits."""
        groups = client_groups(client)
        if account is None or client is None:
            return TurnPlace(groups)
        if self._digest(client) not in self._by_account.get(account, ()):
            return TurnPlace(groups)
        # One more group for the account: those who share an address have a turn each.
        return TurnPlace((*groups, account.encode()), is_reserved=True)

    def _digest(self, client: ClientAddress) -> bytes:
        return hmac.digest(self._key, client_groups(client)[-1], "sha256")[:DIGEST_OCTETS]
