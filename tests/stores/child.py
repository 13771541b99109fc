"""A process of its own that keeps failures until it is killed, runs out of disk, or may not write.

``python child.py WHAT PATH`` prints one line for each thing that happened.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import resource
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Protocol, TypeVar

from mailward.rules.model import Ban, Failure, Instant, Reason, Subject, SubjectKind
from mailward.stores.port import BanPut, Change, FailureAdded, StoreError
from mailward.stores.sqlite import SqliteStore

ADDRESS = Subject(SubjectKind.ADDRESS, "192.0.2.1")
LOGIN = Subject(SubjectKind.LOGIN, "ada")
T = TypeVar("T")


class Run(Protocol):
    """Waits for one call of the store; a loop that a test may leave between two calls."""

    def __call__(self, call: Coroutine[object, object, T], /) -> T: ...


def changes(number: int) -> list[Change]:
    """One failure as both of its subjects see it, and a ban that counts them."""
    failure = Failure(Instant(float(number)), "imap", "x" * 500)
    return [
        FailureAdded(ADDRESS, failure),
        BanPut(Ban(ADDRESS, Reason.AUTHENTICATION, Instant(0.0), None, number)),
        FailureAdded(LOGIN, failure),
    ]


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 -- the parent reads it


def keep_until_killed(path: Path, run: Run) -> None:
    store = SqliteStore(path)
    for number in itertools.count(1):
        run(store.commit(changes(number), durable=number % 2 == 0))
        say(number)


def die(path: Path, run: Run) -> None:
    """End without closing anything, as kill -9 does."""
    store = SqliteStore(path)
    run(store.commit(changes(1), durable=True))
    os._exit(0)


def run_out_of_disk(path: Path, run: Run) -> None:
    """Every file of this process is bounded for a while, which fails writes as a full disk does."""
    store = SqliteStore(path)
    run(store.commit(changes(1), durable=True))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (path.with_name(path.name + "-wal").stat().st_size, hard)
    )
    for durable in (True, False):
        try:
            run(store.commit([c for n in range(2, 500) for c in changes(n)], durable=durable))
        except StoreError as error:
            say("refused:", error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    run(store.commit(changes(500), durable=True))
    say("kept:", [failure.at for failure in run(store.failures(LOGIN, 1_000))])
    run(store.close())


def lose_the_file(path: Path, run: Run) -> None:
    """A write fails, and when the store opens its file anew there is none."""
    store = SqliteStore(path)
    run(store.commit(changes(1), durable=True))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    for _ in range(2):
        try:
            run(store.commit(changes(2), durable=True))
        except StoreError as error:
            say("refused:", error)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        path.unlink(missing_ok=True)
    say("made again:", path.exists())
    run(store.close())


def write_without_leave(path: Path, run: Run) -> None:
    """The file's mode binds this process even if root runs it: it lays down all capabilities."""
    store = SqliteStore(path)
    run(store.commit(changes(1), durable=True))
    run(store.close())
    path.chmod(0o400)
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")
    store = SqliteStore(path)
    try:
        run(store.load())
    except StoreError as error:
        say("refused:", error)
    path.chmod(0o600)
    say("kept:", list(run(store.load()).failures[LOGIN]))
    path.parent.chmod(0o500)
    run(store.close())
    try:
        run(SqliteStore(path.with_name("new.db")).load())
    except StoreError as error:
        say("refused:", error)
    path.parent.chmod(0o700)


if __name__ == "__main__":
    work = {
        "keep": keep_until_killed,
        "die": die,
        "full": run_out_of_disk,
        "lost": lose_the_file,
        "leave": write_without_leave,
    }[sys.argv[1]]
    with asyncio.Runner() as runner:
        work(Path(sys.argv[2]), runner.run)
