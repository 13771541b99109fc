"""``python -m bench.harness.settling FOLDER COUNT``: settles COUNT failures as the daemon would.

The real guard, with its store on disk and its log lines to stderr; texts are parsed for each
failure, as a door parses them. Prints processor seconds, seconds and the peak of memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import uvloop

from bench.harness.attempts import attempts
from bench.harness.usage import peak_octets
from mailward.app.clock import SteadyClock
from mailward.app.logs import set_up_logs
from mailward.edges.caller import peer_address
from mailward.guard.bites import look_as_usual
from mailward.guard.journal import Journal
from mailward.guard.reservations import Ticket
from mailward.guard.service import Guard
from mailward.guard.writer import SWITCH_SECONDS
from mailward.rules.model import Attempt, Outcome
from mailward.rules.policy import Policy
from mailward.settings.configuration import LogFormat, LogLevel, LogSettings
from mailward.stores.sqlite import SqliteStore

_OTHERS_TURN = 64  # failures between two turns of the loop, as many connections would have it


async def settle(folder: Path, count: int) -> dict[str, float]:
    clock = SteadyClock()
    lines = set_up_logs(LogSettings(LogLevel.INFO, LogFormat.TEXT))
    store = SqliteStore(folder / "mailward.db")
    guard = Guard(store, Policy(), Journal(lines), await store.load(), clock())
    policy = guard.policy
    refused = 0
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(guard.writer.run())
        cpu, wall = time.process_time(), time.perf_counter()
        for number, (address, login) in enumerate(attempts(count)):
            name = policy.naming.login(login.encode())
            attempt = Attempt(policy.prefixes.fold(peer_address(address)), name, "imap")
            screened = await guard.screen(attempt, clock())
            if isinstance(screened, Ticket):
                await guard.settle(screened, Outcome.FAILED, clock())
            else:
                refused += 1
            if number % _OTHERS_TURN == 0:
                await asyncio.sleep(0)
        await guard.writer.written()
        told = {
            "cpu": time.process_time() - cpu,
            "wall": time.perf_counter() - wall,
            "peak": float(peak_octets(os.getpid())),
            "refused": float(refused),
        }
        await guard.writer.close()
    return told


def main() -> int:
    sys.setswitchinterval(SWITCH_SECONDS)
    look_as_usual()
    print(json.dumps(uvloop.run(settle(Path(sys.argv[1]), int(sys.argv[2])))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
