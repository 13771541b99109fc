"""What an SQLite file holds, read for the start, in little more memory than the guard will need."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from socket import AF_INET, AF_INET6, inet_pton

from mailward.rules.model import Ban, Instant, Reason, Subject, SubjectKind, subject_from_key
from mailward.rules.numbers import NetworkNumber, number_from_name
from mailward.stores.port import Contents

MAX_SHARED_LISTS = 4_096  # of services or counterparts

_ADDRESS = SubjectKind.ADDRESS.value


def read_contents(database: sqlite3.Connection) -> Contents:
    """All that is there; the caller sees to it that nobody writes meanwhile."""
    return Contents(
        failures=_failures(database),
        bans=tuple(_bans(database)),
        settings=dict(database.execute("SELECT key, value FROM setting")),
        facts=dict(database.execute("SELECT name, value FROM fact")),
        reports=dict(database.execute("SELECT digest, at FROM report ORDER BY at, digest")),
        tokens=dict(database.execute("SELECT digest, at FROM token ORDER BY at, digest")),
    )


class Windows(Mapping[Subject, Sequence[Instant]]):
    """The instants of each subject; of one kind those that are idle longest come first.

    Most subjects of a flood have failed once: one instant is kept bare.
    """

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[SubjectKind, dict[str, Instant | array[float]]] = {
            kind: {} for kind in SubjectKind
        }

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def __iter__(self) -> Iterator[Subject]:
        for kind, windows in self._kinds.items():
            for name in sorted(windows, key=lambda name: _last(windows[name])):
                yield Subject(kind, name)

    def __getitem__(self, subject: Subject) -> Sequence[Instant]:
        known = self._kinds[subject.kind][subject.name]
        return [Instant(at) for at in known] if isinstance(known, array) else (known,)

    def add(self, subject: Subject, at: Instant) -> None:
        """Put *at* behind the instants of *subject*."""
        windows = self._kinds[subject.kind]
        known = windows.get(subject.name)
        if known is None:
            windows[subject.name] = at
        elif isinstance(known, array):
            known.append(at)
        else:
            windows[subject.name] = array("d", (known, at))


def _last(window: Instant | array[float]) -> float:
    return window[-1] if isinstance(window, array) else window


def _failures(database: sqlite3.Connection) -> Windows:
    windows = Windows()
    last_key, subject = "", None
    for key, at in database.execute("SELECT subject, at FROM failure ORDER BY subject, at"):
        if subject is None or key != last_key:
            last_key, subject = key, subject_from_key(key)
        windows.add(subject, Instant(float(at)))  # a text is no instant, whoever wrote it there
    return windows


def _bans(database: sqlite3.Connection) -> Iterator[Ban]:
    for key, reason, since, until, failures, services, counterparts, note in database.execute(
        "SELECT subject, reason, since, until, failures, services, counterparts, note FROM ban"
    ):
        yield Ban(
            _banned(key),
            _reason(reason),
            since,
            until,
            failures,
            _texts(services),
            _texts(counterparts),
            note,
        )


def _banned(key: str) -> Subject | NetworkNumber:
    kind, _, name = key.partition(":")
    return number_from_name(name, _octets) if kind == _ADDRESS else subject_from_key(key)


def _octets(address: str) -> bytes:
    """As the platform reads it, in a third of the time that Python's own code takes."""
    try:
        return inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except OSError:
        raise ValueError(f'"{address}" is no address') from None


_reason = cache(Reason)


@lru_cache(MAX_SHARED_LISTS)
def _texts(text: str) -> tuple[str, ...]:
    """Read once, and shared: in a million bans there are few services, and few names again."""
    return tuple(json.loads(text))
