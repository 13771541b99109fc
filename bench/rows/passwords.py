"""Row 13: owners who get in to the built-in mail server while 200 networks guess.

The password checks are asked directly, as its sessions ask: no guard stands before them, which
would ban the guessing addresses. Each address has one guess under way at any time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import NoReturn

from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.checking.proofs import PROOF_SECONDS
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.accounts.hashes import Strength
from mailward_mailbox.accounts.naming import AccountNaming
from mailward_mailbox.instant import Instant

from bench.harness.figures import Goal, Line, Of
from bench.harness.script import Extent, run
from mailward.wire.secret import Secret
from tests.real.processes import private_folder

ATTACKERS, OWNERS = 200, 30
WITHIN_SECONDS = 3.0
_PASSWORD = Secret(b"open sesame")


def home(owner: int) -> IPv4Address:
    return IPv4Address(f"192.168.{owner}.1")


def away(owner: int) -> IPv4Address:
    return IPv4Address(f"172.16.{owner}.1")


async def guess_on(accounts: Accounts, attacker: int) -> NoReturn:
    client, number = IPv4Address(f"10.{attacker}.0.1"), 0
    while True:
        number += 1
        await accounts.verify(b"owner%d" % (number % OWNERS), Secret(b"%d" % number), client)


async def waited(accounts: Accounts, owner: int, client: IPv4Address) -> float:
    """Seconds until the owner is in; endless where the answer is another one."""
    began = time.perf_counter()
    answer = await accounts.verify(b"owner%d" % owner, _PASSWORD, client)
    return time.perf_counter() - began if isinstance(answer, Account) else float("inf")


async def waits(folder: Path, place: Callable[[int], IPv4Address]) -> list[float]:
    now = [Instant(0.0)]
    accounts = Accounts(folder / "accounts.db", AccountNaming, lambda: now[0], Strength())
    try:
        for owner in range(OWNERS):
            await accounts.add(f"owner{owner}", _PASSWORD)
            await waited(accounts, owner, home(owner))
        now[0] = Instant(PROOF_SECONDS + 1)
        async with asyncio.TaskGroup() as tasks:
            guessing = [tasks.create_task(guess_on(accounts, n)) for n in range(ATTACKERS)]
            await asyncio.sleep(WITHIN_SECONDS)  # their guesses stand in line, each for its network
            logins = [waited(accounts, owner, place(owner)) for owner in range(OWNERS)]
            found = await asyncio.gather(*logins)
            for task in guessing:
                task.cancel()
    finally:
        await accounts.close()
    return sorted(found)


def measure(extent: Extent) -> Iterator[Line]:
    for where, place, goals in (
        ("at known addresses", home, (Goal(Of.OURS, 27, at_least=True),)),
        ("at new addresses", away, ()),
    ):
        found = []
        for _ in range(extent.runs):
            with private_folder() as folder:
                found.append(asyncio.run(waits(folder, place)))
        within = tuple(float(sum(wait <= WITHIN_SECONDS for wait in one)) for one in found)
        slowest = max(one[-1] for one in found)
        note = f"the slowest of all waited {slowest:.2f} s"
        work = f"owners in within {WITHIN_SECONDS:.0f} s, {where}"
        yield Line("13", work, f"of {OWNERS}", within, goals=goals, note=note)


if __name__ == "__main__":
    sys.exit(run("rows.passwords", __doc__.splitlines()[0], measure))
