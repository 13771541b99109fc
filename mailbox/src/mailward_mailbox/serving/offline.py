"""What the control socket would answer, done on the files where no server runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.hashes import Strength
from mailward_mailbox.accounts.naming import AccountNaming
from mailward_mailbox.server import ACCOUNTS, locked
from mailward_mailbox.serving.clock import wall_clock
from mailward_mailbox.serving.control import Control


async def answer_offline(data: Path, line: bytes) -> dict[str, Any]:
    """The answer to the request in *line*, with the accounts in *data*, which it locks.

    Raises:
        AccountError: the accounts cannot be opened, or another process has them.
    """
    _act_as_owner(data)
    lock = locked(data)
    try:
        accounts = Accounts(data / ACCOUNTS, AccountNaming, wall_clock, Strength())
        try:
            return await Control(accounts, accounts.faults).answer(line)
        finally:
            await accounts.close()
    finally:
        lock.release()


def _act_as_owner(data: Path) -> None:
    """Where root asks, go on as the owner of *data*: the server could not use files of root's."""
    if os.geteuid() == 0 and data.exists():
        owner = data.stat()
        if owner.st_uid != 0:
            os.setgroups([])
            os.setgid(owner.st_gid)
            os.setuid(owner.st_uid)
