"""Which reports from outside were taken already, so that telling one twice counts once.

An id is remembered for the longest period of the limits: a report that tells its time and comes
again after that is too old to be taken. What is remembered is written in the same commit as the
failure, so that no crash comes in between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from mailward.guard.writer import Writer
from mailward.rules.model import Instant, Outcome
from mailward.stores.port import ReportForgotten, ReportTaken

MAX_REMEMBERED = 300_000
"""So many at most, some 70 MB; beyond it those that came first are forgotten."""

_DIGEST_OCTETS = 16


def report_digest(outcome: Outcome, service: str, id_: str) -> bytes:
    """What stands for an id. Two services may give the same ids: they are two reports."""
    # Neither of the first two holds a NUL, so no two triples are the same text.
    text = f"{outcome.value}\0{service}\0{id_}"
    return blake2b(text.encode(), digest_size=_DIGEST_OCTETS).digest()


class Reported:
    """The digests of the reports that were taken, those of the longest ago first."""

    def __init__(self, writer: Writer, known: Mapping[bytes, Instant], now: Instant) -> None:
        self._writer = writer
        # OrderedDict, as they leave at the front: a plain dict would search past all that left.
        self._taken = OrderedDict((digest, min(at, now)) for digest, at in known.items())

    def __len__(self) -> int:
        return len(self._taken)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._taken

    def add(self, digests: Iterable[bytes], now: Instant) -> None:
        """Remember that these reports were taken at *now*."""
        for digest in digests:
            self._taken[digest] = now
            self._writer.note(ReportTaken(digest, now), now)
        while len(self._taken) > MAX_REMEMBERED:
            self._forget(next(iter(self._taken)), now)

    def forget(self, before: Instant, now: Instant, at_most: int) -> None:
        """Forget up to *at_most* that were not taken after *before*."""
        old: list[bytes] = []
        for digest, at in self._taken.items():
            if at > before or len(old) >= at_most:
                break
            old.append(digest)
        for digest in old:
            self._forget(digest, now)

    def _forget(self, digest: bytes, now: Instant) -> None:
        del self._taken[digest]
        self._writer.note(ReportForgotten(digest), now)
