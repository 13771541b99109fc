"""Where the failures of a ban came from: what it remembers of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mailward.rules.model import Ban, Failure

MAX_COUNTERPARTS = 10  # a ban remembers the last so many subjects of the other kind


def with_origins(ban: Ban, failures: Sequence[Failure]) -> Ban:
    """*ban* with the services and the counterparts of its *failures*, which are oldest first."""
    counterparts = dict.fromkeys(f.counterpart for f in reversed(failures) if f.counterpart)
    return replace(
        ban,
        services=tuple(sorted({f.service for f in failures if f.service})),
        counterparts=tuple(counterparts)[:MAX_COUNTERPARTS],
    )
