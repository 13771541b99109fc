"""What can be left out of a long row of changes that no store has taken yet."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from mailward.rules.model import Ban
from mailward.stores.port import (
    BanPut,
    BanRemoved,
    Change,
    ClockMoved,
    ClockSetBack,
    FactPut,
    FailureAdded,
    ReportForgotten,
    ReportTaken,
    SettingDeleted,
    SettingPut,
    TallyCleared,
    TokenAccepted,
    TokenForgotten,
)

# The least that is lost comes first. A failure that is let go makes a limit reached later; a token,
# one failure more when it has expired; an id, a report counted twice; a tally that is not cleared,
# failures that come back with a restart.
_LET_GO: tuple[tuple[type[Change], ...], ...] = (
    (FailureAdded,),
    (TokenAccepted, TokenForgotten),
    (ReportTaken, ReportForgotten),
    (TallyCleared,),
)


def thinned(changes: Sequence[Change], most: int) -> list[Change]:
    """*changes* in their order, without what later ones make void; at most *most* of them.

    Of what is still too much the oldest go, but never a ban, a setting or a fact: there are not
    more of these than are known.
    """
    kept = _without_void(changes)
    for kinds in _LET_GO:
        surplus = len(kept) - most
        if surplus <= 0:
            break
        kept = _without_oldest(kept, kinds, surplus)
    return kept


def _without_void(changes: Sequence[Change]) -> list[Change]:
    told: set[Hashable] = set()
    kept: list[Change] = []
    for change in reversed(changes):
        about = _about(change)
        if about in told:
            continue
        if about is not None and not isinstance(change, FailureAdded):
            told.add(about)
        kept.append(change)
    kept.reverse()
    return kept


def _about(change: Change) -> Hashable:  # noqa: PLR0911 -- flat: a line for each change
    """What *change* says the last word of, until another one about the same; ``None``: nothing."""
    match change:
        case FailureAdded(subject) | TallyCleared(subject):
            return "tally", subject
        case BanPut(Ban(subject=subject)) | BanRemoved(subject):
            return "ban", subject
        case SettingPut(key) | SettingDeleted(key):
            return "setting", key
        case FactPut(name):
            return "fact", name
        case ReportTaken(digest) | ReportForgotten(digest):
            return "report", digest
        case TokenAccepted(digest) | TokenForgotten(digest):
            return "token", digest
        case ClockSetBack() | ClockMoved():
            return None


def _without_oldest(
    changes: Sequence[Change], kinds: tuple[type[Change], ...], surplus: int
) -> list[Change]:
    kept: list[Change] = []
    for change in changes:
        if surplus > 0 and isinstance(change, kinds):
            surplus -= 1
        else:
            kept.append(change)
    return kept
