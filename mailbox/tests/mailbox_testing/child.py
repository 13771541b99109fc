"""A process of its own, with accounts and mail in a folder, that is killed or may write nothing.

``python child.py WHAT FOLDER`` prints one line for each thing that happened.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mailward_mailbox.accounts.errors import AccountError
from mailward_mailbox.mail.model import Fresh, MailError

from mailbox_testing.doors import Premises, premises


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 -- the parent reads it


def lay_down_all_capabilities() -> None:
    """From now on a file's mode binds this process even if root runs it."""
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


async def stock(house: Premises) -> None:
    await house.add()
    await put(house, 0)


async def put(house: Premises, number: int) -> int:
    async with house.mail() as mail:
        octets = b"Subject: %d\r\n\r\n" % number + bytes(number * 100 % 50_000)
        return (await mail.append(mail.mailbox("INBOX").id, Fresh(octets))).uid


async def keep_until_killed(folder: Path) -> None:
    async with premises(folder) as house:
        await stock(house)
        for number in itertools.count():
            await house.add(f"a{number}")
            say("account", f"a{number}")
            say("message", await put(house, number))


async def show(folder: Path) -> None:
    async with premises(folder) as house:
        say(*(view.name for view in house.server.accounts.everybody()))
        async with house.mail() as mail:
            messages = mail.mailbox("INBOX").messages
            for message in messages.values():
                octets = await mail.blob(message.blob)
                if octets is None or len(octets) != message.size:
                    raise ValueError(message)
            say(*messages)


async def refused(folder: Path) -> None:
    try:
        async with premises(folder) as house, house.mail():
            pass
    except* (AccountError, MailError) as group:
        say("refused:", group.exceptions[0])


async def write_to_a_read_only_folder(folder: Path) -> None:
    (folder / "embedded").mkdir(mode=0o500)
    lay_down_all_capabilities()
    await refused(folder)


async def write_to_read_only_files(folder: Path) -> None:
    async with premises(folder) as house:
        await stock(house)
    path = folder / "embedded" / "accounts.db"
    path.chmod(0o400)
    lay_down_all_capabilities()
    await refused(folder)
    path.chmod(0o600)
    for mail in (folder / "embedded" / "mail").glob("*.db"):
        mail.chmod(0o400)
    async with premises(folder) as house:
        try:
            async with house.mail():
                pass
        except MailError:
            say(*house.server.faults())


WORK: dict[str, Callable[[Path], Awaitable[None]]] = {
    "keep": keep_until_killed,
    "show": show,
    "read-only": write_to_a_read_only_folder,
    "read-only-files": write_to_read_only_files,
}

if __name__ == "__main__":
    os.umask(0o077)
    asyncio.run(WORK[sys.argv[1]](Path(sys.argv[2])))  # type: ignore[arg-type] # each is a coroutine
