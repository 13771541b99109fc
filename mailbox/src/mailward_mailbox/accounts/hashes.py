"""Passwords and their hashes, a few at a time and beside the event loop.

To hash is slow on purpose, so it is itself a way to exhaust a server: so many at once, so many
that wait, and everybody else is told to try later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

from mailward.wire.secret import Secret
from mailward_mailbox.accounts.scram import (
    ITERATIONS,
    ScramKeys,
    scram_keys,
    stranger_keys,
)

AT_ONCE = 2
"""Each takes 64 MB for a tenth of a second."""
MAX_IN_LINE = 64

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Strength:
    """How much work a guess at what is kept is, and so is every login."""

    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    scram_iterations: int = ITERATIONS


class BusyError(Exception):
    """Too many ask at once."""


class Hashes:
    """The one place that computes hashes of passwords."""

    def __init__(self, strength: Strength) -> None:
        self._hasher = strength.hasher
        self._iterations = strength.scram_iterations
        self._in_line = 0
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")

    async def compute(self, job: Callable[[], _T]) -> _T:
        """Do *job*, which is slow, when its turn comes.

        Raises:
            BusyError: too many wait already.
        """
        if self._in_line >= MAX_IN_LINE:
            raise BusyError
        self._in_line += 1
        doing = asyncio.get_running_loop().run_in_executor(self._threads, job)
        doing.add_done_callback(self._leave)  # whoever waits for it may go: it is computed still
        return await asyncio.shield(doing)

    def close(self) -> None:
        """Compute nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- what a job may call -------------------------------------------------------------------

    def made(self, password: Secret) -> str:
        return self._hasher.hash(password.reveal())

    def scram_keys(self, password: Secret) -> ScramKeys:
        return scram_keys(password, iterations=self._iterations)

    def stranger_keys(self, secret: bytes, name: str) -> ScramKeys:
        return stranger_keys(secret, name, self._iterations)

    def matches(self, hashed: str, password: Secret) -> bool:
        """Whether *hashed* is the argon2 hash of *password*."""
        try:
            return self._hasher.verify(hashed, password.reveal())
        except (VerifyMismatchError, InvalidHashError, Argon2Error):
            return False

    def is_outdated(self, hashed: str) -> bool:
        """Whether it is to be made anew, at the next chance."""
        try:
            return self._hasher.check_needs_rehash(hashed)
        except InvalidHashError:
            return True

    def _leave(self, done: asyncio.Future[_T]) -> None:
        self._in_line -= 1
        if not done.cancelled():
            done.exception()  # it is told to whoever waited, if anybody did
