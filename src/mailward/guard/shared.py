"""Addresses that many accounts log in from: untold proxies, container gateways, large networks.

An address is *shared* while at least ten different logins succeeded from it within the last hour.
A ban on such an address locks all of these users out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from mailward.rules.model import Instant, Login

SHARED_LOGINS = 10
SHARED_SECONDS = 3_600.0
MAX_ADDRESSES = 100_000
"""So many addresses are remembered: 44 MB, and 110 MB if all of them are shared. Beyond it the
longest idle are forgotten."""


class SharedAddresses:
    """The last *logins* different logins that succeeded from each address, and when.

    That is enough to be exact: an address is shared as long as the oldest of its last ten is
    younger than *period_seconds*. A success costs the same however many there were.
    """

    def __init__(
        self,
        logins: int = SHARED_LOGINS,
        period_seconds: float = SHARED_SECONDS,
        at_most: int = MAX_ADDRESSES,
    ) -> None:
        self._logins = logins
        self._period = period_seconds
        self._at_most = at_most
        # The longest idle come first. Logins are kept as hashes: they are only told apart.
        self._addresses: OrderedDict[str, dict[int, Instant]] = OrderedDict()
        self._presumed: set[str] = set()
        self._presumed_until = Instant(0.0)

    def __len__(self) -> int:
        return len(self._addresses)

    def note(self, address: str, login: Login, at: Instant) -> None:
        """*login* succeeded from *address*; reports may be late and out of order."""
        known = self._addresses.setdefault(address, {})
        self._addresses.move_to_end(address)
        key = hash(login)
        known[key] = max(at, known.get(key, at))
        if len(known) > self._logins:
            del known[min(known, key=known.__getitem__)]
        if len(self._addresses) > self._at_most:
            self._addresses.popitem(last=False)

    def is_shared(self, address: str, now: Instant) -> bool:
        """Whether enough different logins succeeded from *address* within the period."""
        known = self._addresses.get(address)
        if known and len(known) >= self._logins and now - min(known.values()) < self._period:
            return True
        return address in self._presumed and now < self._presumed_until

    def presume(self, addresses: Iterable[str], now: Instant) -> None:
        """Take *addresses* for shared for one period: who logged in from there is forgotten."""
        self._presumed = set(addresses)
        self._presumed_until = Instant(now + self._period)

    def presume_no_more(self, address: str) -> None:
        """*address* was lifted: it begins anew, and its successes are all that counts."""
        self._presumed.discard(address)

    def forget_old(self, now: Instant, at_most: int) -> None:
        """Forget up to *at_most* addresses without a success within the period."""
        for _ in range(at_most):
            address = next(iter(self._addresses), None)
            if address is None or now - max(self._addresses[address].values()) < self._period:
                return
            del self._addresses[address]
