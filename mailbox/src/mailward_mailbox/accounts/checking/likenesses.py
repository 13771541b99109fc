"""What an unknown name looks like: like one of the accounts, in work and in SCRAM parameters.

Accounts differ while old hashes and imported ones are not re-made: another number of SCRAM rounds,
a slower hash. If unknown names all looked like new accounts, every other one would be known to
exist. So each unknown name is given the parameters of some account, the same one each time, and as
many unknown names look old as accounts do. Old ones come first in the order: when they are re-made,
unknown names follow, and none goes back.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Generic, TypeVar

from mailward_mailbox.accounts.file import Account
from mailward_mailbox.accounts.hashes import Hashes
from mailward_mailbox.accounts.schemes import parameters_of

_K = TypeVar("_K", tuple[bool, str], tuple[bool, int, int])


class Proportions(Generic[_K]):
    """How many members there are of each kind."""

    def __init__(self) -> None:
        self._members: dict[_K, dict[str, None]] = {}
        self._kinds: dict[str, _K] = {}

    def put(self, member: str, kind: _K | None) -> None:
        """Count *member* under *kind* from now on, ``None``: under none."""
        before = self._kinds.pop(member, None)
        if before is not None:
            del self._members[before][member]
            if not self._members[before]:
                del self._members[before]
        if kind is not None:
            self._kinds[member] = kind
            self._members.setdefault(kind, {})[member] = None

    def pick(self, rank: float) -> tuple[_K, str] | None:
        """The kind at *rank* (0 to 1) of all members in the order of kinds, and one of them."""
        at = rank * len(self._kinds)
        for kind in sorted(self._members):
            at -= len(self._members[kind])
            if at < 0:
                return kind, next(iter(self._members[kind]))
        return None


class Likenesses:
    """*secret* makes the choice the same after each start, and unknown to anybody else."""

    def __init__(self, secret: bytes, hashes: Hashes, accounts: Iterable[Account]) -> None:
        self._secret = secret
        self._hashes = hashes
        self._passwords: Proportions[tuple[bool, str]] = Proportions()
        self._scram: Proportions[tuple[bool, int, int]] = Proportions()
        for account in accounts:
            self.put(account)

    def put(self, account: Account) -> None:
        """The account is there, or another one of its id was until now."""
        is_new = not self._hashes.is_outdated(account.password)
        self._passwords.put(account.id, (is_new, parameters_of(account.password)))
        keys = account.scram
        if keys is None:
            self._scram.put(account.id, None)
        else:
            self._scram.put(account.id, (not keys.is_outdated, keys.iterations, len(keys.salt)))

    def remove(self, account: str) -> None:
        self._passwords.put(account, None)
        self._scram.put(account, None)

    def account(self, name: str) -> str | None:
        """The id of the account whose hash a guess for the unknown *name* is compared with.

        ``None``: there are no accounts.
        """
        found = self._passwords.pick(self._rank(name))
        return None if found is None else found[1]

    def scram(self, name: str) -> tuple[int, int] | None:
        """Rounds, and octets of the salt, for the unknown *name*; ``None``: as in new keys."""
        found = self._scram.pick(self._rank(name))
        return None if found is None else found[0][1:]

    def _rank(self, name: str) -> float:
        digest = hmac.digest(self._secret, f"rank {name}".encode(), "sha256")
        return int.from_bytes(digest[:6], "big") / 2**48
