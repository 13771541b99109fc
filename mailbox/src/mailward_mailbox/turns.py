"""Turns on the event loop: what goes on for long lets others work in between.

Where a process rotates turns over accounts, the task of a session says so by :data:`ROTATION`: many
sessions of one account then take no more of the loop than one.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Protocol

STEP_SECONDS = 0.005


class AccountTurns(Protocol):
    """The turns of all sessions of one account.

    Both raise ConnectionError where the turn did not come in time.
    """

    async def begin(self) -> None:
        """Wait for a turn, if another session of the account has one in this round of the loop."""
        ...

    async def next(self) -> None:
        """Wait for the next turn, behind those of the other accounts."""
        ...


ROTATION: ContextVar[AccountTurns | None] = ContextVar("ROTATION", default=None)
"""The turns of the account that the task works for."""


async def begin_turn() -> None:
    """Wait until it is this task's turn to work on what has just come, which may be much.

    Raises:
        ConnectionError: the turn did not come in time.
    """
    rotation = ROTATION.get()
    if rotation is not None:
        await rotation.begin()


async def let_others_work() -> None:
    """Give the event loop back, until it is this task's turn again.

    Raises:
        ConnectionError: the turn did not come in time.
    """
    rotation = ROTATION.get()
    if rotation is None:
        await asyncio.sleep(0)
    else:
        await rotation.next()


class SessionTurns:
    """The turns of one session, which asks for the next one between its steps."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    async def begin(self) -> None:
        """Wait for a first turn: what has come may be much.

        Raises:
            ConnectionError: it did not come in time.
        """
        await begin_turn()
        self._began = self._loop.time()

    async def next(self) -> None:
        """Let others work where this turn has lasted long enough.

        Raises:
            ConnectionError: the next one did not come in time.
        """
        if self._loop.time() - self._began >= STEP_SECONDS:
            await let_others_work()
            self._began = self._loop.time()
