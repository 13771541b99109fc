"""The built-in mail server as the daemon has it: a process, its accounts, and how both are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mailward.app.mailbox.process import mailbox_command
from mailward.app.mailbox.supervisor import Supervisor
from mailward.backends.accounts import MailboxAccounts, MailboxStatus
from mailward.backends.port import AccountError

CONTROL = "control.sock"
LOOK_SECONDS = 10.0
"""Between two looks at what the process says of itself."""
HUNG_LOOKS = 4
"""So many looks in a row without an answer: it hangs, and another one is started."""


_log = logging.getLogger("mailward.mailbox")


class Mailbox:
    """The mail server on the data in *folder*; *told* is its line of settings.

    *when_changed* is called when what it offers before login may have changed: SCRAM stands there
    while all accounts have keys for it.
    """

    def __init__(self, folder: Path, told: str, when_changed: Callable[[], None]) -> None:
        self._look_now = asyncio.Event()
        self._when_changed = when_changed
        self._supervisor = Supervisor(mailbox_command(folder), told, self._is_ready)
        settled = self._supervisor.settled
        self.accounts = MailboxAccounts(str(folder / CONTROL), settled, when_changed)
        self._faults: Sequence[str] = ()

    @property
    def settled(self) -> asyncio.Event:
        """It was ready once, or has ended before it was."""
        return self._supervisor.settled

    def tell(self, line: str) -> None:
        """Go on with other settings."""
        self._supervisor.tell(line)

    def faults(self) -> Sequence[str]:
        """What an operator should look at, as last known."""
        return (self._supervisor.fault,) if self._supervisor.fault else self._faults

    async def run(self) -> None:
        """Keep it running until :meth:`stop`."""
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._keep_looking())
            await self._supervisor.run()
            looking.cancel()

    async def stop(self) -> None:
        """End the process; only where :meth:`run` was begun."""
        await self._supervisor.stop()

    async def status(self) -> MailboxStatus | None:
        """What it says of itself; ``None``: it does not answer, which is a fault then."""
        try:
            status = await self.accounts.status()
        except AccountError as error:
            self._faults = (str(error),)
            return None
        self._faults = [f"the built-in mail server: {fault}" for fault in status.faults]
        return status

    def _is_ready(self) -> None:
        self._look_now.set()
        self._when_changed()

    async def _keep_looking(self) -> None:
        unanswered = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look_now.wait()
            self._look_now.clear()
            try:
                answers = bool(self._supervisor.fault) or await self.status() is not None
            except Exception:  # noqa: BLE001 -- in a TaskGroup it would end the daemon
                _log.exception("the built-in mail server cannot be looked at; that goes on")
                continue
            unanswered = 0 if answers else unanswered + 1
            if unanswered >= HUNG_LOOKS:
                self._supervisor.give_up()
                unanswered = 0
