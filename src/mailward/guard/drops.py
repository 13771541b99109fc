"""Dropped connections, told in few words: a flood of them must not become a flood of lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mailward.guard.journal import Event, Journal
from mailward.rules.addresses import address_name
from mailward.rules.model import Address, Instant

REPORT_SECONDS = 60.0  # at most one line an address in so long
MAX_ADDRESSES = 10_000  # the rest is told in one line together


@dataclass(slots=True)
class _Dropped:
    told_at: Instant
    service: str
    untold: int = 0


@dataclass(slots=True)
class Drops:
    """Counts drops by address and tells the journal of them. *by_service* is since the start."""

    journal: Journal
    by_service: Counter[str] = field(default_factory=Counter)
    _dropped: dict[Address | None, _Dropped] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All of them since the start."""
        return self.by_service.total()

    def count(self, address: Address, service: str, now: Instant) -> None:
        self.by_service[service] += 1
        known = self._dropped.get(address)
        if known is not None:
            known.untold += 1
            return
        if len(self._dropped) >= MAX_ADDRESSES:
            others = self._dropped.setdefault(None, _Dropped(now, ""))
            others.untold += 1
            return
        self._dropped[address] = _Dropped(now, service)
        self._tell(address, service, 1, now)

    def report(self, now: Instant) -> None:
        """Tell what came in since the last line of each address that is due."""
        for address, dropped in list(self._dropped.items()):
            if now - dropped.told_at < REPORT_SECONDS:
                continue
            if dropped.untold:
                self._tell(address, dropped.service, dropped.untold, now)
                dropped.told_at, dropped.untold = now, 0
            else:
                del self._dropped[address]

    def flush(self, now: Instant) -> None:
        """Tell what came in since the last lines before its time: the daemon stops."""
        for address, dropped in self._dropped.items():
            if dropped.untold:
                self._tell(address, dropped.service, dropped.untold, now)
        self._dropped.clear()

    def _tell(self, address: Address | None, service: str, count: int, now: Instant) -> None:
        self.journal.write(
            Event.CONNECTION_DROPPED,
            now,
            service=service,
            address="others" if address is None else address_name(address),
            count=count,
        )
