"""The reference store: right by reading. It keeps nothing beyond the process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count, islice
from math import isnan

from mailward.rules.model import Ban, Failure, Instant, Subject
from mailward.stores.port import (
    BanPut,
    BanRemoved,
    Change,
    ClockMoved,
    ClockSetBack,
    Contents,
    FactPut,
    FailureAdded,
    ReportForgotten,
    ReportTaken,
    SettingDeleted,
    SettingPut,
    StoreError,
    TallyCleared,
    TokenAccepted,
    TokenForgotten,
)


class MemoryStore:
    """A store of dictionaries, for tests and for those who want to keep nothing."""

    def __init__(self) -> None:
        self._arrivals = count()
        self._order: dict[int, Subject] = {}
        self._failures: dict[Subject, dict[int, Failure]] = {}
        self._bans: dict[Subject, Ban] = {}
        self._settings: dict[str, str] = {}
        self._facts: dict[str, str] = {}
        self._reports: dict[bytes, Instant] = {}
        self._tokens: dict[bytes, Instant] = {}

    async def load(self) -> Contents:
        windows = {
            subject: sorted(failure.at for failure in failures.values())
            for subject, failures in self._failures.items()
        }
        return Contents(
            failures=dict(sorted(windows.items(), key=lambda kept: kept[1][-1])),
            bans=tuple(self._bans.values()),
            settings=dict(self._settings),
            facts=dict(self._facts),
            reports=dict(sorted(self._reports.items(), key=lambda kept: kept[::-1])),
            tokens=dict(sorted(self._tokens.items(), key=lambda kept: kept[::-1])),
        )

    async def commit(self, changes: Sequence[Change], *, durable: bool) -> None:
        del durable  # nothing here survives a crash, so nothing survives a power cut
        if not all(_has_its_instants(change) for change in changes):
            raise StoreError("a change has an instant that is no number: nothing was kept")
        for change in changes:
            self._apply(change)

    async def failures(self, subject: Subject, at_most: int) -> Sequence[Failure]:
        known = sorted(self._failures.get(subject, {}).values(), key=lambda failure: failure.at)
        return known[max(0, len(known) - at_most) :]

    async def forget_before(self, at: Instant, at_most: int) -> int:
        looked_at = list(islice(self._order.items(), at_most))
        old = [(seq, who) for seq, who in looked_at if self._failures[who][seq].at <= at]
        for seq, subject in old:
            self._forget(seq, subject)
        return len(old)

    async def close(self) -> None:
        pass

    def _apply(self, change: Change) -> None:  # noqa: C901, PLR0912 -- flat: a step for each change
        match change:
            case FailureAdded(subject, failure):
                seq = next(self._arrivals)
                self._order[seq] = subject
                self._failures.setdefault(subject, {})[seq] = failure
            case TallyCleared(subject):
                for seq in list(self._failures.get(subject, ())):
                    self._forget(seq, subject)
            case ClockSetBack(now):
                self._set_back(now)
            case ClockMoved(seconds):
                self._move(seconds)
            case BanPut(ban):
                self._bans[ban.subject] = ban
            case BanRemoved(subject):
                self._bans.pop(subject, None)
            case SettingPut(key, value):
                self._settings[key] = value
            case SettingDeleted(key):
                self._settings.pop(key, None)
            case FactPut(name, value):
                self._facts[name] = value
            case ReportTaken(digest, at):
                self._reports[digest] = at
            case ReportForgotten(digest):
                self._reports.pop(digest, None)
            case TokenAccepted(digest, at):
                self._tokens[digest] = at
            case TokenForgotten(digest):
                self._tokens.pop(digest, None)

    def _set_back(self, now: Instant) -> None:
        for failures in self._failures.values():
            for seq, failure in failures.items():
                failures[seq] = failure._replace(at=min(failure.at, now))
        self._bans = {subject: ban.set_back(now) for subject, ban in self._bans.items()}

    def _move(self, seconds: float) -> None:
        def moved(at: Instant) -> Instant:
            return Instant(at + seconds)

        for failures in self._failures.values():
            for seq, failure in failures.items():
                failures[seq] = failure._replace(at=moved(failure.at))
        for subject, ban in self._bans.items():
            until = None if ban.until is None else moved(ban.until)
            self._bans[subject] = replace(ban, since=moved(ban.since), until=until)
        self._reports = {digest: moved(at) for digest, at in self._reports.items()}
        self._tokens = {digest: moved(at) for digest, at in self._tokens.items()}

    def _forget(self, seq: int, subject: Subject) -> None:
        del self._order[seq]
        del self._failures[subject][seq]
        if not self._failures[subject]:
            del self._failures[subject]


def _has_its_instants(change: Change) -> bool:
    match change:
        case (
            FailureAdded(failure=Failure(at=at))
            | ClockSetBack(now=at)
            | ClockMoved(seconds=at)
            | BanPut(ban=Ban(since=at))
            | ReportTaken(at=at)
            | TokenAccepted(at=at)
        ):
            return not isnan(at)
        case TallyCleared() | BanRemoved() | SettingPut() | SettingDeleted() | FactPut():
            return True
        case ReportForgotten() | TokenForgotten():
            return True
