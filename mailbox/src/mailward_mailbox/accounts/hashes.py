"""Passwords and their hashes, a few at a time and beside the event loop.

To hash is slow on purpose, so it is itself a way to exhaust a server: checks wait for their turn
(:mod:`mailward_mailbox.accounts.checking.turns`), and those that do not get one are told to try
later.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

from mailward.wire.secret import Secret
from mailward_mailbox.accounts.checking.turns import TurnPlace, Turns
from mailward_mailbox.accounts.scram import (
    ITERATIONS,
    SALT_OCTETS,
    ScramKeys,
    scram_keys,
    stranger_keys,
)

AT_ONCE = min(4, os.cpu_count() or 1)
"""Each takes a core, and 19 MiB, for 20 ms."""

_T = TypeVar("_T")
_own_hasher = partial(PasswordHasher, time_cost=2, memory_cost=19_456, parallelism=1)


@dataclass(frozen=True, slots=True)
class Strength:
    """How much work a guess at what is kept is, and so is every login; *at_once* of them.

    argon2id with 19 MiB and two passes is the least that OWASP recommends. RFC 9106's second
    choice takes eight times as long, which is to the good of whoever sends many guesses.
    """

    hasher: PasswordHasher = field(default_factory=_own_hasher)
    scram_iterations: int = ITERATIONS
    at_once: int = AT_ONCE


class Hashes:
    """The one place that computes hashes of passwords."""

    def __init__(self, strength: Strength) -> None:
        self._hasher = strength.hasher
        self._iterations = strength.scram_iterations
        self._turns = Turns(strength.at_once)
        self._threads = ThreadPoolExecutor(strength.at_once, thread_name_prefix="argon2")

    async def compute(self, job: Callable[[], _T], place: TurnPlace) -> _T:
        """Do *job*, which is slow, when the turn of *place* comes.

        A caller that is cancelled while it waits leaves the line; what has begun is finished.

        Raises:
            BusyError: too many wait already, or for too long.
        """
        await self._turns.wait(place)
        try:
            doing = asyncio.get_running_loop().run_in_executor(self._threads, job)
        except BaseException:
            self._turns.give_back()
            raise
        doing.add_done_callback(self._end)
        return await asyncio.shield(doing)

    def close(self) -> None:
        """Compute nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash is to be made anew, at the next chance."""
        try:
            return self._hasher.check_needs_rehash(hashed)
        except InvalidHashError:
            return True

    def stranger_keys(
        self, secret: bytes, name: str, parameters: tuple[int, int] | None
    ) -> ScramKeys:
        """Keys for a name without an account, with so many rounds and octets of salt."""
        iterations, salt_octets = parameters or (self._iterations, SALT_OCTETS)
        return stranger_keys(secret, name, iterations, salt_octets)

    # -- what a job may call -------------------------------------------------------------------

    def made(self, password: Secret) -> tuple[str, ScramKeys]:
        """What is kept of *password*."""
        hashed = self._hasher.hash(password.reveal())
        return hashed, scram_keys(password, iterations=self._iterations)

    def matches(self, hashed: str, password: Secret) -> bool:
        """Whether *hashed* is the argon2 hash of *password*."""
        try:
            return self._hasher.verify(hashed, password.reveal())
        except (VerifyMismatchError, InvalidHashError, Argon2Error):
            return False

    def _end(self, done: asyncio.Future[_T]) -> None:
        self._turns.give_back()
        if not done.cancelled():
            done.exception()  # the caller is told of it, if it still waits
