"""Notices when most logins come from one address: then something stands between it and the clients.

That is how a proxy looks which nobody told us of, and a webmail, too. The failures of all its users
would be counted for its one address, and the ban would hit all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from mailward.rules.model import Instant
from mailward.rules.policy import Policy

PERIOD_SECONDS = 3_600.0
MIN_LOGINS = 50  # with fewer an office or a family looks the same
MIN_NAMES = 10  # one account that is asked for mail every minute is no crowd
MIN_PERCENT = 80
MAX_SOURCES = 1_000  # who is not among the first so many does not make most of the logins
_TELLING = (
    "send PROXY headers to a listener with proxy-protocol = true, or tell its clients' addresses"
    " by XCLIENT or IMAP's ID"
)


@dataclass(frozen=True, slots=True)
class OneSource:
    """*address* made *logins* of *all_logins* within an hour. Printed it says what to do.

    One that *is_trusted* could tell whose they are, but has not.
    """

    address: str
    logins: int
    all_logins: int
    is_trusted: bool = False

    def __str__(self) -> str:
        made = f"{self.address} makes {self.logins} of {self.all_logins} logins, under many names"
        if self.is_trusted:
            return (
                f"{made}, and does not tell whose they are though it is trusted: the failures of"
                f" everybody behind it count for no address. Let it {_TELLING}"
            )
        return (
            f"{made}, as a proxy would: the failures of everybody behind it are counted as its"
            f" own. Add server.proxy.trusted-networks.{self.address} and let it {_TELLING}; where"
            f" it cannot, add server.security.allowed-networks.{self.address}"
        )


@dataclass(slots=True)
class _Source:
    logins: int = 0
    names: set[int] = field(default_factory=set)


class Funnel:
    """Counts the logins that succeed, by their address, hour by hour."""

    def __init__(self) -> None:
        self._since = Instant(0.0)
        self._all_logins = 0
        self._sources: dict[str, _Source] = {}
        self._last: OneSource | None = None
        self._told: dict[str, Instant] = {}

    def note(self, address: str, login: str, now: Instant) -> None:
        """*login* succeeded from *address*."""
        self._turn(now)
        self._all_logins += 1
        source = self._sources.get(address)
        if source is None:
            if len(self._sources) >= MAX_SOURCES:
                return
            source = self._sources[address] = _Source()
        source.logins += 1
        if len(source.names) < MIN_NAMES:
            source.names.add(hash(login))

    def found(self, policy: Policy, now: Instant) -> OneSource | None:
        """The address that makes most of the logins in this hour, or did in the one before.

        One that is allowed is meant to do so.
        """
        self._turn(now)
        one = self._most() or self._last
        if one is None or policy.allows(ip_address(one.address)):
            return None
        return replace(one, is_trusted=policy.trusts(ip_address(one.address)))

    def news(self, policy: Policy, now: Instant) -> OneSource | None:
        """What is :meth:`found`, at most once an hour for each address."""
        one = self.found(policy, now)
        self._told = {a: at for a, at in self._told.items() if now - at < PERIOD_SECONDS}
        if one is None or one.address in self._told:
            return None
        self._told[one.address] = now
        return one

    def _turn(self, now: Instant) -> None:
        if now - self._since < PERIOD_SECONDS:
            return
        is_next = now - self._since < 2 * PERIOD_SECONDS
        self._last = self._most() if is_next else None
        self._since, self._all_logins, self._sources = now, 0, {}

    def _most(self) -> OneSource | None:
        if self._all_logins < MIN_LOGINS:
            return None
        address, source = max(self._sources.items(), key=lambda item: item[1].logins)
        is_most = source.logins * 100 >= self._all_logins * MIN_PERCENT
        if not is_most or len(source.names) < MIN_NAMES:
            return None
        return OneSource(address, source.logins, self._all_logins)
